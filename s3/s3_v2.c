/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_v2.h"

#include <ctype.h>
#include <inttypes.h>

#include "common/clock.h"
#include "common/crypto.h"

#define TEXT_MAX (64 * 1024)
#define DATE_MAX 32

struct pair {
	struct str name, value;
};

static int pair_compare(const void *a, const void *b)
{
	const struct pair *left = a, *right = b;

	return str_compare(left->name, right->name);
}

/* The parameters that are part of what is asked for. */
static bool is_subresource(struct str name)
{
	static const char *const names[] = { "acl", "cors", "delete", "lifecycle", "location", "logging",
		"notification", "partNumber", "policy", "requestPayment", "response-cache-control",
		"response-content-disposition", "response-content-encoding", "response-content-language",
		"response-content-type", "response-expires", "tagging", "torrent", "uploadId", "uploads",
		"versionId", "versioning", "versions", "website" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_is(name, names[i]))
			return true;
	return false;
}

static bool add_resource(const struct s3_v2_request *request, struct buf *into, struct error *err)
{
	struct pair pairs[S3_SIGN_PARAMETERS_MAX];
	struct str query = request->query;
	struct pair pair;
	size_t n = 0;

	if (request->bucket)
		buf_format(into, "/%s", request->bucket);
	buf_puts(into, request->path);
	while (http_query_next(&query, &pair.name, &pair.value)) {
		if (!is_subresource(pair.name))
			continue;
		if (n == S3_SIGN_PARAMETERS_MAX)
			return error_set(err, ERROR_INTERNAL, NULL, "too many parameters to sign");
		pairs[n++] = pair;
	}
	qsort(pairs, n, sizeof pairs[0], pair_compare);
	for (size_t i = 0; i < n; i++) {
		buf_format(into, "%c%.*s", i ? '&' : '?', STR_ARGS(pairs[i].name));
		if (!pairs[i].value.len)
			continue;
		buf_putc(into, '=');
		if (!http_unescape(pairs[i].value, false, into))
			return error_set(err, ERROR_INTERNAL, NULL, "a parameter to sign is broken");
	}
	return true;
}

/* Those of Amazon, in lower case, sorted. */
static bool add_amz(const struct http_headers *headers, struct buf *into, struct error *err)
{
	AUTO_FINI(buf) names = buf_limit(4096);
	struct pair pairs[S3_SIGN_HEADERS_MAX];
	size_t at[S3_SIGN_HEADERS_MAX + 1], n = 0;

	for (size_t i = 0; i < http_headers_len(headers); i++) {
		const char *name, *value;

		http_headers_at(headers, i, &name, &value);
		if (strncasecmp(name, "x-amz-", 6) != 0)
			continue;
		if (n == S3_SIGN_HEADERS_MAX)
			return error_set(err, ERROR_INTERNAL, NULL, "too many headers to sign");
		at[n] = names.len;
		for (; *name; name++)
			buf_putc(&names, (char)tolower((unsigned char)*name));
		pairs[n++].value = str_of(value);
	}
	at[n] = names.len;
	if (!buf_check(&names, "names of headers", err))
		return false;
	for (size_t i = 0; i < n; i++)
		pairs[i].name = str_from(names.at + at[i], at[i + 1] - at[i]);
	qsort(pairs, n, sizeof pairs[0], pair_compare);
	for (size_t i = 0; i < n; i++)
		buf_format(into, "%.*s:%.*s\n", STR_ARGS(pairs[i].name), STR_ARGS(str_trim(pairs[i].value)));
	return true;
}

static const char *header_of(const struct http_headers *headers, const char *name)
{
	const char *value = http_headers_find(headers, name);

	return value ? value : "";
}

static bool sign(const struct s3_keys *keys, const struct s3_v2_request *request, const char *date,
	const struct http_headers *headers, struct buf *into, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(TEXT_MAX);
	uint8_t mac[20];

	buf_format(&text, "%s\n%s\n%s\n%s\n", request->method, header_of(headers, "Content-MD5"),
		header_of(headers, "Content-Type"), date);
	if (!add_amz(headers, &text, err) || !add_resource(request, &text, err) ||
		!buf_check(&text, "string to sign", err))
		return false;
	hmac_sha1(str_of(keys->secret_key), buf_str(&text), mac);
	buf_base64(into, mac, sizeof mac);
	return buf_check(into, "signature", err);
}

static bool add_header(struct http_headers *headers, const char *name, struct str value, struct error *err)
{
	return http_headers_add(headers, str_of(name), value) ||
	       error_set(err, ERROR_INVALID, NULL, "%s cannot be sent as a header", name);
}

/* Date itself is often set by who sends: x-amz-date takes its place, and its line is empty then. */
bool s3_v2_sign(const struct s3_keys *keys, const struct s3_v2_request *request, struct http_headers *headers,
	struct error *err)
{
	AUTO_FINI(buf) value = buf_limit(1024);
	char date[DATE_MAX];

	clock_http_date(request->wall_s, date);
	if (!http_headers_find(headers, "Date") && !add_header(headers, "x-amz-date", str_of(date), err))
		return false;
	if (keys->session_token &&
		!add_header(headers, "x-amz-security-token", str_of(keys->session_token), err))
		return false;
	buf_format(&value, "AWS %s:", keys->access_key);
	return sign(keys, request, header_of(headers, "Date"), headers, &value, err) &&
	       add_header(headers, "Authorization", buf_str(&value), err);
}

bool s3_v2_sign_url(const struct s3_keys *keys, const struct s3_v2_request *request, int64_t until_s,
	struct buf *into, struct error *err)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(buf) signature = buf_limit(64);
	char date[24];

	snprintf(date, sizeof date, "%" PRId64, until_s);
	if ((keys->session_token &&
		    !add_header(headers, "x-amz-security-token", str_of(keys->session_token), err)) ||
		!sign(keys, request, date, headers, &signature, err))
		return false;
	if (request->query.len)
		buf_format(into, "%.*s&", STR_ARGS(request->query));
	buf_puts(into, "AWSAccessKeyId=");
	buf_url(into, str_of(keys->access_key), "");
	buf_format(into, "&Expires=%s&Signature=", date);
	buf_url(into, buf_str(&signature), "");
	if (keys->session_token) {
		buf_puts(into, "&x-amz-security-token=");
		buf_url(into, str_of(keys->session_token), "");
	}
	return buf_check(into, "signed URL", err);
}
