/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gc - `zot-worker gc [--dry-run]`: what no manifest needs goes from the storage, now; or is named only.
 *
 * Beside running workers it is as safe as one worker more (worker/registry/collect.h). It does not know what their clients were told of, so who pushes and
 * relies on a layer that is older than storage.gcDelay, and named by nothing, may be told to send it again. Repositories that are on their way from one
 * member to another are left alone.
 *
 * Prints a line for each blob and one at the end. Returns the process's exit status; what could not be looked through is named in the log, and the rest
 * is done all the same.
 */
#pragma once

#include <stdbool.h>

struct worker_settings;

int gc_run(const struct worker_settings *settings, bool dry_run);
