/* SPDX-License-Identifier: Apache-2.0 */
#include "common/redis.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <hiredis/hiredis.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/redis_url.h"

#define REST_FIRST_MS 50
#define REST_MOST_MS  5000

struct redis {
	struct redis_url url;
	char *name;                              /* of the client */
	char *sentinel_user, *sentinel_password; /* "": none */
	char where[300];
	redisContext *connection; /* NULL: none */
	bool lost_answer;
	int64_t failed_ms; /* since when it does not answer; 0: it does */
	int64_t rest_until_ms, rest_ms;
	struct error why; /* of the last failure */
	size_t sentinel;  /* the one that answered last */
};

/* Calls: the words as they are sent, without the count before them. */

struct redis_call {
	struct buf words;
	size_t len;
};

struct redis_call *redis_call_new(const char *command)
{
	struct redis_call *call = xnew(struct redis_call);

	buf_init(&call->words, REDIS_CALL_MAX);
	redis_call_text(call, command);
	return call;
}

void redis_call_free(struct redis_call *call)
{
	if (!call)
		return;
	buf_fini(&call->words);
	free(call);
}

void redis_call_str(struct redis_call *call, struct str s)
{
	buf_format(&call->words, "$%zu\r\n", s.len);
	buf_add(&call->words, s);
	buf_puts(&call->words, "\r\n");
	call->len++;
}

void redis_call_text(struct redis_call *call, const char *text)
{
	redis_call_str(call, str_of(text));
}

void redis_call_number(struct redis_call *call, uint64_t number)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, number);
	redis_call_text(call, text);
}

static bool append_call(redisContext *c, const struct redis_call *call)
{
	char head[24];
	int len = snprintf(head, sizeof(head), "*%zu\r\n", call->len);

	return redisAppendFormattedCommand(c, head, (size_t)len) == REDIS_OK &&
	       redisAppendFormattedCommand(c, call->words.at, call->words.len) == REDIS_OK;
}

/* Replies: hiredis' own struct under a name of ours. */

static const redisReply *of(const struct redis_reply *reply)
{
	return (const void *)reply;
}

static bool is_text(const redisReply *reply)
{
	return reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS);
}

void redis_reply_free(struct redis_reply *reply)
{
	if (reply)
		freeReplyObject(reply);
}

bool redis_reply_is_nil(const struct redis_reply *reply)
{
	return !reply || of(reply)->type == REDIS_REPLY_NIL;
}

struct str redis_reply_str(const struct redis_reply *reply)
{
	return is_text(of(reply)) ? str_from(of(reply)->str, of(reply)->len) : STR_NONE;
}

uint64_t redis_reply_number(const struct redis_reply *reply)
{
	uint64_t number = 0;

	if (reply && of(reply)->type == REDIS_REPLY_INTEGER)
		return of(reply)->integer > 0 ? (uint64_t)of(reply)->integer : 0;
	return str_to_number(redis_reply_str(reply), UINT64_MAX, &number) ? number : 0;
}

size_t redis_reply_len(const struct redis_reply *reply)
{
	return reply && of(reply)->type == REDIS_REPLY_ARRAY ? of(reply)->elements : 0;
}

const struct redis_reply *redis_reply_at(const struct redis_reply *reply, size_t at)
{
	return at < redis_reply_len(reply) ? (const void *)of(reply)->element[at] : NULL;
}

/* Errors. */

struct meaning {
	const char *word;
	enum error_kind kind;
	const char *advice;
	bool drops; /* another server may be the right one */
};

static const struct meaning meanings[] = {
	{ "NOSCRIPT", ERROR_UNKNOWN, "it does not know the script", false },
	{ "OOM", ERROR_FULL, "its maxmemory is reached: raise it", false },
	{ "READONLY", ERROR_UNAVAILABLE,
		"it is a replica, so it takes no writes: name the master, or its sentinels", true },
	{ "LOADING", ERROR_UNAVAILABLE, "it has been started and reads its file: wait", false },
	{ "MASTERDOWN", ERROR_UNAVAILABLE,
		"it is a replica and has no master: name the master, or its sentinels", true },
	{ "MISCONF", ERROR_UNAVAILABLE, "it cannot write its file: look at its disk and log", false },
	{ "BUSY", ERROR_UNAVAILABLE, "it is busy with somebody's script: wait, or SCRIPT KILL", false },
	{ "NOREPLICAS", ERROR_UNAVAILABLE, "too few replicas are connected (min-replicas-to-write)", false },
	{ "NOAUTH", ERROR_DENIED, "it wants a password, and was told none", true },
	{ "WRONGPASS", ERROR_DENIED, "user and password are not right", true },
	{ "NOPERM", ERROR_DENIED, "the user may not do that: see the ACL in the documentation", false },
	{ "MOVED", ERROR_INVALID,
		"it is a Redis Cluster: name the node that has the slot of the prefix, or another Redis",
		false },
};

