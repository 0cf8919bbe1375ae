/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/guard.h"

#include <string.h>

#include "common/cross_site.h"
#include "common/http_server.h"
#include "leader/api.h"
#include "leader/api/describe.h"

static bool is_type(const char *header, const char *type)
{
	struct str rest = str_of(header), head = rest;

	(void)str_until(&rest, ';', &head);
	return str_is_nocase(str_trim(head), type);
}

static bool says(enum http_method method, const char *header, const char *type)
{
	if (method != HTTP_POST && method != HTTP_PUT && method != HTTP_PATCH)
		return true;
	return is_type(header, type) || (method == HTTP_PATCH && !strcmp(type, DESCRIBE_JSON) &&
						is_type(header, "application/merge-patch+json"));
}

struct http_response *guard_refuse(struct http_request *request)
{
	struct cross_site from = { .fetch_site = http_request_header(request, "Sec-Fetch-Site"),
		.origin = http_request_header(request, "Origin"),
		.host = http_request_header(request, "Host") };
	struct error err;

	return cross_site_check(http_request_method(request), &from, &err) ? NULL : api_error_of(&err);
}

struct http_response *guard_refuse_body(struct http_request *request, const struct route *row)
{
	enum http_method method = http_request_method(request);
	const char *type = describe_type(row, method);

	if (says(method, http_request_header(request, "Content-Type"), type))
		return NULL;
	return api_error(415, "unsupported_media_type", "the body must be %s and say so: Content-Type: %s",
		strcmp(type, DESCRIBE_JSON) ? "lines of JSON" : "JSON", type);
}
