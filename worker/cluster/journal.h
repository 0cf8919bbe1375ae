/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal - what no leader has acknowledged yet, on disk: one report a line, as it would be sent.
 *
 * usage.journal is written whole (temp, fsync, rename), at most one write at a time; what changes during a write goes into
 * the next. After a crash its lines are sent again under the boot that counted them, by whatever name and process it is that
 * finds them; leaders know those that they have had already.
 * usage.refused has the lines that a leader would not have for what they are: kept for people, never sent again.
 * Thread  pool for reading and writing.
 */
#pragma once

#include "common/error.h"
#include "proto/usage.h"
#include "worker/cluster/counts_queue.h"

#define JOURNAL_REFUSED_MAX (16u * 1024 * 1024)

/* The reports are appended to the queue. An absent file is an empty journal. One of an older format, without `after`, follows the
 * seq before its own. False: not all of it could be read, the lines that could are in the queue (data_file.h). */
bool journal_load(const char *path, struct counts_queue *queue, struct error *err) MUST_CHECK;
bool journal_save(const char *path, struct str lines, struct error *err) MUST_CHECK;
/* ERROR_FULL: the file has all that it may have. */
bool journal_refuse(const char *path, struct str line, struct error *err) MUST_CHECK;
