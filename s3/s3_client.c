/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_client.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <time.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/log.h"
#include "s3/s3_xml.h"

#define ATTEMPTS       5
#define BACKOFF_MS     100
#define BACKOFF_MAX_MS 5000
#define GIVE_UP_MS     60000
#define STALL_MS       30000
#define URL_MAX        (16 * 1024)
#define BEFORE_S       1
#define CODE_MAX       128
#define MESSAGE_MAX    1024
#define WAIT_MAX_MS    10000
#define DATE_LEAST_S   INT64_C(946684800)  /* the year 2000: before that a Date is none */
#define DATE_MOST_S    INT64_C(7258118400) /* the year 2200 */
/* A call ends after so many times its stall, and what its bytes take at these rates, however steadily they
 * drip. */
#define STALLS_MAX      4
#define SEND_BYTES_MS   64u
#define ANSWER_BYTES_MS 256u

bool s3_client_init(struct s3_client *client, const struct s3_settings *settings, struct error *err)
{
	if (!settings->access_key || !settings->access_key[0] || !settings->secret_key ||
		!settings->secret_key[0])
		return error_set(err, ERROR_INVALID, NULL, "S3 access key or secret key is missing");
	if (!s3_endpoint_init(&client->endpoint, settings, err))
		return false;
	client->keys.access_key = check_strdup(settings->access_key);
	client->keys.secret_key = check_strdup(settings->secret_key);
	client->keys.region = check_strdup(settings->region);
	if (settings->session_token && settings->session_token[0])
		client->keys.session_token = check_strdup(settings->session_token);
	if (settings->ca_file)
		client->ca_file = check_strdup(settings->ca_file);
	client->insecure = settings->insecure;
	client->attempts = settings->retries ? settings->retries + 1 : ATTEMPTS;
	client->backoff_ms = BACKOFF_MS;
	client->backoff_max_ms = BACKOFF_MAX_MS;
	client->give_up_ms = GIVE_UP_MS;
	client->stall_ms = STALL_MS;
	client->soon_ms = S3_SOON_MS;
	client->wait_max_ms = WAIT_MAX_MS;
	return true;
}

static void wipe(const char *text)
{
	union {
		const char *borrowed;
		char *owned;
	} p = { text };

	if (text)
		explicit_bzero(p.owned, strlen(text));
	free(p.owned);
}

void s3_client_fini(struct s3_client *client)
{
	s3_endpoint_fini(&client->endpoint);
	wipe(client->keys.access_key);
	wipe(client->keys.secret_key);
	wipe(client->keys.region);
	wipe(client->keys.session_token);
	free(client->ca_file);
	client->keys = (struct s3_keys){ 0 };
	client->ca_file = NULL;
}

/* ---- sending ---- */

void s3_request_fini(struct s3_request *request)
{
	free(request->url);
	http_headers_free(request->headers);
	*request = (struct s3_request){ 0 };
}

static bool add_headers(const struct s3_call *call, struct http_headers *headers, struct error *err)
{
	for (size_t i = 0; i < S3_CALL_HEADERS && call->headers[i].name; i++)
		if (!http_headers_add(headers, str_of(call->headers[i].name), str_of(call->headers[i].value)))
			return error_set(err, ERROR_INTERNAL, NULL, "header %s", call->headers[i].name);
	return true;
}

