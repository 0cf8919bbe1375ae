/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_list - usage as it is shown, by the Redis driver.
 *
 * Redis gives rows in no order and maybe twice, so they are sorted here; never more than twice as many are kept as were asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/map.h"
#include "leader/ledger/ledger_redis.h"

#define ASKED_MOST 1000

/* Rows. */

struct row {
	char *id;
	char window[11];
	struct ledger_redis_sums sums;
};

struct rows {
	struct row *at;
	size_t len, room, max;
};

static void rows_init(struct rows *rows, size_t max)
{
	*rows = (struct rows){ .max = max };
}

static void rows_fini(struct rows *rows)
{
	for (size_t i = 0; i < rows->len; i++)
		free(rows->at[i].id);
	free(rows->at);
}

/* By id, and the newest window first. */
static int by_id(const void *a, const void *b)
{
	const struct row *left = a, *right = b;
	int order = strcmp(left->id, right->id);

	return order ? order : strcmp(right->window, left->window);
}

/* In order, each once, and no more than was asked for. */
static void rows_settle(struct rows *rows)
{
	size_t kept = 0;

	if (rows->len)
		qsort(rows->at, rows->len, sizeof(*rows->at), by_id);
	for (size_t i = 0; i < rows->len; i++) {
		if (kept < rows->max && (!kept || by_id(&rows->at[kept - 1], &rows->at[i]) != 0))
			rows->at[kept++] = rows->at[i];
		else
			free(rows->at[i].id);
	}
	rows->len = kept;
}

static void rows_grow(struct rows *rows)
{
	rows->room = rows->room ? 2 * rows->room : 64;
	rows->at = reallocarray(rows->at, rows->room, sizeof(*rows->at));
	CHECK(rows->at);
}

static void rows_add(struct rows *rows, struct str id, const char *window, struct str sums)
{
	struct row row = { .id = str_dup(id), .sums = ledger_redis_sums_of(sums) };

	(void)!str_copy(str_of(window), row.window, sizeof(row.window));
	if (rows->len >= 2 * rows->max && rows->len == rows->room)
		rows_settle(rows);
	if (rows->len == rows->room)
		rows_grow(rows);
	rows->at[rows->len++] = row;
}

/* Which keys: */

struct asking {
	struct ledger_redis *own;
	const struct ledger_keys *which;
	struct map *owners; /* NULL: any */
	char **keys;        /* those of the owners, or the one; NULL: any */
	size_t keys_len, keys_room;
	const char *window; /* the present one */
	struct rows *rows;
};

static void asking_fini(struct asking *asking)
{
	map_free(asking->owners);
	for (size_t i = 0; i < asking->keys_len; i++)
		free(asking->keys[i]);
	free(asking->keys);
}

static void add_key(struct asking *asking, struct str key)
{
	if (asking->keys_len == asking->keys_room) {
		asking->keys_room = asking->keys_room ? 2 * asking->keys_room : 64;
		asking->keys = reallocarray(asking->keys, asking->keys_room, sizeof(*asking->keys));
		CHECK(asking->keys);
	}
	asking->keys[asking->keys_len++] = str_dup(key);
}

