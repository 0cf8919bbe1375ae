/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/oci_denied.h"

#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/repository_limits.h"

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

static counter *counter_of(struct oci_counters *counters, enum registry_limit limit)
{
	switch (limit) {
	case REGISTRY_LIMIT_BYTES:
		return &counters->byte_quota_refused_total;
	case REGISTRY_LIMIT_TAGS:
		return &counters->tag_limit_refused_total;
	case REGISTRY_LIMIT_IMMUTABLE:
	case REGISTRY_LIMIT_NONE:
		break;
	}
	return &counters->immutable_tag_refused_total;
}

struct http_response *oci_denied_limit(
	const struct oci_ask *ask, enum registry_limit limit, const struct error *err)
{
	struct http_response *response = oci_reply_saying(403, err);

	counter_add(counter_of(ask->counters, limit), 1);
	http_response_header(response, OCI_REFUSED_HEADER, registry_limit_name(limit));
	return response;
}
