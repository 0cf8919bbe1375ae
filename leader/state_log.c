/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_log - changes lie in a ring buffer in the order of their revisions; `floor` is the newest revision of
 * a change that is no longer there, so a delta can be made for every `since` from it on. The pairs of
 * revision and digest of the last writes lie in another one: a write has one pair and at least one change, and another pair of the
 * same revision where a newer program encodes entities otherwise.
 */
#include "leader/state_log.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/gzip.h"
#include "common/lock.h"
#include "common/map.h"

#define DELTAS_KEPT 8
#define KEY_MAX     (ENTITY_ID_MAX + 2)

struct answer {
	struct state_answer answer; /* first */
	atomic_uint refs;
	uint64_t since;
	int64_t made_ms;
	struct buf plain, gzip;
};

struct pair_of {
	uint64_t revision;
	uint8_t digest[STATE_DIGEST_BYTES];
};

struct state_log {
	struct lock lock;
	struct lock full_lock; /* one encodes the full state, those who want it too wait for it */
	int compression;
	int64_t cache_ms;
	struct state *state;
	struct entity **changes; /* [STATE_LOG_CHANGES] */
	size_t begin, len;
	uint64_t floor;
	struct pair_of *pairs; /* [STATE_LOG_PAIRS], of the writes in their order */
	size_t pairs_begin, pairs_len;
	struct answer *full;
	struct answer *deltas[DELTAS_KEPT];
	unsigned next_delta;
};

/* Answers. */

struct state_answer *state_answer_ref(struct state_answer *answer)
{
	atomic_fetch_add_explicit(&((struct answer *)answer)->refs, 1, memory_order_relaxed);
	return answer;
}

void state_answer_free(struct state_answer *shared)
{
	struct answer *answer = (struct answer *)shared;

	if (!answer || atomic_fetch_sub_explicit(&answer->refs, 1, memory_order_acq_rel) != 1)
		return;
	buf_fini(&answer->plain);
	buf_fini(&answer->gzip);
	free(answer);
}

static struct answer *answer_new(uint64_t since, const struct state *state, bool full)
{
	struct answer *answer = xnew(struct answer);

	atomic_init(&answer->refs, 1);
	answer->since = since;
	answer->made_ms = clock_ms();
	answer->answer.revision = state_revision(state);
	answer->answer.full = full;
	state_digest_hex(state, answer->answer.result);
	answer->plain = buf_limit(STATE_BYTES_MAX);
	answer->gzip = buf_limit(STATE_BYTES_MAX);
	return answer;
}

/* Digest and compressed twin of the plain bytes. */
static void answer_seal(struct answer *answer, int compression)
{
	struct str plain = buf_str(&answer->plain);
	struct error err;

	memcpy(answer->answer.digest, "sha256:", 7);
	hash_sha256_hex(plain, answer->answer.digest + 7);
	answer->answer.plain = plain;
	/* Without room for the compressed bytes the plain ones do. */
	if (compression >= 0 && gzip_compress(plain, compression, &answer->gzip, &err) &&
		!answer->gzip.failed)
		answer->answer.gzip = buf_str(&answer->gzip);
}

static struct answer *keep(struct answer *answer)
{
	(void)state_answer_ref(&answer->answer);
	return answer;
}

/* Life. */

struct state_log *state_log_new(int compression, int64_t cache_ms)
{
	struct state_log *log = xnew(struct state_log);

	lock_init(&log->lock);
	lock_init(&log->full_lock);
	log->compression = compression;
	log->cache_ms = cache_ms;
	log->state = state_new();
	log->changes = xnew_array(struct entity *, STATE_LOG_CHANGES);
	log->pairs = xnew_array(struct pair_of, STATE_LOG_PAIRS);
	return log;
}

static struct entity **change_at(struct state_log *log, size_t at)
{
	return &log->changes[(log->begin + at) % STATE_LOG_CHANGES];
}

static void drop_answers(struct state_log *log)
{
	for (unsigned i = 0; i < DELTAS_KEPT; i++) {
		if (log->deltas[i])
			state_answer_free(&log->deltas[i]->answer);
		log->deltas[i] = NULL;
	}
}

