/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_load - what a leader reads at its start, while others write.
 *
 * Entities are read bit by bit, so what is read is of no one moment. The entries since the place from before the first bit make it one:
 * they are put over it, and the place of the last of them is the leader's. Pairs are read behind them: those of later revisions are left out.
 * Members are of a moment that is not before the leader's place, which does no harm: what is followed then is absolute.
 * Grants are not, where boots are folded. They are read with the place that they are of, and entries up to there have none.
 */
#include "leader/ledger/ledger_redis.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/map.h"

#define SCAN_MOST 1000

/* Entities: by kind and id. */

struct reading {
	struct ledger_redis *own;
	struct map *entities;
	struct ledger_redis_place place;
};

/* What is newer stays: a piece of a large write is older than what was written since. */
static void put_read(struct reading *reading, struct entity *entity)
{
	AUTO_FINI(buf) name = buf_limit(ENTITY_ID_MAX + 32);
	const struct entity *there;

	buf_format(&name, "%u:%.*s", (unsigned)entity_kind(entity), STR_ARGS(entity_id(entity)));
	there = map_find(reading->entities, buf_str(&name));
	if (!there || entity_revision(there) <= entity_revision(entity))
		entity_free(map_put(reading->entities, buf_str(&name), entity_ref(entity)));
}

static bool read_entity(struct reading *reading, const struct redis_reply *page, size_t at, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;
	AUTO(entity) *entity = NULL;

	if (!pack_parse(redis_reply_str(redis_reply_at(page, at + 1)), &doc, err) ||
		!entity_decode(pack_root(doc), &entity, err))
		return error_add(err, "entity %.*s", STR_ARGS(redis_reply_str(redis_reply_at(page, at))));
	put_read(reading, entity);
	return true;
}

bool ledger_redis_scan(
	struct ledger_redis *own, const char *key, ledger_redis_pair_f *fn, void *arg, struct error *err)
{
	char cursor[24] = "0";

	do {
		AUTO(redis_call) *call = ledger_redis_call(own, "HSCAN", key);
		AUTO(redis_reply) *reply = NULL;
		const struct redis_reply *page;

		redis_call_text(call, cursor);
		redis_call_text(call, "COUNT");
		redis_call_number(call, SCAN_MOST);
		if (!redis_run(own->redis, call, &reply, err))
			return false;
		page = redis_reply_at(reply, 1);
		if (!str_copy(redis_reply_str(redis_reply_at(reply, 0)), cursor, sizeof(cursor)))
			return error_set(err, ERROR_INVALID, NULL, "HSCAN of %s in Redis has no cursor", key);
		for (size_t i = 0; i + 1 < redis_reply_len(page); i += 2)
			if (!fn(arg, page, i, err))
				return false;
	} while (strcmp(cursor, "0") != 0);
	return true;
}

static bool scan_entity(void *arg, const struct redis_reply *page, size_t at, struct error *err)
{
	return read_entity(arg, page, at, err);
}

static bool put_staged(void *arg, struct entity *entity, const struct ledger_audit *audit, struct error *err)
{
	(void)audit;
	(void)err;
	put_read(arg, entity);
	return true;
}

/* Others' large writes, as far as they are known by what was read. */
static bool overlay_staging(struct reading *reading, const struct ledger_staging *staging, struct error *err)
{
	struct ledger_redis *own = reading->own;

	if (staging->what == LEDGER_STAGE_SETTLED)
		ledger_redis_note_settled(own, staging->pieces);
	if (staging->what != LEDGER_STAGE_PUBLISHED)
		return true;
	own->import = *staging;
	own->settled = 0;
	return ledger_redis_read_staged(own, put_staged, reading, err);
}

static bool overlay(void *arg, struct ledger_redis_raw *raw, struct error *err)
{
	struct reading *reading = arg;
	struct ledger_redis_content content;

	if (raw->place.n != reading->place.n + 1 || strcmp(raw->before, reading->place.mark) != 0)
		return error_set(err, ERROR_CONFLICT, NULL,
			"the log in Redis moved on too fast while it was loaded: try again");
	if (!ledger_redis_content_decode(raw->content, raw->effects, &content, err))
		return false;
	for (size_t i = 0; i < content.entry.entities_len; i++)
		put_read(reading, content.entry.entities[i]);
	if (!overlay_staging(reading, &content.entry.staging, err)) {
		ledger_redis_content_fini(&content);
		return false;
	}
	if (content.entry.revision)
		reading->own->revision = content.entry.revision;
	if (content.forgotten)
		reading->own->forgotten = content.forgotten;
	if (content.entry.life)
		reading->own->life = *content.entry.life;
	reading->place = raw->place;
	ledger_redis_content_fini(&content);
	return true;
}

/* A tombstone that was forgotten meanwhile may have been read before. */
static void keep_read(struct reading *reading)
{
	struct ledger_redis *own = reading->own;
	size_t at = 0;
	void *value;

	own->read = xnew_array(struct entity *, map_len(reading->entities) + 1);
	while (map_next(reading->entities, &at, NULL, &value)) {
		if (entity_is_deleted(value) && entity_revision(value) <= own->forgotten)
			entity_free(value);
		else
			own->read[own->read_len++] = value;
	}
	ledger_redis_set_place(own, &reading->place);
}

