/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health - /livez, /readyz, /startupz and /metrics: for load balancers, platforms and operators.
 *
 * None of them asks for credentials. Thread  the request's loop.
 */
#pragma once

#include <stdbool.h>

struct front_call;

/* False: the path is none of these. True: the reply was given, or comes. */
bool health_serve(struct front_call *call);