void state_log_free(struct state_log *log)
{
	if (!log)
		return;
	drop_answers(log);
	if (log->full)
		state_answer_free(&log->full->answer);
	for (size_t i = 0; i < log->len; i++)
		entity_free(*change_at(log, i));
	free(log->changes);
	free(log->pairs);
	state_free(log->state);
	lock_fini(&log->lock);
	lock_fini(&log->full_lock);
	free(log);
}

/* Changes. */

static void remember_locked(struct state_log *log, struct entity *entity)
{
	lock_assert(&log->lock);
	if (log->len == STATE_LOG_CHANGES) {
		struct entity **oldest = change_at(log, 0);
		if (entity_revision(*oldest) > log->floor)
			log->floor = entity_revision(*oldest);
		entity_free(*oldest);
		log->begin = (log->begin + 1) % STATE_LOG_CHANGES;
		log->len--;
	}
	*change_at(log, log->len++) = entity_ref(entity);
}

static const struct pair_of *pair_at(const struct state_log *log, size_t at)
{
	return &log->pairs[(log->pairs_begin + at) % STATE_LOG_PAIRS];
}

static void remember_pair_locked(
	struct state_log *log, uint64_t revision, const uint8_t digest[STATE_DIGEST_BYTES])
{
	struct pair_of *pair = &log->pairs[(log->pairs_begin + log->pairs_len) % STATE_LOG_PAIRS];

	lock_assert(&log->lock);
	CHECK(!log->pairs_len || pair_at(log, log->pairs_len - 1)->revision <= revision);
	if (log->pairs_len == STATE_LOG_PAIRS)
		log->pairs_begin = (log->pairs_begin + 1) % STATE_LOG_PAIRS;
	else
		log->pairs_len++;
	pair->revision = revision;
	memcpy(pair->digest, digest, sizeof(pair->digest));
}

void state_log_load_pair(struct state_log *log, uint64_t revision, const uint8_t digest[STATE_DIGEST_BYTES])
{
	lock_take(&log->lock);
	remember_pair_locked(log, revision, digest);
	lock_drop(&log->lock);
}

void state_log_load(
	struct state_log *log, struct entity *const *entities, size_t len, const struct state_loaded *loaded)
{
	AUTO(state) *empty = state_new();

	log->floor = loaded->forgotten;
	state_set_history(empty, &loaded->history);
	state_log_apply(log, state_change(empty, entities, len, loaded->revision), entities, len);
}

void state_log_apply(struct state_log *log, struct state *state, struct entity *const *changed, size_t len)
{
	/* Only the one writer changes the pointer, so it may read it without the lock. */
	struct state *old = log->state;

	lock_take(&log->lock);
	/* Of more than there is room for, no delta can be made. */
	if (len > STATE_LOG_CHANGES && entity_revision(changed[len - 1 - STATE_LOG_CHANGES]) > log->floor)
		log->floor = entity_revision(changed[len - 1 - STATE_LOG_CHANGES]);
	for (size_t i = len > STATE_LOG_CHANGES ? len - STATE_LOG_CHANGES : 0; i < len; i++)
		remember_locked(log, changed[i]);
	if (state_revision(state))
		remember_pair_locked(log, state_revision(state), state_digest(state));
	log->state = state;
	drop_answers(log);
	lock_drop(&log->lock);
	state_free(old);
}

struct state *state_log_state(struct state_log *log)
{
	struct state *state;

	lock_take(&log->lock);
	state = state_ref(log->state);
	lock_drop(&log->lock);
	return state;
}

uint64_t state_log_revision(struct state_log *log)
{
	uint64_t revision;

	lock_take(&log->lock);
	revision = state_revision(log->state);
	lock_drop(&log->lock);
	return revision;
}

/* Asking. */

/* The first of the remembered pairs whose revision is not below. */
static size_t place_of_pair(const struct state_log *log, uint64_t revision)
{
	size_t low = 0, high = log->pairs_len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pair_at(log, middle)->revision < revision)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_pair(const struct pair_of *pair, uint64_t revision, struct str digest)
{
	char hex[STATE_DIGEST_TEXT];

	str_hex(pair->digest, sizeof(pair->digest), hex);
	return pair->revision == revision && str_is(digest, hex);
}

