/* SPDX-License-Identifier: Apache-2.0 */
/*
 * traffic_metrics - the traffic of all loops as metrics, under zot's names where zot has them.
 *
 * Thread  any.
 */
#pragma once

#include "common/buf.h"

struct front;

/* Label of what is counted for no repository of its own: not a name that a repository can have. */
#define TRAFFIC_OTHERS "(others)"

void traffic_metrics(struct front *front, struct buf *into);
