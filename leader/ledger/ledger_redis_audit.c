/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_audit - the audit of the Redis driver: two streams, so that refusals push out no changes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "leader/ledger/ledger_redis.h"

#define ROW_FIELDS 11
#define PAGE       200

/* Writing. */

static bool read_head_number(struct ledger_redis *own, const char *field, uint64_t *ret, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "HGET", "head");
	AUTO(redis_reply) *reply = NULL;

	redis_call_text(call, field);
	if (!ledger_redis_may_read(own, err) || !redis_run(own->redis, call, &reply, err))
		return false;
	*ret = redis_reply_number(reply);
	return true;
}

static void put_head_number(
	struct ledger_redis *own, const char *field, uint64_t number, struct ledger_redis_effects *effects)
{
	ledger_redis_change(own, effects, "HSET", "head", 2);
	ledger_redis_change_text(effects, field);
	ledger_redis_change_number(effects, number);
}

void ledger_redis_audit_encode(const struct ledger_audit *row, uint64_t revision, struct buf *into)
{
	const char *const texts[] = { row->user, row->apikey, row->from, row->kind, row->id, row->how,
		row->detail };

	pack_array(into, ROW_FIELDS);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		pack_str(into, str_of(texts[i]));
	pack_int(into, row->at_ms);
	pack_uint(into, revision);
	pack_uint(into, row->count);
	pack_bool(into, row->refused);
}

bool ledger_redis_add_audit(struct ledger_redis *own, struct ledger_redis_audit *audit,
	const struct ledger_audit *row, struct ledger_redis_effects *effects, struct error *err)
{
	AUTO_FINI(buf) packed = buf_limit(LEDGER_REDIS_AUDIT_MAX);
	char id[32];

	ledger_redis_audit_encode(row, audit->revision, &packed);
	if (!buf_check(&packed, "a row of the audit", err) ||
		(!audit->read && !read_head_number(own, "audit", &audit->number, err)))
		return false;
	audit->read = true;
	(void)snprintf(id, sizeof(id), "%" PRIu64 "-0", ++audit->number);
	ledger_redis_change(own, effects, "XADD", row->refused ? "refusals" : "changes", 3);
	ledger_redis_change_text(effects, id);
	ledger_redis_change_text(effects, "row");
	ledger_redis_effect_word(effects, buf_str(&packed));
	put_head_number(own, "audit", audit->number, effects);
	return true;
}

static bool add_all(struct ledger_redis *own, const struct ledger_audit *rows, size_t len,
	struct ledger_redis_effects *effects, struct error *err)
{
	struct ledger_redis_audit audit = { 0 };

	for (size_t i = 0; i < len; i++)
		if (!ledger_redis_add_audit(own, &audit, &rows[i], effects, err))
			return false;
	return true;
}

bool ledger_redis_put_audit(
	struct ledger *ledger, const struct ledger_audit *rows, size_t len, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct ledger_entry nothing = { 0 };
	struct ledger_redis_effects effects;
	bool ok;

	ledger_redis_effects_init(&effects);
	ok = add_all(own, rows, len, &effects, err) &&
	     ledger_redis_commit_plain(own, &effects, &nothing, err);
	ledger_redis_effects_fini(&effects);
	return ok;
}

bool ledger_redis_expired(struct ledger *ledger, int64_t *ret_upto_s, struct error *err)
{
	uint64_t upto;

	if (!read_head_number(ledger_redis_of(ledger), "expired", &upto, err))
		return false;
	*ret_upto_s = (int64_t)upto;
	return true;
}

bool ledger_redis_put_expired(
	struct ledger *ledger, const struct ledger_expired *expired, bool *ret_put, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	struct ledger_entry nothing = { 0 };
	struct ledger_redis_effects effects;
	int64_t upto;
	bool ok;

	if (!ledger_redis_expired(ledger, &upto, err))
		return false;
	if (upto != expired->from_s) {
		*ret_put = false;
		return true;
	}
	ledger_redis_effects_init(&effects);
	put_head_number(own, "expired", (uint64_t)expired->upto_s, &effects);
	ok = add_all(own, expired->rows, expired->len, &effects, err) &&
	     ledger_redis_commit_plain(own, &effects, &nothing, err);
	ledger_redis_effects_fini(&effects);
	if (ok)
		*ret_put = true;
	return ok;
}

