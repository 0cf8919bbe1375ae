/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/hello.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/complaints.h"

#define METHOD     "GET"
#define CONNECT_MS 3000
#define TOTAL_MS   10000
/* The secret that the others know comes with the leaders' state. */
#define STATE_EVERY_MS 50

struct hello {
	struct cluster *cluster;
	hello_joined_f *joined;
	void *arg;
	struct loop_timer timer;
	struct http_call *call; /* NULL: none is under way */
	uint8_t key[PEER_KEY_BYTES];
	char *token; /* of the call under way, signed with that key */
	bool complains;
	enum complaint complaint; /* where it does */
};

static void ask(void *arg);

static void ask_in(struct hello *hello, int64_t ms)
{
	loop_timer_start(hello->cluster->run.loop, &hello->timer, ms, ask, hello);
}

/* ---- what was answered ---- */

/* The complaint that is ours now; the other one is over. */
static void complain(struct hello *hello, enum complaint kind, const char *what)
{
	if (hello->complains && hello->complaint != kind)
		complaint_end(hello->cluster->complaints, hello->complaint);
	hello->complains = true;
	hello->complaint = kind;
	complaint_say(hello->cluster->complaints, kind,
		"%s, the address that others are given of this worker (CLUSTER_SELF_ADDRESS), %s",
		hello->cluster->url, what);
}

static void say_unreachable(struct hello *hello, const struct error *err)
{
	AUTO_FINI(buf) what = buf_limit(COMPLAINT_TEXT_MAX);

	buf_format(&what,
		"cannot be reached from here: %s; where only this machine cannot, set "
		"ZOT_CHECK_SELF_ADDRESS=false",
		err->text);
	complain(hello, COMPLAINT_ADDRESS, buf_text(&what));
}

static void say_stranger(struct hello *hello, struct http_call *call)
{
	bool refused = http_headers_find(http_call_headers(call), PEER_REFUSED_HEADER);
	AUTO_FINI(buf) what = buf_limit(COMPLAINT_TEXT_MAX);

	buf_format(&what, "is that of %s: it answered %u",
		refused ? "a worker that does not know this cluster's secret"
			: "somebody who is no worker of this cluster",
		http_call_status(call));
	complain(hello, COMPLAINT_ADDRESS, buf_text(&what));
}

static void say_other(struct hello *hello, const struct peer_answer *who)
{
	bool twin = !strcmp(who->name, cluster_known_as(hello->cluster));
	AUTO_FINI(buf) what = buf_limit(COMPLAINT_TEXT_MAX);

	buf_format(&what, "is that of %s \"%s\": give each worker a name and an address of its own",
		twin ? "another process that is called" : "the worker", who->name);
	complain(hello, twin ? COMPLAINT_NAME : COMPLAINT_ADDRESS, buf_text(&what));
}

static bool is_me(const struct hello *hello, const struct peer_answer *who)
{
	return !strcmp(who->name, cluster_known_as(hello->cluster)) &&
	       !memcmp(who->process, cluster_process(hello->cluster), sizeof(who->process));
}

static void join(struct hello *hello)
{
	if (hello->complains)
		complaint_end(hello->cluster->complaints, hello->complaint);
	log_info("hello.answered", "url=%s", log_quote(str_of(hello->cluster->url)));
	hello->joined(hello->arg);
}

static struct str key_of(struct cluster *cluster, const struct snapshot *snapshot)
{
	return peer_keys_sign(&snapshot->peers, cluster_key(cluster), clock_wall_s());
}

/* A state came meanwhile, with another secret of the leader's. */
static bool has_other_key(const struct hello *hello)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(hello->cluster);
	struct str key = key_of(hello->cluster, snapshot);

	return key.len != sizeof(hello->key) || memcmp(key.at, hello->key, key.len) != 0;
}

static void on_answered(struct hello *hello, struct http_call *call)
{
	struct peer_answer who;
	bool proven = peer_answer_parse(str_from(hello->key, sizeof(hello->key)), str_of(hello->token),
		http_headers_find(http_call_headers(call), PEER_ANSWER_HEADER), &who);

	if (proven && is_me(hello, &who)) {
		join(hello);
		return;
	}
	if (!proven && has_other_key(hello)) {
		ask_in(hello, 0);
		return;
	}
	if (proven)
		say_other(hello, &who);
	else
		say_stranger(hello, call);
	ask_in(hello, HELLO_EVERY_MS);
}

static void on_done(void *arg, struct http_call *call, const struct error *err)
{
	struct hello *hello = arg;

	loop_assert(hello->cluster->run.loop);
	hello->call = NULL;
	if (err && !http_call_status(call)) {
		say_unreachable(hello, err);
		ask_in(hello, HELLO_EVERY_MS);
	} else {
		on_answered(hello, call);
	}
}

/* ---- asking ---- */

static void sign(struct hello *hello, const struct snapshot *snapshot)
{
	struct cluster *cluster = hello->cluster;
	const struct peer_request request = { .method = STR(METHOD), .target = STR(HELLO_PATH) };
	struct str key = key_of(cluster, snapshot);
	AUTO_FINI(buf) token = buf_limit(PEER_TOKEN_MAX);
	struct peer_claims claims = { .sender = cluster_known_as(cluster),
		.receiver = cluster_known_as(cluster),
		.client = "",
		.user = "",
		.apikey = "",
		.anonymous = true,
		.ring = ring_mark(snapshot->ring),
		.issued_ms = clock_wall_ms() };

	CHECK(key.len == sizeof(hello->key));
	memcpy(hello->key, key.at, key.len);
	claims.sequence = cluster_next_call(cluster, claims.process);
	peer_token_format(key, &request, &claims, &token);
	CHECK(!token.failed);
	free(hello->token);
	hello->token = check_strdup(buf_text(&token));
}

static void ask(void *arg)
{
	struct hello *hello = arg;
	struct cluster *cluster = hello->cluster;
	AUTO(snapshot) *snapshot = cluster_snapshot(cluster);
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(buf) url = buf_limit(2048);

	loop_assert(cluster->run.loop);
	if (!cluster_has_state(cluster)) {
		ask_in(hello, STATE_EVERY_MS);
		return;
	}
	sign(hello, snapshot);
	CHECK(http_headers_add(headers, STR(PEER_HEADER), str_of(hello->token)));
	buf_puts(&url, cluster->url);
	buf_puts(&url, HELLO_PATH);
	struct http_call_spec spec = { .method = METHOD,
		.url = buf_text(&url),
		.headers = headers,
		.ca_file = cluster->settings.ca_file,
		.cert_file = cluster->settings.cert_file,
		.key_file = cluster->settings.key_file,
		.fresh = true,
		.connect_ms = CONNECT_MS,
		.total_ms = TOTAL_MS };
	hello->call = http_call_start(
		cluster->run.client, &spec, (struct http_call_events){ .arg = hello, .on_done = on_done });
}

/* ---- life ---- */

struct hello *hello_start(struct cluster *cluster, hello_joined_f *joined, void *arg)
{
	struct hello *hello = xnew(struct hello);

	loop_assert(cluster->run.loop);
	*hello = (struct hello){ .cluster = cluster, .joined = joined, .arg = arg };
	ask_in(hello, 0);
	return hello;
}

void hello_stop(struct hello *hello)
{
	if (!hello)
		return;
	loop_assert(hello->cluster->run.loop);
	loop_timer_stop(hello->cluster->run.loop, &hello->timer);
	if (hello->call)
		http_call_cancel(TAKE(hello->call));
}

void hello_free(struct hello *hello)
{
	if (!hello)
		return;
	free(hello->token);
	free(hello);
}