static unsigned total_ms(const struct s3_call *call, unsigned stall_ms)
{
	uint64_t ms = (uint64_t)stall_ms * STALLS_MAX + (call->body.len + call->length) / SEND_BYTES_MS +
		      (call->answer_max ? call->answer_max : S3_ANSWER_MAX) / ANSWER_BYTES_MS;

	return ms < INT_MAX ? (unsigned)ms : INT_MAX;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static unsigned stall_of(const struct s3_client *client, const struct s3_call *call)
{
	if (call->stall_ms)
		return call->stall_ms;
	return call->patient ? client->stall_ms : least(client->stall_ms, client->soon_ms);
}

static struct http_call_spec spec_of(
	const struct s3_client *client, const struct s3_call *call, const struct s3_request *request)
{
	unsigned stall_ms = stall_of(client, call);

	return (struct http_call_spec){
		.method = call->method,
		.url = request->url,
		.headers = request->headers,
		.body = call->body,
		.body_fd = call->fd,
		.body_fd_offset = call->offset,
		.body_fd_len = call->length,
		.has_body = call->has_body || call->body.len || call->length,
		.ca_file = client->ca_file,
		.insecure = client->insecure,
		.fresh = call->fresh,
		.stall_ms = stall_ms,
		.total_ms = total_ms(call, stall_ms),
	};
}

static bool hash_body(const struct s3_call *call, char into[65])
{
	uint8_t hash[HASH_MAX];

	if (!call->body.len || call->body_hash)
		return false;
	hash_bytes(HASH_SHA256, call->body.at, call->body.len, hash);
	str_hex(hash, 32, into);
	return true;
}

/* The query, and the signature: in the headers, or behind the query. */
static bool add_signature(const struct s3_client *client, const struct s3_call *call, const char *path,
	int64_t wall_s, struct http_headers *headers, struct buf *url, struct error *err)
{
	char hex[65];
	struct s3_sign_request sign = {
		.method = call->method,
		.host = client->endpoint.host,
		.path = path,
		.query = call->query,
		.wall_s = wall_s,
	};

	if (call->until_s) {
		CHECK(!call->headers[0].name); /* they would not be signed */
		buf_putc(url, '?');
		return s3_sign_url(&client->keys, &sign, (unsigned)(call->until_s - wall_s), url, err);
	}
	if (call->query.len)
		buf_format(url, "?%.*s", STR_ARGS(call->query));
	sign.body = call->body_hash ? call->body_hash : hash_body(call, hex) ? hex : S3_SIGN_EMPTY_BODY;
	return s3_sign(&client->keys, &sign, headers, err);
}

bool s3_client_prepare(
	struct s3_client *client, const struct s3_call *call, struct s3_request *ret, struct error *err)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(buf) path = buf_limit(URL_MAX);
	AUTO_FINI(buf) url = buf_limit(URL_MAX);
	int64_t signed_ms = clock_ms();
	/* What ends by the store's clock must not begin in its future. */
	int64_t wall_s = s3_clock_now_s(&client->clock) - (call->until_s ? BEFORE_S : 0);

	if (call->until_s && call->until_s <= wall_s) {
		(void)error_set(err, ERROR_UNAVAILABLE, NULL, "S3 %s %s: the time for it is over",
			call->method, call->key);
		return s3_client_hide(err);
	}
	s3_endpoint_path(&client->endpoint, call->key, &path);
	buf_puts(&url, client->endpoint.origin);
	buf_add(&url, buf_str(&path));
	if (!buf_check(&path, "path of an S3 request", err) || !add_headers(call, headers, err) ||
		!add_signature(client, call, buf_text(&path), wall_s, headers, &url, err) ||
		!buf_check(&url, "URL of an S3 request", err))
		return false;
	*ret = (struct s3_request){ .url = buf_take(&url, NULL),
		.headers = TAKE(headers),
		.signed_s = wall_s,
		.signed_ms = signed_ms };
	ret->spec = spec_of(client, call, ret);
	atomic_fetch_add(&client->requests, 1);
	return true;
}

static void read_code(const struct http_result *result, const char *name, struct buf *into)
{
	if (!s3_xml_find(buf_str(&result->body), name, into))
		buf_clear(into);
}

int64_t s3_client_date(const struct http_result *result)
{
	const char *text = http_headers_find(result->headers, "Date");
	int64_t date;

	return text && s3_clock_parse(text, &date) && date >= DATE_LEAST_S && date <= DATE_MOST_S ? date : 0;
}

void s3_client_heard(
	struct s3_client *client, const struct s3_request *request, const struct http_result *result)
{
	int64_t date = s3_client_date(result), since_ms;

	if (s3_outage_answered(&client->outage, &since_ms))
		log_warn(
			"s3.back", "endpoint=%s ms=%" PRId64, client->endpoint.origin, clock_ms() - since_ms);
	if (s3_client_is_transient(result))
		atomic_fetch_add(&client->errors, 1);
	if (!date)
		return;
	s3_clock_learn(&client->clock, request->signed_ms, clock_ms(), date);
	if (s3_clock_should_tell(&client->clock, date))
		log_warn("s3.clock",
			"endpoint=%s offset_s=%" PRId64
			" what=\"our clock or the store's is wrong, signing with the store's\"",
			client->endpoint.origin, date - clock_wall_s());
}

void s3_client_heard_nothing(struct s3_client *client)
{
	atomic_fetch_add(&client->errors, 1);
}

/* Was this refused because of the time that it was signed with? */
static bool is_skewed(const struct http_result *result, int64_t signed_s)
{
	AUTO_FINI(buf) code = buf_limit(CODE_MAX);
	int64_t date = result->status == 403 ? s3_client_date(result) : 0;

	if (!date || (date - signed_s < S3_CLOCK_OFF_S && signed_s - date < S3_CLOCK_OFF_S))
		return false;
	/* The answer to a HEAD has no code. */
	read_code(result, "Code", &code);
	return !code.len || str_is(buf_str(&code), "RequestTimeTooSkewed");
}

