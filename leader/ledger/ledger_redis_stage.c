/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_stage - large writes of the Redis driver.
 *
 *     staged:<token>   hash    place -> a piece (ledger_piece.h)
 *     stages           zset    tokens that are not published, by when they began: what a leader left that died goes after a day
 *     import           hash    token, at (its revision), pieces, settled (how many of them): published, and not settled yet
 *
 * Everything is an entry of the log, so what Redis lost is stored again as all else is, and each entry takes a few milliseconds of Redis. The other
 * leaders take the entities of each piece as it comes; the entry that publishes makes them count. Pieces that a leader did not see, it reads.
 * A piece is settled by who has all of the log in memory: what has a newer revision in `entities` stays.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "leader/ledger/ledger_piece.h"
#include "leader/ledger/ledger_redis.h"

#define STALE_AFTER_S 86400
#define PRUNE_MOST    1000

struct stage_key {
	char text[64];
};

static struct stage_key staged_key(const char *token)
{
	struct stage_key key;

	(void)snprintf(key.text, sizeof(key.text), "staged:%s", token);
	return key;
}

static void put_number(struct ledger_redis_effects *effects, const char *field, uint64_t number)
{
	ledger_redis_change_text(effects, field);
	ledger_redis_change_number(effects, number);
}

static bool store(struct ledger_redis *own, struct ledger_redis_effects *effects,
	const struct ledger_staging *staging, struct error *err)
{
	const struct ledger_entry entry = { .staging = *staging };
	bool ok = ledger_redis_commit_plain(own, effects, &entry, err);

	ledger_redis_effects_fini(effects);
	return ok;
}

/* Putting aside. */

bool ledger_redis_stage_begin(struct ledger *ledger, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct ledger_redis_effects effects;
	struct ledger_staging begins = { .what = LEDGER_STAGE_BEGINS };

	random_hex(begins.token, (sizeof(begins.token) - 1) / 2);
	ledger_redis_effects_init(&effects);
	ledger_redis_change(own, &effects, "ZADD", "stages", 2);
	ledger_redis_change_number(&effects, (uint64_t)clock_wall_s());
	ledger_redis_change_text(&effects, begins.token);
	if (!store(own, &effects, &begins, err))
		return false;
	own->stage = begins;
	return true;
}

bool ledger_redis_stage_put(struct ledger *ledger, struct str piece, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct ledger_redis_effects effects;
	struct ledger_staging put = own->stage;

	CHECK(*put.token);
	put.what = LEDGER_STAGE_PUT;
	put.pieces++;
	ledger_redis_effects_init(&effects);
	ledger_redis_change(own, &effects, "HSET", staged_key(put.token).text, 2);
	ledger_redis_change_number(&effects, put.pieces - 1);
	ledger_redis_effect_word(&effects, piece);
	if (!store(own, &effects, &put, err))
		return false;
	own->stage = put;
	return true;
}

bool ledger_redis_stage_drop(struct ledger *ledger, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct ledger_staging dropped = own->stage;
	struct ledger_redis_effects effects;

	if (!*dropped.token)
		return true;
	dropped.what = LEDGER_STAGE_DROPPED;
	ledger_redis_effects_init(&effects);
	ledger_redis_change(own, &effects, "ZREM", "stages", 1);
	ledger_redis_change_text(&effects, dropped.token);
	ledger_redis_change(own, &effects, "UNLINK", staged_key(dropped.token).text, 0);
	if (!store(own, &effects, &dropped, err))
		return false;
	own->stage = (struct ledger_staging){ 0 };
	return true;
}

/* Publishing. */

static void put_import(struct ledger_redis *own, const struct ledger_staging *import, uint64_t revision,
	struct ledger_redis_effects *effects)
{
	ledger_redis_change(own, effects, "HSET", "import", 8);
	ledger_redis_change_text(effects, "token");
	ledger_redis_change_text(effects, import->token);
	put_number(effects, "at", revision);
	put_number(effects, "pieces", import->pieces);
	put_number(effects, "settled", 0);
	ledger_redis_change(own, effects, "ZREM", "stages", 1);
	ledger_redis_change_text(effects, import->token);
}