static bool scan_name(void *arg, const struct redis_reply *page, size_t at, struct error *err)
{
	struct asking *asking = arg;
	struct str key = redis_reply_str(redis_reply_at(page, at)),
		   name = redis_reply_str(redis_reply_at(page, at + 1)), owner;

	(void)err;
	if (asking->which->apikey && !str_is(key, asking->which->apikey))
		return true;
	if (str_until(&name, ' ', &owner) && map_find(asking->owners, owner))
		add_key(asking, key);
	return true;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void each_once(struct asking *asking)
{
	size_t kept = 0;

	if (asking->keys_len)
		qsort(asking->keys, asking->keys_len, sizeof(char *), by_text);
	for (size_t i = 0; i < asking->keys_len; i++) {
		if (!kept || strcmp(asking->keys[kept - 1], asking->keys[i]) != 0)
			asking->keys[kept++] = asking->keys[i];
		else
			free(asking->keys[i]);
	}
	asking->keys_len = kept;
}

static bool find_keys(struct asking *asking, struct error *err)
{
	const struct ledger_keys *which = asking->which;

	if (!which->owners && which->apikey)
		add_key(asking, str_of(which->apikey));
	if (!which->owners)
		return true;
	asking->owners = map_new();
	for (size_t i = 0; i < which->owners_len; i++)
		(void)map_put(asking->owners, str_of(which->owners[i]), asking);
	if (!ledger_redis_scan(asking->own, "names", scan_name, asking, err))
		return false;
	each_once(asking);
	return true;
}

static bool any_key(const struct asking *asking)
{
	return !asking->which->owners && !asking->which->apikey;
}

/* Their rows. */

static bool ask_some(struct asking *asking, size_t from, size_t len, struct error *err)
{
	AUTO(redis_call) *call = redis_call_new("HMGET");
	AUTO(redis_reply) *reply = NULL;

	redis_call_text(call, ledger_redis_key(asking->own, "usage:%s", asking->window).text);
	for (size_t i = 0; i < len; i++)
		redis_call_text(call, asking->keys[from + i]);
	if (!redis_run(asking->own->redis, call, &reply, err))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!redis_reply_is_nil(redis_reply_at(reply, i)))
			rows_add(asking->rows, str_of(asking->keys[from + i]), asking->window,
				redis_reply_str(redis_reply_at(reply, i)));
	return true;
}

static bool scan_row(void *arg, const struct redis_reply *page, size_t at, struct error *err)
{
	struct asking *asking = arg;

	(void)err;
	rows_add(asking->rows, redis_reply_str(redis_reply_at(page, at)), asking->window,
		redis_reply_str(redis_reply_at(page, at + 1)));
	return true;
}

static bool read_window(struct asking *asking, const char *window, struct error *err)
{
	char key[32];
	bool ok = true;

	asking->window = window;
	(void)snprintf(key, sizeof(key), "usage:%s", window);
	if (any_key(asking))
		return ledger_redis_scan(asking->own, key, scan_row, asking, err);
	for (size_t at = 0; ok && at < asking->keys_len; at += ASKED_MOST) {
		size_t left = asking->keys_len - at;

		ok = ask_some(asking, at, left < ASKED_MOST ? left : ASKED_MOST, err);
	}
	return ok;
}

/* What is counted for a quota of bytes, and listed by nobody. */
static bool is_bytes(const char *window)
{
	enum limits_kind kind;

	return !limits_window_parse(str_of(window), &kind) || kind == LIMITS_BYTES;
}

typedef bool window_f(void *arg, const char *window, struct error *err);

static bool each_window(struct asking *asking, window_f *fn, void *arg, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(asking->own, "SMEMBERS", "windows");
	AUTO(redis_reply) *reply = NULL;
	bool ok = true;

	if (asking->which->window)
		return strlen(asking->which->window) > 10 || fn(arg, asking->which->window, err);
	if (!redis_run(asking->own->redis, call, &reply, err))
		return false;
	for (size_t i = 0; ok && i < redis_reply_len(reply); i++) {
		AUTO_STR *window = str_dup(redis_reply_str(redis_reply_at(reply, i)));

		ok = is_bytes(window) || fn(arg, window, err);
	}
	return ok;
}

/* Telling. */

static bool tell_rows(struct ledger_redis *own, const struct rows *rows, size_t from, size_t len,
	ledger_usage_f *fn, void *arg, bool *ret_more, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "HMGET", "names");
	AUTO(redis_reply) *reply = NULL;
	bool more = true;

	for (size_t i = 0; i < len; i++)
		redis_call_text(call, rows->at[from + i].id);
	if (!redis_run(own->redis, call, &reply, err))
		return false;
	for (size_t i = 0; more && i < len; i++) {
		const struct row *row = &rows->at[from + i];
		struct str label = redis_reply_str(redis_reply_at(reply, i)), owner = STR("");
		bool named = str_until(&label, ' ', &owner);
		AUTO_STR *owner_text = str_dup(named ? owner : STR(""));
		AUTO_STR *label_text = str_dup(named ? label : STR(""));
		struct ledger_usage usage = { .id = row->id,
			.owner = owner_text,
			.label = label_text,
			.calls = row->sums.at[0],
			.bytes_in = row->sums.at[1],
			.bytes_out = row->sums.at[2],
			.ungranted = row->sums.at[3] };

		memcpy(usage.window, row->window, sizeof(usage.window));
		more = fn(arg, &usage);
	}
	*ret_more = more;
	return true;
}