/* One that begins to answer is not away, however that ends. */
static void see_outage(
	struct s3_client *client, int64_t begun_ms, const struct http_result *result, const struct error *why)
{
	if (!result->status && s3_client_is_broken(why) &&
		s3_outage_silent(&client->outage, begun_ms, clock_ms()))
		log_error("s3.away",
			"endpoint=%s error=%s what=\"who needs the store gets 503 until it answers\"",
			client->endpoint.origin, log_quote(str_of(why->text)));
}

static bool send_now(struct s3_client *client, const struct s3_call *call, struct http_result *result,
	bool *ret_skewed, struct error *err)
{
	int64_t begun_ms = clock_ms();
	struct s3_request request;
	struct error failure;
	bool ok;

	http_result_init(result, call->answer_max ? call->answer_max : S3_ANSWER_MAX);
	if (!s3_client_prepare(client, call, &request, err))
		return false;
	ok = http_send(&request.spec, result, &failure);
	if (ok) {
		s3_client_heard(client, &request, result);
		*ret_skewed = is_skewed(result, request.signed_s);
	} else {
		s3_client_heard_nothing(client);
		see_outage(client, begun_ms, result, &failure);
		if (err)
			*err = failure;
	}
	s3_request_fini(&request);
	if (ok && call->late_error && result->status == 200 && s3_xml_is(buf_str(&result->body), "Error"))
		result->status = 500;
	return ok;
}

bool s3_client_try(
	struct s3_client *client, const struct s3_call *call, struct http_result *result, struct error *err)
{
	bool skewed = false;

	if (!send_now(client, call, result, &skewed, err))
		return false;
	if (!skewed)
		return true;
	http_result_fini(result);
	return send_now(client, call, result, &skewed, err);
}

bool s3_client_should_end(const struct s3_client *client, bool patient, int64_t begun_ms)
{
	int64_t now = clock_ms();

	if (patient)
		return now - begun_ms >= client->give_up_ms;
	return now - begun_ms >= least(client->give_up_ms, client->soon_ms) ||
	       s3_outage_is_on(&client->outage, now);
}

bool s3_client_refuse_away(
	const struct s3_client *client, const char *method, const char *key, struct error *err)
{
	(void)error_set(err, ERROR_UNAVAILABLE, NULL, "S3 %s %s at %s: it has not answered for a while",
		method, key ? key : "bucket", client->endpoint.origin);
	return s3_client_hide(err);
}

/* The last attempt got no answer. */
static bool fail(const struct s3_client *client, const struct s3_call *call, const struct error *last,
	struct error *err)
{
	if (!err)
		return false;
	*err = *last;
	/* More than an answer to that can be, or no HTTP. */
	if (s3_client_is_broken(last) || last->kind == ERROR_INVALID ||
		(last->kind == ERROR_TOO_LARGE && !call->answer_max))
		err->kind = ERROR_UNAVAILABLE;
	(void)error_add(err, "S3 %s %s at %s", call->method, call->key ? call->key : "bucket",
		client->endpoint.origin);
	return s3_client_hide(err);
}

static bool send_attempts(
	struct s3_client *client, const struct s3_call *call, struct http_result *result, struct error *err)
{
	unsigned attempts = call->attempts ? call->attempts : client->attempts;
	int64_t begun_ms = clock_ms();
	struct error last;

	for (unsigned attempt = 1;; attempt++) {
		bool answered = s3_client_try(client, call, result, &last);
		bool is_last = attempt >= attempts || s3_client_should_end(client, call->patient, begun_ms);

		if (answered && !s3_client_is_transient(result))
			return true;
		if (answered && is_last)
			return s3_client_error(client, call, result, err);
		if (!answered && (is_last || !s3_client_is_broken(&last)))
			return fail(client, call, &last, err);
		http_result_fini(result);
		s3_client_pause(client, attempt);
	}
}

bool s3_client_send(
	struct s3_client *client, const struct s3_call *call, struct http_result *result, struct error *err)
{
	bool counted = false, ok;

	if (!call->patient && !s3_outage_enter(&client->outage, clock_ms(), &counted))
		return s3_client_refuse_away(client, call->method, call->key, err);
	ok = send_attempts(client, call, result, err);
	s3_outage_leave(&client->outage, counted);
	return ok;
}

/* ---- another attempt? ---- */

