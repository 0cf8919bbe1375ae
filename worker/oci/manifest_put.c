/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest_put - a manifest is pushed: type and ?tag= are checked, the rest is the registry's (registry_put()).
 *
 * An image or index that is taken though something of it is missing gets a Warning.
 */
#include "common/check.h"
#include "common/str.h"
#include "worker/auth/auth.h"
#include "worker/auth/rights.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/oci_denied.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/registry/registry.h"
#include "worker/registry/repository_room.h"

#define TAG_PARAMETERS_MAX 46

struct put {
	struct registry_push push;
	struct oci_job *job;
	struct oci_asker asker;
	char *tags[TAG_PARAMETERS_MAX + 1]; /* those of the index: the reference, or ?tag= */
	size_t tags_len;
};

static void put_free(void *own)
{
	struct put *put = own;

	for (size_t i = 0; i < put->tags_len; i++)
		free(put->tags[i]);
	free(put);
}

static bool has_tag(const struct put *put, struct str tag)
{
	for (size_t i = 0; i < put->tags_len; i++)
		if (str_is(tag, put->tags[i]))
			return true;
	return false;
}

static bool take_tag(struct put *put, struct str escaped, struct error *err)
{
	AUTO_FINI(buf) tag = buf_limit(1024);

	if (!http_unescape(escaped, true, &tag) || !tag_is_valid(buf_str(&tag)))
		return error_set(
			err, ERROR_INVALID, "MANIFEST_INVALID", "a tag parameter is not a valid tag");
	if (!has_tag(put, buf_str(&tag)))
		put->tags[put->tags_len++] = str_dup(buf_str(&tag));
	return true;
}

/* The tags that the manifest gets. *status is set where the error's own is not the one. */
static bool take_tags(struct put *put, unsigned *status, struct error *err)
{
	const struct reference *reference = &put->job->ask.route.reference;
	struct str query = put->job->ask.query, name, value;
	unsigned count = http_query_get(query, "tag", NULL);

	if (count > TAG_PARAMETERS_MAX) {
		*status = 414;
		return error_set(err, ERROR_INVALID, "MANIFEST_INVALID", "more than %d tag parameters",
			TAG_PARAMETERS_MAX);
	}
	if (count && !reference->is_digest)
		return error_set(err, ERROR_INVALID, "MANIFEST_INVALID",
			"tag parameters go with a digest, not with a tag");
	if (!reference->is_digest)
		put->tags[put->tags_len++] = check_strdup(reference->tag);
	while (http_query_next(&query, &name, &value))
		if (str_is(name, "tag") && !take_tag(put, value, err))
			return false;
	return true;
}

static bool check_type(const struct oci_ask *ask, unsigned *status, struct error *err)
{
	struct str type = str_of(ask->content_type), head = STR_NONE, rest = type;

	if (str_until(&rest, ';', &head))
		type = head;
	type = str_trim(type);
	if (!type.len || media_type_is_manifest(type, ask->registry->options.docker2s2))
		return true;
	*status = 415;
	return error_set(err, ERROR_INVALID, "MANIFEST_INVALID", "the Content-Type %.*s is not stored%s",
		(int)(type.len < 100 ? type.len : 100), type.at,
		media_type_is_manifest(type, true) ? ": Docker's schema 2 needs \"docker2s2\" in http.compat"
						   : " as a manifest");
}

static void warn_of_missing(const struct registry_push *push, struct http_response *response)
{
	char digest[DIGEST_TEXT_SIZE];

	if (!push->missing_len)
		return;
	digest_format(&push->missing, digest);
	oci_reply_warning(response, "the repository has no %s%s", digest,
		push->missing_len > 1 ? " and other content that this manifest names"
				      : ", which this manifest names");
}

static struct http_response *reply_created(const struct put *put)
{
	struct http_response *response = http_response_empty(201);
	const struct registry_push *push = &put->push;
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&push->stored, digest);
	http_response_headerf(response, "Location", "/v2/%s/manifests/%s", push->name, digest);
	http_response_header(response, "Docker-Content-Digest", digest);
	if (push->has_subject) {
		digest_format(&push->subject, digest);
		http_response_header(response, "OCI-Subject", digest);
	}
	for (size_t i = 0; i < put->tags_len && push->digest; i++)
		http_response_header(response, "OCI-Tag", put->tags[i]);
	warn_of_missing(push, response);
	return response;
}

static struct http_response *reply_refused(
	const struct oci_ask *ask, unsigned status, const struct error *err)
{
	if (err->kind == ERROR_DENIED)
		return oci_denied_reply(ask, err->text);
	return status ? oci_reply_status(status, err) : oci_reply_error(err);
}

static struct http_response *reply(const struct put *put)
{
	const struct registry_push *push = &put->push;
	const struct oci_ask *ask = &put->job->ask;

	if (push->ok)
		return reply_created(put);
	if (push->err.kind == ERROR_BUSY && push->err.code && !strcmp(push->err.code, "TOOMANYREQUESTS")) {
		counter_add(&ask->counters->repository_limit_refused_total, 1);
		return oci_reply_limit(repository_room_limit(ask->registry->room));
	}
	return push->limit ? oci_denied_limit(ask, push->limit, &push->err)
			   : reply_refused(ask, 0, &push->err);
}

static void on_put(struct registry_push *push)
{
	struct put *put = push->arg;

	if (push->ok)
		counter_add(&put->job->ask.counters->manifest_pushes_total, 1);
	oci_job_reply(put->job, reply(put));
}

static bool may(const struct oci_ask *ask, enum action action)
{
	return rights_allow(ask->snapshot, ask->identity, name_str(&ask->route.name), action);
}

static void push_of(struct put *put)
{
	const struct oci_ask *ask = &put->job->ask;

	oci_job_asker(put->job, &put->asker);
	put->push = (struct registry_push){ .name = ask->route.name.text,
		.digest = ask->route.reference.is_digest ? &ask->route.reference.digest : NULL,
		.sha256 = ask->body_sha256,
		.tags = (const char *const *)put->tags,
		.tags_len = put->tags_len,
		.type = ask->content_type,
		.bytes = ask->body,
		.call = ask->call,
		.by = ask->identity->user,
		.asker = &put->asker.asker,
		.may_create = may(ask, ACTION_CREATE),
		.may_update = may(ask, ACTION_UPDATE),
		.limits = snapshot_limits(ask->snapshot, name_str(&ask->route.name)),
		.done = on_put,
		.arg = put };
}

struct http_response *oci_manifest_put_job(void *arg)
{
	struct oci_job *job = arg;
	struct put *put = xnew(struct put);
	unsigned status = 0;
	struct error err;

	put->job = job;
	job->own = put;
	job->own_free = put_free;
	if (!check_type(&job->ask, &status, &err) || !take_tags(put, &status, &err))
		return reply_refused(&job->ask, status, &err);
	push_of(put);
	registry_put(job->ask.registry, &put->push);
	return NULL;
}
