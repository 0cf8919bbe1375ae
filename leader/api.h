/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api - the leader's HTTP face: routes, who may call them, errors as JSON.
 *
 * api_app() is given to the HTTP server. Routes stand in one table (api/route.c) with their kind and who may call.
 * To add one: a row there, its function in the file of its subject in api/, its name in api/call.h, its place in docs/api.md.
 * Errors: {"error":{"code":"...","message":"..."}}.
 * Thread  the leader's loop; jobs on the pool.
 */
#pragma once

#include "common/endpoint.h"
#include "common/http_server.h"

struct leader;
struct http_app api_app(struct leader *leader);

/* Thread  any. */
struct http_response *api_error(unsigned status, const char *code, const char *format, ...) PRINTF(3, 4);
/* By kind: INVALID 400, DENIED 403, UNKNOWN 404, CONFLICT 409, TOO_LARGE 413, BUSY, UNAVAILABLE and TIMEOUT 503, FULL 507,
 * else 500 (the text goes to the log only). */
struct http_response *api_error_of(const struct error *err);
/* Takes the buffer's bytes. */
struct http_response *api_json(unsigned status, struct buf *body);
