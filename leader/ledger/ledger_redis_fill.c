/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_fill - an SQLite file becomes what lies in Redis.
 *
 * Meanwhile the head says that it is being filled, so no leader takes it for a ledger, and it stays so where it ends in between. The last
 * thing is the head, of a new mark: who had another history in memory finds that it went back.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/crypto.h"
#include "leader/ledger/ledger_redis.h"
#include "leader/ledger/ledger_rows.h"

#define BATCH   500
#define FILLING "being filled"

struct filling {
	struct ledger_redis *own;
	struct redis_call *calls[BATCH + 8]; /* a row has a few */
	size_t len;
};

static bool flush(struct filling *f, struct error *err)
{
	struct redis_reply *replies[BATCH + 8];
	bool ok = !f->len || redis_run_all(f->own->redis, f->calls, f->len, replies, err);

	for (size_t i = 0; i < f->len; i++) {
		redis_call_free(f->calls[i]);
		if (ok)
			redis_reply_free(replies[i]);
	}
	f->len = 0;
	return ok;
}

static void filling_fini(struct filling *f)
{
	for (size_t i = 0; i < f->len; i++)
		redis_call_free(f->calls[i]);
}

/* A command of a key; its other words follow. */
static struct redis_call *add(struct filling *f, const char *command, const char *key)
{
	return f->calls[f->len++] = ledger_redis_call(f->own, command, key);
}

static void add_field(struct filling *f, const char *key, struct str field, struct str value)
{
	struct redis_call *call = add(f, "HSET", key);

	redis_call_str(call, field);
	redis_call_str(call, value);
}

static void add_scored(struct filling *f, const char *key, uint64_t score, struct str what)
{
	struct redis_call *call = add(f, "ZADD", key);

	redis_call_number(call, score);
	redis_call_str(call, what);
}

static bool add_entity(struct filling *f, struct str body, struct error *err)
{
	AUTO(pack_doc) *doc = NULL;
	AUTO(entity) *entity = NULL;
	char name[ENTITY_ID_MAX + 32];

	if (!pack_parse(body, &doc, err) || !entity_decode(pack_root(doc), &entity, err))
		return false;
	(void)snprintf(name, sizeof(name), "%s:%.*s", entity_kind_name(entity_kind(entity)),
		STR_ARGS(entity_id(entity)));
	add_field(f, "entities", str_of(name), body);
	if (entity_is_deleted(entity))
		add_scored(f, "tombstones", entity_revision(entity), str_of(name));
	return true;
}

static bool add_pair(struct filling *f, const struct ledger_row *row, struct error *err)
{
	AUTO_FINI(buf) name = buf_limit(128);
	char digest[2 * ENTITY_HASH_BYTES + 1];

	if (row->texts[0].len != ENTITY_HASH_BYTES)
		return error_set(err, ERROR_INVALID, NULL, "a pair has no digest");
	str_hex((const uint8_t *)row->texts[0].at, ENTITY_HASH_BYTES, digest);
	buf_format(&name, "%" PRIu64 " %s", row->numbers[0], digest);
	add_scored(f, "pairs", row->numbers[0], buf_str(&name));
	return true;
}

static bool add_member(struct filling *f, const struct ledger_row *row, struct error *err)
{
	AUTO_FINI(buf) packed = buf_limit(LEDGER_REDIS_ENTRY_MAX);
	struct ledger_member m = { .revision = row->numbers[0],
		.seen_wall_s = (int64_t)row->numbers[1],
		.lost_wall_s = (int64_t)row->numbers[2] };
	char **const texts[] = { &m.name, &m.process, &m.boot, &m.url, &m.zone, &m.version, &m.state };

	for (size_t i = 0; i < LEDGER_ROW_TEXTS; i++)
		*texts[i] = str_dup(row->texts[i]);
	ledger_redis_member_encode(&m, &packed);
	add_field(f, "members", row->texts[0], buf_str(&packed));
	ledger_member_fini(&m);
	return buf_check(&packed, "member", err);
}

static bool add_boot(struct filling *f, const struct ledger_row *row, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(4096);
	const uint64_t *n = row->numbers;

	buf_format(&text, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " ", n[0], n[1], n[2],
		n[3], n[4]);
	buf_add(&text, row->texts[1]);
	add_field(f, "boots", row->texts[0], buf_str(&text));
	add_scored(f, "seen", n[4], row->texts[0]);
	if (n[3])
		add_scored(f, "gone", n[4], row->texts[0]);
	if (n[2] == 1)
		redis_call_str(add(f, "SADD", "over"), row->texts[0]);
	return buf_check(&text, "boot", err);
}

