/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aside - a file that could not be read is kept for people, and does not stand in the way.
 *
 *     usage.journal  ->  usage.journal, usage.journal.damaged-2026-11-20T123456.789Z       one file with two names
 *
 * The caller then writes the file anew (file_write_durable) or removes it: what was kept is not touched by either. Where a
 * file system has no second names the file is renamed. What is no regular file is left where it is, which is an error.
 * Of a path and a word the newest ASIDE_MOST are kept, older ones removed.
 *
 * Thread  any that may block; one at a time for a path.
 */
#pragma once

#include "common/buf.h"

#define ASIDE_MOST 3

/* word: why, "damaged". The new name, durable, is appended to *name, which needs room for the path and 64 bytes. */
bool aside_keep(const char *path, const char *word, struct buf *name, struct error *err) MUST_CHECK;
