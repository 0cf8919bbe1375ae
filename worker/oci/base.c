/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base - what the registry says of itself: /v2/ and the list of extensions.
 */
#include "common/http_server.h"
#include "worker/cluster/snapshot.h"
#include "worker/oci/oci_denied.h"
#include "worker/oci/oci_serve.h"

struct http_response *oci_version_inline(const struct oci_ask *ask)
{
	struct http_response *response = http_response_empty(200);

	http_response_header(response, "Content-Type", "application/json");
	http_response_header(response, "Docker-Distribution-API-Version", "registry/2.0");
	if (ask->snapshot->auth_required)
		oci_denied_challenge(ask, response);
	return response;
}

struct http_response *oci_discover_inline(const struct oci_ask *ask)
{
	struct http_response *response = http_response_copy(200, STR("{\"extensions\":[]}"));

	(void)ask;
	http_response_header(response, "Content-Type", "application/json");
	return response;
}