static enum history_position position_locked(
	const struct state_log *log, uint64_t revision, struct str digest)
{
	size_t at = place_of_pair(log, revision);

	lock_assert(&log->lock);
	if (!revision)
		return HISTORY_KNOWN;
	if (at == log->pairs_len)
		return HISTORY_UNKNOWN;
	for (size_t i = at; digest.len && i < log->pairs_len && pair_at(log, i)->revision == revision; i++)
		if (is_pair(pair_at(log, i), revision, digest))
			return HISTORY_KNOWN;
	return !digest.len || revision < pair_at(log, 0)->revision ? HISTORY_OLDER : HISTORY_UNKNOWN;
}

enum history_position state_log_position(struct state_log *log, uint64_t revision, const char *digest_hex)
{
	enum history_position position;

	lock_take(&log->lock);
	position = position_locked(log, revision, str_of(digest_hex));
	lock_drop(&log->lock);
	return position;
}

static bool is_known_locked(const struct state_log *log, const struct state_question *question)
{
	lock_assert(&log->lock);
	if (question->lines && !*question->digest)
		return question->since <= state_revision(log->state);
	return position_locked(log, question->since, str_of(question->digest)) == HISTORY_KNOWN;
}

static bool want_locked(
	const struct state_log *log, const struct state_question *question, struct state_want *ret)
{
	bool known = is_known_locked(log, question);
	uint64_t newest = state_revision(log->state);

	lock_assert(&log->lock);
	*ret = (struct state_want){
		.full = true, .lines = question->lines, .since = known ? question->since : newest
	};
	if (question->whole || !known || !question->since)
		return true;
	ret->full = question->since < log->floor;
	return question->since != newest;
}

bool state_log_kinds(struct state_log *log, uint64_t since, unsigned *ret_kinds)
{
	bool known;

	*ret_kinds = 0;
	lock_take(&log->lock);
	known = since >= log->floor;
	for (size_t i = log->len; i-- > 0 && entity_revision(*change_at(log, i)) > since;)
		*ret_kinds |= 1u << entity_kind(*change_at(log, i));
	lock_drop(&log->lock);
	return known;
}

bool state_log_want(struct state_log *log, const struct state_question *question, struct state_want *ret)
{
	bool wants;

	lock_take(&log->lock);
	wants = want_locked(log, question, ret);
	lock_drop(&log->lock);
	return wants;
}

/* Whoever gets it goes on with a delta. */
static bool is_within_reach_locked(const struct state_log *log, uint64_t revision)
{
	lock_assert(&log->lock);
	return revision >= log->floor && log->pairs_len && revision >= pair_at(log, 0)->revision;
}

/* A full state is good when it is the newest, or young and within reach of a delta. */
static struct answer *find_full_locked(struct state_log *log, uint64_t not_below)
{
	struct answer *full = log->full;

	lock_assert(&log->lock);
	if (!full || full->answer.revision < not_below)
		return NULL;
	if (full->answer.revision == state_revision(log->state))
		return full;
	return clock_ms() - full->made_ms < log->cache_ms &&
			       is_within_reach_locked(log, full->answer.revision)
		       ? full
		       : NULL;
}

static struct answer *find_delta_locked(struct state_log *log, uint64_t since)
{
	lock_assert(&log->lock);
	for (unsigned i = 0; i < DELTAS_KEPT; i++)
		if (log->deltas[i] && log->deltas[i]->since == since)
			return log->deltas[i];
	return NULL;
}

struct state_answer *state_log_find(struct state_log *log, const struct state_want *want)
{
	struct answer *answer;

	lock_take(&log->lock);
	answer = want->full ? find_full_locked(log, want->since) : find_delta_locked(log, want->since);
	if (answer)
		(void)keep(answer);
	lock_drop(&log->lock);
	return answer ? &answer->answer : NULL;
}

static void keep_full(struct state_log *log, struct answer *answer)
{
	struct answer *old;

	lock_take(&log->lock);
	old = log->full;
	log->full = keep(answer);
	lock_drop(&log->lock);
	if (old)
		state_answer_free(&old->answer);
}

static struct state_answer *answer_full(struct state_log *log, uint64_t not_below)
{
	const struct state_want want = { .full = true, .since = not_below };
	struct state_answer *found;
	struct answer *answer;

	lock_take(&log->full_lock);
	found = state_log_find(log, &want);
	if (!found) {
		AUTO(state) *state = state_log_state(log);
		answer = answer_new(0, state, true);
		state_encode_full(state, &answer->plain);
		answer_seal(answer, log->compression);
		keep_full(log, answer);
		found = &answer->answer;
	}
	lock_drop(&log->full_lock);
	return found;
}

