/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/leave.h"

#include <inttypes.h>
#include <signal.h>

#include "common/clock.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/supervisor.h"
#include "worker/auth/snapshot.h"
#include "worker/chores/chores.h"
#include "worker/cluster/cluster_new.h"
#include "worker/registry/registry.h"
#include "worker/worker.h"

/* How long the leaders have to publish a ring without us, and uploads and requests to end. */
#define RING_MS   3000
#define FINISH_MS 30000
#define LEAVE_MS  5000

#define LOOK_EVERY_MS 20

static void post_all(struct worker *worker, loop_post_f *fn)
{
	for (unsigned i = 0; i < worker->front.loops_len; i++)
		loop_post(worker->front.loops[i].loop, fn, &worker->front.loops[i]);
}

static void do_announce(void *arg)
{
	struct front_loop *own = arg;

	http_server_wind_down(own->server);
	if (loop_index(own->loop) == 0)
		cluster_drain(own->front->cluster);
}

static void do_quiesce(void *arg)
{
	http_server_quiesce(((struct front_loop *)arg)->server);
}

static void do_leave(void *arg)
{
	cluster_leave(((struct front_loop *)arg)->front->cluster);
}

static bool never(struct worker *worker)
{
	(void)worker;
	return false;
}

static bool is_out_of_ring(struct worker *worker)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(worker->front.cluster);
	const struct ring_member *me;

	if (worker->settings->mode != MODE_WORKER || snapshot->self == RING_NOBODY)
		return true;
	me = ring_at(snapshot->ring, (size_t)snapshot->self);
	return !me->active || !cluster_lease_left_ms(worker->front.cluster);
}

static bool has_no_uploads(struct worker *worker)
{
	return !uploads_are_moving(worker->front.registry->uploads, clock_ms() - UPLOAD_REST_MS);
}

static bool is_idle(struct worker *worker)
{
	return front_open_requests(&worker->front) == 0;
}

static bool has_left(struct worker *worker)
{
	return cluster_has_left(worker->front.cluster);
}

/* Until it is so, or the time is over; false: somebody is in a hurry. */
static bool wait_until(const struct leave *leave, bool (*is_so)(struct worker *worker), int64_t end_ms)
{
	while (!is_so(leave->worker)) {
		if (clock_ms() >= end_ms)
			return true;
		if (leave->hurry(leave->arg, LOOK_EVERY_MS))
			return false;
	}
	return true;
}

static int64_t delay_of(const struct leave *leave)
{
	return leave->signal == SIGTERM ? leave->worker->settings->drain_delay_ms : 0;
}

static void announce(const struct leave *leave)
{
	struct worker *worker = leave->worker;

	log_info("worker.draining", "name=%s signal=%d delay_ms=%" PRId64,
		log_quote(str_of(cluster_self(worker->front.cluster))), leave->signal, delay_of(leave));
	supervisor_tell("STOPPING=1");
	chores_stop(worker->front.chores);
	post_all(worker, do_announce);
	(void)wait_until(leave, never, clock_ms() + delay_of(leave));
}

static bool end_uploads(const struct leave *leave, int64_t end_ms)
{
	if (!delay_of(leave))
		return true;
	uploads_close(leave->worker->front.registry->uploads);
	return wait_until(leave, has_no_uploads, end_ms);
}

void leave_orderly(const struct leave *leave)
{
	struct worker *worker = leave->worker;
	int64_t end_ms;

	announce(leave);
	if (!wait_until(leave, is_out_of_ring, clock_ms() + RING_MS))
		return;
	end_ms = clock_ms() + FINISH_MS;
	if (!end_uploads(leave, end_ms))
		return;
	post_all(worker, do_quiesce);
	if (!wait_until(leave, is_idle, end_ms))
		return;
	loop_post(worker->front.loops[0].loop, do_leave, &worker->front.loops[0]);
	(void)wait_until(leave, has_left, clock_ms() + LEAVE_MS);
}
