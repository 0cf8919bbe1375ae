/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tags - the tags of a repository in byte order, page by page.
 */
#include "common/json.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_page.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/registry/registry.h"

#define TAGS_PAGE_MAX 10000
/* A tag has at most 128 bytes, none of which JSON escapes. */
#define TAGS_BYTES_MAX (TAGS_PAGE_MAX * (TAG_MAX_LEN + 4) + 4096)

static void put_tags(const struct index *index, const char *name, size_t from, size_t to, struct buf *into)
{
	struct json_writer writer = json_writer(into);

	json_open_object(&writer);
	json_put_text(&writer, "name", name);
	json_key(&writer, STR("tags"));
	json_open_array(&writer);
	for (size_t at = from; at < to; at++)
		json_value_str(&writer, str_of(index_tag_at(index, at)));
	json_close_array(&writer);
	json_close_object(&writer);
}

static struct http_response *reply_tags(const struct oci_ask *ask, const struct index *index)
{
	AUTO_FINI(buf) body = buf_limit(TAGS_BYTES_MAX);
	AUTO_FINI(buf) link = buf_limit(2048);
	const char *name = ask->route.name.text;
	struct http_response *response;
	struct oci_page page;
	struct error err;

	if (!oci_page_parse(ask->query, TAGS_PAGE_MAX, &page, &err))
		return oci_reply_error(&err);
	size_t len = index_tags_len(index);
	size_t from = page.has_last ? index_tags_after(index, str_of(page.last)) : 0;
	size_t to = len - from > page.n ? from + page.n : len;
	put_tags(index, name, from, to, &body);
	response = oci_reply_json(200, "application/json", &body);
	if (to < len && to > from) {
		AUTO_FINI(buf) path = buf_limit(1024);
		buf_format(&path, "/v2/%s/tags/list", name);
		oci_page_link(buf_str(&path), page.n, str_of(index_tag_at(index, to - 1)), "", &link);
		http_response_header(response, "Link", buf_text(&link));
	}
	return response;
}

struct http_response *oci_tags_inline(void *call)
{
	const struct oci_ask *ask = call;
	AUTO(index) *index = registry_peek(ask->registry, name_str(&ask->route.name));

	return index ? reply_tags(ask, index) : NULL;
}

struct http_response *oci_tags_job(void *arg)
{
	struct oci_job *job = arg;
	AUTO(index) *index = NULL;
	struct error err;

	if (!registry_index(job->ask.registry, name_str(&job->ask.route.name), &index, &err))
		return oci_reply_unknown(&err, "NAME_UNKNOWN");
	return reply_tags(&job->ask, index);
}
