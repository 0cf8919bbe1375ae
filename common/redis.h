/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis - one connection to a Redis server: commands out, replies in (hiredis' one home).
 *
 *     AUTO(redis_call) *call = redis_call_new("HGET");
 *     AUTO(redis_reply) *reply = NULL;
 *
 *     redis_call_text(call, key); redis_call_text(call, field);
 *     if (!redis_run(redis, call, &reply, err)) ...
 *     redis_reply_str(reply)
 *
 * Address   redis://[user][:password@]host[:port][/database], host may be [v6]; unix:///path/of/socket[?database];
 *           redis+sentinel://[user][:password@]host[:port][,host[:port]...]/master-name[/database]: the sentinels are asked who is master.
 *           User and password are those of Redis; sentinels have a login of their own, or none (struct redis_login).
 * Life      it connects with the first command, and again when the connection is gone. After a failure it rests, at first 50 ms, twice as
 *           long with each, 5 s at most, with jitter: what is asked meanwhile fails at once.
 * Limits    REDIS_WAIT_MS to connect. As long until all is answered that was asked at once, and REDIS_EACH_MS for each command of it and
 *           REDIS_MIB_MS for each MiB that was moved; so who sends byte by byte holds nobody. REDIS_WAIT_MS for the sentinels, and what
 *           the last one needs. REDIS_CALL_MAX bytes of a command, REDIS_REPLY_MAX of a reply, 16 sentinels.
 * Errors    UNKNOWN: EVALSHA of a script that is not loaded. UNAVAILABLE: it is not there, is loading, is read-only, cannot save. FULL: its maxmemory is reached. DENIED: the password or
 *           the user's rules. INVALID: an address, or any other answer that is an error. Where a command was sent and no answer came,
 *           whether it was done is not known: redis_lost_answer(). No error has the password.
 * Thread    one at a time.
 */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "common/str.h"

#define REDIS_WAIT_MS 2000
#define REDIS_EACH_MS 20
#define REDIS_MIB_MS  1000
#define REDIS_CALL_MAX (128u * 1024 * 1024)
#define REDIS_REPLY_MAX (256u * 1024 * 1024)

/* Is it an address? */
bool redis_url_check(const char *url, struct error *err) MUST_CHECK;

/* Copied. NULL or "": without. A user needs a password. */
struct redis_login {
	const char *user, *password;
};

struct redis;
/* sentinels: how they are logged in at; NULL: they let in everybody. name: CLIENT SETNAME; without blanks. Connects later. */
bool redis_new(struct redis **ret_redis, const char *url, const struct redis_login *sentinels, const char *name,
	       struct error *err) MUST_CHECK;
void redis_free(struct redis *redis);
AUTO_DEFINE(redis)
const char *redis_where(const struct redis *redis); /* "host:port", for people */
/* The last function failed after its command was sent. */
bool redis_lost_answer(const struct redis *redis);
/* Such a connection is of no use any more: the next command makes another one. */
void redis_drop(struct redis *redis);

/* A command. It owns its words. One that is too large fails when it is run. */
struct redis_call;
struct redis_call *redis_call_new(const char *command);
void               redis_call_free(struct redis_call *call);
AUTO_DEFINE(redis_call)
void redis_call_text(struct redis_call *call, const char *text);
void redis_call_str(struct redis_call *call, struct str s);
void redis_call_number(struct redis_call *call, uint64_t number);

struct redis_reply;
bool redis_run(struct redis *redis, const struct redis_call *call, struct redis_reply **ret_reply, struct error *err) MUST_CHECK;
/* The same for a command that waits by itself for so long. */
bool redis_run_waiting(struct redis *redis, const struct redis_call *call, int64_t wait_ms, struct redis_reply **ret_reply,
		       struct error *err) MUST_CHECK;
/* Many at once; ret_replies are the caller's, all or none of them. */
bool redis_run_all(struct redis *redis, struct redis_call *const *calls, size_t len, struct redis_reply **ret_replies,
		   struct error *err) MUST_CHECK;

void redis_reply_free(struct redis_reply *reply);
static inline void redis_reply_auto(struct redis_reply **reply) { redis_reply_free(*reply); }
/* Borrowed from the reply; all cope with NULL and with replies of another kind. */
bool       redis_reply_is_nil(const struct redis_reply *reply);
struct str redis_reply_str(const struct redis_reply *reply);    /* STR_NONE: it is no text */
uint64_t   redis_reply_number(const struct redis_reply *reply); /* of a number or a text; 0: it is none, or negative */
size_t     redis_reply_len(const struct redis_reply *reply);    /* elements of an array */
const struct redis_reply *redis_reply_at(const struct redis_reply *reply, size_t at); /* NULL: there is none */
