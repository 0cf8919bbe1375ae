/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health_metrics - the worker's counters and gauges as Prometheus text.
 *
 * Thread  any.
 */
#pragma once

#include "common/buf.h"

struct front;

#define HEALTH_METRICS_MAX (16u * 1024 * 1024)
void health_metrics(struct front *front, struct buf *into);
