/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_lines - server-sent events out of the pieces in which they come.
 *
 *     "event: ring\ndata: {...}\n\n"     one line of data each, as the leader writes them; other lines (id, retry, :) are passed over
 *
 * Bounds  a line of EVENT_LINE_MAX bytes: ERROR_TOO_LARGE beyond.
 * Thread  one; own memory.
 */
#pragma once

#include "common/buf.h"
#include "common/error.h"

#define EVENT_LINE_MAX (32u * 1024 * 1024) /* what a leader makes of 1,024 members is 2 MiB */
#define EVENT_NAME_MAX 64

struct event_lines {
	struct buf line;
	char name[EVENT_NAME_MAX]; /* of the event that is under way; "": none yet */
	void (*tell)(void *arg, const char *name, struct str data);
	void *arg;
};
void event_lines_init(struct event_lines *lines, void (*tell)(void *arg, const char *name, struct str data), void *arg);
void event_lines_fini(struct event_lines *lines);
/* Tells each whole event; what is left waits for the next piece. */
bool event_lines_take(struct event_lines *lines, struct str piece, struct error *err) MUST_CHECK;
/* Another stream begins. */
void event_lines_reset(struct event_lines *lines);
