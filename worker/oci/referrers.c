/* SPDX-License-Identifier: Apache-2.0 */
/*
 * referrers - the manifests whose subject is a digest: an image index, page by page.
 *
 * A repository that does not exist has an empty list. A page ends after REFERRERS_PAGE_MAX entries,
 * or before it passes the size that a manifest may have; the Link's `last` is the digest of the last
 * entry of the page. When that entry is gone by the time the client follows, the list starts anew:
 * seeing an entry twice is harmless, missing one is not.
 */
#include "common/json.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_page.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/registry/registry.h"

#define REFERRERS_PAGE_MAX 1000
#define REFERRERS_TYPE     "application/vnd.oci.image.index.v1+json"
#define FILTERS_MAX        16

struct referrers {
	const struct oci_ask *ask;
	const struct index *index; /* NULL: no such repository */
	struct oci_page page;
	struct buf filters; /* artifact types, each followed by NUL */
	unsigned filters_len;
	char last[DIGEST_TEXT_SIZE]; /* what was put at last */
};

static bool parse_filters(struct referrers *r, struct error *err)
{
	struct str name, value, query = r->ask->query;

	r->filters = buf_limit(8192);
	while (http_query_next(&query, &name, &value)) {
		if (!str_is(name, "artifactType"))
			continue;
		if (r->filters_len == FILTERS_MAX || !http_unescape(value, true, &r->filters))
			return error_set(
				err, ERROR_INVALID, NULL, "artifactType is malformed or given too often");
		buf_putc(&r->filters, '\0');
		r->filters_len++;
	}
	return buf_check(&r->filters, "artifactType", err);
}

static bool is_wanted(const struct referrers *r, const struct index_entry *entry)
{
	const char *at = buf_text(&r->filters);

	for (unsigned i = 0; i < r->filters_len; i++, at += strlen(at) + 1)
		if (entry->descriptor.artifact_type && !strcmp(at, entry->descriptor.artifact_type))
			return true;
	return !r->filters_len;
}

static size_t first_place(const struct referrers *r, size_t len)
{
	struct digest last;
	struct error err;

	if (!r->page.has_last || !digest_parse(str_of(r->page.last), &last, &err))
		return 0;
	for (size_t at = 0; at < len; at++)
		if (digest_equal(&index_referrer_at(r->index, &r->ask->route.digest, at)->descriptor.digest,
			    &last))
			return at + 1;
	return 0;
}

/* The content is measured before it is taken, so that a page never passes the limit. */
static bool put_entry(struct json_writer *writer, const struct index_entry *entry, struct buf *scratch)
{
	struct json_writer alone = json_writer(scratch);

	buf_clear(scratch);
	descriptor_write(&alone, &entry->descriptor);
	if (scratch->failed || writer->into->len + scratch->len + 64 > MANIFEST_MAX)
		return false;
	descriptor_write(writer, &entry->descriptor);
	return true;
}

/* True when there is more behind the page. */
static bool put_entries(struct referrers *r, struct json_writer *writer)
{
	const struct digest *subject = &r->ask->route.digest;
	size_t len = r->index ? index_referrers_len(r->index, subject) : 0;
	AUTO_FINI(buf) scratch = buf_limit(MANIFEST_MAX);
	size_t put = 0;

	for (size_t at = first_place(r, len); at < len; at++) {
		const struct index_entry *entry = index_referrer_at(r->index, subject, at);
		if (!is_wanted(r, entry))
			continue;
		if (put == r->page.n)
			return put;
		if (!put_entry(writer, entry, &scratch)) {
			if (put)
				return true;
			continue; /* one that fits into no page */
		}
		digest_format(&entry->descriptor.digest, r->last);
		put++;
	}
	return false;
}

static void put_link(const struct referrers *r, struct http_response *response)
{
	AUTO_FINI(buf) path = buf_limit(1024);
	AUTO_FINI(buf) more = buf_limit(32 * 1024);
	AUTO_FINI(buf) link = buf_limit(64 * 1024);
	const char *at = buf_text(&r->filters);
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&r->ask->route.digest, digest);
	buf_format(&path, "/v2/%s/referrers/%s", r->ask->route.name.text, digest);
	for (unsigned i = 0; i < r->filters_len; i++, at += strlen(at) + 1) {
		buf_puts(&more, "&artifactType=");
		buf_url(&more, str_of(at), "");
	}
	oci_page_link(buf_str(&path), r->page.n, str_of(r->last), buf_text(&more), &link);
	if (!link.failed)
		http_response_header(response, "Link", buf_text(&link));
}

static struct http_response *reply_referrers(const struct oci_ask *ask, const struct index *index)
{
	struct referrers r = { .ask = ask, .index = index };
	AUTO_FINI(buf) body = buf_limit(MANIFEST_MAX + 1024);
	struct json_writer writer = json_writer(&body);
	struct http_response *response;
	struct error err;

	if (!oci_page_parse(ask->query, REFERRERS_PAGE_MAX, &r.page, &err) || !parse_filters(&r, &err)) {
		buf_fini(&r.filters);
		return oci_reply_error(&err);
	}
	json_open_object(&writer);
	json_put_int(&writer, "schemaVersion", 2);
	json_put_text(&writer, "mediaType", REFERRERS_TYPE);
	json_key(&writer, STR("manifests"));
	json_open_array(&writer);
	bool more = put_entries(&r, &writer);
	json_close_array(&writer);
	json_close_object(&writer);
	response = oci_reply_json(200, REFERRERS_TYPE, &body);
	if (r.filters_len)
		http_response_header(response, "OCI-Filters-Applied", "artifactType");
	if (more)
		put_link(&r, response);
	buf_fini(&r.filters);
	return response;
}

struct http_response *oci_referrers_inline(void *call)
{
	const struct oci_ask *ask = call;
	AUTO(index) *index = registry_peek(ask->registry, name_str(&ask->route.name));

	return index ? reply_referrers(ask, index) : NULL;
}

struct http_response *oci_referrers_job(void *arg)
{
	struct oci_job *job = arg;
	AUTO(index) *index = NULL;
	struct error err;

	if (!registry_index(job->ask.registry, name_str(&job->ask.route.name), &index, &err) &&
		err.kind != ERROR_UNKNOWN)
		return oci_reply_error(&err);
	return reply_referrers(&job->ask, index);
}
