/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/hello.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/complaints.h"
#include "worker/cluster/peer_claims.h"
#include "worker/cluster/peer_probe.h"

#define TOTAL_MS 10000
/* The secret that the others know comes with the leaders' state. */
#define STATE_EVERY_MS 50

struct hello {
	struct cluster *cluster;
	hello_joined_f *joined;
	void *arg;
	struct loop_timer timer;
	struct peer_probe probe;
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

/* A state came meanwhile, with another secret of the leader's. */
static bool has_other_key(const struct hello *hello)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(hello->cluster);
	struct str key = peer_claims_key(hello->cluster, snapshot);

	return key.len != sizeof(hello->probe.key) || memcmp(key.at, hello->probe.key, key.len) != 0;
}

static void on_answered(struct hello *hello, struct http_call *call)
{
	struct peer_answer who;
	bool proven = peer_probe_who(&hello->probe, call, &who);

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

	if (err) {
		say_unreachable(hello, err);
		ask_in(hello, HELLO_EVERY_MS);
	} else {
		on_answered(hello, call);
	}
}

/* ---- asking ---- */

static void ask(void *arg)
{
	struct hello *hello = arg;
	struct cluster *cluster = hello->cluster;
	AUTO(snapshot) *snapshot = cluster_snapshot(cluster);

	loop_assert(cluster->run.loop);
	if (!cluster_has_state(cluster)) {
		ask_in(hello, STATE_EVERY_MS);
		return;
	}
	peer_probe_send(&hello->probe, snapshot, cluster->url, cluster_known_as(cluster), TOTAL_MS);
}

/* ---- life ---- */

struct hello *hello_start(struct cluster *cluster, hello_joined_f *joined, void *arg)
{
	struct hello *hello = xnew(struct hello);

	loop_assert(cluster->run.loop);
	*hello = (struct hello){ .cluster = cluster, .joined = joined, .arg = arg };
	hello->probe = (struct peer_probe){ .cluster = cluster, .done = on_done, .arg = hello };
	ask_in(hello, 0);
	return hello;
}

void hello_stop(struct hello *hello)
{
	if (!hello)
		return;
	loop_assert(hello->cluster->run.loop);
	loop_timer_stop(hello->cluster->run.loop, &hello->timer);
	peer_probe_end(&hello->probe);
}

void hello_free(struct hello *hello)
{
	free(hello);
}
