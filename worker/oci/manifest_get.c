/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest_get - GET and HEAD of a manifest by tag or digest.
 *
 * The way that counts is the inline one: the index and the bytes are in memory, nothing is copied.
 */
#include "common/log.h"
#include "worker/oci/oci_condition.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/registry/manifest_cache.h"
#include "worker/registry/registry.h"

static const struct index_entry *find_entry(const struct oci_ask *ask, const struct index *index)
{
	const struct reference *reference = &ask->route.reference;

	return reference->is_digest ? index_find_digest(index, &reference->digest)
				    : index_find_tag(index, str_of(reference->tag));
}

static void release_body(void *arg)
{
	manifest_body_free(arg);
}

static struct http_response *reply_unknown(void)
{
	struct error err;

	(void)error_set(&err, ERROR_UNKNOWN, "MANIFEST_UNKNOWN", "the repository has no such manifest");
	return oci_reply_error(&err);
}

static void put_headers(struct http_response *response, const struct index_entry *entry)
{
	char text[DIGEST_TEXT_SIZE + 2];
	size_t len;

	digest_format(&entry->descriptor.digest, text + 1);
	http_response_header(response, "Docker-Content-Digest", text + 1);
	len = strlen(text + 1);
	text[0] = '"';
	text[len + 1] = '"';
	text[len + 2] = '\0';
	http_response_header(response, "ETag", text);
}

/* What can be said without the bytes; NULL: they are needed. */
static struct http_response *reply_without_body(const struct oci_ask *ask, const struct index_entry *entry)
{
	struct http_response *response;

	if (!entry)
		return reply_unknown();
	response = oci_condition_reply(ask, &entry->descriptor.digest);
	if (response || ask->method != HTTP_HEAD)
		return response;
	response = http_response_announce(200, entry->descriptor.size);
	http_response_header(response, "Content-Type", entry->descriptor.media_type);
	put_headers(response, entry);
	return response;
}

/* Takes over the reference to the body. */
static struct http_response *reply_body(
	const struct oci_ask *ask, const struct index_entry *entry, struct manifest_body *body)
{
	struct http_response *response = http_response_shared(200, body->bytes, release_body, body);

	http_response_header(response, "Content-Type", entry->descriptor.media_type);
	put_headers(response, entry);
	counter_add(&ask->counters->manifest_pulls_total, 1);
	registry_pulled(ask->registry, name_str(&ask->route.name), &entry->descriptor.digest,
		ask->route.reference.is_digest ? NULL : ask->route.reference.tag);
	return response;
}

struct http_response *oci_manifest_get_inline(void *call)
{
	const struct oci_ask *ask = call;
	AUTO(index) *index = registry_peek(ask->registry, name_str(&ask->route.name));
	const struct index_entry *entry;
	struct http_response *response;
	struct manifest_body *body;

	if (!index)
		return NULL;
	entry = find_entry(ask, index);
	if (entry && registry_may_be_absent(ask->registry, &entry->descriptor.digest))
		return NULL;
	response = reply_without_body(ask, entry);
	if (response)
		return response;
	body = registry_manifest_peek(ask->registry, &entry->descriptor.digest);
	return body ? reply_body(ask, entry, body) : NULL;
}

/* Of one that was found to be gone: is it there by now? */
static struct http_response *reply_absent(const struct oci_ask *ask, const struct index_entry *entry)
{
	struct manifest_body *body;
	struct error err;

	if (!entry || !registry_may_be_absent(ask->registry, &entry->descriptor.digest))
		return NULL;
	if (!registry_manifest(
		    ask->registry, name_str(&ask->route.name), &entry->descriptor.digest, &body, &err))
		return oci_reply_error(&err);
	manifest_body_free(body);
	return NULL;
}

static struct http_response *get_by_store(const struct oci_ask *ask)
{
	struct str name = name_str(&ask->route.name);
	AUTO(index) *index = NULL;
	const struct index_entry *entry;
	struct http_response *response;
	struct manifest_body *body;
	struct error err;

	if (!registry_index(ask->registry, name, &index, &err))
		return oci_reply_unknown(&err, "NAME_UNKNOWN");
	entry = find_entry(ask, index);
	response = reply_absent(ask, entry);
	if (!response)
		response = reply_without_body(ask, entry);
	if (response)
		return response;
	if (!registry_manifest(ask->registry, name, &entry->descriptor.digest, &body, &err)) {
		log_warn("manifest.unreadable", "name=%.*s error=%s", STR_ARGS(name),
			log_quote(str_of(err.text)));
		return oci_reply_error(&err);
	}
	return reply_body(ask, entry, body);
}

struct http_response *oci_manifest_get_job(void *arg)
{
	struct oci_job *job = arg;
	return get_by_store(&job->ask);
}
