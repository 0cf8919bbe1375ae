/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base - what the registry says of itself: /v2/ and the list of extensions.
 */
#include "common/http_server.h"
#include "common/json.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/extensions.h"
#include "worker/oci/oci_denied.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/registry/registry.h"

#define ZOT_EXTENSION_URL "https://github.com/project-zot/zot/blob/main/pkg/extensions/_zot.md"
#define OCI_EXTENSION_URL "https://github.com/opencontainers/distribution-spec/blob/main/extensions/_oci.md"

struct http_response *oci_version_inline(void *call)
{
	const struct oci_ask *ask = call;
	struct http_response *response = http_response_empty(200);

	http_response_header(response, "Content-Type", "application/json");
	http_response_header(response, "Docker-Distribution-API-Version", "registry/2.0");
	if (ask->snapshot->auth_required)
		oci_denied_challenge(ask, response);
	return response;
}

/* Its endpoints come next. */
static void open_extension(struct json_writer *w, const char *name, const char *url, const char *what)
{
	json_open_object(w);
	json_put_text(w, "name", name);
	json_put_text(w, "url", url);
	json_put_text(w, "description", what);
	json_key(w, STR("endpoints"));
	json_open_array(w);
}

static void close_extension(struct json_writer *w)
{
	json_close_array(w);
	json_close_object(w);
}

static void put_own(const struct oci_ask *ask, struct json_writer *w)
{
	AUTO_FINI(buf) path = buf_limit(1024);

	buf_format(
		&path, "/v2/%s%s_oci/ext/discover", ask->route.name.text, *ask->route.name.text ? "/" : "");
	open_extension(w, "_oci", OCI_EXTENSION_URL, "which extensions there are");
	json_value_str(w, buf_str(&path));
	close_extension(w);
}

/* They are of no repository. */
static void put_zots(const struct oci_ask *ask, struct json_writer *w)
{
	size_t at = 0;
	const struct extension *extension = extension_next(ask->extensions, &at);

	if (!extension || *ask->route.name.text)
		return;
	open_extension(w, "_zot", ZOT_EXTENSION_URL, "zot registry extensions");
	for (; extension; extension = extension_next(ask->extensions, &at))
		json_value_str(w, str_of(extension->path));
	close_extension(w);
}

static struct http_response *reply_extensions(const struct oci_ask *ask)
{
	AUTO_FINI(buf) body = buf_limit(4096);
	struct json_writer writer = json_writer(&body);

	json_open_object(&writer);
	json_key(&writer, STR("extensions"));
	json_open_array(&writer);
	put_own(ask, &writer);
	put_zots(ask, &writer);
	json_close_array(&writer);
	json_close_object(&writer);
	return oci_reply_json(200, "application/json", &body);
}

struct http_response *oci_discover_inline(void *call)
{
	const struct oci_ask *ask = call;
	return reply_extensions(ask);
}

/* Of a repository, if there is such a one. */

struct http_response *oci_discover_of_inline(void *call)
{
	const struct oci_ask *ask = call;
	AUTO(index) *index = registry_peek(ask->registry, name_str(&ask->route.name));

	return index ? reply_extensions(ask) : NULL;
}

struct http_response *oci_discover_of_job(void *arg)
{
	struct oci_job *job = arg;
	AUTO(index) *index = NULL;
	struct error err;

	if (!registry_index(job->ask.registry, name_str(&job->ask.route.name), &index, &err))
		return oci_reply_unknown(&err, "NAME_UNKNOWN");
	return reply_extensions(&job->ask);
}
