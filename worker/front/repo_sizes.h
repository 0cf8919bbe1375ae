/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repo_sizes - how many bytes the busiest repositories have in the storage folder; nothing with S3.
 *
 * Each file has to be looked at, so it is done on the pool, by one job, after a scrape; the next scrapes show
 * what it found. The next job begins a minute after the last one at the earliest, and not before 50 times as long
 * as that one took has gone by: counting large stores takes a fiftieth of one thread at most.
 *
 * Thread  any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

struct busy;
struct front;

/* Begins a job for these repositories when it is time for one. */
void repo_sizes_ask(struct front *front, const struct busy *rows, size_t len);
/* What the last job found. */
bool repo_sizes_find(struct str name, uint64_t *ret_bytes);
