/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/oci_serve.h"

#include "common/check.h"
#include "common/http_server.h"
#include "common/loop.h"
#include "worker/oci/oci_call.h"
#include "worker/oci/oci_job.h"

static struct http_response *from_memory(struct oci_call *call, const struct route *row)
{
	struct http_response *response = row->inline_f(call);
	struct oci_counters *counters = call->ask.counters;

	if (row->flags & OCI_INDEX)
		counter_add(response ? &counters->index_hits_total : &counters->index_misses_total, 1);
	return response;
}

void oci_serve(struct oci_call *call)
{
	const struct route *row = call->ask.route.row;
	struct http_response *response = NULL;

	loop_assert(call->loop);
	if (row->kind == ROUTE_STREAM) {
		row->stream_f(call);
		return;
	}
	if (row->kind == ROUTE_INLINE)
		response = from_memory(call, row);
	if (response) {
		http_request_reply(call->request, response);
		return;
	}
	CHECK(row->job_f);
	oci_job_start(call, row->job_f);
}