/* Reading. */

static bool decode_row(const struct pack_node *node, struct arena *arena, struct ledger_audit *row)
{
	const char **const texts[] = { &row->user, &row->apikey, &row->from, &row->kind, &row->id, &row->how,
		&row->detail };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct str text;

		if (!pack_get_str(pack_at(node, i), &text))
			return false;
		*texts[i] = arena_text(arena, text);
		if (!*texts[i])
			return false;
	}
	return pack_get_int(pack_at(node, 7), &row->at_ms) &&
	       pack_get_uint(pack_at(node, 8), &row->revision) &&
	       pack_get_uint(pack_at(node, 9), &row->count) &&
	       pack_get_bool(pack_at(node, 10), &row->refused);
}

bool ledger_redis_audit_decode(struct str packed, struct arena *arena, struct ledger_audit *ret)
{
	AUTO(pack_doc) *doc = NULL;
	struct ledger_audit row = { 0 };

	if (!pack_parse(packed, &doc, NULL) || !decode_row(pack_root(doc), arena, &row))
		return false;
	*ret = row;
	return true;
}

/* An entry of a stream: its id, and its one field. */
static bool parse_row(const struct redis_reply *entry, struct arena *arena, struct ledger_audit *ret)
{
	struct str id = redis_reply_str(redis_reply_at(entry, 0)), number;
	struct str packed = redis_reply_str(redis_reply_at(redis_reply_at(entry, 1), 1));
	struct ledger_audit row = { 0 };
	uint64_t n;

	if (!str_until(&id, '-', &number) || !str_to_number(number, INT64_MAX, &n) ||
		!ledger_redis_audit_decode(packed, arena, &row))
		return false;
	row.number = n;
	*ret = row;
	return true;
}

/* One of the streams, a page at a time. */
struct source {
	const char *key;
	uint64_t from, upto; /* numbers that are still to be read; from > upto: none */
	struct redis_reply *page;
	size_t at;
};

static uint64_t number_at(const struct source *source)
{
	struct str id = redis_reply_str(redis_reply_at(redis_reply_at(source->page, source->at), 0)), number;
	uint64_t ret = 0;

	return str_until(&id, '-', &number) && str_to_number(number, INT64_MAX, &ret) ? ret : 0;
}

static bool read_page(struct ledger_redis *own, struct source *source, bool oldest_first, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, oldest_first ? "XRANGE" : "XREVRANGE", source->key);
	struct redis_reply *page;

	redis_call_number(call, oldest_first ? source->from : source->upto);
	redis_call_number(call, oldest_first ? source->upto : source->from);
	redis_call_text(call, "COUNT");
	redis_call_number(call, PAGE);
	if (!redis_run(own->redis, call, &page, err))
		return false;
	redis_reply_free(source->page);
	source->page = page;
	source->at = 0;
	return true;
}

/* The next row of it lies at source->at, or there is none: from > upto. */
static bool stand_at_row(
	struct ledger_redis *own, struct source *source, bool oldest_first, struct error *err)
{
	if (source->at < redis_reply_len(source->page) || source->from > source->upto)
		return true;
	if (!read_page(own, source, oldest_first, err))
		return false;
	if (!redis_reply_len(source->page))
		source->from = source->upto + 1;
	return true;
}

static void pass_row(struct source *source, bool oldest_first)
{
	uint64_t number = number_at(source);

	source->at++;
	if (oldest_first)
		source->from = number + 1;
	else
		source->upto = number - 1;
}

static bool is_asked(const struct ledger_audit *row, const struct ledger_audit_ask *ask)
{
	return (!ask->since_ms || row->at_ms >= ask->since_ms) &&
	       (!ask->until_ms || row->at_ms < ask->until_ms) &&
	       (!ask->user || strcmp(row->user, ask->user) == 0) &&
	       (!ask->kind || strcmp(row->kind, ask->kind) == 0) &&
	       (!ask->id || strcmp(row->id, ask->id) == 0);
}

struct listing {
	struct ledger_redis *own;
	const struct ledger_audit_ask *ask;
	struct source sources[2];
};

