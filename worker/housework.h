/* SPDX-License-Identifier: Apache-2.0 */
/*
 * housework - the rows of this worker's chores: which there are, with what they work.
 *
 * Thread  main.
 */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"

struct housework;
struct worker;

/* All but the loops' threads is there; front.chores from now on. started_s: wall clock of the process's start. */
struct housework *housework_start(struct worker *worker, int64_t started_s);
/* The chores are freed, and the registry is not. NULL is fine, as for the next. */
void housework_end(struct housework *housework);
/* The registry is freed: it tells of changes until then. */
void housework_free(struct housework *housework);
