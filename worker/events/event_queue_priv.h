/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_queue_priv - what the queue (event_queue.c), its files (event_files.c) and the sender's side (event_queue_give.c) share.
 *
 * One lock guards everything. The thread that syncs holds it only to look and to tell.
 */
#pragma once

#include <pthread.h>

#include "common/lock.h"
#include "worker/events/event_queue.h"

#define EVENT_FRAME_HEAD 8u
#define EVENT_FILE_HEAD  16u

struct event_entry {
	int64_t at_ms;    /* when it was put or found: clock_ms() */
	uint32_t file;    /* number */
	uint32_t offset;  /* of its frame */
	uint32_t order, events;
	uint16_t done;    /* a bit for each sink that needs it no more */
	uint8_t state;    /* enum event_state; EVENT_NOT_MADE: over */
};

struct event_file {
	uint32_t number;
	int fd;
	uint64_t bytes;
	uint64_t left; /* entries that are not over */
};

struct event_queue {
	struct event_queue_settings settings; /* folder: our copy */
	char *folder;
	uint64_t ids[EVENT_SINKS_MAX];
	uint16_t all;     /* a bit for each sink */
	int lock_fd;
	struct lock lock; /* guards all below */
	struct event_file files[EVENT_QUEUE_FILES + 1]; /* the oldest first; the last one grows */
	size_t files_len;
	uint64_t bytes;
	struct event_entry *entries; /* a ring, whose room is a power of two; the first has the number first_seq */
	size_t entries_first, entries_len, entries_room;
	uint64_t first_seq, next_seq;
	uint64_t cursor[EVENT_SINKS_MAX]; /* all before it are over for the sink */
	struct event_queue_stats stats;
	bool full_said, lost_said;
	/* syncing */
	pthread_t thread;
	pthread_cond_t wanted, synced;
	uint64_t put_seq, synced_seq; /* what was put, and what is durable of it */
	int rolled[EVENT_QUEUE_FILES]; /* of files that grow no more and are not synced: descriptors of the thread's own */
	size_t rolled_len;
	bool folder_dirty, stopping;
	bool late; /* somebody has waited in vain, and nothing was synced since */
};

static inline struct event_entry *event_entry_at(const struct event_queue *q, uint64_t seq)
{
	if (seq < q->first_seq || seq - q->first_seq >= q->entries_len)
		return NULL;
	return &q->entries[(q->entries_first + (seq - q->first_seq)) & (q->entries_room - 1)];
}
struct event_file *event_file_find(struct event_queue *q, uint32_t number);

/* event_files.c */
bool event_files_load(struct event_queue *q, struct error *err) MUST_CHECK;
void event_files_close(struct event_queue *q);
/* Appends a frame; head and tail are its body. *ret_offset: where it begins in the file that grows. */
bool event_files_append_locked(struct event_queue *q, struct str head, struct str tail, uint32_t *ret_offset) MUST_CHECK;
/* Takes away the oldest files that nobody needs. */
void event_files_trim_locked(struct event_queue *q);

/* event_queue.c: what files tell when they are read, and when one goes. */
void event_queue_add_locked(struct event_queue *q, uint64_t seq, const struct event_entry *entry);
void event_queue_over_locked(struct event_queue *q, uint64_t seq, uint16_t sinks, bool dropped);
void event_queue_set_state_locked(struct event_queue *q, uint64_t seq, enum event_state state);
void event_queue_forget_file_locked(struct event_queue *q, uint32_t number);
