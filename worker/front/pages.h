/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages - the second table of routes: what is served beside the registry's API. /livez, /readyz, /startupz (health.c), /cluster/state (state_page.c), the metrics, and what
 * members ask each other.
 *
 * To add one: a row in pages.c and its function, which is given a struct front_call (as struct oci_call, its first member).
 * Thread  the request's loop.
 */
#pragma once

#include "common/route.h"

struct front_call;

/* As oci_route_parse(): the row goes to call->oci.ask.route. */
enum route_found pages_find(struct front_call *call, unsigned *ret_allowed) MUST_CHECK;

/* For load balancers and platforms; nobody is asked who it is. */
route_inline_f health_live, health_started;
route_stream_f health_ready;
/* The state, for who knows the cluster's secret (state_page.c). */
route_stream_f pages_state;
/* Whoever may see the metrics (extensions.metrics, accessControl.metrics). */
route_inline_f pages_metrics;
