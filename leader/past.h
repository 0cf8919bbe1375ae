/* SPDX-License-Identifier: Apache-2.0 */
/*
 * past - processes that were members: the highest number of a report of each, so that a copy of one that comes late is known
 * as such, also when another process has the name by then; and when it was heard last.
 *
 * The newest PAST_MAX are remembered; of those that left the ledger has it too, with their boots.
 * Thread  owner's.
 */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"

#define PAST_MAX 1024
#define PAST_GONE UINT64_MAX /* it said "left": no report of it is newer */

struct past;
struct past *past_new(void);
void past_free(struct past *past);
AUTO_DEFINE(past)

uint64_t past_find(const struct past *past, const char *process); /* 0: not known */
/* When it was heard; of one that is not known, when any of those that went was heard last, 0 if none did. */
int64_t past_heard_ms(const struct past *past, const char *process);
/* Never lowers. It is the newest from now on; the oldest goes where there are too many. */
void past_put(struct past *past, const char *process, uint64_t number, int64_t heard_ms);
