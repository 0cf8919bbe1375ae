/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_log - changes lie in a ring buffer in the order of their revisions; `floor` is the newest revision of
 * a change that is no longer there, so a delta can be made for every `since` from it on.
 */
#include "leader/state_log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/gzip.h"
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

struct state_log {
	pthread_mutex_t lock;
	pthread_mutex_t full_lock; /* one encodes the full state, those who want it too wait for it */
	int compression;
	int64_t cache_ms;
	struct state *state;
	struct entity **changes; /* [STATE_LOG_CHANGES] */
	size_t begin, len;
	uint64_t floor;
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

static struct answer *answer_new(uint64_t since, uint64_t revision, bool full)
{
	struct answer *answer = xnew(struct answer);

	atomic_init(&answer->refs, 1);
	answer->since = since;
	answer->made_ms = clock_ms();
	answer->answer.revision = revision;
	answer->answer.full = full;
	answer->plain = buf_limit(STATE_BYTES_MAX);
	answer->gzip = buf_limit(STATE_BYTES_MAX);
	return answer;
}

/* Digest and compressed twin of the plain bytes. */
static void answer_seal(struct answer *answer, int compression)
{
	uint8_t raw[HASH_MAX];
	struct str plain = buf_str(&answer->plain);
	struct error err;

	memcpy(answer->answer.digest, "sha256:", 7);
	hash_bytes(HASH_SHA256, plain.at, plain.len, raw);
	str_hex(raw, 32, answer->answer.digest + 7);
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

	(void)pthread_mutex_init(&log->lock, NULL);
	(void)pthread_mutex_init(&log->full_lock, NULL);
	log->compression = compression;
	log->cache_ms = cache_ms;
	log->state = state_new();
	log->changes = xnew_array(struct entity *, STATE_LOG_CHANGES);
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
	state_free(log->state);
	(void)pthread_mutex_destroy(&log->lock);
	(void)pthread_mutex_destroy(&log->full_lock);
	free(log);
}

/* Changes. */

static void remember_locked(struct state_log *log, struct entity *entity)
{
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

static void publish(struct state_log *log, struct entity *const *changed, size_t len, uint64_t revision)
{
	/* Only the one writer changes the pointer, so it may read it without the lock. */
	struct state *old = log->state;
	struct state *state = state_change(old, changed, len, revision);

	pthread_mutex_lock(&log->lock);
	for (size_t i = 0; i < len; i++)
		remember_locked(log, changed[i]);
	log->state = state;
	drop_answers(log);
	pthread_mutex_unlock(&log->lock);
	state_free(old);
}

void state_log_load(struct state_log *log, struct entity *const *entities, size_t len, uint64_t revision,
	uint64_t forgotten)
{
	log->floor = forgotten;
	publish(log, entities, len, revision);
}

void state_log_apply(struct state_log *log, struct entity *const *changed, size_t len, uint64_t revision)
{
	publish(log, changed, len, revision);
}

struct state *state_log_state(struct state_log *log)
{
	struct state *state;

	pthread_mutex_lock(&log->lock);
	state = state_ref(log->state);
	pthread_mutex_unlock(&log->lock);
	return state;
}

uint64_t state_log_revision(struct state_log *log)
{
	uint64_t revision;

	pthread_mutex_lock(&log->lock);
	revision = state_revision(log->state);
	pthread_mutex_unlock(&log->lock);
	return revision;
}

/* Asking. */

static uint64_t since_locked(const struct state_log *log, uint64_t since)
{
	return since && since >= log->floor && since <= state_revision(log->state) ? since : 0;
}

uint64_t state_log_since(struct state_log *log, uint64_t since)
{
	uint64_t known;

	pthread_mutex_lock(&log->lock);
	known = since_locked(log, since);
	pthread_mutex_unlock(&log->lock);
	return known;
}

/* A full state is good when it is the newest, or young and within reach of a delta. */
static struct answer *find_full_locked(struct state_log *log)
{
	struct answer *full = log->full;

	if (!full)
		return NULL;
	if (full->answer.revision == state_revision(log->state))
		return full;
	return clock_ms() - full->made_ms < log->cache_ms && full->answer.revision >= log->floor ? full
												 : NULL;
}

static struct answer *find_locked(struct state_log *log, uint64_t since)
{
	if (!since)
		return find_full_locked(log);
	for (unsigned i = 0; i < DELTAS_KEPT; i++)
		if (log->deltas[i] && log->deltas[i]->since == since)
			return log->deltas[i];
	return NULL;
}

struct state_answer *state_log_find(struct state_log *log, uint64_t since)
{
	struct answer *answer;

	pthread_mutex_lock(&log->lock);
	answer = find_locked(log, since_locked(log, since));
	if (answer)
		(void)keep(answer);
	pthread_mutex_unlock(&log->lock);
	return answer ? &answer->answer : NULL;
}

static void keep_full(struct state_log *log, struct answer *answer)
{
	struct answer *old;

	pthread_mutex_lock(&log->lock);
	old = log->full;
	log->full = keep(answer);
	pthread_mutex_unlock(&log->lock);
	if (old)
		state_answer_free(&old->answer);
}

static struct state_answer *answer_full(struct state_log *log)
{
	struct state_answer *found;
	struct answer *answer;

	pthread_mutex_lock(&log->full_lock);
	found = state_log_find(log, 0);
	if (!found) {
		AUTO(state) *state = state_log_state(log);
		answer = answer_new(0, state_revision(state), true);
		state_encode_full(state, &answer->plain);
		answer_seal(answer, log->compression);
		keep_full(log, answer);
		found = &answer->answer;
	}
	pthread_mutex_unlock(&log->full_lock);
	return found;
}

/* What changed after `since`, each entity's newest only; the references are the caller's. */
static struct entity **collect_locked(struct state_log *log, uint64_t since, size_t *ret_len)
{
	struct entity **newest = xnew_array(struct entity *, log->len + 1);
	AUTO(map) *seen = map_new();
	char key[KEY_MAX];

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
	pthread_mutex_lock(&log->lock);
	if (answer->answer.revision == state_revision(log->state) && !find_locked(log, answer->since)) {
		struct answer **slot = &log->deltas[log->next_delta++ % DELTAS_KEPT];
		if (*slot)
			state_answer_free(&(*slot)->answer);
		*slot = keep(answer);
	}
	pthread_mutex_unlock(&log->lock);
}

struct state_answer *state_log_answer(struct state_log *log, uint64_t since)
{
	struct state_answer *found;
	struct entity **changed;
	struct answer *answer;
	uint64_t revision;
	size_t len;

	pthread_mutex_lock(&log->lock);
	revision = state_revision(log->state);
	if (!since_locked(log, since)) {
		pthread_mutex_unlock(&log->lock);
		return answer_full(log);
	}
	changed = since < revision ? collect_locked(log, since, &len) : NULL;
	pthread_mutex_unlock(&log->lock);
	if (!changed)
		return NULL;
	found = state_log_find(log, since);
	if (!found) {
		answer = answer_new(since, revision, false);
		state_encode_delta(since, revision, changed, len, &answer->plain);
		answer_seal(answer, log->compression);
		keep_delta(log, answer);
		found = &answer->answer;
	}
	free_all(changed, len);
	return found;
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

struct state_answer *state_log_lines(struct state_log *log, uint64_t since)
{
	AUTO(state) *state = NULL;
	struct entity **changed = NULL;
	struct answer *answer;
	size_t len = 0;

	pthread_mutex_lock(&log->lock);
	state = state_ref(log->state);
	since = since_locked(log, since);
	if (since && since < state_revision(state))
		changed = collect_locked(log, since, &len);
	pthread_mutex_unlock(&log->lock);
	if (since == state_revision(state) && since)
		return NULL;
	answer = answer_new(since, state_revision(state), !since);
	for (size_t i = 0; i < len; i++)
		put_line(&answer->plain, changed[i]);
	if (!since)
		put_all_lines(&answer->plain, state);
	answer_seal(answer, -1);
	free_all(changed, len);
	return &answer->answer;
}
