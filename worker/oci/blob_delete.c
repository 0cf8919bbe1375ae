/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_delete - DELETE of a blob, unless a manifest that the repository lists still needs it (405).
 */
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/registry/registry.h"

struct http_response *oci_blob_delete_job(void *arg)
{
	const struct oci_job *job = arg;
	const struct oci_ask *ask = &job->ask;
	bool needed = false;
	struct error err;

	if (registry_delete_blob(
		    ask->registry, ask->route.name.text, &ask->route.digest, &ask->call, &needed, &err))
		return http_response_empty(202);
	return needed ? oci_reply_status(405, &err) : oci_reply_unknown(&err, "BLOB_UNKNOWN");
}
