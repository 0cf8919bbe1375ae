/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_roots - zot's storage.subPaths: where repositories lie whose names begin with a certain component.
 *
 *     "subPaths": { "/a": { "rootDirectory": "/disk2", "dedupe": false, "storageDriver": { ... } } }
 *
 * Each has the keys that zot has there. Those that storage has and serves are served: rootDirectory, storageDriver, dedupe, gc, gcDelay, retention; what is passed
 * over there is passed over here, with the same warnings. What a driver does not say (keys, CA, region) is taken from the variables of the
 * first store, as zot takes it from the environment. Only the first component of a name is looked at: "/a/b" is for nobody, which is a warning.
 * Two roots that are one, or one in the other, are an error, by what the paths really are.
 *
 * ZOT_SUBPATHS has the same object as JSON, and replaces that of the file.
 */
#pragma once

#include "worker/settings.h"

#define SETTINGS_SUBS_MAX 64

/* s->subs of s->sub_paths: each a copy of *s whose storage is its own. Lives in `memory`. */
void settings_roots_read(struct worker_settings *s, struct settings_memory *memory, struct buf *warnings, struct buf *errors);

/* The settings that a repository of this name lies by: one of s->subs, or s. Thread  any. */
const struct worker_settings *settings_of(const struct worker_settings *s, struct str name);
/* Is something collected in one of the roots? The longest storage.gcDelay of those; 0: in none. */
bool settings_collect(const struct worker_settings *s, int64_t *ret_most_ms);
/* Is one of the roots a bucket? */
bool settings_has_bucket(const struct worker_settings *s);
