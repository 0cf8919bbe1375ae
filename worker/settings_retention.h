/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_retention - storage.retention of the settings, and of each of storage.subPaths; and when what it lets go is removed.
 */
#pragma once

#include "worker/settings.h"

struct retention;

#define SETTINGS_RETENTION_MAX ((size_t)1024 * 1024) /* of a subPath's, as JSON */

/* Of these settings, or of one of their subs. *ret NULL: they have none. */
bool settings_retention(const struct worker_settings *s, struct retention **ret, struct error *err) MUST_CHECK;
/* What is wrong with any of them. */
void settings_retention_check(const struct worker_settings *s, struct buf *errors);

/* Is anything removed at all; for how long what is untagged stays, where no policy says it; how often it is looked at. */
bool    settings_gc(const struct worker_settings *s);
int64_t settings_gc_delay_ms(const struct worker_settings *s);
int64_t settings_gc_interval_ms(const struct worker_settings *s);
