/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move_give - what other members ask: GET, POST /cluster/moves?do=...
 *
 *   POST take&name=N[&frozen=E]    200: it is the asker's from now on: {"from":[...]} and a new line, then the index (index_text())
 *                                  409 {"to":"Z","frozen":E}: it was given to Z; what lies here still is asked for with that E. 410: it is not here, and never
 *                                  comes to be by an older ring than the asker's
 *   POST taken&name=N              the asker has the index
 *   POST done&name=N               the asker has all
 *   POST fetch&name=N&digest=D     200: the asker has this blob, and we own the repository: it is here now. 404: the asker has it not, or it was deleted. 503: later
 *   GET  rings                     the rings of before, as we know them (past_rings_format())
 *   GET  whole&name=N              200: we own and hold it, and nothing of it is to come. 409: not so
 *   GET  list[&after=N]            {"names":[...],"next":"N" or "","held":n}: what is here and the asker's. held -1: not counted yet
 *   GET  blobs&name=N&alg=A[&after=E]   {"blobs":["sha256:..."],"next":"E" or ""}: what lies here
 *
 * All: 421 where the asker's ring is another than ours, or ours is not written down. Then nothing was done.
 */
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http.h"
#include "common/json.h"
#include "common/log.h"
#include "proto/name.h"
#include "worker/cluster/cluster.h"
#include "worker/moves/moves_priv.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

#define NAMES_MOST   500
#define SCANNED_MOST 20000
#define BLOBS_MOST   2000

struct asking {
	struct moves *moves;
	const struct moves_question *question;
	struct snapshot *snapshot;
	const struct ring_member *asker;
	struct name name; /* "" where it needs none */
	struct buf *into;
};

static unsigned refuse(struct buf *into, unsigned status, const char *text)
{
	struct json_writer w = json_writer(into);

	json_open_object(&w);
	json_put_text(&w, "error", text);
	json_close_object(&w);
	return status;
}

static const struct ring_member *find_asker(const struct asking *asking)
{
	const struct ring *ring = asking->snapshot->ring;

	for (size_t i = 0; i < ring_len(ring); i++) {
		AUTO_FINI(buf) name = buf_limit(PEER_NAME_MAX + 1);

		cluster_name_of(asking->moves->settings.cluster, asking->snapshot, ring_at(ring, i), &name);
		if (!strcmp(buf_text(&name), asking->question->peer))
			return ring_at(ring, i);
	}
	return NULL;
}

static bool parameter(const struct asking *asking, const char *key, struct buf *into)
{
	return http_query_get(asking->question->query, key, into) && !into->failed;
}

static bool is_of_asker(const struct asking *asking)
{
	const struct ring_member *owner = moves_owner(asking->snapshot, name_str(&asking->name));

	return owner && owner == asking->asker && !moves_owns(asking->snapshot, name_str(&asking->name));
}

/* ---- take ---- */

static unsigned say_none(const struct asking *asking)
{
	return refuse(asking->into, 410, "it is not here");
}

static unsigned say_given(const struct asking *asking, const struct move_record *record)
{
	struct json_writer w = json_writer(asking->into);

	json_open_object(&w);
	json_put_text(&w, "to", record->to);
	json_put_int(&w, "frozen", record->frozen);
	json_close_object(&w);
	return 409;
}

static unsigned fail(const struct asking *asking, const struct error *err)
{
	log_warn("move.give", "repository=%s to=%s error=%s", asking->name.text,
		log_quote(str_of(asking->asker->id)), log_quote(str_of(err->text)));
	buf_clear(asking->into);
	return refuse(asking->into, 503, err->text);
}

/* The answer is made first: what was given and cannot be told would be nobody's for a while. */
static bool write_answer(const struct asking *asking, const struct index *index,
	const struct move_record *record, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(INDEX_TEXT_MAX);
	struct json_writer w = json_writer(asking->into);

	if (!index_text(index, &text, err))
		return false;
	json_open_object(&w);
	json_key(&w, STR("from"));
	json_open_array(&w);
	for (size_t i = 0; record && i < record->from_len; i++)
		json_value_str(&w, str_of(record->from[i]));
	json_close_array(&w);
	json_close_object(&w);
	buf_putc(asking->into, '\n');
	buf_add(asking->into, buf_str(&text));
	return buf_check(asking->into, "the index of a repository", err);
}

