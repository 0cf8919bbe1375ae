/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retain - `zot-worker verify-feature retention`: what storage.retention would do to each tag and manifest of the store, and why.
 *
 *     goes   team/app:old  sha256:...  policies[0].keepTags: no entry has a pattern for it
 *     stays  team/app:v1  sha256:...  policies[0].keepTags[0]: has it, and has no rules but patterns
 *     2 repositories: 11 tags stay, 1 goes; 12 manifests stay, 1 goes
 *
 * A line for each tag, and for each manifest that has none, of the repositories in the catalog: those that another tool made are there after
 * `zot-worker import`. It looks at the settings alone: entities of leaders, which go before them, are not known to it. Nothing is written; beside
 * running workers it sees what they have acknowledged. One repository is in memory at a time.
 * Returns the process's exit status: 1 where something could not be read, and the rest is told all the same.
 */
#pragma once

#include <stdbool.h>

struct worker_settings;

int retain_run(const struct worker_settings *settings, bool json);
