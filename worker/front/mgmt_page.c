/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mgmt_page - GET /v2/_zot/ext/mgmt: how one logs in here, for zot's web page and command line, and what this worker is made of.
 *
 * Whoever asks for this very path learns it without a login, since who is to log in has none yet; with a query, who may look at /v2/. It
 * names no user, no path and no other setting.
 */
#include "common/json.h"
#include "common/version.h"
#include "worker/auth/snapshot.h"
#include "worker/front/front_call.h"
#include "worker/front/pages.h"
#include "worker/oci/extensions.h"
#include "worker/oci/oci_may.h"
#include "worker/oci/oci_reply.h"

#define DIST_SPEC_VERSION "1.1.1"
#define BODY_MAX          4096
#define CORS_HEADERS      "Authorization,content-type,X-ZOT-API-CLIENT"

bool pages_by_who_comes(const void *arg)
{
	const struct oci_call *call = arg;

	return str_is(http_request_target(call->request), EXTENSION_PATH("mgmt")) || oci_may_base(arg);
}

/* What there is; what there is not is left out. */
static void put_logins(const struct front_call *call, struct json_writer *w)
{
	const struct extensions *extensions = &call->loop->front->extensions;

	json_key(w, STR("auth"));
	json_open_object(w);
	if (call->oci.ask.snapshot->auth_required && extensions->passwords) {
		json_key(w, STR("htpasswd"));
		json_open_object(w);
		json_close_object(w);
	}
	if (extensions->apikeys)
		json_put_bool(w, "apikey", true);
	json_close_object(w);
}

void pages_allow_sites(struct http_response *response, const char *methods)
{
	http_response_header(response, "Access-Control-Allow-Origin", "*");
	http_response_header(response, "Access-Control-Allow-Methods", methods);
	http_response_header(response, "Access-Control-Allow-Headers", CORS_HEADERS);
}

struct http_response *pages_mgmt(void *arg)
{
	const struct front_call *call = arg;
	AUTO_FINI(buf) body = buf_limit(BODY_MAX);
	struct json_writer w = json_writer(&body);
	struct http_response *response;

	json_open_object(&w);
	json_put_text(&w, "distSpecVersion", DIST_SPEC_VERSION);
	json_put_text(&w, "commit", version_commit());
	json_put_text(&w, "releaseTag", "v" ZOT_VERSION);
	json_put_text(&w, "binaryType", "zot-worker");
	json_key(&w, STR("http"));
	json_open_object(&w);
	put_logins(call, &w);
	json_close_object(&w);
	json_close_object(&w);
	response = oci_reply_json(200, "application/json", &body);
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	pages_allow_sites(response, "HEAD,GET,OPTIONS");
	return response;
}

struct http_response *pages_mgmt_preflight(void *call)
{
	struct http_response *response = http_response_empty(204);

	(void)call;
	http_response_header(response, "Allow", "GET, HEAD, OPTIONS");
	pages_allow_sites(response, "HEAD,GET,OPTIONS");
	return response;
}
