/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ceiling_writer - brings the ceilings of quota.h to disk: whatever is to be raised by then, in one write, one write at a time.
 *
 * What cannot be written is removed, so that the next start closes nothing at a number that calls went beyond: the grants then
 * stay reserved until their day is over, calls need no ceilings, and a new file is tried once a second while there are calls.
 * Where it cannot be removed either, calls above what it says are refused.
 * Thread  any; writes on the pool.
 */
#pragma once

#include "common/cleanup.h"

struct ceiling_writer;
struct pool;
struct quotas;

struct ceiling_writer *ceiling_writer_new(struct quotas *quotas, struct pool *pool, const char *path, const char *boot);
void ceiling_writer_free(struct ceiling_writer *writer); /* after the pool */
AUTO_DEFINE(ceiling_writer)
/* There is something to write. */
void ceiling_writer_kick(struct ceiling_writer *writer);
/* Blocks. What was used is written down elsewhere as final: no file any more, and none will be made. */
void ceiling_writer_close(struct ceiling_writer *writer);