static const struct meaning *meaning_of(struct str text)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		struct str rest = text;

		if (str_skip(&rest, meanings[i].word) && (!rest.len || rest.at[0] == ' '))
			return &meanings[i];
	}
	return NULL;
}

static bool told(struct redis *redis, struct str text, struct error *err)
{
	const struct meaning *meaning = meaning_of(text);

	if (!meaning)
		return error_set(err, ERROR_INVALID, NULL, "Redis at %s answers: %.*s", redis->where,
			(int)(text.len > 120 ? 120 : text.len), text.at);
	if (meaning->drops)
		redis_drop(redis);
	return error_set(err, meaning->kind, NULL, "Redis at %s: %s (%s)", redis->where, meaning->advice,
		meaning->word);
}

static bool broken(struct redis *redis, struct error *err)
{
	const redisContext *c = redis->connection;
	const char *why = c->errstr;

	if (c->err == REDIS_ERR_IO && (errno == EAGAIN || errno == ETIMEDOUT))
		why = "no answer in time";
	return error_set(err, ERROR_UNAVAILABLE, NULL, "%s", why);
}

/* One connection. */

static struct timeval span(int64_t ms)
{
	return (struct timeval){ .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
}

void redis_drop(struct redis *redis)
{
	if (redis->connection)
		redisFree(redis->connection);
	redis->connection = NULL;
}

/* How long calls and their replies may take in all: who sends byte by byte would hold us for ever. */
struct patience {
	int64_t until_ms;
	size_t bytes; /* that were moved */
};

static bool is_over(const struct patience *patience, struct error *err)
{
	int64_t until = patience->until_ms + (int64_t)(patience->bytes >> 20) * REDIS_MIB_MS;

	return clock_ms() > until &&
	       !error_set(err, ERROR_UNAVAILABLE, NULL, "it answers too slowly: not all of it came in time");
}

static bool send_calls(struct redis *redis, struct patience *patience, struct error *err)
{
	redisContext *c = redis->connection;
	int done = !c->obuf[0];

	while (!done) {
		size_t before = sdslen(c->obuf);

		if (redisBufferWrite(c, &done) != REDIS_OK)
			return broken(redis, err);
		patience->bytes += before - sdslen(c->obuf);
		if (!done && is_over(patience, err))
			return false;
	}
	return true;
}

/* hiredis alone would take whatever comes. */
static bool next_reply(
	struct redis *redis, struct patience *patience, struct redis_reply **ret, struct error *err)
{
	redisContext *c = redis->connection;
	size_t before, bytes = 0;
	void *reply = NULL;

	for (;;) {
		if (redisReaderGetReply(c->reader, &reply) != REDIS_OK)
			return error_set(err, ERROR_UNAVAILABLE, NULL, "%s", c->reader->errstr);
		if (reply)
			break;
		before = c->reader->len;
		if (redisBufferRead(c) != REDIS_OK)
			return broken(redis, err);
		bytes += c->reader->len - before;
		patience->bytes += c->reader->len - before;
		if (bytes > REDIS_REPLY_MAX)
			return error_set(err, ERROR_UNAVAILABLE, NULL, "a reply of more than %u bytes",
				REDIS_REPLY_MAX);
		if (is_over(patience, err))
			return false;
	}
	*ret = reply;
	return true;
}

static bool is_error(const struct redis_reply *reply)
{
	return of(reply)->type == REDIS_REPLY_ERROR;
}

/* False: the connection is broken. An answer that is an error is an answer. */
static bool exchange(struct redis *redis, struct redis_call *const *calls, size_t len, int64_t wait_ms,
	struct redis_reply **ret, struct error *err)
{
	struct patience patience = { .until_ms = clock_ms() + wait_ms + (int64_t)len * REDIS_EACH_MS };
	size_t got = 0;

	(void)redisSetTimeout(redis->connection, span(wait_ms));
	for (size_t i = 0; i < len; i++)
		if (!append_call(redis->connection, calls[i]))
			return broken(redis, err);
	if (!send_calls(redis, &patience, err))
		return false;
	while (got < len && next_reply(redis, &patience, &ret[got], err))
		got++;
	if (got == len)
		return true;
	while (got)
		redis_reply_free(ret[--got]);
	return false;
}

static bool ask_first(
	struct redis *redis, struct redis_call *call, struct redis_reply **ret, struct error *err)
{
	AUTO(redis_reply) *reply = NULL;