enum ledger_result ledger_redis_stage_publish(
	struct ledger *ledger, uint64_t revision, const uint8_t digest[ENTITY_HASH_BYTES], struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct ledger_pair pair = { .revision = revision };
	struct ledger_entry entry = { .revision = revision, .digest = digest, .staging = own->stage };
	struct ledger_redis_effects effects;
	enum ledger_result result;

	if (own->import.pieces || revision <= own->revision)
		return LEDGER_STALE;
	memcpy(pair.digest, digest, sizeof(pair.digest));
	entry.staging.what = LEDGER_STAGE_PUBLISHED;
	ledger_redis_effects_init(&effects);
	put_import(own, &entry.staging, revision, &effects);
	ledger_redis_put_written(own, &pair, own->forgotten, &effects);
	result = ledger_redis_commit(own, &effects, &entry, 0, err);
	ledger_redis_effects_fini(&effects);
	if (result != LEDGER_WRITTEN)
		return result;
	own->import = entry.staging;
	own->stage = (struct ledger_staging){ 0 };
	own->settled = 0;
	own->revision = revision;
	return result;
}

/* Reading pieces. */

static bool read_piece(struct ledger_redis *own, uint64_t place, struct redis_reply **ret, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "HGET", staged_key(own->import.token).text);

	redis_call_number(call, place);
	return redis_run(own->redis, call, ret, err);
}

bool ledger_redis_read_staged(struct ledger_redis *own, ledger_piece_f *fn, void *arg, struct error *err)
{
	for (uint64_t i = own->settled; i < own->import.pieces; i++) {
		AUTO(redis_reply) *piece = NULL;

		if (!read_piece(own, i, &piece, err))
			return false;
		/* Another leader has settled it meanwhile: the entry of that has its entities. */
		if (redis_reply_is_nil(piece))
			continue;
		if (!ledger_piece_each(redis_reply_str(piece), fn, arg, err))
			return false;
	}
	return true;
}

bool ledger_redis_read_import(struct ledger_redis *own, struct error *err)
{
	static const char *const fields[] = { "token", "pieces", "settled" };
	AUTO(redis_call) *call = ledger_redis_call(own, "HMGET", "import");
	AUTO(redis_reply) *reply = NULL;
	struct str token;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		redis_call_text(call, fields[i]);
	if (!redis_run(own->redis, call, &reply, err))
		return false;
	own->import = (struct ledger_staging){ 0 };
	own->settled = 0;
	token = redis_reply_str(redis_reply_at(reply, 0));
	if (redis_reply_is_nil(redis_reply_at(reply, 0)))
		return true;
	own->import.pieces = redis_reply_number(redis_reply_at(reply, 1));
	own->settled = redis_reply_number(redis_reply_at(reply, 2));
	return str_copy(token, own->import.token, sizeof(own->import.token)) ||
	       error_set(err, ERROR_INVALID, NULL, "%s in Redis is none of ours",
		       ledger_redis_key(own, "import").text);
}

/* Following. */

void ledger_redis_drop_pending(struct ledger_redis *own)
{
	for (size_t i = 0; i < own->pending.len; i++)
		entity_free(own->pending.at[i]);
	free(own->pending.at);
	own->pending = (struct ledger_redis_pending){ 0 };
}

static bool add_pending(void *arg, struct entity *entity, const struct ledger_audit *audit, struct error *err)
{
	struct ledger_redis_pending *pending = arg;
	size_t room = pending->room ? 2 * pending->room : 1024;

	(void)audit;
	if (pending->len >= STATE_ENTITIES_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL, "a large write has more than %u entities",
			STATE_ENTITIES_MAX);
	if (pending->len == pending->room) {
		pending->at = reallocarray(pending->at, room, sizeof(struct entity *));
		CHECK(pending->at);
		pending->room = room;
	}
	/* Now, while nobody waits for it. */
	if (!entity_is_deleted(entity))
		(void)entity_hash(entity);
	pending->at[pending->len++] = entity_ref(entity);
	return true;
}

