/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_queue - changes that somebody is to be told of, on disk until he was: a folder of files that only grow, of which the oldest go.
 *
 *     put --> ABOUT --settle--> MADE --done by each sink--> gone
 *                        |----> NOT MADE: gone
 *                        '----> DOUBT --settle, by who looks--> MADE or gone          also what was ABOUT when the process ended
 *
 *   <number>.events   "zot events 1\n" and zeros, 16 bytes; then frames: length (4 bytes, little endian), CRC-32C (4) of what follows, a byte that says what:
 *       S  the sinks from here on: an id of 8 bytes each       C  a change: seq (8), order (4), events (4), the record
 *       M  seq: it is made      N  seq: it is not      Q  seq: it is in doubt      D  sink (8), seq: that one has it
 *   Each file begins with S, which comes again where the queue was opened. A frame that is cut or damaged ends its file: what stands behind it there is cut off, kept aside and told.
 *
 * kill -9     what put() and settle() returned from is there: it was written, and the system has it.
 * power cut   so is what event_queue_await() returned from: a thread of the queue's own syncs, all that came meanwhile at once. What a sink has, and that a change was
 *             made, is not waited for: such a change is told again, or found to be in doubt.
 * full        over bytes_max the oldest file goes, with what it has that somebody was not told: that is counted, and told once until the queue is empty again.
 *             No caller is refused for it. A disk that takes nothing loses what is put meanwhile, counted and told in the same way.
 * memory      32 bytes for each change, a descriptor for each file, EVENT_QUEUE_FILES of them at most.
 * order       changes have numbers in the order of put(). A sink is given the first of each `order` (a repository) that it has not had: never the second before. It is looked
 *             for among the oldest EVENT_QUEUE_LOOK that it has not had: so many of a repository that is held hold the others too.
 *
 * Thread  any, but for event_queue_open() and _free(). The functions that write may wait for the disk.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/error.h"

#define EVENT_SINKS_MAX   16
#define EVENT_QUEUE_FILES 16
#define EVENT_QUEUE_LOOK  65536u
#define EVENT_QUEUE_LEAST ((uint64_t)64 * 1024)

struct event_queue;
struct event_queue_settings {
	const char *folder; /* made when it is absent */
	uint64_t bytes_max; /* at least EVENT_QUEUE_LEAST */
	uint64_t sinks[EVENT_SINKS_MAX]; /* ids; what was put before a sink was there is not for it */
	size_t sinks_len;
	void (*on_more)(void *arg); /* something may be to be given; any thread, quick */
	void *arg;
};
/* ERROR_CONFLICT: another process has it. */
bool event_queue_open(struct event_queue **ret, const struct event_queue_settings *settings, struct error *err) MUST_CHECK;
void event_queue_free(struct event_queue *queue); /* syncs */
AUTO_DEFINE(event_queue)

/* events: how many the record is. The number of the change, or 0: it could not be written, and is lost. */
uint64_t event_queue_put(struct event_queue *queue, struct str record, uint32_t order, uint32_t events);
enum event_state { EVENT_ABOUT, EVENT_MADE, EVENT_NOT_MADE, EVENT_DOUBT };
void event_queue_settle(struct event_queue *queue, uint64_t seq, enum event_state state);
/* Until what this change's put() wrote is durable, or EVENT_QUEUE_WAIT_MS are over: then nobody waits until the disk has answered. */
#define EVENT_QUEUE_WAIT_MS 1000
void event_queue_await(struct event_queue *queue, uint64_t seq);

struct event_place {
	uint64_t seq;
	uint32_t order;
	bool doubt; /* settle it first */
};
/* The next for this sink that is none of these orders. False: there is none now. */
bool event_queue_next(struct event_queue *queue, size_t sink, const uint32_t *busy, size_t busy_len, struct event_place *ret) MUST_CHECK;
/* Appends the record. ERROR_UNKNOWN: it is gone. */
bool event_queue_read(struct event_queue *queue, uint64_t seq, struct buf *into, struct error *err) MUST_CHECK;
/* The sink needs it no more. */
void event_queue_done(struct event_queue *queue, size_t sink, uint64_t seq);
/* So many events of one that is about to be done were not taken, and never will be. */
void event_queue_count_dropped(struct event_queue *queue, size_t sink, uint32_t events);

struct event_queue_stats {
	uint64_t queued[EVENT_SINKS_MAX];  /* events that are to be sent */
	uint64_t dropped[EVENT_SINKS_MAX]; /* that will not be, since the start */
	int64_t oldest_ms[EVENT_SINKS_MAX]; /* since when the oldest of them waits, at least since the start; 0: none does */
	uint64_t bytes;
};
struct event_queue_stats event_queue_stats(struct event_queue *queue);
