/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_chunks - PATCH appends to a session; PUT appends what it brings and closes the session. A peer's PATCH with ?holder= takes
 * one that has no byte (upload_give.h).
 */
#include "common/check.h"
#include "worker/oci/oci_call.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/oci/upload.h"
#include "worker/oci/upload_chunk.h"
#include "worker/oci/upload_finish.h"
#include "worker/oci/upload_give.h"
#include "worker/oci/upload_room.h"
#include "worker/oci/upload_stream.h"
#include "worker/oci/upload_write.h"
#include "worker/registry/registry.h"

static const char *content_range(const struct oci_call *call)
{
	return http_request_header(call->request, "Content-Range");
}

/* The session stays as it is. */
static void refuse(struct oci_call *call, struct upload *upload, unsigned status, const struct error *err)
{
	struct http_response *response =
		upload_reply_refused(status, &call->ask, &upload->id, upload->size, err);

	upload_release(upload);
	http_request_reply(call->request, response);
}

/* The session, held, if this request's body may be appended to it; else the reply was given. */
static struct upload *acquire(struct oci_call *call)
{
	const struct oci_ask *ask = &call->ask;
	struct upload *upload = TAKE(call->upload);
	unsigned status = 400;
	struct error err;

	if (!upload && !uploads_acquire(ask->registry->uploads, name_str(&ask->route.name),
			       &ask->route.upload, &upload, &err)) {
		http_request_reply(call->request, oci_reply_error(&err));
		return NULL;
	}
	if (upload_chunk_check(
		    content_range(call), http_request_length(call->request), upload->size, &status, &err))
		return upload;
	refuse(call, upload, status, &err);
	return NULL;
}

/* False: the reply was given. A session whose bytes could not be kept is over. */
static bool check_written(struct oci_call *call, struct upload *upload, const struct error *err)
{
	unsigned status = 400;
	struct error size_err;

	if (err) {
		upload_end(upload);
		http_request_reply(call->request, oci_reply_error(err));
		return false;
	}
	if (upload_chunk_check_end(
		    content_range(call), http_request_bytes_in(call->request), &status, &size_err))
		return true;
	refuse(call, upload, status, &size_err);
	return false;
}

static void on_patched(struct oci_call *call, struct upload *upload, const struct error *err)
{
	struct http_response *response;

	if (!check_written(call, upload, err))
		return;
	response = upload_reply(202, &call->ask, &upload->id, upload->size);
	upload_release(upload);
	http_request_reply(call->request, response);
}

/* That the session will have, as far as that is known. */
static uint64_t bytes_of(const struct oci_call *call, const struct upload *upload)
{
	int64_t length = http_request_length(call->request);

	return upload->size + (length > 0 ? (uint64_t)length : 0);
}

static void patch(struct oci_call *call, struct upload *upload)
{
	upload_write_start(call, upload, on_patched);
}

void oci_upload_patch_stream(void *arg)
{
	struct oci_call *call = arg;
	struct upload *upload;

	if (upload_give_is_asked(call)) {
		http_request_reply(call->request, upload_give(&call->ask));
		return;
	}
	upload = acquire(call);
	if (!upload)
		return;
	if (!http_request_length(call->request))
		on_patched(call, upload, NULL);
	else
		upload_room_ask(call, upload, NULL, bytes_of(call, upload), patch);
}

static void on_put(struct oci_call *call, struct upload *upload, const struct error *err)
{
	struct digest digest;
	struct error malformed;

	if (!check_written(call, upload, err))
		return;
	if (upload_query_digest(call->ask.query, &digest, &malformed))
		upload_finish_start(call, upload, &digest);
	else
		refuse(call, upload, 400, &malformed);
}

static void put(struct oci_call *call, struct upload *upload)
{
	struct digest digest;
	struct error err;

	CHECK(upload_query_digest(call->ask.query, &digest, &err));
	if (!upload_stream_start(call, upload, &digest, STREAM_SESSION_STAYS))
		upload_write_start(call, upload, on_put);
}

void oci_upload_put_stream(void *arg)
{
	struct oci_call *call = arg;
	struct upload *upload = acquire(call);
	struct digest digest;
	struct error err;

	if (!upload)
		return;
	http_request_wait_limit(call->request, UPLOAD_FINISH_WAIT_MS);
	if (!upload_query_digest(call->ask.query, &digest, &err))
		refuse(call, upload, 400, &err);
	else if (!http_request_length(call->request))
		on_put(call, upload, NULL);
	else
		upload_room_ask(call, upload, &digest, bytes_of(call, upload), put);
}
