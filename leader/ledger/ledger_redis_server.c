/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis_server - is this a server that keeps what it acknowledges?
 *
 * INFO says most of it; CONFIG, which a hosted Redis may forbid, only makes a warning more exact.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/log.h"
#include "leader/ledger/ledger_redis.h"

/* HRANDFIELD, XTRIM with LIMIT. */
#define MAJOR_LEAST 6
#define MINOR_LEAST 2

/* "name:value" of INFO's lines. */
static struct str value_of(struct str info, const char *name)
{
	struct str line, rest;

	while (str_until(&info, '\n', &line)) {
		rest = line;
		if (str_skip(&rest, name) && str_skip(&rest, ":"))
			return str_trim(rest);
	}
	return STR("");
}

static bool check_version(const struct ledger_redis *own, struct str info, struct error *err)
{
	struct str version = value_of(info, "redis_version"), rest = version, major;
	uint64_t numbers[2] = { 0 };

	if (str_until(&rest, '.', &major) && str_to_number(major, 1000, &numbers[0]))
		(void)!str_number(&rest, 1000, &numbers[1]);
	if (numbers[0] > MAJOR_LEAST || (numbers[0] == MAJOR_LEAST && numbers[1] >= MINOR_LEAST))
		return true;
	return error_set(err, ERROR_INVALID, NULL,
		"Redis at %s is of version \"%.*s\"; needed is %d.%d or a newer one", redis_where(own->redis),
		(int)(version.len < 20 ? version.len : 20), version.at, MAJOR_LEAST, MINOR_LEAST);
}

/* None of our keys ends by itself, so only these policies take them. */
static bool check_memory(const struct ledger_redis *own, struct str info, struct error *err)
{
	struct str policy = value_of(info, "maxmemory_policy"), most = value_of(info, "maxmemory");

	if (!str_starts(policy, "allkeys-"))
		return true;
	if (str_is(most, "0")) {
		log_warn("store.redis",
			"maxmemory-policy=%.*s set it to noeviction: with a maxmemory, which is not set now, "
			"it would lose data",
			STR_ARGS(policy));
		return true;
	}
	return error_set(err, ERROR_INVALID, NULL,
		"Redis at %s throws data away when its memory is full (maxmemory-policy %.*s): set "
		"maxmemory-policy to noeviction",
		redis_where(own->redis), STR_ARGS(policy));
}

static bool syncs_always(struct ledger_redis *own)
{
	AUTO(redis_call) *call = redis_call_new("CONFIG");
	AUTO(redis_reply) *reply = NULL;

	redis_call_text(call, "GET");
	redis_call_text(call, "appendfsync");
	return !redis_run(own->redis, call, &reply, NULL) ||
	       str_is(redis_reply_str(redis_reply_at(reply, 1)), "always");
}

static void check_file(struct ledger_redis *own, struct str info)
{
	if (str_is(value_of(info, "aof_enabled"), "0"))
		log_warn("store.redis", "appendonly=no what=\"a restart of Redis loses what was stored since "
					"its last snapshot; set appendonly yes and appendfsync always\"");
	else if (!syncs_always(own))
		log_warn("store.redis", "appendfsync=everysec what=\"a crash of Redis' machine loses up to "
					"the last second; set appendfsync always\"");
}

bool ledger_redis_check_server(struct ledger_redis *own, struct error *err)
{
	AUTO(redis_call) *call = redis_call_new("INFO");
	AUTO(redis_reply) *reply = NULL;
	struct str info;

	if (!redis_run(own->redis, call, &reply, err))
		return false;
	info = redis_reply_str(reply);
	if (!check_version(own, info, err) || !check_memory(own, info, err))
		return false;
	check_file(own, info);
	return true;
}
