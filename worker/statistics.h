/* SPDX-License-Identifier: Apache-2.0 */
/*
 * statistics - `zot-worker statistics --repository NAME`: what the index of a repository knows of pushes and pulls, a line of JSON for each tag, then
 * one for each manifest:
 *
 *     {"tag":"v1","digest":"sha256:...","pushed":"2026-11-23T03:00:00.123Z","by":"ann","pulls":3,"pulled":"2026-11-23T03:04:05.678Z"}
 *     {"digest":"sha256:...","pushed":...}
 *
 * What is not known, or never was, is left out. Pulls that a running worker has counted and not written yet are not among them. Reads the storage,
 * changes nothing. Returns the process's exit status: 1 where there is no such repository or it cannot be read.
 */
#pragma once

struct worker_settings;

int statistics_run(const struct worker_settings *settings, const char *repository);