static bool add_grant(struct filling *f, const struct ledger_row *row, struct error *err)
{
	AUTO_FINI(buf) key = buf_limit(512);
	AUTO_FINI(buf) name = buf_limit(512);
	char text[48];

	buf_format(&key, "grants:%.*s:%.*s", STR_ARGS(row->texts[0]), STR_ARGS(row->texts[2]));
	buf_format(&name, "%.*s %.*s", STR_ARGS(row->texts[0]), STR_ARGS(row->texts[2]));
	(void)snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, row->numbers[0], row->numbers[1]);
	if (!buf_check(&key, "grant", err) || !buf_check(&name, "grant", err))
		return false;
	add_field(f, buf_text(&key), row->texts[1], str_of(text));
	redis_call_str(add(f, "SADD", "grants"), buf_str(&name));
	return true;
}

static bool add_sums(struct filling *f, const char *key, const struct ledger_row *row)
{
	char text[96];

	(void)snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, row->numbers[0],
		row->numbers[1], row->numbers[2], row->numbers[3]);
	add_field(f, key, row->texts[0], str_of(text));
	return true;
}

static bool add_usage(struct filling *f, const struct ledger_row *row)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "usage:%.*s", (int)(row->texts[1].len < 40 ? row->texts[1].len : 40),
		row->texts[1].at);
	redis_call_str(add(f, "SADD", "windows"), row->texts[1]);
	return add_sums(f, key, row);
}

static bool add_audit(struct filling *f, const struct ledger_row *row, struct error *err)
{
	AUTO_FINI(buf) packed = buf_limit(LEDGER_REDIS_AUDIT_MAX);
	char *texts[LEDGER_ROW_TEXTS], id[32];
	struct redis_call *call;

	for (size_t i = 0; i < LEDGER_ROW_TEXTS; i++)
		texts[i] = str_dup(row->texts[i]);
	const struct ledger_audit audit = { .user = texts[0],
		.apikey = texts[1],
		.from = texts[2],
		.kind = texts[3],
		.id = texts[4],
		.how = texts[5],
		.detail = texts[6],
		.at_ms = (int64_t)row->numbers[1],
		.count = row->numbers[3],
		.refused = row->numbers[4] };
	ledger_redis_audit_encode(&audit, row->numbers[2], &packed);
	for (size_t i = 0; i < LEDGER_ROW_TEXTS; i++)
		free(texts[i]);
	(void)snprintf(id, sizeof(id), "%" PRIu64 "-0", row->numbers[0]);
	call = add(f, "XADD", audit.refused ? "refusals" : "changes");
	redis_call_text(call, id);
	redis_call_text(call, "row");
	redis_call_str(call, buf_str(&packed));
	return buf_check(&packed, "row of the audit", err);
}

static bool add_life(struct filling *f, const struct ledger_row *row)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%.*s %" PRIu64 " %d",
		(int)(row->texts[0].len < 16 ? row->texts[0].len : 16), row->texts[0].at, row->numbers[1],
		row->numbers[2] != 0);
	redis_call_text(add(f, "RPUSH", "lives"), text);
	return true;
}

static bool add_name(struct filling *f, const struct ledger_row *row, struct error *err)
{
	AUTO_FINI(buf) name = buf_limit(ENTITY_BYTES_MAX);

	buf_format(&name, "%.*s ", STR_ARGS(row->texts[1]));
	buf_add(&name, row->texts[2]);
	add_field(f, "names", row->texts[0], buf_str(&name));
	return buf_check(&name, "name", err);
}

static bool add_row(struct filling *f, const struct ledger_row *row, struct error *err)
{
	switch (row->table) {
	case LEDGER_ENTITIES:
		return add_entity(f, row->texts[0], err);
	case LEDGER_PAIRS:
		return add_pair(f, row, err);
	case LEDGER_NAMES:
		return add_name(f, row, err);
	case LEDGER_MEMBERS:
		return add_member(f, row, err);
	case LEDGER_BOOTS:
		return add_boot(f, row, err);
	case LEDGER_GRANTS:
		return add_grant(f, row, err);
	case LEDGER_USAGE:
		return add_usage(f, row);
	case LEDGER_REPOSITORIES:
		return add_sums(f, "repositories", row);
	case LEDGER_AUDIT:
		return add_audit(f, row, err);
	default:
		return add_life(f, row);
	}
}

static bool on_row(void *arg, const struct ledger_row *row, struct error *err)
{
	struct filling *f = arg;

	return add_row(f, row, err) && (f->len < BATCH || flush(f, err));
}

