/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/oci_serve.h"

#include "common/check.h"
#include "worker/front/front_call.h"
#include "worker/oci/oci_job.h"

struct served {
	struct http_response *(*inline_f)(const struct oci_ask *ask);
	oci_job_f *job_f;
	void (*stream_f)(struct front_call *call);
};

static const struct served served[OCI_OPERATIONS] = {
	[OCI_OPERATION_version] = { .inline_f = oci_version_inline },
	[OCI_OPERATION_catalog] = { .job_f = oci_catalog_job },
	[OCI_OPERATION_discover] = { .inline_f = oci_discover_inline },
	[OCI_OPERATION_discover_of] = { .inline_f = oci_discover_of_inline, .job_f = oci_discover_of_job },
	[OCI_OPERATION_manifest_get] = { .inline_f = oci_manifest_get_inline, .job_f = oci_manifest_get_job },
	[OCI_OPERATION_manifest_put] = { .job_f = oci_manifest_put_job },
	[OCI_OPERATION_manifest_delete] = { .job_f = oci_manifest_delete_job },
	[OCI_OPERATION_tags] = { .inline_f = oci_tags_inline, .job_f = oci_tags_job },
	[OCI_OPERATION_referrers] = { .inline_f = oci_referrers_inline, .job_f = oci_referrers_job },
	[OCI_OPERATION_blob_get] = { .stream_f = oci_blob_get_stream },
	[OCI_OPERATION_blob_delete] = { .job_f = oci_blob_delete_job },
	[OCI_OPERATION_upload_start] = { .stream_f = oci_upload_start_stream },
	[OCI_OPERATION_upload_status] = { .inline_f = oci_upload_status_inline },
	[OCI_OPERATION_upload_patch] = { .stream_f = oci_upload_patch_stream },
	[OCI_OPERATION_upload_put] = { .stream_f = oci_upload_put_stream },
	[OCI_OPERATION_upload_cancel] = { .inline_f = oci_upload_cancel_inline },
};

void oci_serve(struct front_call *call)
{
	const struct served *how = &served[call->ask.route.row->at];
	struct http_response *response;

	switch (call->ask.route.row->kind) {
	case ENDPOINT_STREAM:
		how->stream_f(call);
		return;
	case ENDPOINT_INLINE:
		response = how->inline_f(&call->ask);
		if (call->ask.route.row->action == OCI_ACTION_READ)
			counter_add(response ? &call->ask.counters->index_hits_total
					     : &call->ask.counters->index_misses_total,
				1);
		if (response) {
			http_request_reply(call->request, response);
			return;
		}
		break;
	case ENDPOINT_JOB:
		break;
	}
	CHECK(how->job_f);
	oci_job_start(call->request, &call->ask, &call->body, how->job_f);
}
