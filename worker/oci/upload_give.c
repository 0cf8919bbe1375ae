/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/upload_give.h"

#include "proto/peer_token.h"
#include "worker/auth/auth.h"
#include "worker/oci/oci_call.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/registry.h"

bool upload_give_is_asked(const struct oci_call *call)
{
	return call->ask.identity->peer && !http_request_length(call->request) &&
	       http_request_header(call->request, PEER_TAKES_HEADER);
}

static bool find_holder(const struct oci_ask *ask, struct upload_id *ret, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(UPLOAD_ID_SIZE);

	if (http_query_get(ask->query, UPLOAD_GIVE_QUERY, &text) != 1 || text.failed)
		return error_set(err, ERROR_INVALID, "BLOB_UPLOAD_INVALID",
			"one parameter \"" UPLOAD_GIVE_QUERY "\" is needed");
	return upload_id_parse(buf_str(&text), ret, err);
}

struct http_response *upload_give(const struct oci_ask *ask)
{
	struct http_response *response;
	struct upload_id holder;
	enum hash_kind alg;
	struct error err;

	if (!find_holder(ask, &holder, &err) ||
		!uploads_give(ask->registry->uploads, name_str(&ask->route.name), &ask->route.upload, &holder,
			&alg, &err))
		return oci_reply_error(&err);
	response = http_response_empty(202);
	http_response_header(response, UPLOAD_GIVEN_HEADER, digest_algorithm(&(struct digest){ .alg = alg }));
	return response;
}