static bool list_window(void *arg, const char *window, struct error *err)
{
	return read_window(arg, window, err);
}

bool ledger_redis_list_keys(struct ledger *ledger, const struct ledger_keys *which, size_t max,
	ledger_usage_f *fn, void *arg, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	AUTO_FINI(rows) rows;
	AUTO_FINI(asking) asking = { .own = own, .which = which, .rows = &rows };
	bool ok, more = true;

	rows_init(&rows, max);
	ok = ledger_redis_may_read(own, err) && find_keys(&asking, err) &&
	     each_window(&asking, list_window, &asking, err);
	rows_settle(&rows);
	for (size_t at = 0; ok && more && at < rows.len; at += ASKED_MOST) {
		size_t left = rows.len - at;

		ok = tell_rows(own, &rows, at, left < ASKED_MOST ? left : ASKED_MOST, fn, arg, &more, err);
	}
	return ok;
}

/* Sums. */

struct summing {
	struct asking *asking;
	struct ledger_redis_sums sums;
};

static bool sum_window(void *arg, const char *window, struct error *err)
{
	struct summing *summing = arg;
	AUTO_FINI(rows) rows;

	rows_init(&rows, LEDGER_ALL);
	if (!summing->asking->which->window && strlen(window) != 7)
		return true;
	summing->asking->rows = &rows;
	if (!read_window(summing->asking, window, err))
		return false;
	rows_settle(&rows);
	for (size_t i = 0; i < rows.len; i++)
		ledger_redis_sums_add(&summing->sums, &rows.at[i].sums);
	return true;
}

bool ledger_redis_sum_keys(
	struct ledger *ledger, const struct ledger_keys *which, struct ledger_usage *ret, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	AUTO_FINI(asking) asking = { .own = own, .which = which };
	struct summing summing = { .asking = &asking };

	if (!ledger_redis_may_read(own, err) || !find_keys(&asking, err) ||
		!each_window(&asking, sum_window, &summing, err))
		return false;
	*ret = (struct ledger_usage){
		.calls = summing.sums.at[0], .bytes_in = summing.sums.at[1], .bytes_out = summing.sums.at[2]
	};
	return true;
}

/* Repositories. */

static bool scan_repositories(struct asking *asking, const char *name, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(asking->own, "HGET", "repositories");
	AUTO(redis_reply) *reply = NULL;

	asking->window = "";
	if (!name)
		return ledger_redis_scan(asking->own, "repositories", scan_row, asking, err);
	redis_call_text(call, name);
	if (!redis_run(asking->own->redis, call, &reply, err))
		return false;
	if (!redis_reply_is_nil(reply))
		rows_add(asking->rows, str_of(name), "", redis_reply_str(reply));
	return true;
}

bool ledger_redis_list_repositories(
	struct ledger *ledger, const char *name, size_t max, ledger_usage_f *fn, void *arg, struct error *err)
{
	struct ledger_redis *own = ledger_redis_of(ledger);
	AUTO_FINI(rows) rows;
	struct asking asking = { .own = own, .rows = &rows };
	bool more = true;

	rows_init(&rows, max);
	if (!ledger_redis_may_read(own, err) || !scan_repositories(&asking, name, err))
		return false;
	rows_settle(&rows);
	for (size_t i = 0; more && i < rows.len; i++) {
		const uint64_t *sums = rows.at[i].sums.at;
		struct ledger_usage usage = { .id = rows.at[i].id,
			.pulls = sums[0],
			.pushes = sums[1],
			.bytes_in = sums[2],
			.bytes_out = sums[3] };

		more = fn(arg, &usage);
	}
	return true;
}
