/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_serve - from a row of a table of routes to the functions that serve it.
 *
 *   _inline  a struct oci_call: on the loop, from memory; NULL: memory does not have it, ask the job
 *   _job     a struct oci_job: on the pool; NULL: oci_job_reply() comes later
 *   _stream  a struct oci_call: on the loop; owns the request's body and reply from here on
 */
#pragma once

#include "common/route.h"

struct oci_call;

/* Own loop. Replies now or later. */
void oci_serve(struct oci_call *call);

#define INLINE(operation)       route_inline_f oci_##operation##_inline;
#define FIRST_INLINE(operation) INLINE(operation) route_job_f oci_##operation##_job;
#define JOB(operation)          route_job_f oci_##operation##_job;
#define STREAM(operation)       route_stream_f oci_##operation##_stream;
#define OCI_ROUTE(operation, path, shape, methods, flags, right, place, body_max, how) how
#include "worker/oci/oci_routes.def"
#undef OCI_ROUTE
#undef STREAM
#undef JOB
#undef FIRST_INLINE
#undef INLINE
