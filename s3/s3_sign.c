/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_sign.h"

#include <ctype.h>
#include <stdio.h>
#include <time.h>

#include "common/crypto.h"

#define ALGORITHM     "AWS4-HMAC-SHA256"
#define CANONICAL_MAX (192 * 1024)
#define URL_DAYS_MAX  7

struct pair {
	struct str name, value;
};

static int pair_compare(const void *a, const void *b)
{
	const struct pair *left = a, *right = b;
	int names = str_compare(left->name, right->name);

	return names ? names : str_compare(left->value, right->value);
}

void s3_sign_time(int64_t wall_s, char into[S3_SIGN_TIME_SIZE])
{
	time_t when = (time_t)wall_s;
	struct tm tm;

	if (!gmtime_r(&when, &tm) || !strftime(into, S3_SIGN_TIME_SIZE, "%Y%m%dT%H%M%SZ", &tm))
		snprintf(into, S3_SIGN_TIME_SIZE, "19700101T000000Z");
}

static const char *service_of(const struct s3_keys *keys)
{
	return keys->service ? keys->service : "s3";
}

void s3_sign_key(const struct s3_keys *keys, const char *date, uint8_t into[32])
{
	AUTO_FINI(buf) secret = buf_limit(4096);
	const struct str rest[] = { str_of(keys->region), str_of(service_of(keys)), STR("aws4_request") };

	buf_puts(&secret, "AWS4");
	buf_puts(&secret, keys->secret_key);
	hmac_sha256(buf_str(&secret), str_of(date), into);
	for (size_t i = 0; i < 3; i++) {
		uint8_t key[32];

		memcpy(key, into, sizeof key);
		hmac_sha256(str_from(key, sizeof key), rest[i], into);
	}
}

/* The parameters sorted, each with its "=". */
static bool add_query(struct buf *into, struct str query, struct error *err)
{
	struct pair pairs[S3_SIGN_PARAMETERS_MAX];
	size_t n = 0;
	struct pair pair;

	for (; http_query_next(&query, &pair.name, &pair.value); pairs[n++] = pair)
		if (n == S3_SIGN_PARAMETERS_MAX)
			return error_set(err, ERROR_INTERNAL, NULL, "too many parameters to sign");
	qsort(pairs, n, sizeof pairs[0], pair_compare);
	for (size_t i = 0; i < n; i++)
		buf_format(
			into, "%s%.*s=%.*s", i ? "&" : "", STR_ARGS(pairs[i].name), STR_ARGS(pairs[i].value));
	return true;
}

static void add_lower(struct buf *into, struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		buf_putc(into, (char)tolower((unsigned char)name.at[i]));
}

/* Blanks around it cut, runs of blanks within become one. */
static void add_value(struct buf *into, struct str value)
{
	value = str_trim(value);
	for (size_t i = 0; i < value.len; i++)
		if (value.at[i] != ' ' || value.at[i - 1] != ' ')
			buf_putc(into, value.at[i]);
}

/* The names in lower case, in byte order, host among them. */
static bool sort_headers(const struct http_headers *headers, const char *host, struct buf *names,
	struct pair pairs[S3_SIGN_HEADERS_MAX], size_t *ret_n, struct error *err)
{
	size_t n = http_headers_len(headers);
	size_t at[S3_SIGN_HEADERS_MAX + 1];

	if (n + 1 > S3_SIGN_HEADERS_MAX)
		return error_set(err, ERROR_INTERNAL, NULL, "too many headers to sign");
	for (size_t i = 0; i < n; i++) {
		const char *name, *value;

		http_headers_at(headers, i, &name, &value);
		at[i] = names->len;
		add_lower(names, str_of(name));
		pairs[i].value = str_of(value);
	}
	at[n] = names->len;
	if (!buf_check(names, "names of headers", err))
		return false;
	for (size_t i = 0; i < n; i++)
		pairs[i].name = str_from(names->at + at[i], at[i + 1] - at[i]);
	pairs[n] = (struct pair){ STR("host"), str_of(host) };
	*ret_n = n + 1;
	qsort(pairs, *ret_n, sizeof pairs[0], pair_compare);
	return true;
}

/* Appends the canonical request to *canonical, "host;range;x-amz-date" to *signed_names. */
static bool canonicalise(const struct s3_sign_request *request, const struct http_headers *headers,
	const char *body, struct buf *canonical, struct buf *signed_names, struct error *err)
{
	AUTO_FINI(buf) names = buf_limit(64 * 1024);
	struct pair pairs[S3_SIGN_HEADERS_MAX];
	size_t n = 0;

	if (!sort_headers(headers, request->host, &names, pairs, &n, err))
		return false;
	buf_format(canonical, "%s\n%s\n", request->method, request->path);
	if (!add_query(canonical, request->query, err))
		return false;
	buf_putc(canonical, '\n');
	for (size_t i = 0; i < n; i++) {
		buf_add(canonical, pairs[i].name);
		buf_putc(canonical, ':');
		add_value(canonical, pairs[i].value);
		buf_putc(canonical, '\n');
		if (i)
			buf_putc(signed_names, ';');
		buf_add(signed_names, pairs[i].name);
	}
	buf_putc(canonical, '\n');
	buf_add(canonical, buf_str(signed_names));
	buf_format(canonical, "\n%s", body);
	return buf_check(signed_names, "names of headers", err) &&
	       buf_check(canonical, "canonical request", err);
}

