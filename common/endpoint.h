/* SPDX-License-Identifier: Apache-2.0 */
/*
 * endpoint - a request that is served by a job (common/route.h): the body (up to body_max) is collected, then straight-line
 * code runs on a pool thread; it ends by endpoint_reply(), now or later, from any thread.
 *
 * A struct endpoint_call is what a job works on. It outlives its request: when the client goes
 * away the job runs to its end and its reply is dropped.
 */
#pragma once

#include "common/http_server.h"

struct pool;

/* A job's view of its request, copied: valid on any thread until endpoint_reply(). */
struct endpoint_call {
	enum http_method method;
	struct str target, path, query; /* as in http_request_* */
	struct str body;
	void *context;                  /* the application's, given at the start */
	struct http_headers *headers;   /* those of the request */
};

typedef void endpoint_job_f(struct endpoint_call *call);
/* Collects, submits, and answers 413 or 503 itself by way of `refuse` (builds the body of an error
 * in the application's own form). context_free runs once, after the reply or when nothing will run. */
typedef struct http_response *endpoint_refuse_f(const struct error *err);
void endpoint_start_job(struct http_request *request, struct pool *pool, size_t body_max, endpoint_job_f *run,
			endpoint_refuse_f *refuse, void *context, void (*context_free)(void *context));
/* Thread  any. Ends the call: it is freed. */
void endpoint_reply(struct endpoint_call *call, struct http_response *response);