/* What was there. */

static bool drop_page(struct filling *f, char cursor[24], struct error *err)
{
	struct redis_call *scan = redis_call_new("SCAN");
	AUTO(redis_reply) *reply = NULL;
	const struct redis_reply *keys;
	bool ok;

	redis_call_text(scan, cursor);
	redis_call_text(scan, "MATCH");
	redis_call_text(scan, ledger_redis_key(f->own, "*").text);
	redis_call_text(scan, "COUNT");
	redis_call_number(scan, BATCH);
	ok = redis_run(f->own->redis, scan, &reply, err);
	redis_call_free(scan);
	if (!ok)
		return false;
	keys = redis_reply_at(reply, 1);
	for (size_t i = 0; ok && i < redis_reply_len(keys); i++) {
		if (str_is(redis_reply_str(redis_reply_at(keys, i)), ledger_redis_key(f->own, "head").text))
			continue;
		f->calls[f->len] = redis_call_new("UNLINK");
		redis_call_str(f->calls[f->len++], redis_reply_str(redis_reply_at(keys, i)));
		ok = f->len < BATCH || flush(f, err);
	}
	return ok && flush(f, err) &&
	       (str_copy(redis_reply_str(redis_reply_at(reply, 0)), cursor, 24) ||
		       error_set(err, ERROR_INVALID, NULL, "SCAN in Redis has no cursor"));
}

static bool drop_all(struct filling *f, struct error *err)
{
	char cursor[24] = "0";
	bool ok;

	redis_call_text(add(f, "UNLINK", "log"), ledger_redis_key(f->own, "head").text);
	add_field(f, "head", STR("format"), STR(FILLING));
	ok = flush(f, err);
	do
		ok = ok && drop_page(f, cursor, err);
	while (ok && strcmp(cursor, "0") != 0);
	return ok;
}

/* The head. */

static void add_number(struct redis_call *call, const char *field, uint64_t number)
{
	redis_call_text(call, field);
	redis_call_number(call, number);
}

static bool put_head(struct filling *f, const struct ledger_whole *whole,
	struct ledger_redis_place *ret_place, struct error *err)
{
	struct redis_call *call = add(f, "HSET", "head");
	struct ledger_redis_place place = { .n = 1 };

	random_hex(place.mark, sizeof(place.mark) / 2);
	add_number(call, "n", place.n);
	redis_call_text(call, "mark");
	redis_call_text(call, place.mark);
	add_number(call, "revision", whole->loaded.revision);
	add_number(call, "forgotten", whole->loaded.forgotten);
	redis_call_text(call, "cluster");
	redis_call_text(call, whole->loaded.history.cluster);
	add_number(call, "generation", whole->loaded.history.generation);
	add_number(call, "expired", whole->expired);
	add_number(call, "audit", whole->audit);
	add_number(call, "bytes", 0);
	redis_call_text(call, "format");
	redis_call_text(call, LEDGER_REDIS_FORMAT);
	if (!flush(f, err))
		return false;
	*ret_place = place;
	return true;
}

bool ledger_redis_fill(struct ledger_redis *own, struct sqlite *db, struct error *err)
{
	AUTO_FINI(filling) f = { .own = own };
	struct ledger_redis_place place;
	struct ledger_whole whole;

	return ledger_sqlite_whole(db, &whole, err) && drop_all(&f, err) &&
	       ledger_sqlite_rows(db, on_row, &f, err) && flush(&f, err) && put_head(&f, &whole, &place, err);
}

/* From memory. */

static bool put_state(struct filling *f, const struct state *state, struct error *err)
{
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++) {
		for (size_t i = 0; i < state_count(state, (enum entity_kind)kind); i++) {
			const struct entity *entity = state_at(state, (enum entity_kind)kind, i);
			AUTO_FINI(buf) body = buf_limit(2 * (size_t)ENTITY_BYTES_MAX);
			struct ledger_row row = { .table = LEDGER_ENTITIES };

			entity_encode(entity, &body);
			row.texts[0] = buf_str(&body);
			if (!buf_check(&body, "entity", err) || !on_row(f, &row, err))
				return false;
			if (kind != ENTITY_APIKEY)
				continue;
			row = (struct ledger_row){ .table = LEDGER_NAMES,
				.texts = { entity_id(entity), str_of(entity_apikey(entity)->owner),
					str_of(entity_apikey(entity)->label) } };
			if (!on_row(f, &row, err))
				return false;
		}
	}
	return true;
}

