/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/upload_finish.h"

#include "common/check.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/oci_call.h"
#include "worker/oci/oci_denied.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/registry.h"
#include "worker/registry/repository_limits.h"

struct finish {
	struct upload *upload; /* NULL: over */
	struct digest digest;
	struct registry_streamed push; /* of one that went to the store as it came */
	bool is_push;
	struct pool *pool;
};

static void finish_free(void *own)
{
	struct finish *finish = own;

	if (finish->upload && finish->is_push)
		upload_streams(finish->upload, 0);
	if (finish->upload)
		upload_release(finish->upload);
	registry_streamed_end(&finish->push, finish->pool);
	free(finish);
}

struct http_response *upload_reply_stored(const char *name, const struct digest *digest)
{
	struct http_response *response = http_response_empty(201);
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	http_response_headerf(response, "Location", "/v2/%s/blobs/%s", name, text);
	http_response_header(response, "Docker-Content-Digest", text);
	return response;
}

/* Here digest and size are known, however they came. */
static bool allow(const struct oci_job *job, const struct finish *finish, struct error *err)
{
	struct str name = name_str(&job->ask.route.name);
	struct registry_blob blob = {
		.name = name, .digest = &finish->digest, .bytes = finish->upload->size
	};

	return repository_limits_allow_blob(
		job->ask.registry, snapshot_limits(job->ask.snapshot, name), &blob, err);
}

static struct http_response *finish_job(void *arg)
{
	struct oci_job *job = arg;
	struct finish *finish = job->own;
	struct error err;
	bool over, ok;

	if (!allow(job, finish, &err)) {
		upload_end(TAKE(finish->upload));
		return oci_denied_limit(&job->ask, REGISTRY_LIMIT_BYTES, &err);
	}
	ok = finish->is_push
		     ? registry_finish_streamed(
			       job->ask.registry, finish->upload, &finish->digest, &finish->push, &over, &err)
		     : registry_finish(job->ask.registry, finish->upload, &finish->digest, &over, &err);
	if (over)
		finish->upload = NULL;
	if (!ok)
		return oci_reply_error(&err);
	counter_add(&job->ask.counters->blob_pushes_total, 1);
	counter_add(&job->ask.counters->uploads_finished_total, 1);
	return upload_reply_stored(job->ask.route.name.text, &finish->digest);
}

static struct finish *finish_new(
	const struct oci_call *call, struct upload *upload, const struct digest *digest)
{
	struct finish *finish = xnew(struct finish);

	finish->upload = upload;
	finish->digest = *digest;
	finish->pool = call->ask.registry->pool;
	return finish;
}

void upload_finish_start(struct oci_call *call, struct upload *upload, const struct digest *digest)
{
	oci_job_start_with(call, finish_job, finish_new(call, upload, digest), finish_free);
}

void upload_finish_start_push(struct oci_call *call, struct upload *upload, const struct digest *digest,
	const struct registry_streamed *push)
{
	struct finish *finish = finish_new(call, upload, digest);

	finish->push = *push;
	finish->is_push = true;
	oci_job_start_with(call, finish_job, finish, finish_free);
}
