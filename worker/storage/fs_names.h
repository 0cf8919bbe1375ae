/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_names - the names in a folder, sorted, kept while the folder does not change: the catalog of 100,000 repositories
 * is read once and not for each page.
 *
 * A folder whose time of change is younger than YOUNG_MS is read each time, since another change within the
 * same tick of the clock would not show. Not kept: more than NAMES_MAX names, and folders with names in pieces.
 * Thread  any.
 */
#pragma once

#include "common/error.h"
#include "common/str.h"

struct fs_names;
struct store;
struct fs_names_cache;
struct fs_names_cache *fs_names_cache_new(void);
void fs_names_cache_free(struct fs_names_cache *cache);

/* *ret NULL: not to be had this way (see above); ask the folder itself. An absent folder is empty. */
bool fs_names_get(const struct store *store, struct fs_names_cache *cache, const char *folder, struct fs_names **ret, struct error *err) MUST_CHECK;
void fs_names_free(struct fs_names *names); /* drops a reference */
AUTO_DEFINE(fs_names)
size_t      fs_names_len(const struct fs_names *names);
const char *fs_names_at(const struct fs_names *names, size_t at);
size_t      fs_names_after(const struct fs_names *names, struct str after); /* the first place behind */
