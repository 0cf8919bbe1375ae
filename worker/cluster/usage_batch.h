/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage_batch - counts by (key, day) and by repository that add up, until they become a push.
 *
 * At most so many of each as fit one push; what comes beyond is counted under USAGE_OTHERS so that sums
 * stay exact.
 * Thread  owner's.
 */
#pragma once

#include "common/map.h"
#include "proto/usage.h"
#include "worker/cluster/usage.h"

struct usage_batch {
	struct map *rows;         /* "<key>\n<day>" -> struct usage_row * */
	struct map *repositories; /* name -> struct usage_repository * */
};
void usage_batch_init(struct usage_batch *batch);
void usage_batch_fini(struct usage_batch *batch);
bool usage_batch_is_empty(const struct usage_batch *batch);
void usage_batch_count(struct usage_batch *batch, const struct usage_event *event, const char day[11]);
/* Adds all of `from`, which is empty after. */
void usage_batch_merge(struct usage_batch *batch, struct usage_batch *from);
/* The rows become the push's; the batch is empty after. */
void usage_batch_freeze(struct usage_batch *batch, struct usage_push *push);
/* The same as a copy. */
void usage_batch_copy(const struct usage_batch *batch, struct usage_push *push);
