/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress - how far a long command is: on a terminal one line that is written over, elsewhere a line now and then.
 *
 *     1234 of 10000 repositories, 512 a second, 17 s left
 *
 * On a terminal from the first step on, each 200 ms; elsewhere each 10 s, so that a short command says nothing.
 *
 * Life    on the stack of who works.
 * Thread  one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what;
	uint64_t done, total; /* total 0: not known */
	int64_t begun_ms, told_ms;
	bool terminal, shown;
};
/* what: "repositories"; borrowed. To standard error. */
void progress_begin(struct progress *progress, const char *what, uint64_t total);
/* So many are done now. */
void progress_tell(struct progress *progress, uint64_t done);
/* The terminal's line is free for something else. */
void progress_clear(struct progress *progress);
void progress_end(struct progress *progress);
/* The line itself, of what was done in so many ms. */
void progress_format(const struct progress *progress, int64_t ms, char *into, unsigned long size);
