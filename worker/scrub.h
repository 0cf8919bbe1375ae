/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub - `zot-worker scrub [--dry-run]`: everything in the storage is read through now, at extensions.scrub.rate; what is rotten is set aside, and
 * healed where there is a good copy in the storage (worker/registry/scrub.h).
 *
 * Beside running workers it is as safe as one worker more. It knows neither what these have in memory and in caches, nor other members. Repositories that are on
 * their way from one member to another are left alone.
 *
 * Prints a line for each finding and one at the end. Returns the process's exit status: 1 where something is wrong and was not healed, or could not be
 * looked at.
 */
#pragma once

#include <stdbool.h>

struct worker_settings;

int scrub_run(const struct worker_settings *settings, bool dry_run);
