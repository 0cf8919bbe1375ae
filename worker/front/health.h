/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health - /livez, /readyz, /startupz and /metrics: for load balancers, platforms and operators.
 *
 * The first three ask nobody for credentials. Metrics go through the steps AUTHENTICATE and ACCESS (front_auth.c)
 * before they are served. Thread  the request's loop.
 */
#pragma once

#include <stdbool.h>

struct front_call;

/* False: the path is none of these. True: the reply was given, or comes. */
bool health_serve(struct front_call *call);
/* Does it ask for the metrics (extensions.metrics)? */
bool health_is_metrics(const struct front_call *call);
void health_serve_metrics(struct front_call *call);