/* *ret NULL: no row is left. */
static bool next_source(struct listing *listing, struct source **ret, struct error *err)
{
	bool oldest = listing->ask->oldest_first;

	*ret = NULL;
	for (size_t i = 0; i < 2; i++) {
		struct source *source = &listing->sources[i];

		if (!stand_at_row(listing->own, source, oldest, err))
			return false;
		if (source->from > source->upto)
			continue;
		if (!*ret || (number_at(source) < number_at(*ret)) == oldest)
			*ret = source;
	}
	return true;
}

static bool tell_row(const struct listing *listing, const struct source *source, size_t *left,
	ledger_audit_f *fn, void *arg)
{
	AUTO_FINI(arena) arena = arena_limit(LEDGER_REDIS_AUDIT_MAX);
	struct ledger_audit row;

	if (!parse_row(redis_reply_at(source->page, source->at), &arena, &row) ||
		!is_asked(&row, listing->ask))
		return true;
	--*left;
	return fn(arg, &row);
}

static void listing_fini(struct listing *listing)
{
	for (size_t i = 0; i < 2; i++)
		redis_reply_free(listing->sources[i].page);
}

bool ledger_redis_list_audit(struct ledger *ledger, const struct ledger_audit_ask *ask, size_t max,
	ledger_audit_f *fn, void *arg, struct error *err)
{
	uint64_t from = ask->after + 1, upto = ask->before ? ask->before - 1 : INT64_MAX - 1;
	AUTO_FINI(listing)
	listing = { .own = ledger_redis_of(ledger),
		.ask = ask,
		.sources = { { .key = "changes", .from = from, .upto = upto },
			{ .key = "refusals", .from = from, .upto = upto } } };
	struct source *source;
	bool more = true;

	if (!ledger_redis_may_read(listing.own, err))
		return false;
	while (more && max) {
		if (!next_source(&listing, &source, err))
			return false;
		if (!source)
			return true;
		more = tell_row(&listing, source, &max, fn, arg);
		pass_row(source, ask->oldest_first);
	}
	return true;
}

/* What is too old, or too much. Nobody has it in memory, so it is no entry of the log. */

static bool read_oldest(struct ledger_redis *own, const char *key, size_t most, uint64_t *ret_len,
	struct redis_reply **ret, struct error *err)
{
	AUTO(redis_call) *count = ledger_redis_call(own, "XLEN", key);
	AUTO(redis_call) *call = ledger_redis_call(own, "XRANGE", key);
	AUTO(redis_reply) *len = NULL;

	redis_call_text(call, "-");
	redis_call_text(call, "+");
	redis_call_text(call, "COUNT");
	redis_call_number(call, most);
	if (!redis_run(own->redis, count, &len, err) || !redis_run(own->redis, call, ret, err))
		return false;
	*ret_len = redis_reply_number(len);
	return true;
}

static bool is_too_old(const struct redis_reply *entry, int64_t since_ms)
{
	AUTO_FINI(arena) arena = arena_limit(LEDGER_REDIS_AUDIT_MAX);
	struct ledger_audit row;

	return !parse_row(entry, &arena, &row) || row.at_ms < since_ms;
}

static bool sweep_stream(struct ledger_redis *own, const char *key, uint64_t most_kept,
	const struct ledger_audit_kept *kept, bool *more, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "XDEL", key);
	AUTO(redis_reply) *oldest = NULL;
	AUTO(redis_reply) *done = NULL;
	uint64_t len, gone = 0;

	if (!read_oldest(own, key, kept->most, &len, &oldest, err))
		return false;
	for (size_t i = 0; i < redis_reply_len(oldest); i++) {
		const struct redis_reply *entry = redis_reply_at(oldest, i);

		if (len <= most_kept + i && !is_too_old(entry, kept->since_ms))
			continue;
		redis_call_str(call, redis_reply_str(redis_reply_at(entry, 0)));
		gone++;
	}
	*more |= gone == kept->most;
	return !gone || redis_run(own->redis, call, &done, err);
}

bool ledger_redis_sweep_audit(
	struct ledger *ledger, const struct ledger_audit_kept *kept, bool *ret_more, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	bool more = false;

	if (!ledger_redis_may_read(own, err) ||
		!sweep_stream(own, "changes", kept->changes, kept, &more, err) ||
		!sweep_stream(own, "refusals", kept->refusals, kept, &more, err))
		return false;
	*ret_more = more;
	return true;
}
