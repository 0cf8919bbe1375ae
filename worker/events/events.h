/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events - who wants to know is told of what changes in repositories: zot's extensions.events, without losing any.
 *
 *     a change is about to be written --> its record into the queue (event_queue.h), on disk while the change is
 *     it is made                      --> it is marked so, and both are durable; only then its client hears of it
 *     thread "events"                 --> sinks (event_sink.h): each in its own time, again until it has taken it
 *
 * So what a client was told is told to every sink, also after kill -9 and a power cut; some events twice, with the same id. Whether a change was made whose
 * process ended, or whose write failed without an answer, the repository says: one that it shows is told.
 *
 * Each change is committed by one worker (registry_follow()), so each event has one origin; events of a repository that changes its owner come from both, and
 * their order between the two is not kept.
 *
 * Thread  events_open(), events_start(), events_stop() and events_free() one after the other; the rest any.
 */
#pragma once

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/error.h"
#include "worker/events/event_queue.h"

struct pool;
struct registry;

#define EVENTS_HEADERS_MAX 64

enum event_sink_type { EVENT_SINK_HTTP, EVENT_SINK_NATS };
/* One of extensions.events.sinks, checked. Texts are borrowed and live as long as the process. */
struct event_sink_settings {
	enum event_sink_type type;
	const char *address;  /* http://, https://; nats://, tls:// */
	const char *channel;  /* NULL: none. NATS: the subject */
	unsigned timeout_ms;
	const char *proxy;    /* http:// or NULL; of HTTP */
	const char *user, *password, *token, *credentials_file; /* or NULL */
	const char *ca_file, *cert_file, *key_file;             /* or NULL */
	const char *headers[EVENTS_HEADERS_MAX][2];             /* of HTTP: name and value */
	size_t headers_len;
	uint64_t id;          /* which one it is in the queue */
	char name[32];        /* for the log and metrics: its place in the list and its type, "0-http" */
};

struct events_settings {
	const char *folder;
	uint64_t bytes_max;
	const char *source, *type_prefix; /* NULL: zot's */
	const struct event_sink_settings *sinks;
	size_t sinks_len;
	struct pool *pool;
	struct registry *registry;
};

struct events;
/* Follows the registry's changes, and the pushes that lint refuses: before the first one. */
bool events_open(struct events **ret, const struct events_settings *settings, struct error *err) MUST_CHECK;
void events_start(struct events *events);
/* Nobody is told any more; what is to be told stays in the queue. Waits for jobs of the pool that are under way. NULL is fine, as below. */
void events_stop(struct events *events);
void events_free(struct events *events); /* when the registry has stopped */
AUTO_DEFINE(events)

void events_metrics(struct events *events, struct buf *into);
