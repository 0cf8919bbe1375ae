/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_sink - one receiver: takes events from the queue and brings them there, again until it has them.
 *
 *     IDLE --event_queue_next()--> READING (pool) --> SENDING --taken--> the next event of the change, or IDLE
 *       ^                             |                  |
 *       |                             '--> WAITING <-----'   not taken: twice as long each time, with jitter, or as long as the receiver says
 *       '--dropped: the receiver will never take it
 *
 * EVENT_SLOTS changes are under way at a time, each of another repository, so events of one come in order. One that cannot be delivered holds its
 * repository, not the others; where the receiver is away all slots wait, and it is asked EVENT_SLOTS times in each EVENT_WAIT_MOST_MS.
 *
 * taken    HTTP: 2xx. NATS: PONG behind it.
 * again    HTTP: 408, 429, 5xx, no answer in time, no connection; Retry-After is obeyed up to an hour. NATS: the same without an answer, and -ERR that ends the
 *          connection. The store does not say what the event needs.
 * dropped  any other answer; larger than the NATS server takes, also without the manifest; a subject that this user may not publish to. Counted, and told at most
 *          once in EVENT_SAY_MS.
 *
 * Thread  the loop's, but for event_sink_stats().
 */
#pragma once

#include "common/cleanup.h"
#include "common/metrics.h"
#include "worker/events/events.h"
#include "worker/events/event_text.h"

#define EVENT_SLOTS         4
#define EVENT_WAIT_LEAST_MS 200
#define EVENT_WAIT_MOST_MS  30000
#define EVENT_SAY_MS        10000
#define EVENT_RETRY_AFTER_S 3600

struct http_client;
struct loop;

struct event_sink_run {
	const struct event_sink_settings *settings;
	size_t at; /* its place in the queue's */
	const struct events_settings *common;
	struct event_queue *queue;
	struct loop *loop;
	struct http_client *client;
};
struct event_sink;
bool event_sink_new(struct event_sink **ret, const struct event_sink_run *run, struct error *err) MUST_CHECK;
/* No call is under way behind it; jobs of the pool may be. */
void event_sink_stop(struct event_sink *sink);
bool event_sink_is_still(const struct event_sink *sink); /* none is */
void event_sink_free(struct event_sink *sink);
AUTO_DEFINE(event_sink)
/* Something may be to be sent. */
void event_sink_wake(struct event_sink *sink);

struct event_sink_stats {
	uint64_t sent;   /* events that were taken */
	uint64_t failed; /* tries that were not */
};
struct event_sink_stats event_sink_stats(const struct event_sink *sink); /* Thread  any */
