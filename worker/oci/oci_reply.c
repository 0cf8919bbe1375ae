/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/oci_reply.h"

#include <inttypes.h>

#include "common/check.h"
#include "common/log.h"
#include "proto/oci_error.h"

#define BODY_MAX      4096
#define TOO_MANY_WAIT 5 /* seconds until a client that has too much under way asks again */

static struct http_response *reply(unsigned status, unsigned retry_after_s, const struct error *err)
{
	AUTO_FINI(buf) body = buf_limit(BODY_MAX);
	struct http_response *response;

	/* The client is told less than what the operator needs. */
	if (status >= 500 && err->kind != ERROR_BUSY)
		log_warn("request.failed", "status=%u kind=%s error=%s", status, error_kind_name(err->kind),
			log_quote(str_of(err->text)));
	oci_error_body(err, &body);
	response = oci_reply_json(status, "application/json", &body);
	if (retry_after_s)
		http_response_headerf(response, "Retry-After", "%u", retry_after_s);
	return response;
}

struct http_response *oci_reply_saying(unsigned status, const struct error *err)
{
	AUTO_FINI(buf) body = buf_limit(BODY_MAX);

	oci_error_body_saying(err, &body);
	return oci_reply_json(status, "application/json", &body);
}

struct http_response *oci_reply_status(unsigned status, const struct error *err)
{
	return reply(status, status == 503, err);
}

struct http_response *oci_reply_later(unsigned retry_after_s, const struct error *err)
{
	return reply(503, retry_after_s, err);
}

struct http_response *oci_reply_error(const struct error *err)
{
	unsigned status = oci_error_status(err);

	return status == 429 ? reply(status, TOO_MANY_WAIT, err) : oci_reply_status(status, err);
}

struct http_response *oci_reply_limit(uint64_t limit)
{
	AUTO_FINI(buf) body = buf_limit(BODY_MAX);

	buf_format(&body,
		"{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"too many "
		"requests\",\"detail\":{\"limit\":\"%" PRIu64 "\"}}]}",
		limit);
	return oci_reply_json(429, "application/json", &body);
}

struct http_response *oci_reply_unknown(struct error *err, const char *code)
{
	if (err->kind == ERROR_UNKNOWN && !err->code)
		err->code = code;
	return oci_reply_error(err);
}

struct http_response *oci_reply_json(unsigned status, const char *media_type, struct buf *body)
{
	struct http_response *response = http_response_buf(status, body);

	http_response_header(response, "Content-Type", media_type);
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	return response;
}

void oci_reply_warning(struct http_response *response, const char *format, ...)
{
	AUTO_FINI(buf) text = buf_limit(OCI_WARNING_MAX);
	va_list args;

	va_start(args, format);
	buf_vformat(&text, format, args);
	va_end(args);
	CHECK(!text.failed && !strpbrk(buf_text(&text), "\"\\"));
	http_response_headerf(response, "Warning", "299 - \"%s\"", buf_text(&text));
}

void oci_reply_digest(struct http_response *response, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	http_response_header(response, "Docker-Content-Digest", text);
}

void oci_reply_etag(struct http_response *response, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE + 2];

	text[0] = '"';
	digest_format(digest, text + 1);
	size_t len = strlen(text);
	text[len] = '"';
	text[len + 1] = '\0';
	http_response_header(response, "ETag", text);
}
