/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_names - names of API keys that are gone, and of which nothing is counted any more, go too: the rule of
 * ledger_sqlite_names.c. Once a day all are looked at, a few behind a report, so nobody waits for it.
 *
 * It is an entry of the log: where another leader has stored something since they were looked at, maybe such a key, nothing goes.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "leader/ledger/ledger_redis.h"

/* Names that are looked at in one step, about; how often; windows of usage in one question. */
#define LOOK_MOST    100
#define STEP_MS      1000
#define FAILED_MS    60000
#define WINDOWS_MOST 50

struct looked {
	struct ledger_redis *own;
	struct redis_reply *page; /* of HSCAN */
	char **gone;              /* keys */
	size_t len;
};

static void looked_fini(struct looked *looked)
{
	for (size_t i = 0; i < looked->len; i++)
		free(looked->gone[i]);
	free(looked->gone);
	redis_reply_free(looked->page);
}

static bool scan(struct looked *looked, struct error *err)
{
	const struct ledger_redis *own = looked->own;
	AUTO(redis_call) *call = ledger_redis_call(own, "HSCAN", "names");

	redis_call_text(call, *own->names.cursor ? own->names.cursor : "0");
	redis_call_text(call, "COUNT");
	redis_call_number(call, LOOK_MOST);
	return redis_run(own->redis, call, &looked->page, err);
}

static const struct redis_reply *names_of(const struct looked *looked)
{
	return redis_reply_at(looked->page, 1);
}

static bool find_gone(struct looked *looked, struct error *err)
{
	const struct redis_reply *names = names_of(looked);
	AUTO(redis_call) *call = ledger_redis_call(looked->own, "HMGET", "entities");
	AUTO(redis_reply) *bodies = NULL;
	uint64_t revision;

	looked->gone = xnew_array(char *, redis_reply_len(names) + 1);
	if (!redis_reply_len(names))
		return true;
	for (size_t i = 0; i + 1 < redis_reply_len(names); i += 2) {
		AUTO_FINI(buf) name = buf_limit(ENTITY_ID_MAX + 32);

		buf_format(&name, "%s:%.*s", entity_kind_name(ENTITY_APIKEY),
			STR_ARGS(redis_reply_str(redis_reply_at(names, i))));
		redis_call_str(call, buf_str(&name));
	}
	if (!redis_run(looked->own->redis, call, &bodies, err))
		return false;
	for (size_t i = 0; i < redis_reply_len(bodies); i++) {
		if (!ledger_redis_stored_revision(redis_reply_at(bodies, i), &revision, err))
			return false;
		if (!revision)
			looked->gone[looked->len++] = str_dup(redis_reply_str(redis_reply_at(names, 2 * i)));
	}
	return true;
}

/* Those with usage in one of the windows stay. */
static bool keep_counted(
	struct looked *looked, struct redis_call *const *calls, size_t len, struct error *err)
{
	struct redis_reply *replies[WINDOWS_MOST];
	size_t kept = 0;

	if (!redis_run_all(looked->own->redis, calls, len, replies, err))
		return false;
	for (size_t i = 0; i < looked->len; i++) {
		bool counted = false;

		for (size_t k = 0; k < len; k++)
			counted |= !redis_reply_is_nil(redis_reply_at(replies[k], i));
		if (counted)
			free(looked->gone[i]);
		else
			looked->gone[kept++] = looked->gone[i];
	}
	looked->len = kept;
	for (size_t k = 0; k < len; k++)
		redis_reply_free(replies[k]);
	return true;
}

static struct redis_call *usage_call(const struct looked *looked, struct str window)
{
	struct redis_call *call = redis_call_new("HMGET");

	redis_call_text(call, ledger_redis_key(looked->own, "usage:%.*s",
				      (int)(window.len < 64 ? window.len : 64), window.at)
				      .text);
	for (size_t i = 0; i < looked->len; i++)
		redis_call_text(call, looked->gone[i]);
	return call;
}

static bool keep_all_counted(struct looked *looked, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(looked->own, "SMEMBERS", "windows");
	AUTO(redis_reply) *windows = NULL;
	bool ok = redis_run(looked->own->redis, call, &windows, err);

	for (size_t at = 0; ok && looked->len && at < redis_reply_len(windows); at += WINDOWS_MOST) {
		struct redis_call *calls[WINDOWS_MOST];
		size_t len = 0;

		for (; len < WINDOWS_MOST && at + len < redis_reply_len(windows); len++)
			calls[len] = usage_call(looked, redis_reply_str(redis_reply_at(windows, at + len)));
		ok = keep_counted(looked, calls, len, err);
		for (size_t i = 0; i < len; i++)
			redis_call_free(calls[i]);
	}
	return ok;
}

static bool forget(const struct looked *looked, struct error *err)
{
	const struct ledger_entry nothing = { 0 };
	struct ledger_redis_effects effects;
	bool ok;

	if (!looked->len)
		return true;
	ledger_redis_effects_init(&effects);
	ledger_redis_change(looked->own, &effects, "HDEL", "names", looked->len);
	for (size_t i = 0; i < looked->len; i++)
		ledger_redis_change_text(&effects, looked->gone[i]);
	ok = ledger_redis_commit_plain(looked->own, &effects, &nothing, err);
	ledger_redis_effects_fini(&effects);
	return ok;
}

static bool step(struct ledger_redis *own, struct error *err)
{
	AUTO_FINI(looked) looked = { .own = own };

	if (!scan(&looked, err) || !find_gone(&looked, err) ||
		(looked.len && !keep_all_counted(&looked, err)) || !forget(&looked, err))
		return false;
	return str_copy(redis_reply_str(redis_reply_at(looked.page, 0)), own->names.cursor,
		       sizeof(own->names.cursor)) ||
	       error_set(err, ERROR_INVALID, NULL, "HSCAN of names in Redis has no cursor");
}

void ledger_redis_forget_names(struct ledger_redis *own)
{
	char today[11];
	struct error err;

	clock_day(clock_wall_s(), today);
	if (strcmp(today, own->names.day) == 0 || clock_ms() < own->names.next_ms)
		return;
	own->names.next_ms = clock_ms() + STEP_MS;
	if (step(own, &err)) {
		if (strcmp(own->names.cursor, "0") == 0)
			memcpy(own->names.day, today, sizeof(own->names.day));
		return;
	}
	if (err.kind == ERROR_CONFLICT)
		return;
	own->names.next_ms += FAILED_MS;
	log_warn("store.prune", "error=%s ignoring", log_quote(str_of(err.text)));
}
