/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import - `zot-worker import`: repositories that other tools made in the store get their place in the catalog now.
 *
 * It prints their names, and to standard error how far it is (common/progress.h). Beside running workers it is as safe as one worker more. Returns the process's exit status.
 */
#pragma once

struct worker_settings;

int import_run(const struct worker_settings *settings);
