/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /readyz says whether this worker should get requests: "ok" or "not ready", then a line for each check:
 *   storage, spool, data   health_checks.h
 *   uploads                how many sessions are open; "full" is told and does not count
 *   state                  with leaders: one is loaded. Older than CLUSTER_WORKER_DATA_STALE_AFTER it is
 *                          told, and counts only with ZOT_READY_WHEN_STALE=false: leaders that are away for
 *                          long must not take all workers away too
 *   history, secret, ...   what is wrong with it in its cluster: worker/cluster/complaints.h says which count
 *   ring                   only while it is so: members have a storage each, and the ring has no active one yet
 *   draining               only while it is so: we end, or an operator has taken us out of the ring
 *
 * With ?exclude=<check> a check is told and does not count: a disk that all workers share takes them all away
 * when it is full, and a load balancer would cut the pulls too.
 *
 * /livez fails only when a loop does not turn: what a restart mends, and a full disk does not.
 */
#include "worker/front/pages.h"

#include <inttypes.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/cluster_new.h"
#include "worker/cluster/complaints.h"
#include "worker/front/front_call.h"
#include "worker/front/health_checks.h"
#include "worker/registry/registry.h"

#define LOOP_STUCK_MS 10000
#define BODY_MAX      8192

static struct http_response *reply_text(unsigned status, struct buf *body)
{
	struct http_response *response = http_response_buf(status, body);

	http_response_header(response, "Content-Type", "text/plain; charset=utf-8");
	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	return response;
}

static bool write_state(struct front *front, struct buf *into)
{
	int64_t age = cluster_state_age_ms(front->cluster);
	bool stale = age > front->stale_after_ms;

	if (!cluster_has_state(front->cluster)) {
		if (!complaint_lasts(cluster_complaints(front->cluster), COMPLAINT_STATE))
			buf_puts(into, "state: none was loaded from a leader yet\n");
		return false;
	}
	if (age >= 0)
		buf_format(into, "state: %s%" PRId64 " ms old%s\n", stale ? "stale: " : "ok, ", age,
			cluster_state_of_backup(front->cluster)
				? ", of the leaders' backup: none of them has answered yet"
				: "");
	return !stale || front->ready_when_stale;
}

/* A warning: what others push must not take the pulls of this worker away. */
static void write_uploads(struct front *front, struct buf *into)
{
	struct uploads_stats uploads = uploads_stats(front->registry->uploads);

	buf_format(into, "uploads: %s, %zu open\n", uploads.full ? "full" : "ok", uploads.open);
}

/* Where storage is isolated nothing can be served without an owner: so it is for a moment when a cluster begins. */
static bool write_ring(struct front *front, struct buf *into)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(front->cluster);

	if (!snapshot->isolated || ring_has_active(snapshot->ring))
		return true;
	buf_puts(into, "ring: no member is active, so no repository has an owner\n");
	return false;
}

/* Load balancers go elsewhere, so that no upload begins here. */
static bool write_draining(struct front *front, struct buf *into)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(front->cluster);

	if (cluster_is_draining(front->cluster))
		buf_puts(into, "draining\n");
	else if (snapshot_is_drained(snapshot))
		buf_puts(into, "draining: an operator has taken this worker out of the ring\n");
	else
		return true;
	return false;
}

static struct http_response *reply_ready(struct front *front, unsigned excluded)
{
	AUTO_FINI(buf) checks = buf_limit(BODY_MAX);
	AUTO_FINI(buf) body = buf_limit(BODY_MAX);
	bool ok = health_checks_write(excluded, &checks);

	write_uploads(front, &checks);
	ok = write_state(front, &checks) && ok;
	ok = complaints_write(cluster_complaints(front->cluster), &checks) && ok;
	ok = write_ring(front, &checks) && ok;
	ok = write_draining(front, &checks) && ok;
	buf_puts(&body, ok ? "ok\n" : "not ready\n");
	buf_add(&body, buf_str(&checks));
	return reply_text(ok ? 200 : 503, &body);
}

struct asker {
	struct front *front;
	struct http_ticket *ticket;
	unsigned excluded;
};

static void on_checked(void *arg)
{
	struct asker *asker = arg;

	http_ticket_reply(asker->ticket, reply_ready(asker->front, asker->excluded));
	free(asker);
}

/* ?exclude=storage&exclude=spool; false: a name that is no check's. */
static bool read_excluded(struct str query, unsigned *ret)
{
	struct str name, value;

	*ret = 0;
	while (http_query_next(&query, &name, &value)) {
		unsigned bit = str_is(name, "exclude") ? health_checks_bit(value) : 0;

		if (!bit)
			return false;
		*ret |= bit;
	}
	return true;
}

static void reply_no_check(struct front_call *call)
{
	AUTO_FINI(buf) body = buf_limit(BODY_MAX);

	buf_puts(&body, "the query may name checks that do not count: exclude=storage, exclude=spool, "
			"exclude=data\n");
	http_request_reply(call->oci.request, reply_text(400, &body));
}

void health_ready(void *arg)
{
	struct front_call *call = arg;
	struct asker *asker;
	unsigned excluded;

	if (!read_excluded(call->oci.ask.query, &excluded)) {
		reply_no_check(call);
		return;
	}
	asker = xnew(struct asker);
	*asker = (struct asker){ call->loop->front, http_ticket_new(call->oci.request), excluded };
	if (health_checks_are_fresh(call->loop->front, on_checked, asker))
		on_checked(asker);
}

/* Each loop puts the time down each second (in the root); our own turns, or nobody would be asked. */
static void look_at_loops(const struct front *front, struct buf *reasons)
{
	int64_t now = clock_ms();

	for (unsigned i = 0; i < front->loops_len; i++) {
		int64_t beat = __atomic_load_n(&front->loops[i].beat_ms, __ATOMIC_RELAXED);

		if (beat && now - beat > LOOP_STUCK_MS)
			buf_format(reasons, "loop %u has not turned for %" PRId64 " ms\n", i, now - beat);
	}
}

static struct http_response *reply_ok(void)
{
	AUTO_FINI(buf) body = buf_limit(BODY_MAX);

	buf_puts(&body, "ok\n");
	return reply_text(200, &body);
}

struct http_response *health_live(void *arg)
{
	const struct front_call *call = arg;
	AUTO_FINI(buf) reasons = buf_limit(BODY_MAX);

	look_at_loops(call->loop->front, &reasons);
	return reasons.len ? reply_text(503, &reasons) : reply_ok();
}

struct http_response *health_started(void *arg)
{
	(void)arg;
	return reply_ok();
}