static bool sign(
	const struct s3_keys *keys, const char *time, struct str canonical, char into[65], struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(4096);
	uint8_t hash[HASH_MAX], key[32];
	char date[9], hex[65];

	if (!str_copy(str_from(time, 8), date, sizeof date))
		return error_set(err, ERROR_INTERNAL, NULL, "time to sign");
	hash_bytes(HASH_SHA256, canonical.at, canonical.len, hash);
	str_hex(hash, 32, hex);
	buf_format(&text, ALGORITHM "\n%s\n%s/%s/%s/aws4_request\n%s", time, date, keys->region,
		service_of(keys), hex);
	if (!buf_check(&text, "string to sign", err))
		return false;
	s3_sign_key(keys, date, key);
	hmac_sha256(str_from(key, sizeof key), buf_str(&text), hash);
	str_hex(hash, 32, into);
	return true;
}

static bool add_header(struct http_headers *headers, struct str name, struct str value, struct error *err)
{
	return http_headers_add(headers, name, value) ||
	       error_set(err, ERROR_INVALID, NULL, "%.*s cannot be sent as a header", STR_ARGS(name));
}

static bool add_amz_headers(const struct s3_keys *keys, const char *time, const char *body,
	struct http_headers *headers, struct error *err)
{
	return add_header(headers, STR("x-amz-date"), str_of(time), err) &&
	       add_header(headers, STR("x-amz-content-sha256"), str_of(body), err) &&
	       (!keys->session_token ||
		       add_header(headers, STR("x-amz-security-token"), str_of(keys->session_token), err));
}

bool s3_sign(const struct s3_keys *keys, const struct s3_sign_request *request, struct http_headers *headers,
	struct error *err)
{
	AUTO_FINI(buf) canonical = buf_limit(CANONICAL_MAX);
	AUTO_FINI(buf) names = buf_limit(64 * 1024);
	AUTO_FINI(buf) value = buf_limit(64 * 1024);
	char time[S3_SIGN_TIME_SIZE], signature[65];

	s3_sign_time(request->wall_s, time);
	if (!add_amz_headers(keys, time, request->body, headers, err) ||
		!canonicalise(request, headers, request->body, &canonical, &names, err) ||
		!sign(keys, time, buf_str(&canonical), signature, err))
		return false;
	buf_format(&value, ALGORITHM " Credential=%s/%.8s/%s/%s/aws4_request,SignedHeaders=%s,Signature=%s",
		keys->access_key, time, keys->region, service_of(keys), buf_text(&names), signature);
	return buf_check(&value, "Authorization", err) &&
	       add_header(headers, STR("Authorization"), buf_str(&value), err);
}

/* What canonicalise() will make of the names, escaped for a query. */
static bool name_headers(const struct s3_sign_request *request, const struct http_headers *headers,
	struct buf *into, struct error *err)
{
	AUTO_FINI(buf) ignored = buf_limit(CANONICAL_MAX);
	AUTO_FINI(buf) names = buf_limit(1024);

	if (!canonicalise(request, headers, S3_SIGN_NO_BODY_HASH, &ignored, &names, err))
		return false;
	buf_url(into, buf_str(&names), "");
	return true;
}

bool s3_sign_url(const struct s3_keys *keys, const struct s3_sign_request *request,
	const struct http_headers *headers, unsigned seconds, struct buf *into, struct error *err)
{
	AUTO(http_headers) *none = http_headers_new();
	AUTO_FINI(buf) query = buf_limit(32 * 1024);
	AUTO_FINI(buf) canonical = buf_limit(CANONICAL_MAX);
	AUTO_FINI(buf) names = buf_limit(1024);
	struct s3_sign_request whole = *request;
	char time[S3_SIGN_TIME_SIZE], signature[65];

	if (!seconds || seconds > URL_DAYS_MAX * 86400)
		return error_set(err, ERROR_INVALID, NULL, "a signed URL is good for 1 second to 7 days");
	s3_sign_time(request->wall_s, time);
	if (request->query.len)
		buf_format(&query, "%.*s&", STR_ARGS(request->query));
	buf_puts(&query, "X-Amz-Algorithm=" ALGORITHM "&X-Amz-Credential=");
	buf_url(&query, str_of(keys->access_key), "");
	buf_format(&query, "%%2F%.8s%%2F", time);
	buf_url(&query, str_of(keys->region), "");
	buf_format(&query, "%%2Fs3%%2Faws4_request&X-Amz-Date=%s&X-Amz-Expires=%u", time, seconds);
	if (keys->session_token) {
		buf_puts(&query, "&X-Amz-Security-Token=");
		buf_url(&query, str_of(keys->session_token), "");
	}
	buf_puts(&query, "&X-Amz-SignedHeaders=");
	headers = headers ? headers : none;
	if (!name_headers(request, headers, &query, err))
		return false;
	whole.query = buf_str(&query);
	if (!buf_check(&query, "query to sign", err) ||
		!canonicalise(&whole, headers, S3_SIGN_NO_BODY_HASH, &canonical, &names, err) ||
		!sign(keys, time, buf_str(&canonical), signature, err))
		return false;
	buf_add(into, buf_str(&query));
	buf_format(into, "&X-Amz-Signature=%s", signature);
	return buf_check(into, "signed URL", err);
}
