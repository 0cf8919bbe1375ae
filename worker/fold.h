/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fold - `zot-worker fold`: the logs of all indexes go into their index.json, so that a tool that knows no logs sees everything.
 *
 * Beside running workers it is as safe as one worker more: each index.json is written by compare-and-swap.
 * How far it is goes to standard error (common/progress.h). Returns the process's exit status; what could not be folded is named in the log, and the rest is done all the same.
 */
#pragma once

struct worker_settings;

int fold_run(const struct worker_settings *settings);