/* What changed after `since`, each entity's newest only; the references are the caller's. */
static struct entity **collect_locked(struct state_log *log, uint64_t since, size_t *ret_len)
{
	struct entity **newest = xnew_array(struct entity *, log->len + 1);
	AUTO(map) *seen = map_new();
	char key[KEY_MAX];

	lock_assert(&log->lock);
	*ret_len = 0;
	for (size_t i = log->len; i-- > 0;) {
		struct entity *entity = *change_at(log, i);
		struct str id = entity_id(entity);

		if (entity_revision(entity) <= since)
			break;
		CHECK(id.len < sizeof(key));
		key[0] = (char)('A' + (int)entity_kind(entity));
		memcpy(key + 1, id.at, id.len);
		if (map_put(seen, str_from(key, id.len + 1), entity))
			continue;
		newest[(*ret_len)++] = entity_ref(entity);
	}
	return newest;
}

static void free_all(struct entity **entities, size_t len)
{
	for (size_t i = 0; i < len; i++)
		entity_free(entities[i]);
	free(entities);
}

static void keep_delta(struct state_log *log, struct answer *answer)
{
	lock_take(&log->lock);
	if (answer->answer.revision == state_revision(log->state) && !find_delta_locked(log, answer->since)) {
		struct answer **slot = &log->deltas[log->next_delta++ % DELTAS_KEPT];
		if (*slot)
			state_answer_free(&(*slot)->answer);
		*slot = keep(answer);
	}
	lock_drop(&log->lock);
}

/* The newest state, and what leads to it; NULL: too much has changed since. */
static struct entity **changes_since(
	struct state_log *log, uint64_t since, struct state **ret_state, size_t *ret_len)
{
	struct entity **changed = NULL;

	lock_take(&log->lock);
	*ret_state = state_ref(log->state);
	if (since >= log->floor)
		changed = collect_locked(log, since, ret_len);
	lock_drop(&log->lock);
	return changed;
}

struct entity **state_log_changes(struct state_log *log, uint64_t since, size_t *ret_len)
{
	AUTO(state) *newest = NULL;

	return changes_since(log, since, &newest, ret_len);
}

static struct state_answer *make_delta(struct state_log *log, uint64_t since)
{
	AUTO(state) *state = NULL;
	size_t len = 0;
	struct entity **changed = changes_since(log, since, &state, &len);
	struct answer *answer;

	if (!changed)
		return answer_full(log, since);
	answer = answer_new(since, state, false);
	state_encode_delta(since, state, changed, len, &answer->plain);
	answer_seal(answer, log->compression);
	keep_delta(log, answer);
	free_all(changed, len);
	return &answer->answer;
}

struct state_answer *state_log_answer(struct state_log *log, const struct state_want *want)
{
	struct state_answer *found = want->full ? NULL : state_log_find(log, want);

	if (found)
		return found;
	return want->full ? answer_full(log, want->since) : make_delta(log, want->since);
}

/* Lines. */

static void put_line(struct buf *into, const struct entity *entity)
{
	struct json_writer writer = json_writer(into);

	json_open_object(&writer);
	json_put_text(&writer, "kind", entity_kind_name(entity_kind(entity)));
	json_key(&writer, STR("entity"));
	entity_to_json(entity, &writer);
	json_close_object(&writer);
	buf_putc(into, '\n');
}

static void put_all_lines(struct buf *into, const struct state *state)
{
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		for (size_t i = 0; i < state_count(state, (enum entity_kind)kind); i++)
			put_line(into, state_at(state, (enum entity_kind)kind, i));
}

struct state_answer *state_log_lines(struct state_log *log, const struct state_want *want)
{
	AUTO(state) *state = NULL;
	size_t len = 0;
	struct entity **changed = want->full ? NULL : changes_since(log, want->since, &state, &len);
	struct answer *answer;

	if (!state)
		state = state_log_state(log);
	answer = answer_new(want->since, state, !changed);
	for (size_t i = 0; i < len; i++)
		put_line(&answer->plain, changed[i]);
	if (!changed)
		put_all_lines(&answer->plain, state);
	answer_seal(answer, -1);
	free_all(changed, len);
	return &answer->answer;
}
