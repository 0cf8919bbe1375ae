/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/guard.h"

#include "common/cross_site.h"
#include "common/http_server.h"
#include "leader/api.h"

static bool is_type(const char *header, const char *type)
{
	struct str rest = str_of(header), head = rest;

	(void)str_until(&rest, ';', &head);
	return str_is_nocase(str_trim(head), type);
}

static bool says_json(enum http_method method, const char *header)
{
	if (method != HTTP_POST && method != HTTP_PUT && method != HTTP_PATCH)
		return true;
	return is_type(header, "application/json") || is_type(header, "application/x-ndjson") ||
	       (method == HTTP_PATCH && is_type(header, "application/merge-patch+json"));
}

struct http_response *guard_refuse(struct http_request *request)
{
	enum http_method method = http_request_method(request);
	struct cross_site from = { .fetch_site = http_request_header(request, "Sec-Fetch-Site"),
		.origin = http_request_header(request, "Origin"),
		.host = http_request_header(request, "Host") };
	struct error err;

	if (!cross_site_check(method, &from, &err))
		return api_error_of(&err);
	if (!says_json(method, http_request_header(request, "Content-Type")))
		return api_error(415, "unsupported_media_type",
			"the body must be JSON and say so: Content-Type: application/json");
	return NULL;
}