static bool put_rescued(struct filling *f, const struct ledger_rescue *rescue, struct error *err)
{
	struct ledger_row row = { .table = LEDGER_PAIRS,
		.texts = { str_from(state_digest(rescue->state), STATE_DIGEST_BYTES) },
		.numbers = { state_revision(rescue->state) } };
	bool ok = put_state(f, rescue->state, err) && on_row(f, &row, err);

	for (size_t i = 0; ok && i < rescue->members_len; i++) {
		const struct ledger_member *m = &rescue->members[i];

		row = (struct ledger_row){ .table = LEDGER_MEMBERS,
			.texts = { str_of(m->name), str_of(m->process), str_of(m->boot), str_of(m->url),
				str_of(m->zone), str_of(m->version), str_of(m->state) },
			.numbers = { m->revision, (uint64_t)m->seen_wall_s, (uint64_t)m->lost_wall_s } };
		ok = on_row(f, &row, err);
	}
	for (size_t i = 0; ok && i < rescue->grants_len; i++) {
		const struct ledger_grant *g = &rescue->grants[i];

		row = (struct ledger_row){ .table = LEDGER_GRANTS,
			.texts = { str_of(g->day), str_of(g->apikey), str_of(g->boot) },
			.numbers = { g->granted, g->used } };
		ok = on_row(f, &row, err);
	}
	return ok && flush(f, err);
}

/* What a rescue gives anew. */
static bool drop_given(struct filling *f, struct error *err)
{
	static const char *const keys[] = { "entities", "tombstones", "pairs", "members", "lives", "log",
		"grants", "import", "stages" };
	AUTO(redis_call) *call = ledger_redis_call(f->own, "SMEMBERS", "grants");
	AUTO(redis_reply) *reply = NULL;
	bool ok;

	add_field(f, "head", STR("format"), STR(FILLING));
	ok = flush(f, err) && redis_run(f->own->redis, call, &reply, err);
	for (size_t i = 0; ok && i < redis_reply_len(reply); i++) {
		AUTO_STR *name = str_dup(redis_reply_str(redis_reply_at(reply, i)));
		char *blank = strchr(name, ' ');

		if (!blank)
			continue;
		*blank = '\0';
		f->calls[f->len] = redis_call_new("UNLINK");
		redis_call_text(
			f->calls[f->len++], ledger_redis_key(f->own, "grants:%s:%s", name, blank + 1).text);
		ok = f->len < BATCH || flush(f, err);
	}
	for (size_t i = 0; ok && i < sizeof(keys) / sizeof(keys[0]); i++)
		(void)add(f, "UNLINK", keys[i]);
	return ok && flush(f, err);
}

static bool read_kept(struct ledger_redis *own, struct ledger_whole *whole, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "HMGET", "head");
	AUTO(redis_reply) *reply = NULL;

	redis_call_text(call, "expired");
	redis_call_text(call, "audit");
	if (!redis_run(own->redis, call, &reply, err))
		return false;
	whole->expired = redis_reply_number(redis_reply_at(reply, 0));
	whole->audit = redis_reply_number(redis_reply_at(reply, 1));
	return true;
}

static void begin_anew(
	struct ledger_redis *own, const struct ledger_whole *whole, const struct ledger_redis_place *place)
{
	ledger_redis_drop_read(own);
	ledger_redis_ring_clear(&own->ring);
	ledger_redis_drop_pending(own);
	own->stage = own->import = (struct ledger_staging){ 0 };
	own->settled = 0;
	ledger_redis_set_place(own, place);
	own->revision = whole->loaded.revision;
	own->forgotten = whole->loaded.forgotten;
	own->history = whole->loaded.history;
	own->life = (struct ledger_life){ 0 };
	own->grants_upto = own->joined = own->began = 0;
	own->patience_ms = 0;
	own->lost = false;
}

bool ledger_redis_rescue(struct ledger *ledger, const struct ledger_rescue *rescue, struct ledger_loaded *ret,
	struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	AUTO_FINI(filling) f = { .own = own };
	struct ledger_whole whole = { .loaded = { .revision = state_revision(rescue->state),
					      .forgotten = state_revision(rescue->state),
					      .history = own->history } };
	uint64_t now = (uint64_t)clock_wall_ms();
	struct ledger_redis_place place;

	whole.loaded.history.generation = own->history.generation >= now ? own->history.generation + 1 : now;
	if (!read_kept(own, &whole, err) || !drop_given(&f, err) || !put_rescued(&f, rescue, err) ||
		!put_head(&f, &whole, &place, err))
		return false;
	begin_anew(own, &whole, &place);
	*ret = whole.loaded;
	return true;
}
