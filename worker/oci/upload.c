/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/upload.h"

#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/oci/upload_chunk.h"
#include "worker/oci/upload_owner_key.h"
#include "worker/registry/registry.h"

static struct http_response *put_headers(
	struct http_response *response, const struct oci_ask *ask, const struct upload_id *id, uint64_t size)
{
	char range[UPLOAD_RANGE_SIZE];
	struct upload_id told = *id;

	if (size)
		upload_id_begun(&told);
	upload_range_format(size, range);
	http_response_headerf(
		response, "Location", "/v2/%s/blobs/uploads/%s", ask->route.name.text, told.text);
	http_response_header(response, "Range", range);
	http_response_header(response, "Docker-Upload-UUID", told.text);
	return response;
}

struct http_response *upload_reply(
	unsigned status, const struct oci_ask *ask, const struct upload_id *id, uint64_t size)
{
	return put_headers(http_response_empty(status), ask, id, size);
}

struct http_response *upload_reply_refused(unsigned status, const struct oci_ask *ask,
	const struct upload_id *id, uint64_t size, const struct error *err)
{
	return put_headers(oci_reply_status(status, err), ask, id, size);
}

bool upload_open(const struct oci_ask *ask, enum hash_kind alg, struct upload **ret, struct error *err)
{
	AUTO_FINI(buf) owner = buf_limit(UPLOAD_OWNER_KEY_MAX);

	upload_owner_key(ask->identity, &ask->client, &owner);
	if (!buf_check(&owner, "the client's name", err) ||
		!uploads_open(
			ask->registry->uploads, buf_str(&owner), name_str(&ask->route.name), alg, ret, err))
		return false;
	counter_add(&ask->counters->uploads_started_total, 1);
	return true;
}

bool upload_query_digest(struct str query, struct digest *ret, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(DIGEST_TEXT_SIZE);

	if (http_query_get(query, "digest", &text) != 1 || text.failed)
		return error_set(err, ERROR_INVALID, "DIGEST_INVALID", "one parameter \"digest\" is needed");
	return digest_parse(buf_str(&text), ret, err);
}

struct http_response *oci_upload_status_inline(void *call)
{
	const struct oci_ask *ask = call;
	struct upload_id here;
	uint64_t size;
	struct error err;

	if (!uploads_look(ask->registry->uploads, name_str(&ask->route.name), &ask->route.upload, &size,
		    &here, &err))
		return oci_reply_error(&err);
	return upload_reply(204, ask, &here, size);
}

struct http_response *oci_upload_cancel_inline(void *call)
{
	const struct oci_ask *ask = call;
	struct error err;

	if (!uploads_cancel(ask->registry->uploads, name_str(&ask->route.name), &ask->route.upload, &err))
		return oci_reply_error(&err);
	return http_response_empty(204);
}
