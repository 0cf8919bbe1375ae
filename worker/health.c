/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /readyz says whether this worker should get requests, and if not why, one reason a line:
 *   - the store answers (asked on the pool at most every CHECK_EVERY_MS; a check that hangs is told)
 *   - with leaders: a state is loaded. Older than CLUSTER_WORKER_DATA_STALE_AFTER it is told, and counts as a
 * reason only with ZOT_READY_WHEN_STALE=false: leaders that are away for long must not take all workers away
 * too
 *   - the worker is not draining
 */
#include "worker/health.h"

#include <inttypes.h>
#include <pthread.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/pool.h"
#include "worker/cluster/cluster_new.h"
#include "worker/cluster/snapshot.h"
#include "worker/front_call.h"
#include "worker/health_metrics.h"
#include "worker/storage/store.h"

#define CHECK_EVERY_MS 2000
#define CHECK_HANGS_MS 10000
#define BODY_MAX       4096

/* What is known of the store. One worker a process. */
static struct {
	pthread_mutex_t lock;
	bool known, ok, running;
	int64_t checked_ms, begun_ms;
	char text[ERROR_TEXT_MAX];
} checked = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct check {
	struct worker *worker;
	struct http_ticket *ticket; /* NULL: nobody waits */
};

static struct http_response *reply_text(unsigned status, struct buf *body)
{
	struct http_response *response = http_response_buf(status, body);

	http_response_header(response, "Content-Type", "text/plain; charset=utf-8");
	http_response_header(response, "Cache-Control", "no-store");
	return response;
}

static bool is_stale(const struct worker *worker)
{
	return cluster_state_age_ms(worker->cluster) > worker->settings->stale_after_ms;
}

static void look_at_cluster(struct worker *worker, struct buf *reasons)
{
	if (cluster_is_draining(worker->cluster))
		buf_puts(reasons, "draining\n");
	if (!cluster_has_state(worker->cluster))
		buf_puts(reasons, "no state was loaded from a leader yet\n");
	else if (!worker->settings->ready_when_stale && is_stale(worker))
		buf_format(reasons, "the state is stale: %" PRId64 " ms old\n",
			cluster_state_age_ms(worker->cluster));
}

static void look_at_store(struct buf *reasons)
{
	int64_t now = clock_ms();

	(void)pthread_mutex_lock(&checked.lock);
	if (checked.running && now - checked.begun_ms > CHECK_HANGS_MS)
		buf_format(
			reasons, "the store has not answered for %" PRId64 " ms\n", now - checked.begun_ms);
	else if (!checked.ok)
		buf_format(reasons, "the store is not usable: %s\n", checked.text);
	(void)pthread_mutex_unlock(&checked.lock);
}

static struct http_response *reply_ready(struct worker *worker)
{
	AUTO_FINI(buf) body = buf_limit(BODY_MAX);

	look_at_store(&body);
	look_at_cluster(worker, &body);
	if (body.len)
		return reply_text(503, &body);
	buf_puts(&body, "ok\n");
	if (cluster_state_age_ms(worker->cluster) >= 0)
		buf_format(&body, "state age: %" PRId64 " ms%s\n", cluster_state_age_ms(worker->cluster),
			is_stale(worker) ? ", stale" : "");
	return reply_text(200, &body);
}

static void run_check(void *arg)
{
	struct check *check = arg;
	struct error err;
	bool ok = store_check(check->worker->store, &err);

	(void)pthread_mutex_lock(&checked.lock);
	checked.ok = ok;
	checked.known = true;
	checked.running = false;
	checked.checked_ms = clock_ms();
	if (!ok)
		memcpy(checked.text, err.text, sizeof(checked.text));
	(void)pthread_mutex_unlock(&checked.lock);
	if (check->ticket)
		http_ticket_reply(check->ticket, reply_ready(check->worker));
	free(check);
}

/* Must this request begin a check; may it be answered from what is known already? */
static bool begin_check(bool *ret_known)
{
	int64_t now = clock_ms();
	bool begin;

	(void)pthread_mutex_lock(&checked.lock);
	*ret_known = checked.known && (now - checked.checked_ms < CHECK_EVERY_MS || checked.running);
	begin = !checked.running && !(checked.known && now - checked.checked_ms < CHECK_EVERY_MS);
	if (begin) {
		checked.running = true;
		checked.begun_ms = now;
	}
	(void)pthread_mutex_unlock(&checked.lock);
	return begin;
}

static void serve_ready(struct front_call *call)
{
	struct worker *worker = call->ask.worker;
	struct check *check;
	bool known;

	if (!begin_check(&known)) {
		AUTO_FINI(buf) body = buf_limit(BODY_MAX);
		buf_puts(&body, "the store is being checked\n");
		http_request_reply(call->request, known ? reply_ready(worker) : reply_text(503, &body));
		return;
	}
	check = xnew(struct check);
	check->worker = worker;
	check->ticket = http_ticket_new(call->request);
	pool_push(worker->pool, run_check, check);
}

static void serve_live(struct front_call *call)
{
	AUTO_FINI(buf) body = buf_limit(BODY_MAX);

	buf_puts(&body, "ok\n");
	http_request_reply(call->request, reply_text(200, &body));
}

static void serve_metrics(struct front_call *call)
{
	AUTO_FINI(buf) body = buf_limit(HEALTH_METRICS_MAX);
	struct http_response *response;

	health_metrics(call->ask.worker, &body);
	response = http_response_buf(200, &body);
	http_response_header(response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
	http_request_reply(call->request, response);
}

static const struct {
	const char *path;
	void (*serve)(struct front_call *call);
} pages[] = { { "/livez", serve_live }, { "/startupz", serve_live }, { "/readyz", serve_ready },
	{ "/metrics", serve_metrics } };

static void reply_no_method(struct front_call *call)
{
	struct http_response *response = http_response_empty(405);

	http_response_header(response, "Allow", "GET, HEAD");
	http_request_reply(call->request, response);
}

bool health_serve(struct front_call *call)
{
	struct str path = http_request_path(call->request);

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (!str_is(path, pages[i].path))
			continue;
		if (call->ask.method == HTTP_GET || call->ask.method == HTTP_HEAD)
			pages[i].serve(call);
		else
			reply_no_method(call);
		return true;
	}
	return false;
}
