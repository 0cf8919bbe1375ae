/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evacuate - `zot-worker evacuate`: the worker of these settings is to own nothing any more, and may be stopped when this ends.
 *
 * It asks the leaders, as the worker itself, each second until nothing of it is needed here (docs/api.md: members/{name}/evacuate), and
 * tells how many repositories are left as that changes. A leader that is away is waited for, once one has answered, for ten minutes.
 * To end it early ends the telling alone; with undo the worker owns again.
 * Returns the process's exit status.
 */
#pragma once

#include <stdbool.h>

struct worker_settings;

int evacuate_run(const struct worker_settings *settings, bool undo);
