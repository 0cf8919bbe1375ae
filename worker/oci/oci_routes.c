/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/oci_may.h"
#include "worker/oci/oci_route.h"
#include "worker/oci/oci_serve.h"

#define INLINE(operation)       .kind = ROUTE_INLINE, .inline_f = oci_##operation##_inline
#define FIRST_INLINE(operation) INLINE(operation), .job_f = oci_##operation##_job
#define JOB(operation)          .kind = ROUTE_JOB, .job_f = oci_##operation##_job
#define STREAM(operation)       .kind = ROUTE_STREAM, .stream_f = oci_##operation##_stream

static const struct route rows[] = {
#define OCI_ROUTE(name, at, looks, bits, marks, right, answers, most, how)                                   \
	{ .operation = #name,                                                                                \
		.path = at,                                                                                  \
		.what = OCI_OPERATION_##name,                                                                \
		.shape = OCI_SHAPE_##looks,                                                                  \
		.methods = bits,                                                                             \
		.flags = marks,                                                                              \
		.authorise = oci_may_##right,                                                                \
		.place = OCI_PLACE_##answers,                                                                \
		.body_max = most,                                                                            \
		how },
#include "worker/oci/oci_routes.def"
#undef OCI_ROUTE
};

const struct route_table oci_routes = { rows, OCI_OPERATIONS };