/* Those that were counted here go along. */
static void write_pulls(const struct asking *asking)
{
	struct error err;

	if (!registry_write_pulls_of(asking->moves->settings.registry, name_str(&asking->name), &err))
		log_warn("move.pulls", "repository=%s error=%s the pulls that were counted last stay here",
			asking->name.text, log_quote(str_of(err.text)));
}

static unsigned give(const struct asking *asking, const struct move_record *record)
{
	struct move_record next = { .state = MOVE_GIVEN };
	struct moves *moves = asking->moves;
	AUTO(index) *index = NULL;
	struct error err;

	write_pulls(asking);
	if (!indexes_get(moves->indexes, name_str(&asking->name), &index, &err))
		return err.kind == ERROR_UNKNOWN ? say_none(asking) : fail(asking, &err);
	if (record)
		memcpy(next.from, record->from, sizeof(next.from));
	next.from_len = record ? record->from_len : 0;
	next.frozen =
		record && record->frozen ? record->frozen : moves_frozen_by(moves, asking->snapshot->ring);
	CHECK(str_copy(str_of(asking->asker->id), next.to, sizeof(next.to)));
	if (!write_answer(asking, index, record, &err) ||
		!moves_set_record(moves, name_str(&asking->name), &next, &err))
		return fail(asking, &err);
	moves_lock(moves);
	moves->stats.given++;
	moves_unlock(moves);
	log_info(
		"move.given", "repository=%s to=%s", asking->name.text, log_quote(str_of(asking->asker->id)));
	return 200;
}

/* It had been asked for, by a ring of before, and did not come: it won't any more (may_import()). */
static unsigned give_up(const struct asking *asking)
{
	struct error err;

	if (!moves_set_record(asking->moves, name_str(&asking->name), NULL, &err))
		return fail(asking, &err);
	return say_none(asking);
}

/* Nobody holds it, and this is the newest that is kept, the asker says: it has asked all. */
static bool is_wanted(const struct asking *asking, const struct move_record *record)
{
	AUTO_FINI(buf) text = buf_limit(32);
	uint64_t frozen;

	return parameter(asking, "frozen", &text) && str_to_number(buf_str(&text), INT64_MAX, &frozen) &&
	       (int64_t)frozen == record->frozen;
}

static unsigned take_held(const struct asking *asking)
{
	AUTO(move_record) *record = moves_record(asking->moves, name_str(&asking->name));
	struct error err;

	if (!moves_can_tell(asking->moves, name_str(&asking->name), &err))
		return fail(asking, &err);
	if (!record || record->state == MOVE_MOVING)
		return give(asking, record);
	if (!record->frozen)
		return give_up(asking);
	if (!is_wanted(asking, record))
		return say_given(asking, record);
	if (record->taken)
		log_warn("move.again",
			"repository=%s to=%s was=%s what=\"%s had all that was changed since, and does not "
			"have "
			"it any more\"",
			asking->name.text, log_quote(str_of(asking->asker->id)),
			log_quote(str_of(record->to)), record->to);
	return give(asking, record);
}

typedef unsigned held_f(const struct asking *asking);

/* With the key of the repository, which by the ring of now is the asker's. */
static unsigned with_key(const struct asking *asking, held_f *answer)
{
	struct moves *moves = asking->moves;
	struct error err;
	unsigned status;

	if (!is_of_asker(asking))
		return refuse(asking->into, 421, "by our ring it is not yours");
	if (!moves_hold(moves, asking->name.text, MOVES_WAIT_MS / 2, &err))
		return refuse(asking->into, 503, err.text);
	if (moves_is_now(moves, asking->question->ring))
		status = answer(asking);
	else
		status = refuse(asking->into, 421, "the ring changes");
	moves_drop_key(moves, asking->name.text);
	return status;
}

static unsigned take(const struct asking *asking)
{
	return with_key(asking, take_held);
}

/* ---- taken, done ---- */

static unsigned hear(const struct asking *asking, bool done)
{
	AUTO(move_record) *record = moves_record(asking->moves, name_str(&asking->name));
	struct error err;

	if (record && record->state == MOVE_GIVEN && (!record->taken || (done && !record->done_s))) {
		record->taken = true;
		if (done)
			record->done_s = clock_wall_s();
		if (!moves_set_record(asking->moves, name_str(&asking->name), record, &err))
			return fail(asking, &err);
	}
	buf_puts(asking->into, "{}");
	return 200;
}