static bool take_piece(
	struct ledger_redis *own, const struct ledger_staging *put, struct str effects, struct error *err)
{
	struct ledger_redis_pending *pending = &own->pending;
	AUTO(pack_doc) *doc = NULL;
	struct str piece;

	if (strcmp(pending->token, put->token) != 0 || pending->pieces + 1 != put->pieces)
		return true;
	if (!pack_parse(effects, &doc, err) || !pack_get_str(pack_at(pack_at(pack_root(doc), 0), 3), &piece))
		return error_set(
			err, ERROR_INVALID, NULL, "an entry of the log in Redis is damaged: its piece");
	pending->pieces++;
	return ledger_piece_each(piece, add_pending, pending, err);
}

/* All of its entities are pending: from its pieces as they came, or as they lie there. */
static bool take_import(struct ledger_redis *own, const struct ledger_staging *published, struct error *err)
{
	own->import = *published;
	own->settled = 0;
	if (strcmp(own->pending.token, published->token) == 0 && own->pending.pieces == published->pieces)
		return true;
	ledger_redis_drop_pending(own);
	for (uint64_t i = 0; i < published->pieces; i++) {
		AUTO(redis_reply) *piece = NULL;

		if (!read_piece(own, i, &piece, err))
			return false;
		if (redis_reply_is_nil(piece))
			return error_set(err, ERROR_UNAVAILABLE, NULL,
				"a piece of a large write in Redis was settled before this leader read it: "
				"restart it");
		if (!ledger_piece_each(redis_reply_str(piece), add_pending, &own->pending, err))
			return false;
	}
	return true;
}

void ledger_redis_note_settled(struct ledger_redis *own, uint64_t settled)
{
	own->settled = settled;
	if (settled >= own->import.pieces) {
		own->import = (struct ledger_staging){ 0 };
		own->settled = 0;
	}
}

bool ledger_redis_follow_staging(
	struct ledger_redis *own, const struct ledger_staging *staging, struct str effects, struct error *err)
{
	switch (staging->what) {
	case LEDGER_STAGE_NONE:
		return true;
	case LEDGER_STAGE_BEGINS:
		/* Of two that are under way at once the older one is read when it is published. */
		ledger_redis_drop_pending(own);
		memcpy(own->pending.token, staging->token, sizeof(own->pending.token));
		return true;
	case LEDGER_STAGE_PUT:
		return take_piece(own, staging, effects, err);
	case LEDGER_STAGE_PUBLISHED:
		return take_import(own, staging, err);
	case LEDGER_STAGE_DROPPED:
		if (strcmp(own->pending.token, staging->token) == 0)
			ledger_redis_drop_pending(own);
		return true;
	case LEDGER_STAGE_SETTLED:
		ledger_redis_note_settled(own, staging->pieces);
		return true;
	}
	return true;
}

/* Settling. */

bool ledger_redis_is_settled(const struct ledger *ledger)
{
	return !((const struct ledger_redis *)ledger)->import.pieces;
}

struct settling {
	struct ledger_redis *own;
	struct entity *at[LEDGER_PIECE_ROWS];
	struct ledger_redis_effects audits;
	struct ledger_redis_audit audit;
	size_t len;
};

static bool take_row(void *arg, struct entity *entity, const struct ledger_audit *audit, struct error *err)
{
	struct settling *settling = arg;

	settling->at[settling->len++] = entity_ref(entity);
	settling->audit.revision = entity_revision(entity);
	return !audit ||
	       ledger_redis_add_audit(settling->own, &settling->audit, audit, &settling->audits, err);
}

