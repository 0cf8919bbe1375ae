/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_start - POST: a new session, a whole blob at once (?digest=), or a mount (?mount=&from=).
 *
 * A mount that cannot be done, for whatever reason, becomes a new session: the client then sends
 * the bytes. Without `from` the repositories are tried in which the blob was seen lately and that the client
 * may read. One from a repository that lies at another worker: mount_far.h.
 */
#include "common/check.h"
#include "worker/auth/rights.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/mount_far.h"
#include "worker/oci/oci_call.h"
#include "worker/oci/oci_denied.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/oci/upload.h"
#include "worker/oci/upload_finish.h"
#include "worker/oci/upload_room.h"
#include "worker/oci/upload_stream.h"
#include "worker/oci/upload_write.h"
#include "worker/registry/registry.h"
#include "worker/registry/repository_limits.h"
#include "worker/storage/store.h"

static bool find_algorithm(struct str query, enum hash_kind *ret, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(64);

	*ret = HASH_SHA256;
	if (!http_query_get(query, "digest-algorithm", &text))
		return true;
	return (!text.failed && digest_algorithm_parse(buf_str(&text), ret)) ||
	       error_set(err, ERROR_INVALID, "DIGEST_INVALID", "digest-algorithm is not supported");
}

/* Thread  any. */
static struct http_response *start_session(const struct oci_ask *ask)
{
	struct http_response *response;
	struct upload *upload;
	enum hash_kind alg;
	struct error err;

	if (!find_algorithm(ask->query, &alg, &err) || !upload_open(ask, alg, &upload, &err))
		return oci_reply_error(&err);
	response = upload_reply(202, ask, &upload->id, 0);
	upload_release(upload);
	return response;
}

/* Mount. */

static bool parse_digest_parameter(struct str query, const char *name, struct digest *ret, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(DIGEST_TEXT_SIZE);

	if (http_query_get(query, name, &text) != 1 || text.failed)
		return error_set(
			err, ERROR_INVALID, "DIGEST_INVALID", "parameter \"%s\" is not one digest", name);
	return digest_parse(buf_str(&text), ret, err);
}

static bool find_from(const struct oci_ask *ask, struct name *ret)
{
	AUTO_FINI(buf) text = buf_limit(NAME_MAX_LEN + 1);
	struct error ignored;

	return http_query_get(ask->query, "from", &text) == 1 && !text.failed &&
	       name_parse(buf_str(&text), ret, &ignored);
}

static bool may_read(void *arg, struct str name)
{
	const struct oci_ask *ask = arg;

	return rights_allow(ask->snapshot, ask->identity, name, ACTION_READ);
}

/* *ret: where the blob is said to be. One that cannot be a repository is one that lacks the blob. False: anywhere. */
static bool named_from(const struct oci_ask *ask, struct name *ret)
{
	if (!http_query_get(ask->query, "from", NULL))
		return false;
	if (!find_from(ask, ret))
		*ret = ask->route.name;
	return true;
}

static bool try_mount(struct oci_ask *ask, const struct digest *digest)
{
	struct name from;
	bool is_named = named_from(ask, &from);

	return registry_mount(ask->registry, name_str(&ask->route.name), digest,
		is_named ? name_str(&from) : STR_NONE, may_read, ask);
}

/* Of a blob that is to be mounted at least: 1 where the client may not know. */
static uint64_t mount_bytes(struct oci_ask *ask, const struct digest *digest)
{
	struct error ignored;
	struct name from;
	uint64_t size;

	return named_from(ask, &from) && may_read(ask, name_str(&from)) &&
			       store_blob_size(ask->registry->store, name_str(&from), digest, &size, &ignored)
		       ? size
		       : 1;
}

static bool allow_mount(struct oci_ask *ask, const struct digest *digest, struct error *err)
{
	const struct entity *limits = snapshot_limits(ask->snapshot, name_str(&ask->route.name));
	struct registry_blob blob = { .name = name_str(&ask->route.name), .digest = digest };

	if (!repository_limits_count_bytes(limits))
		return true;
	blob.bytes = mount_bytes(ask, digest);
	return repository_limits_allow_blob(ask->registry, limits, &blob, err);
}

/* NULL: the job runs once more. */
static struct http_response *mount_from_afar(
	struct oci_job *job, const struct digest *digest, const struct mount_source *source)
{
	struct error err;

	switch (mount_far_try(job, digest, source, &err)) {
	case MOUNT_FAR_DONE:
		return upload_reply_stored(job->ask.route.name.text, digest);
	case MOUNT_FAR_WAITS:
		return NULL;
	case MOUNT_FAR_LIMIT:
		return oci_denied_limit(&job->ask, REGISTRY_LIMIT_BYTES, &err);
	case MOUNT_FAR_NOT:
		break;
	}
	return start_session(&job->ask);
}

static struct http_response *mount_job(void *arg)
{
	struct oci_job *job = arg;
	struct mount_source source;
	struct digest digest;
	struct name from;
	struct error err;

	if (!parse_digest_parameter(job->ask.query, "mount", &digest, &err))
		return oci_reply_error(&err);
	if (named_from(&job->ask, &from) &&
		mount_far_is_needed(&job->ask, &digest, name_str(&from), &source.member)) {
		source.from = name_str(&from);
		return mount_from_afar(job, &digest, &source);
	}
	if (!allow_mount(&job->ask, &digest, &err))
		return oci_denied_limit(&job->ask, REGISTRY_LIMIT_BYTES, &err);
	if (try_mount(&job->ask, &digest))
		return upload_reply_stored(job->ask.route.name.text, &digest);
	return start_session(&job->ask);
}

/* The whole blob at once. */

static void on_whole(struct oci_call *call, struct upload *upload, const struct error *err)
{
	struct digest digest;
	struct error malformed;

	if (!err && upload_query_digest(call->ask.query, &digest, &malformed)) {
		upload_finish_start(call, upload, &digest);
		return;
	}
	upload_end(upload);
	http_request_reply(call->request, oci_reply_error(err ? err : &malformed));
}

static void write_whole(struct oci_call *call, struct upload *upload)
{
	struct digest digest;
	struct error err;

	http_request_wait_limit(call->request, UPLOAD_FINISH_WAIT_MS);
	CHECK(upload_query_digest(call->ask.query, &digest, &err));
	if (!upload_stream_start(call, upload, &digest, STREAM_SESSION_ENDS))
		upload_write_start(call, upload, on_whole);
}

static void start_whole(struct oci_call *call)
{
	const struct oci_ask *ask = &call->ask;
	int64_t length = http_request_length(call->request);
	struct upload *upload;
	struct digest digest;
	struct error err;

	if (!upload_query_digest(ask->query, &digest, &err) || !upload_open(ask, digest.alg, &upload, &err)) {
		http_request_reply(call->request, oci_reply_error(&err));
		return;
	}
	upload_room_ask(call, upload, &digest, length > 0 ? (uint64_t)length : 0, write_whole);
}

static void start_empty(struct oci_call *call, struct upload *none)
{
	(void)none;
	http_request_reply(call->request, start_session(&call->ask));
}

void oci_upload_start_stream(void *arg)
{
	struct oci_call *call = arg;
	struct str query = call->ask.query;

	if (http_query_get(query, "mount", NULL)) {
		/* A blob of another worker takes its time. */
		if (call->ask.others)
			http_request_wait_limit(call->request, UPLOAD_FINISH_WAIT_MS);
		oci_job_start(call, mount_job);
	} else if (http_query_get(query, "digest", NULL)) {
		start_whole(call);
	} else {
		upload_room_ask(call, NULL, NULL, 0, start_empty);
	}
}