static unsigned taken_held(const struct asking *asking)
{
	return hear(asking, false);
}

static unsigned done_held(const struct asking *asking)
{
	return hear(asking, true);
}

static unsigned taken(const struct asking *asking)
{
	return with_key(asking, taken_held);
}

static unsigned done(const struct asking *asking)
{
	return with_key(asking, done_held);
}

/* ---- list ---- */

struct listing {
	const struct asking *asking;
	struct json_writer writer;
	size_t scanned, put;
	char last[NAME_MAX_LEN + 1];
};

/* One that was given and did not arrive is listed too: whoever was given it may have stopped before. */
static bool is_to_be_taken(struct moves *moves, struct str name)
{
	const struct move_record *record;
	bool is;

	moves_lock(moves);
	record = map_find(moves->records, name);
	is = !record || record->state == MOVE_MOVING || (record->state == MOVE_GIVEN && !record->taken);
	moves_unlock(moves);
	return is;
}

static bool on_name(void *arg, struct str name)
{
	struct listing *listing = arg;
	const struct asking *asking = listing->asking;

	listing->scanned++;
	CHECK(str_copy(name, listing->last, sizeof(listing->last)));
	if (moves_owner(asking->snapshot, name) == asking->asker && is_to_be_taken(asking->moves, name)) {
		json_value_str(&listing->writer, name);
		listing->put++;
	}
	return listing->put < NAMES_MOST;
}

static int64_t held_now(struct moves *moves)
{
	int64_t held;

	moves_lock(moves);
	held = moves->counted ? (int64_t)moves->stats.held : -1;
	moves_unlock(moves);
	return held;
}

static unsigned list(const struct asking *asking)
{
	AUTO_FINI(buf) after = buf_limit(NAME_MAX_LEN + 1);
	struct listing listing = { .asking = asking, .writer = json_writer(asking->into) };
	struct error err;
	bool more = false;

	(void)parameter(asking, "after", &after);
	json_open_object(&listing.writer);
	json_key(&listing.writer, STR("names"));
	json_open_array(&listing.writer);
	if (!store_catalog(asking->moves->store, after.len ? buf_str(&after) : STR_NONE, SCANNED_MOST,
		    on_name, &listing, &more, &err))
		return fail(asking, &err);
	json_close_array(&listing.writer);
	json_put_text(&listing.writer, "next", more ? listing.last : "");
	json_put_int(&listing.writer, "held", held_now(asking->moves));
	json_close_object(&listing.writer);
	return 200;
}

/* ---- blobs ---- */

struct blobs {
	struct json_writer writer;
	char last[129];
};

static bool on_digest(void *arg, const struct digest *digest)
{
	struct blobs *blobs = arg;
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	digest_encoded(digest, blobs->last);
	json_value_str(&blobs->writer, str_of(text));
	return true;
}

static unsigned list_blobs(const struct asking *asking)
{
	AUTO_FINI(buf) after = buf_limit(129);
	AUTO_FINI(buf) word = buf_limit(16);
	struct blobs blobs = { .writer = json_writer(asking->into) };
	enum hash_kind alg;
	struct error err;
	bool more = false;

	if (!parameter(asking, "alg", &word) || !digest_algorithm_parse(buf_str(&word), &alg))
		return refuse(asking->into, 400, "alg is sha256 or sha512");
	(void)parameter(asking, "after", &after);
	/* sha256 comes first. */
	if (!after.len && alg == HASH_SHA256 && is_of_asker(asking))
		moves_begin_left(asking->moves, name_str(&asking->name));
	json_open_object(&blobs.writer);
	json_key(&blobs.writer, STR("blobs"));
	json_open_array(&blobs.writer);
	if (!store_blobs(asking->moves->store, name_str(&asking->name), alg,
		    after.len ? buf_str(&after) : STR_NONE, BLOBS_MOST, on_digest, &blobs, &more, &err))
		return fail(asking, &err);
	json_close_array(&blobs.writer);
	json_put_text(&blobs.writer, "next", more ? blobs.last : "");
	json_close_object(&blobs.writer);
	return 200;
}

