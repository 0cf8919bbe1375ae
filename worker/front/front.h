/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front - the worker's HTTP application: from a request's head to its reply, in named steps.
 *
 *   ROUTE  LIMIT  AUTHENTICATE  ACCESS  ADMIT  PLACE  COLLECT  FORWARD or SERVE
 *
 * A step either goes on to the next one, waits (for the pool, a grant, the body, a peer), or has
 * replied. Everything of a request hangs in one struct front_call (front_call.h), freed in on_done.
 *
 * Thread  the loop's.
 */
#pragma once

#include "common/http_server.h"

struct worker_loop;

/* The application for the server of this loop. */
struct http_app front_app(struct worker_loop *loop);