	if (!exchange(redis, &call, 1, REDIS_WAIT_MS, &reply, err))
		return false;
	if (is_error(reply))
		return told(redis, str_from(of(reply)->str, of(reply)->len), err);
	*ret = TAKE(reply);
	return true;
}

static bool tell_first(struct redis *redis, struct redis_call *call, struct error *err)
{
	AUTO(redis_reply) *reply = NULL;

	return ask_first(redis, call, &reply, err);
}

static bool log_in(struct redis *redis, const char *user, const char *password, struct error *err)
{
	AUTO(redis_call) *auth = redis_call_new("AUTH");

	if (*user)
		redis_call_text(auth, user);
	redis_call_text(auth, password);
	return !*password || tell_first(redis, auth, err);
}

static bool introduce(struct redis *redis, struct error *err)
{
	AUTO(redis_call) *name = redis_call_new("CLIENT");
	AUTO(redis_call) *database = redis_call_new("SELECT");

	redis_call_text(name, "SETNAME");
	redis_call_text(name, redis->name);
	redis_call_number(database, redis->url.database);
	return log_in(redis, redis->url.user, redis->url.password, err) && tell_first(redis, name, err) &&
	       (!redis->url.database || tell_first(redis, database, err));
}

static bool reach(struct redis *redis, const struct redis_host *host, struct error *err)
{
	struct timeval wait = span(REDIS_WAIT_MS);

	redis_drop(redis);
	if (*redis->url.socket)
		redis->connection = redisConnectUnixWithTimeout(redis->url.socket, wait);
	else
		redis->connection = redisConnectWithTimeout(host->name, host->port, wait);
	CHECK(redis->connection);
	if (redis->connection->err)
		return error_set(err, ERROR_UNAVAILABLE, NULL, "%s", redis->connection->errstr);
	if (!*redis->url.socket)
		(void)redisEnableKeepAlive(redis->connection);
	return true;
}

static bool reach_server(struct redis *redis, const struct redis_host *host, struct error *err)
{
	return reach(redis, host, err) && introduce(redis, err);
}

static void name_place(struct redis *redis, const struct redis_host *host)
{
	if (*redis->url.socket)
		(void)snprintf(redis->where, sizeof(redis->where), "%s", redis->url.socket);
	else
		(void)snprintf(redis->where, sizeof(redis->where), "%s:%u", host->name, host->port);
}

/* Sentinels. */

static bool reach_sentinel(struct redis *redis, const struct redis_host *host, struct error *err)
{
	return reach(redis, host, err) && log_in(redis, redis->sentinel_user, redis->sentinel_password, err);
}

static bool ask_sentinel(struct redis *redis, size_t which, struct redis_host *ret, struct error *err)
{
	AUTO(redis_call) *call = redis_call_new("SENTINEL");
	AUTO(redis_reply) *reply = NULL;
	uint64_t port;

	redis_call_text(call, "GET-MASTER-ADDR-BY-NAME");
	redis_call_text(call, redis->url.master);
	name_place(redis, &redis->url.hosts[which]);
	if (!reach_sentinel(redis, &redis->url.hosts[which], err) || !ask_first(redis, call, &reply, err))
		return error_add(err, "%s",
			err->kind == ERROR_DENIED ? "the sentinels' own login, which is not that of Redis"
						  : "sentinel");
	if (redis_reply_is_nil(reply))
		return error_set(err, ERROR_UNAVAILABLE, NULL, "sentinel %s knows no master named %s",
			redis->where, redis->url.master);
	port = redis_reply_number(redis_reply_at(reply, 1));
	if (!port || port > 65535 ||
		!str_copy(redis_reply_str(redis_reply_at(reply, 0)), ret->name, sizeof(ret->name)))
		return error_set(err, ERROR_UNAVAILABLE, NULL, "sentinel %s names no address", redis->where);
	ret->port = (uint16_t)port;
	return true;
}

/* A sentinel may not have heard yet that its master is none any more. */
static bool is_master(struct redis *redis, struct error *err)
{
	AUTO(redis_call) *call = redis_call_new("ROLE");
	AUTO(redis_reply) *reply = NULL;

	if (!ask_first(redis, call, &reply, err))
		return false;
	return str_is(redis_reply_str(redis_reply_at(reply, 0)), "master") ||
	       error_set(err, ERROR_UNAVAILABLE, NULL, "it is no master any more: a failover is under way");
}

/* Those for which no time is left are asked the next time. */
static bool reach_master(struct redis *redis, struct error *err)
{
	int64_t until = clock_ms() + REDIS_WAIT_MS;

	for (size_t i = 0; i < redis->url.hosts_len && (!i || clock_ms() < until); i++) {
		size_t which = redis->sentinel;
		struct redis_host master;

		if (ask_sentinel(redis, which, &master, err)) {
			name_place(redis, &master);
			return reach_server(redis, &master, err) && is_master(redis, err);
		}
		redis->sentinel = (which + 1) % redis->url.hosts_len;
	}
	return false;
}

/* Life. */

/* True: nothing has been heard from the other end, so it is as good as it was. */
static bool still_open(const struct redis *redis)
{
	struct pollfd fd = { .fd = redis->connection->fd, .events = POLLIN };

	return poll(&fd, 1, 0) == 0;
}

static bool fails(struct redis *redis, struct error *err)
{
	int64_t now = clock_ms();
	struct error why = *err;

	redis_drop(redis);
	if (!redis->failed_ms)
		redis->failed_ms = now;
	redis->rest_ms = redis->rest_ms ? 2 * redis->rest_ms : REST_FIRST_MS;
	if (redis->rest_ms > REST_MOST_MS)
		redis->rest_ms = REST_MOST_MS;
	redis->rest_until_ms = now + 1 + (int64_t)random_below((uint64_t)redis->rest_ms);
	redis->why = why;
	return error_set(err, why.kind, NULL, "Redis at %s does not answer (since %" PRId64 " s): %s",
		redis->where, (now - redis->failed_ms) / 1000, why.text);
}

static bool rests(struct redis *redis, struct error *err)
{
	return error_set(err, redis->why.kind, NULL, "Redis at %s does not answer (since %" PRId64 " s): %s",
		redis->where, (clock_ms() - redis->failed_ms) / 1000, redis->why.text);
}

static bool connect_it(struct redis *redis, struct error *err)
{
	if (redis->connection && !still_open(redis))
		redis_drop(redis);
	if (redis->connection)
		return true;
	if (clock_ms() < redis->rest_until_ms)
		return rests(redis, err);
	if (*redis->url.master)
		return reach_master(redis, err) || fails(redis, err);
	return reach_server(redis, &redis->url.hosts[0], err) || fails(redis, err);
}

static bool run(struct redis *redis, struct redis_call *const *calls, size_t len, int64_t wait_ms,
	struct redis_reply **ret, struct error *err)
{
	redis->lost_answer = false;
	for (size_t i = 0; i < len; i++)
		if (!buf_check(&calls[i]->words, "a command for Redis", err))
			return false;
	if (!connect_it(redis, err))
		return false;
	if (!exchange(redis, calls, len, wait_ms, ret, err)) {
		redis->lost_answer = true;
		return fails(redis, err);
	}
	redis->failed_ms = redis->rest_ms = redis->rest_until_ms = 0;
	for (size_t i = 0; i < len; i++) {
		if (!is_error(ret[i]))
			continue;
		(void)told(redis, str_from(of(ret[i])->str, of(ret[i])->len), err);
		for (size_t k = 0; k < len; k++)
			redis_reply_free(ret[k]);
		return false;
	}
	return true;
}

bool redis_run(
	struct redis *redis, const struct redis_call *call, struct redis_reply **ret_reply, struct error *err)
{
	return redis_run_waiting(redis, call, 0, ret_reply, err);
}

bool redis_run_waiting(struct redis *redis, const struct redis_call *call, int64_t wait_ms,
	struct redis_reply **ret_reply, struct error *err)
{
	struct redis_call copy = *call, *one = &copy;
	struct redis_reply *reply;