bool s3_client_is_transient(const struct http_result *result)
{
	AUTO_FINI(buf) code = buf_limit(CODE_MAX);

	switch (result->status) {
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		return true;
	case 400:
		read_code(result, "Code", &code);
		return str_is(buf_str(&code), "RequestTimeout");
	}
	return false;
}

bool s3_client_is_broken(const struct error *err)
{
	return err->kind == ERROR_UNAVAILABLE || err->kind == ERROR_TIMEOUT || err->kind == ERROR_INTERNAL;
}

void s3_client_sleep(int64_t ms)
{
	struct timespec left = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

void s3_client_pause(const struct s3_client *client, unsigned attempt)
{
	uint64_t most = client->backoff_ms;
	uint64_t ms;

	for (unsigned i = 1; i < attempt && most < client->backoff_max_ms; i++)
		most *= 2;
	if (most > client->backoff_max_ms)
		most = client->backoff_max_ms;
	ms = most ? random_below(most + 1) : 0;
	s3_client_sleep((int64_t)ms);
}

/* ---- what an answer means ---- */

static const char *hint_of(struct str code, unsigned status)
{
	static const struct {
		const char *code, *hint;
	} hints[] = {
		{ "InvalidAccessKeyId", "see the access key" },
		{ "SignatureDoesNotMatch",
			"see the secret key, or a proxy in between that changes the Host header" },
		{ "RequestTimeTooSkewed", "see the clock of this machine" },
		{ "ExpiredToken", "see the session token" },
		{ "InvalidToken", "see the session token" },
		{ "AuthorizationHeaderMalformed", "see the region" },
		{ "PermanentRedirect", "see the region and the endpoint" },
		{ "TemporaryRedirect", "see the region and the endpoint" },
		{ "NoSuchBucket", "see the bucket" },
		{ "AccessDenied",
			"the key needs s3:GetObject, PutObject, DeleteObject, AbortMultipartUpload, "
			"ListBucket and ListBucketMultipartUploads" },
	};

	for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
		if (str_is(code, hints[i].code))
			return hints[i].hint;
	if (code.len)
		return NULL;
	if (status == 401 || status == 403)
		return "see the keys and what they are allowed to do";
	if (status >= 300 && status < 400)
		return "see the region, the endpoint and path style";
	return NULL;
}

static bool code_is_one_of(struct str code, const char *const *codes)
{
	for (; *codes; codes++)
		if (str_is(code, *codes))
			return true;
	return false;
}

static enum error_kind kind_of(unsigned status, struct str code)
{
	static const char *const full[] = { "QuotaExceeded", "XMinioStorageFull",
		"XMinioAdminBucketQuotaExceeded", "InsufficientStorage", NULL };

	if (status == 507 || code_is_one_of(code, full))
		return ERROR_FULL;
	if (str_is(code, "NoSuchBucket"))
		return ERROR_UNAVAILABLE;
	if (status == 404)
		return ERROR_UNKNOWN;
	/* It is this registry that is refused, not its client. */
	if (status == 401 || status == 403)
		return ERROR_UNAVAILABLE;
	if (status == 409 || status == 412)
		return ERROR_CONFLICT;
	if (status == 413 || str_is(code, "EntityTooLarge"))
		return ERROR_TOO_LARGE;
	if (status == 429 || status >= 500)
		return ERROR_UNAVAILABLE;
	return ERROR_INTERNAL;
}

bool s3_client_error(const struct s3_client *client, const struct s3_call *call,
	const struct http_result *result, struct error *err)
{
	AUTO_FINI(buf) code = buf_limit(CODE_MAX);
	AUTO_FINI(buf) message = buf_limit(MESSAGE_MAX);
	const char *hint;

	read_code(result, "Code", &code);
	read_code(result, "Message", &message);
	hint = hint_of(buf_str(&code), result->status);
	(void)error_set(err, kind_of(result->status, buf_str(&code)), NULL,
		"S3 %s %s at %s: %u%s%s%s%s%s%s%s", call->method,
		call->key ? call->key : client->endpoint.bucket, client->endpoint.origin, result->status,
		code.len ? " " : "", buf_text(&code), message.len ? ": " : "", buf_text(&message),
		hint ? " (" : "", hint ? hint : "", hint ? ")" : "");
	return s3_client_hide(err);
}

bool s3_client_hide(struct error *err)
{
	if (err)
		err->sys = EREMOTEIO;
	return false;
}

bool s3_client_expect_ok(const struct s3_client *client, const struct s3_call *call,
	const struct http_result *result, struct error *err)
{
	return (result->status >= 200 && result->status < 300) || s3_client_error(client, call, result, err);
}