static void settling_fini(struct settling *settling)
{
	for (size_t i = 0; i < settling->len; i++)
		entity_free(settling->at[i]);
	ledger_redis_effects_fini(&settling->audits);
}

static void put_settled(struct settling *settling, uint64_t settled, struct ledger_redis_effects *effects)
{
	struct ledger_redis *own = settling->own;

	buf_add(&effects->commands, buf_str(&settling->audits.commands));
	effects->len += settling->audits.len;
	effects->commands.failed |= settling->audits.commands.failed;
	if (settled < own->import.pieces) {
		ledger_redis_change(own, effects, "HSET", "import", 2);
		put_number(effects, "settled", settled);
		ledger_redis_change(own, effects, "HDEL", staged_key(own->import.token).text, 1);
		ledger_redis_change_number(effects, settled - 1);
	} else {
		ledger_redis_change(own, effects, "DEL", "import", 0);
		ledger_redis_change(own, effects, "UNLINK", staged_key(own->import.token).text, 0);
	}
}

static bool settle_piece(struct settling *settling, struct str piece, struct error *err)
{
	struct ledger_redis *own = settling->own;
	struct ledger_entry entry = { .staging = own->import };
	struct ledger_redis_effects effects;
	bool ok;

	entry.staging.what = LEDGER_STAGE_SETTLED;
	entry.staging.pieces = own->settled + 1;
	ledger_redis_effects_init(&effects);
	ok = ledger_piece_each(piece, take_row, settling, err) &&
	     ledger_redis_put_older(own, settling->at, &settling->len, &effects, err);
	entry.entities = settling->at;
	entry.entities_len = settling->len;
	put_settled(settling, entry.staging.pieces, &effects);
	ok = ok && ledger_redis_commit_plain(own, &effects, &entry, err);
	ledger_redis_effects_fini(&effects);
	if (ok)
		ledger_redis_note_settled(own, entry.staging.pieces);
	return ok;
}

bool ledger_redis_settle(struct ledger *ledger, bool *ret_more, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct settling settling = { .own = own };
	AUTO(redis_reply) *piece = NULL;
	bool ok;

	*ret_more = false;
	if (!own->import.pieces)
		return true;
	if (!ledger_redis_may_read(own, err) || !read_piece(own, own->settled, &piece, err))
		return false;
	/* Somebody was faster: it is followed. */
	if (redis_reply_is_nil(piece))
		return error_set(err, ERROR_CONFLICT, NULL, "another leader has settled it");
	ledger_redis_effects_init(&settling.audits);
	ok = settle_piece(&settling, redis_reply_str(piece), err);
	settling_fini(&settling);
	*ret_more = own->import.pieces;
	return ok;
}

/* What is left of leaders that died. */
bool ledger_redis_prune_stages(struct ledger_redis *own, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "ZRANGEBYSCORE", "stages");
	AUTO(redis_reply) *tokens = NULL;
	bool ok;

	redis_call_text(call, "-inf");
	redis_call_number(call, (uint64_t)(clock_wall_s() - STALE_AFTER_S));
	redis_call_text(call, "LIMIT");
	redis_call_text(call, "0");
	redis_call_number(call, PRUNE_MOST);
	ok = redis_run(own->redis, call, &tokens, err);
	for (size_t i = 0; ok && i < redis_reply_len(tokens); i++) {
		AUTO_STR *token = str_dup(redis_reply_str(redis_reply_at(tokens, i)));
		AUTO(redis_call) *unlink_it = ledger_redis_call(own, "UNLINK", staged_key(token).text);
		AUTO(redis_call) *forget = ledger_redis_call(own, "ZREM", "stages");
		AUTO(redis_reply) *unlinked = NULL;
		AUTO(redis_reply) *forgotten = NULL;

		redis_call_text(forget, token);
		ok = redis_run(own->redis, unlink_it, &unlinked, err) &&
		     redis_run(own->redis, forget, &forgotten, err);
	}
	return ok;
}
