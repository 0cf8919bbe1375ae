/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_get - GET and HEAD of a blob.
 *
 *   a file       opened here, sent by sendfile
 *   in a bucket  HEAD asks for the size on the pool, GET streams (blob_pull.c) or sends the client there (blob_redirect.c); what the cache has is a
 *                file (blob_cached.c)
 *
 * One range is a 206 of its own, several are one of multipart/byteranges (blob_parts.c).
 */
#include "worker/oci/blob_get.h"

#include <inttypes.h>

#include "common/check.h"
#include "common/cleanup.h"
#include "worker/oci/blob_parts.h"
#include "worker/oci/oci_call.h"
#include "worker/oci/oci_condition.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

static void put_cache(struct http_response *response)
{
	http_response_header(response, "Cache-Control", "private, max-age=31536000, immutable");
}

void blob_headers(struct http_response *response, const struct digest *digest)
{
	oci_reply_digest(response, digest);
	oci_reply_etag(response, digest);
	http_response_header(response, "Accept-Ranges", "bytes");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	put_cache(response);
}

static struct http_response *reply_condition(const struct oci_ask *ask)
{
	struct http_response *response = oci_condition_reply(ask, &ask->route.digest);

	if (response && http_response_status(response) == 304)
		put_cache(response);
	return response;
}

struct http_response *blob_reply_unsatisfiable(const struct digest *digest, uint64_t size)
{
	struct http_response *response = http_response_empty(416);

	oci_reply_digest(response, digest);
	http_response_headerf(response, "Content-Range", "bytes */%" PRIu64, size);
	return response;
}

static void put_type(struct http_response *response, const struct digest *digest)
{
	http_response_header(response, "Content-Type", "application/octet-stream");
	blob_headers(response, digest);
}

const char *blob_range_header(const struct oci_call *call)
{
	const char *condition = http_request_header(call->request, "If-Range");

	if (http_request_header_count(call->request, "Range") != 1 ||
		http_request_header_count(call->request, "If-Range") > 1)
		return NULL;
	if (condition && !oci_if_range(condition, &call->ask.route.digest))
		return NULL;
	return http_request_header(call->request, "Range");
}

/* Files. */

struct http_response *blob_reply_file(const struct oci_call *call, const struct range *part, uint64_t size,
	const struct http_growing *growing)
{
	struct http_response *response;

	if (growing->broken)
		response = http_response_growing(part ? 206 : 200, growing);
	else
		response = http_response_file(part ? 206 : 200, growing->fd, growing->offset, growing->len);
	if (part)
		http_response_headerf(response, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
			part->first, part->last, size);
	put_type(response, &call->ask.route.digest);
	counter_add(&call->ask.counters->blob_pulls_total, 1);
	return response;
}

static void free_parts(void *parts)
{
	blob_parts_free(parts);
}

/* A GET that its conditions let through. */
static void send_file(struct oci_call *call, struct blob_source *source, struct http_growing growing)
{
	const struct digest *digest = &call->ask.route.digest;
	struct range ranges[RANGE_MAX];
	unsigned len = 0;
	enum range_kind kind = range_parse(blob_range_header(call), source->size, ranges, &len);

	if (kind == RANGE_UNSATISFIABLE) {
		http_request_reply(call->request, blob_reply_unsatisfiable(digest, source->size));
		return;
	}
	if (kind == RANGE_PART && len > 1) {
		call->stream = blob_parts_start(call, TAKE_FD(source->fd), ranges, len, source->size);
		call->stream_done = free_parts;
		return;
	}
	growing.fd = TAKE_FD(source->fd);
	growing.offset = kind == RANGE_PART ? ranges[0].first : 0;
	growing.len = growing.there = kind == RANGE_PART ? range_length(&ranges[0]) : source->size;
	http_request_reply(call->request,
		blob_reply_file(call, kind == RANGE_PART ? &ranges[0] : NULL, source->size, &growing));
}

void blob_serve_file(struct oci_call *call, struct blob_source *source, void (*broken)(void *arg), void *arg)
{
	struct http_response *response = reply_condition(&call->ask);

	if (!response && call->ask.method == HTTP_HEAD) {
		response = http_response_announce(200, source->size);
		put_type(response, &call->ask.route.digest);
	}
	if (response)
		http_request_reply(call->request, response);
	else
		send_file(call, source, (struct http_growing){ .broken = broken, .arg = arg });
}

