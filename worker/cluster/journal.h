/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal - what no leader has acknowledged yet, on disk: one push a line, as it would be sent.
 *
 * Written whole (temp, fsync, rename) by the pool, at most one write at a time; what changes during
 * a write goes into the next. After a crash the lines are sent again under the boot that counted
 * them; the leader knows those that it has had already.
 * Thread  pool for reading and writing.
 */
#pragma once

#include "common/error.h"
#include "proto/usage.h"

#define JOURNAL_MAX (64u * 1024 * 1024)

/* The pushes are appended to *ret_list (grown by realloc). An absent file is an empty journal. A line that cannot be
 * read is passed over with a warning in the log: the others are still good. */
bool journal_load(const char *path, struct usage_push **ret_list, size_t *ret_len, struct error *err) MUST_CHECK;
bool journal_save(const char *path, struct str lines, struct error *err) MUST_CHECK;
