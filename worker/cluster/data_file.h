/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data_file - what this worker has in ZOT_WORKER_DATA besides locks, and what becomes of a file there that it cannot read.
 *
 *   state.bin       "ZOTSTATE<format>", digests, state and deltas     2 (proto/state_chain.h)
 *   usage.ceilings  "zot ceilings <format> <boot>"        1
 *   usage.journal   lines of JSON; from format 2 on the first line is to be {"journal":<format>}
 *
 * A file that is damaged, or of a newer version, is kept aside (common/aside.h) as x.damaged-<time> or x.newer-<time>, the log
 * and a complaint (complaints.h) say so, and the worker goes on without it: it serves on, and nothing is overwritten that people may want.
 *
 * Thread  the cluster's loop, at the start.
 */
#pragma once

#include <stdint.h>

#include "common/error.h"

struct cluster;

/* error.code of a file of a newer version. */
#define DATA_FILE_NEWER "FILE_NEWER"
/* False always: the error names both formats and says what to do. */
bool data_file_newer(uint64_t format, unsigned ours, struct error *err) MUST_CHECK;
/* It could not be read: `why`, with its path. lost: what that means, a sentence. It is there still, or was renamed; until this
 * process ends, the complaint "files" names it. */
void data_file_keep(struct cluster *cluster, const char *path, const struct error *why, const char *lost);