/* What only the pool can ask for: the size of an object. */

/* What was met was empty, and has its bytes since its size was asked for (worker/storage/s3_stand_in.c). */
static struct http_response *reply_come_again(const struct oci_job *job)
{
	struct http_response *response = http_response_empty(307);
	char text[DIGEST_TEXT_SIZE];

	digest_format(&job->ask.route.digest, text);
	http_response_headerf(response, "Location", "/v2/%s/blobs/%s", job->ask.route.name.text, text);
	return response;
}

static struct http_response *head_job(void *arg)
{
	struct range ranges[RANGE_MAX];
	unsigned len;
	struct oci_job *job = arg;
	const struct digest *digest = &job->ask.route.digest;
	struct registry *registry = job->ask.registry;
	struct str name = name_str(&job->ask.route.name);
	uint64_t size, mark = registry_seen_mark(registry, name);
	struct http_response *response;
	struct error err;

	if (!store_blob_size(registry->store, name, digest, &size, &err))
		return oci_reply_unknown(&err, "BLOB_UNKNOWN");
	registry_saw(registry, name, digest, size, mark);
	response = reply_condition(&job->ask);
	if (!response && job->ask.method == HTTP_HEAD) {
		response = http_response_announce(200, size);
		put_type(response, digest);
	} else if (!response && range_parse(job->own, size, ranges, &len) == RANGE_UNSATISFIABLE) {
		response = blob_reply_unsatisfiable(digest, size);
	} else if (!response) {
		response = reply_come_again(job);
	}
	return response;
}

void blob_start_head(struct oci_call *call)
{
	const char *range = blob_range_header(call);

	oci_job_start_with(call, head_job, range ? check_strdup(range) : NULL, free);
}

/* Only what is there can fail a condition, and a 416 tells the size: both are asked for first. */
static void serve_bucket(struct oci_call *call)
{
	const struct oci_ask *ask = &call->ask;
	const char *header = blob_range_header(call);
	struct range ranges[RANGE_MAX];
	unsigned len;
	enum range_kind kind = range_parse(header, INT64_MAX, ranges, &len);

	if (ask->method == HTTP_HEAD || kind == RANGE_UNSATISFIABLE ||
		oci_condition(ask->if_match, ask->if_none_match, &ask->route.digest) != OCI_CONDITION_MET)
		blob_start_head(call);
	else if (blob_may_redirect(call))
		blob_start_redirect(call);
	else
		blob_pull_start(call, kind == RANGE_PART ? header : NULL);
}

/* Who hears that it is there need not send it: it is not collected before the manifest has come that names it. */
static bool hear_head(struct oci_call *call)
{
	const struct oci_ask *ask = &call->ask;
	struct str name = name_str(&ask->route.name);
	struct error err;

	registry_was_asked(ask->registry, name, &ask->route.digest);
	if (!registry_is_going(ask->registry, name, &ask->route.digest))
		return true;
	(void)error_set(&err, ERROR_UNKNOWN, "BLOB_UNKNOWN", "the blob is just being deleted");
	http_request_reply(call->request, oci_reply_error(&err));
	return false;
}

void oci_blob_get_stream(void *arg)
{
	struct oci_call *call = arg;
	const struct oci_ask *ask = &call->ask;
	struct blob_source source = { .fd = -1 };
	struct error err;

	if (ask->method == HTTP_HEAD && !hear_head(call))
		return;
	if (!store_has_files(ask->registry->store, name_str(&ask->route.name))) {
		if (blob_may_redirect(call) || !blob_cached_serve(call))
			serve_bucket(call);
		return;
	}
	if (store_blob_source(ask->registry->store, name_str(&ask->route.name), &ask->route.digest, NULL,
		    &source, &err))
		blob_serve_file(call, &source, NULL, NULL);
	else
		http_request_reply(call->request, oci_reply_unknown(&err, "BLOB_UNKNOWN"));
	blob_source_fini(&source);
}