static void drop_entities(struct map *entities)
{
	size_t at = 0;
	void *value;

	while (map_next(entities, &at, NULL, &value))
		entity_free(value);
}

void ledger_redis_drop_read(struct ledger_redis *own)
{
	for (size_t i = 0; i < own->read_len; i++)
		entity_free(own->read[i]);
	free(own->read);
	own->read = NULL;
	own->read_len = 0;
}

static bool read_all(struct ledger_redis *own, struct error *err)
{
	AUTO(map) *entities = map_new();
	struct reading reading = { .own = own, .entities = entities };
	bool more = true, ok;

	ledger_redis_drop_read(own);
	ledger_redis_drop_pending(own);
	ok = ledger_redis_may_read(own, err) && ledger_redis_open_head(own, err);
	reading.place = own->place;
	ok = ok && ledger_redis_read_import(own, err) &&
	     ledger_redis_scan(own, "entities", scan_entity, &reading, err) &&
	     ledger_redis_read_staged(own, put_staged, &reading, err);
	while (ok && more)
		ok = ledger_redis_read(own, reading.place.n, overlay, &reading, &more, err);
	if (ok)
		keep_read(&reading);
	else
		drop_entities(entities);
	return ok;
}

bool ledger_redis_load_entities(
	struct ledger *ledger, ledger_entity_f *fn, void *arg, struct ledger_loaded *ret, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	bool more = true;

	if (!own->read && !read_all(own, err))
		return false;
	for (size_t i = 0; more && i < own->read_len; i++)
		more = fn(arg, own->read[i]);
	ledger_redis_drop_read(own);
	*ret = (struct ledger_loaded){
		.revision = own->revision, .forgotten = own->forgotten, .history = own->history
	};
	return true;
}

/* Pairs. */

static bool tell_pair(const struct ledger_redis *own, struct str name, ledger_pair_f *fn, void *arg)
{
	struct ledger_pair pair;
	struct str revision;

	if (!str_until(&name, ' ', &revision) || !str_to_number(revision, INT64_MAX, &pair.revision) ||
		!str_unhex(name, pair.digest, sizeof(pair.digest)) || pair.revision > own->revision)
		return true;
	return fn(arg, &pair);
}

bool ledger_redis_load_pairs(struct ledger *ledger, ledger_pair_f *fn, void *arg, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	AUTO(redis_call) *call = ledger_redis_call(own, "ZRANGE", "pairs");
	AUTO(redis_reply) *reply = NULL;
	bool more = true;

	redis_call_text(call, "0");
	redis_call_text(call, "-1");
	if (!read_all(own, err) || !redis_run(own->redis, call, &reply, err))
		return false;
	for (size_t i = 0; more && i < redis_reply_len(reply); i++)
		more = tell_pair(own, redis_reply_str(redis_reply_at(reply, i)), fn, arg);
	return true;
}

/* Members. */

static bool read_member(struct str packed, struct arena *arena, struct ledger_member *ret, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;

	return pack_parse(packed, &doc, err) && ledger_redis_member_decode(pack_root(doc), arena, ret, err);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct ledger_member *)a)->name, ((const struct ledger_member *)b)->name);
}

bool ledger_redis_load_members(struct ledger *ledger, ledger_member_f *fn, void *arg, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	AUTO(redis_call) *call = ledger_redis_call(own, "HVALS", "members");
	AUTO(redis_reply) *reply = NULL;
	AUTO_FINI(arena) arena = arena_limit(REDIS_REPLY_MAX);
	struct ledger_member *members;
	bool ok = true, more = true;
	size_t len;

	if (!ledger_redis_may_read(own, err) || !redis_run(own->redis, call, &reply, err))
		return false;
	len = redis_reply_len(reply);
	members = xnew_array(struct ledger_member, len + 1);
	for (size_t i = 0; ok && i < len; i++)
		ok = read_member(redis_reply_str(redis_reply_at(reply, i)), &arena, &members[i], err);
	if (ok)
		qsort(members, len, sizeof(*members), by_name);
	for (size_t i = 0; ok && more && i < len; i++)
		more = fn(arg, &members[i]);
	free(members);
	return ok;
}

bool ledger_redis_load_gone(
	struct ledger *ledger, size_t most, ledger_gone_f *fn, void *arg, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	AUTO(redis_call) *call = ledger_redis_call(own, "ZREVRANGE", "gone");
	AUTO(redis_reply) *reply = NULL;
	bool more = true;

	if (!most)
		return true;
	redis_call_text(call, "0");
	redis_call_number(call, most - 1);
	if (!ledger_redis_may_read(own, err) || !redis_run(own->redis, call, &reply, err))
		return false;
	for (size_t i = redis_reply_len(reply); more && i; i--) {
		AUTO_STR *process = str_dup(redis_reply_str(redis_reply_at(reply, i - 1)));

		more = fn(arg, process);
	}
	return true;
}
