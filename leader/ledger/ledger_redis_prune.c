/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_prune - what is too old in Redis goes: usage of LEDGER_DAYS_KEPT days, boots that were not heard for as long, grants of days
 * that are over. At the start, and with the first report of each day. Nobody has any of it in memory, so it is no entry of the log.
 */
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/log.h"
#include "leader/ledger/ledger_redis.h"

/* A leader that does more at once would let others wait. */
#define BOOTS_MOST 1000
#define DAY_S      86400

static bool run(struct ledger_redis *own, const struct redis_call *call, struct error *err)
{
	AUTO(redis_reply) *reply = NULL;

	return redis_run(own->redis, call, &reply, err);
}

static bool take_away(
	struct ledger_redis *own, const char *set, struct str member, const char *key, struct error *err)
{
	AUTO(redis_call) *unlink_it = ledger_redis_call(own, "UNLINK", key);
	AUTO(redis_call) *forget = ledger_redis_call(own, "SREM", set);

	redis_call_str(forget, member);
	return run(own, unlink_it, err) && run(own, forget, err);
}

/* The window that a member of a set begins with: grants of a boot have a blank and the boot behind it. */
static bool is_since(struct str member, const char *day)
{
	char window[LIMITS_WINDOW_SIZE];
	struct str text = member;

	(void)str_until(&member, ' ', &text);
	return !str_copy(text, window, sizeof(window)) || limits_window_is_since(window, day);
}

/* Members of a set that are of before this day, and their keys "<begin><member>", a blank in it as a colon. */
static bool prune_days(
	struct ledger_redis *own, const char *set, const char *begin, const char *day, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "SMEMBERS", set);
	AUTO(redis_reply) *reply = NULL;

	if (!redis_run(own->redis, call, &reply, err))
		return false;
	for (size_t i = 0; i < redis_reply_len(reply); i++) {
		struct str member = redis_reply_str(redis_reply_at(reply, i));
		AUTO_FINI(buf) key = buf_limit(512);
		char *blank;

		if (is_since(member, day))
			continue;
		buf_format(&key, "%s%.*s", begin, STR_ARGS(member));
		blank = key.at ? strchr(key.at, ' ') : NULL;
		if (blank)
			*blank = ':';
		if (!take_away(own, set, member, buf_text(&key), err))
			return false;
	}
	return true;
}

static bool forget_boots(struct ledger_redis *own, const struct redis_reply *boots, const char *command,
	const char *key, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, command, key);

	for (size_t i = 0; i < redis_reply_len(boots); i++)
		redis_call_str(call, redis_reply_str(redis_reply_at(boots, i)));
	return run(own, call, err);
}

static bool prune_boots(struct ledger_redis *own, int64_t then, struct error *err)
{
	AUTO(redis_call) *call = ledger_redis_call(own, "ZRANGEBYSCORE", "seen");
	AUTO(redis_reply) *boots = NULL;

	redis_call_text(call, "-inf");
	redis_call_number(call, then > 0 ? (uint64_t)then : 0);
	redis_call_text(call, "LIMIT");
	redis_call_text(call, "0");
	redis_call_number(call, BOOTS_MOST);
	if (!redis_run(own->redis, call, &boots, err))
		return false;
	return !redis_reply_len(boots) || (forget_boots(own, boots, "HDEL", "boots", err) &&
						  forget_boots(own, boots, "ZREM", "seen", err) &&
						  forget_boots(own, boots, "ZREM", "gone", err) &&
						  forget_boots(own, boots, "SREM", "over", err));
}

void ledger_redis_prune(struct ledger_redis *own)
{
	int64_t now = clock_wall_s(), then = now - (int64_t)LEDGER_DAYS_KEPT * DAY_S;
	char today[11], usage[11], grants[11];
	struct error err;

	clock_day(now, today);
	if (strcmp(today, own->pruned) == 0)
		return;
	memcpy(own->pruned, today, sizeof(own->pruned));
	clock_day(then, usage);
	clock_day(now - (int64_t)2 * DAY_S, grants);
	if (!prune_days(own, "windows", "usage:", usage, &err) ||
		!prune_days(own, "grants", "grants:", grants, &err) || !prune_boots(own, then, &err) ||
		!ledger_redis_prune_stages(own, &err))
		log_warn("store.prune", "error=%s ignoring", log_quote(str_of(err.text)));
}