/* ---- fetch ---- */

static unsigned fetch(const struct asking *asking)
{
	struct move_sources sources = { .at = { asking->asker->id }, .len = 1 };
	AUTO_FINI(buf) text = buf_limit(DIGEST_TEXT_SIZE);
	struct digest digest;
	struct error err;

	if (!parameter(asking, "digest", &text) || !digest_parse(buf_str(&text), &digest, &err))
		return refuse(asking->into, 400, "digest is a blob's");
	if (!moves_owns(asking->snapshot, name_str(&asking->name)))
		return refuse(asking->into, 421, "by our ring it is not ours");
	/* Who is to have it after us lists what lies here only if it comes from here. */
	if (!moves_bring(asking->moves, name_str(&asking->name), &err))
		return fail(asking, &err);
	if (!moves_fetch(
		    asking->moves, asking->snapshot, name_str(&asking->name), &digest, &sources, false, &err))
		return err.kind == ERROR_UNKNOWN ? refuse(asking->into, 404, err.text) : fail(asking, &err);
	/* Its owner by a ring that came meanwhile may have listed what lies here before this did. */
	if (!moves_is_now(asking->moves, asking->question->ring))
		return refuse(asking->into, 421, "our ring has changed");
	buf_puts(asking->into, "{}");
	return 200;
}

/* ---- rings ---- */

static unsigned tell_rings(const struct asking *asking)
{
	struct moves *moves = asking->moves;
	struct past_rings rings;

	moves_lock(moves);
	past_rings_copy(&rings, &moves->rings);
	moves_unlock(moves);
	past_rings_format(&rings, asking->into);
	past_rings_fini(&rings);
	return 200;
}

/* ---- whole ---- */

static unsigned say_whole(const struct asking *asking)
{
	struct moves *moves = asking->moves;
	struct str name = name_str(&asking->name);
	AUTO(move_record) *record = moves_record(moves, name);
	AUTO(index) *index = NULL;
	struct error err;

	if (!moves_owns(asking->snapshot, name) || record || !moves_can_tell(moves, name, &err) ||
		!indexes_get(moves->indexes, name, &index, &err))
		return refuse(asking->into, 409, "it is not whole here");
	buf_puts(asking->into, "{}");
	return 200;
}

/* ---- which ---- */

static const struct verb {
	const char *word;
	bool is_post, is_named;
	unsigned (*answer)(const struct asking *asking);
} verbs[] = {
	{ "take", true, true, take },
	{ "taken", true, true, taken },
	{ "done", true, true, done },
	{ "list", false, false, list },
	{ "fetch", true, true, fetch },
	{ "rings", false, false, tell_rings },
	{ "whole", false, true, say_whole },
	{ "blobs", false, true, list_blobs },
};

static const struct verb *find_verb(const struct moves_question *question)
{
	AUTO_FINI(buf) word = buf_limit(16);

	if (!http_query_get(question->query, "do", &word) || word.failed)
		return NULL;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (str_is(buf_str(&word), verbs[i].word) && verbs[i].is_post == question->is_post)
			return &verbs[i];
	return NULL;
}

static bool read_name(struct asking *asking)
{
	AUTO_FINI(buf) text = buf_limit(NAME_MAX_LEN + 1);

	return parameter(asking, "name", &text) && name_parse(buf_str(&text), &asking->name, NULL);
}

unsigned moves_answer(struct moves *moves, const struct moves_question *question, struct buf *into)
{
	const struct verb *verb = find_verb(question);
	AUTO(snapshot) *snapshot = NULL;
	struct asking asking = { .moves = moves, .question = question, .into = into };
	struct error err;

	if (!verb)
		return refuse(into, 400,
			"do is take, taken, done, fetch (POST), list, rings, whole or blobs (GET)");
	if (!moves_adopt(moves, &snapshot, &err))
		return refuse(into, err.kind == ERROR_CONFLICT ? 421 : 503, err.text);
	asking.snapshot = snapshot;
	asking.asker = find_asker(&asking);
	if (ring_mark(snapshot->ring) != question->ring || !asking.asker)
		return refuse(into, 421, "your ring is another one");
	if (verb->is_named && !read_name(&asking))
		return refuse(into, 400, "name is a repository's");
	return verb->answer(&asking);
}
