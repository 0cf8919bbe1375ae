/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply - errors and JSON as responses.
 */
#include <stdarg.h>

#include "common/json.h"
#include "common/log.h"
#include "leader/api.h"
#include "leader/api/call.h"

#define ALLOW_MAX 128

struct http_response *api_json(unsigned status, struct buf *body)
{
	struct http_response *response;

	buf_putc(body, '\n');
	response = http_response_buf(status, body);
	http_response_header(response, "Content-Type", "application/json");
	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	return response;
}

static struct http_response *error_response(unsigned status, const char *code, const char *text)
{
	struct buf body = buf_limit(8192);
	struct json_writer w = json_writer(&body);

	json_open_object(&w);
	json_key(&w, STR("error"));
	json_open_object(&w);
	json_put_text(&w, "code", code);
	json_put_text(&w, "message", text);
	json_close_object(&w);
	json_close_object(&w);
	return api_json(status, &body);
}

struct http_response *api_error(unsigned status, const char *code, const char *format, ...)
{
	AUTO_FINI(buf) text = buf_limit(1024);
	va_list args;

	va_start(args, format);
	buf_vformat(&text, format, args);
	va_end(args);
	return error_response(status, code, buf_text(&text));
}

static struct http_response *later(unsigned status, const char *code, const char *text)
{
	struct http_response *response = error_response(status, code, text);

	http_response_header(response, "Retry-After", "1");
	return response;
}

struct http_response *api_error_of(const struct error *err)
{
	switch (err->kind) {
	case ERROR_INVALID:
		return error_response(400, "invalid", err->text);
	case ERROR_DENIED:
		return error_response(403, "denied", err->text);
	case ERROR_UNKNOWN:
		return error_response(404, "unknown", err->text);
	case ERROR_CONFLICT:
		return error_response(409, err->code ? err->code : "conflict", err->text);
	case ERROR_TOO_LARGE:
		return error_response(413, "too_large", err->text);
	case ERROR_BUSY:
		return later(503, "busy", err->text);
	case ERROR_FULL:
		log_error("store.full", "error=%s", log_quote(str_of(err->text)));
		return error_response(507, "full", "the leader's disk is full; nothing was changed");
	case ERROR_TIMEOUT:
	case ERROR_UNAVAILABLE:
		log_error("store.unavailable", "error=%s", log_quote(str_of(err->text)));
		if (err->code)
			return later(503, err->code,
				"the leader's store gave no answer: whether this was changed is not known; "
				"read it again");
		return later(503, "unavailable", "the leader's store cannot be reached; nothing was changed");
	case ERROR_INTERNAL:
		break;
	}
	log_error("request.failed", "error=%s", log_quote(str_of(err->text)));
	return error_response(500, "internal", "something went wrong in the leader; its log says what");
}

struct http_response *api_method_not_allowed(unsigned allowed)
{
	AUTO_FINI(buf) text = buf_limit(ALLOW_MAX);
	struct http_response *response;

	route_allow(allowed, &text);
	response = api_error(405, "method_not_allowed", "allowed here: %s", buf_text(&text));
	http_response_header(response, "Allow", buf_text(&text));
	return response;
}

struct http_response *api_bad_query(void)
{
	return api_error(400, "invalid", "a parameter of the query is broken, or there twice");
}

struct http_response *api_no_csrf(void)
{
	return api_error(403, "csrf",
		"a change that is asked for with a session needs its csrf (GET /api/session) in "
		"X-CSRF-Token");
}

struct http_response *api_later(unsigned retry_after_s)
{
	struct http_response *response = api_error(429, "too_many_requests",
		"too many logins failed from here or for this user, or too many are being verified");

	http_response_headerf(response, "Retry-After", "%u", retry_after_s);
	return response;
}

bool api_parameter(const struct api_job *job, const char *name, struct buf *into, bool *ret_given)
{
	unsigned count = http_query_get(job->http->query, name, into);

	*ret_given = count > 0;
	return count <= 1 && !into->failed;
}

bool api_is_read(const struct api_job *job)
{
	return job->http->method == HTTP_GET || job->http->method == HTTP_HEAD;
}
