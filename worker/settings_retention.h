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
/* What is wrong with any of them, and what has no effect. */
void settings_retention_check(const struct worker_settings *s, struct buf *warnings, struct buf *errors);