	if (!run(redis, &one, 1, REDIS_WAIT_MS + wait_ms, &reply, err))
		return false;
	*ret_reply = reply;
	return true;
}

bool redis_run_all(struct redis *redis, struct redis_call *const *calls, size_t len,
	struct redis_reply **ret_replies, struct error *err)
{
	return run(redis, calls, len, REDIS_WAIT_MS, ret_replies, err);
}

bool redis_url_check(const char *url, struct error *err)
{
	struct redis_url parsed;

	return redis_url_parse(url, &parsed, err);
}

static const char *text_or_none(const char *text)
{
	return text ? text : "";
}

bool redis_new(struct redis **ret_redis, const char *url, const struct redis_login *sentinels,
	const char *name, struct error *err)
{
	AUTO(redis) *redis = xnew(struct redis);

	if (!redis_url_parse(url, &redis->url, err))
		return false;
	redis->name = check_strdup(name);
	redis->sentinel_user = check_strdup(text_or_none(sentinels ? sentinels->user : NULL));
	redis->sentinel_password = check_strdup(text_or_none(sentinels ? sentinels->password : NULL));
	name_place(redis, &redis->url.hosts[0]);
	*ret_redis = TAKE(redis);
	return true;
}

void redis_free(struct redis *redis)
{
	if (!redis)
		return;
	redis_drop(redis);
	explicit_bzero(redis->url.password, sizeof(redis->url.password));
	if (redis->sentinel_password)
		explicit_bzero(redis->sentinel_password, strlen(redis->sentinel_password));
	free(redis->sentinel_password);
	free(redis->sentinel_user);
	free(redis->name);
	free(redis);
}

const char *redis_where(const struct redis *redis)
{
	return redis->where;
}

bool redis_lost_answer(const struct redis *redis)
{
	return redis->lost_answer;
}
