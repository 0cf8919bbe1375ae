/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_pulls - how often manifests and tags of a repository were pulled, and when last: a part of a view, for those that were.
 *
 * Known by its text: a digest's "sha256:..." or a tag, which never has a colon. What a view does not list has no row: rows go with
 * their digest or tag. A tag's numbers stay with it when it is moved to another digest.
 * Bounds: one row for each manifest and tag; a number ends at INDEX_PULLS_MAX.
 * Thread  those of the view: rows that nobody changes may be read by all.
 */
#pragma once

#include "common/json.h"
#include "worker/index/index.h"
#include "worker/index/index_rows.h"

#define INDEX_PULLS_MAX (UINT64_C(1) << 53)

extern const struct index_rows_kind index_pulls_kind;

/* Of an empty list; then the rest. */
void index_pulls_add(struct index_rows *rows, const struct index_pull *pull);
void index_pulls_drop(struct index_rows *rows, struct str key);
/* count 0: never, as far as is known. */
struct index_pull index_pulls_find(const struct index_rows *rows, struct str key);
size_t index_pulls_bytes(const struct index_rows *rows); /* of memory */

/* "sha256:...":[3,1763740000123], in an object of the caller's. */
void index_pulls_write(const struct index_pull *pull, struct json_writer *into);
void index_pulls_write_all(const struct index_rows *rows, struct json_writer *into);
/* Of a member of such an object. The key is borrowed from it. False: it is none of ours. */
bool index_pulls_read(struct str key, const struct json *value, struct index_pull *ret) MUST_CHECK;
