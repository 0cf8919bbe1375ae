/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/oci_denied.h"

#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/oci_reply.h"

void oci_denied_challenge(const struct oci_ask *ask, struct http_response *response)
{
	http_response_headerf(response, "WWW-Authenticate", "Basic realm=\"%s\"", ask->realm);
}

struct http_response *oci_denied_reply(const struct oci_ask *ask, const char *why)
{
	bool nobody = ask->identity->anonymous && ask->snapshot->auth_required;
	struct http_response *response;
	struct error err;

	(void)error_set(&err, ERROR_DENIED, nobody ? "UNAUTHORIZED" : "DENIED", "%s", why);
	response = oci_reply_status(nobody ? 401 : 403, &err);
	oci_denied_challenge(ask, response);
	return response;
}
