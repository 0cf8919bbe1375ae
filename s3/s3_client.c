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
#include "s3/s3_v2.h"
#include "s3/s3_xml.h"

#define ATTEMPTS       5
#define BACKOFF_MS     100
#define BACKOFF_MAX_MS 5000
#define GIVE_UP_MS     60000
#define STALL_MS       30000
#define URL_MAX        (16 * 1024)
#define BEFORE_S       1
#define READ_SIZE      (256 * 1024)
#define LINK_MAX_S     (7 * 86400 - BEFORE_S) /* a store takes no more */
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

static bool init_credentials(struct s3_client *client, const struct s3_settings *settings, struct error *err)
{
	struct s3_identity own = { .access_key = settings->access_key,
		.secret_key = settings->secret_key,
		.session_token = settings->session_token };
	bool has_own = (settings->access_key && settings->access_key[0]) ||
		       (settings->secret_key && settings->secret_key[0]);

	if (!has_own && !settings->identity)
		return error_set(err, ERROR_INVALID, NULL, "S3 access key or secret key is missing");
	return s3_credentials_new(
		&client->credentials, has_own ? &own : settings->identity, settings->region, err);
}

static void keep_header(struct s3_client *client, const char *name, const char *value, const char *below)
{
	size_t n = 0;

	if (!value || !value[0])
		return;
	while (client->object[n].name)
		n++;
	CHECK(n < S3_OBJECT_HEADERS);
	client->object[n] = (struct s3_kept){ name, check_strdup(value), below ? check_strdup(below) : NULL };
}

static char *keep(const char *text)
{
	return text && text[0] ? check_strdup(text) : NULL;
}

static bool init_endpoints(struct s3_client *client, const struct s3_settings *settings, struct error *err)
{
	struct s3_settings redirect = *settings;

	if (settings->redirect_endpoint)
		redirect.endpoint = settings->redirect_endpoint;
	return s3_endpoint_init(&client->endpoint, settings, err) &&
	       s3_endpoint_init(&client->redirect, &redirect, err);
}

bool s3_client_init(struct s3_client *client, const struct s3_settings *settings, struct error *err)
{
	if (!init_endpoints(client, settings, err) || !init_credentials(client, settings, err))
		return false;
	client->region = check_strdup(settings->region);
	client->v2 = settings->v2;
	client->user_agent = keep(settings->user_agent);
	client->ca_file = keep(settings->ca_file);
	keep_header(client, "x-amz-server-side-encryption", settings->encryption, NULL);
	keep_header(client, "x-amz-server-side-encryption-aws-kms-key-id", settings->encryption_key, NULL);
	keep_header(client, "x-amz-acl", settings->acl, NULL);
	keep_header(client, "x-amz-storage-class", settings->storage_class, settings->storage_class_below);
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

void s3_client_fini(struct s3_client *client)
{
	s3_credentials_free(TAKE(client->credentials));
	s3_endpoint_fini(&client->endpoint);
	s3_endpoint_fini(&client->redirect);
	for (size_t i = 0; i < S3_OBJECT_HEADERS; i++) {
		free(client->object[i].value);
		free(client->object[i].below);
		client->object[i] = (struct s3_kept){ 0 };
	}
	free(TAKE(client->region));
	free(TAKE(client->user_agent));
	free(TAKE(client->ca_file));
}

/* ---- sending ---- */

void s3_request_fini(struct s3_request *request)
{
	free(request->url);
	http_headers_free(request->headers);
	*request = (struct s3_request){ 0 };
}

static bool add_header(struct http_headers *headers, const char *name, const char *value, struct error *err)
{
	return http_headers_add(headers, str_of(name), str_of(value)) ||
	       error_set(err, ERROR_INTERNAL, NULL, "header %s", name);
}

static bool is_part(const struct s3_call *call)
{
	struct str query = call->query;

	return http_query_get(query, "partNumber", NULL) != 0;
}

/* A PUT of an object or a copy, or the begin of one by parts. */
static bool makes_object(const struct s3_call *call)
{
	if (!call->key)
		return false;
	return (!strcmp(call->method, "PUT") && !is_part(call)) ||
	       (!strcmp(call->method, "POST") && http_query_get(call->query, "uploads", NULL));
}

static bool add_headers(const struct s3_client *client, const struct s3_call *call,
	struct http_headers *headers, struct error *err)
{
	bool makes = makes_object(call);

	for (size_t i = 0; i < S3_CALL_HEADERS && call->headers[i].name; i++)
		if (!add_header(headers, call->headers[i].name, call->headers[i].value, err))
			return false;
	for (size_t i = 0; makes && i < S3_OBJECT_HEADERS && client->object[i].name; i++) {
		const struct s3_kept *kept = &client->object[i];

		if ((!kept->below || strstr(call->key, kept->below)) &&
			!http_headers_find(headers, kept->name) &&
			!add_header(headers, kept->name, kept->value, err))
			return false;
	}
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

/* What a request is signed with. */
struct signing {
	const struct s3_keys *keys;
	const struct s3_endpoint *endpoint;
	const char *path;
	int64_t wall_s;
};

static bool hash_file(
	enum hash_kind kind, const struct s3_call *call, uint8_t into[HASH_MAX], struct error *err)
{
	AUTO(hasher) *hasher = hasher_new(kind);
	AUTO_STR *bytes = xnew_array(char, READ_SIZE);
	uint64_t at = call->offset, left = call->length;

	while (left) {
		ssize_t got = pread(call->fd, bytes, left < READ_SIZE ? (size_t)left : READ_SIZE, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? error_sys(err, "read the file to be stored")
				   : error_set(err, ERROR_INTERNAL, NULL, "the file to be stored is shorter");
		hasher_add(hasher, bytes, (size_t)got);
		at += (uint64_t)got;
		left -= (uint64_t)got;
	}
	hasher_result(hasher, into);
	return true;
}

/* Version 2 does not sign the body; with this the store still sees when it is another. */
static bool add_md5(const struct s3_call *call, struct http_headers *headers, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(32);
	uint8_t hash[HASH_MAX];

	if (!call->body.len && !call->length)
		return true;
	if (call->length && !hash_file(HASH_MD5, call, hash, err))
		return false;
	if (!call->length)
		hash_bytes(HASH_MD5, call->body.at, call->body.len, hash);
	buf_base64(&text, hash, hash_size(HASH_MD5));
	return add_header(headers, "Content-MD5", buf_text(&text), err);
}

/* "uploads=" is "uploads" here: stores sign the one or the other, but all of them the one without as it is. */
static void add_plain_query(struct str query, struct buf *into)
{
	struct str name, value;

	while (http_query_next(&query, &name, &value))
		buf_format(into, "%s%.*s%s%.*s", into->len ? "&" : "", STR_ARGS(name), value.len ? "=" : "",
			STR_ARGS(value));
}

static bool add_v2(const struct s3_client *client, const struct s3_call *call, const struct signing *with,
	struct http_headers *headers, struct buf *url, struct error *err)
{
	AUTO_FINI(buf) query = buf_limit(URL_MAX);
	struct s3_v2_request sign = { .method = call->method,
		.bucket = with->endpoint->bucket_path[1] ? NULL : client->endpoint.bucket,
		.path = with->path,
		.wall_s = with->wall_s };

	add_plain_query(call->query, &query);
	if (!buf_check(&query, "query of an S3 request", err))
		return false;
	sign.query = buf_str(&query);
	if (call->until_s) {
		buf_putc(url, '?');
		return s3_v2_sign_url(with->keys, &sign, call->until_s, url, err);
	}
	if (query.len)
		buf_format(url, "?%s", buf_text(&query));
	return add_md5(call, headers, err) && s3_v2_sign(with->keys, &sign, headers, err);
}

/* The query, and the signature: in the headers, or behind the query. */
static bool add_signature(const struct s3_client *client, const struct s3_call *call,
	const struct signing *with, struct http_headers *headers, struct buf *url, struct error *err)
{
	char hex[65];
	struct s3_sign_request sign = {
		.method = call->method,
		.host = with->endpoint->host,
		.path = with->path,
		.query = call->query,
		.wall_s = with->wall_s,
	};

	CHECK(!call->until_s || !call->headers[0].name); /* they would not be signed */
	if (client->v2)
		return add_v2(client, call, with, headers, url, err);
	if (call->until_s) {
		buf_putc(url, '?');
		return add_md5(call, headers, err) &&
		       s3_sign_url(with->keys, &sign, headers, (unsigned)(call->until_s - with->wall_s), url,
			       err);
	}
	if (call->query.len)
		buf_format(url, "?%.*s", STR_ARGS(call->query));
	sign.body = call->body_hash ? call->body_hash : hash_body(call, hex) ? hex : S3_SIGN_EMPTY_BODY;
	return s3_sign(with->keys, &sign, headers, err);
}

/* Where, and signed with what we have now. */
static bool make_url(struct s3_client *client, const struct s3_endpoint *endpoint, const struct s3_call *call,
	const struct s3_lent *lent, int64_t wall_s, struct http_headers *headers, struct buf *url,
	struct error *err)
{
	AUTO_FINI(buf) path = buf_limit(URL_MAX);
	const struct s3_keys keys = { .access_key = lent->loan.access_key,
		.secret_key = lent->loan.secret_key,
		.session_token = lent->loan.session_token[0] ? lent->loan.session_token : NULL,
		.region = client->region };
	struct signing with = { .keys = &keys, .endpoint = endpoint, .wall_s = wall_s };

	s3_endpoint_path(endpoint, call->key, &path);
	buf_puts(url, endpoint->origin);
	buf_add(url, buf_str(&path));
	if (!buf_check(&path, "path of an S3 request", err))
		return false;
	with.path = buf_text(&path);
	return add_signature(client, call, &with, headers, url, err) &&
	       buf_check(url, "URL of an S3 request", err);
}

bool s3_client_prepare(
	struct s3_client *client, const struct s3_call *call, struct s3_request *ret, struct error *err)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(buf) url = buf_limit(URL_MAX);
	const struct s3_lent *lent;
	int64_t signed_ms = clock_ms();
	/* What ends by the store's clock must not begin in its future. */
	int64_t wall_s = s3_clock_now_s(&client->clock) - (call->until_s ? BEFORE_S : 0);
	uint64_t number;
	bool ok;

	if (call->until_s && call->until_s <= wall_s) {
		(void)error_set(err, ERROR_UNAVAILABLE, NULL, "S3 %s %s: the time for it is over",
			call->method, call->key);
		return s3_client_hide(err);
	}
	lent = s3_credentials_now(client->credentials, err);
	if (!lent)
		return s3_client_hide(err);
	number = lent->number;
	ok = add_headers(client, call, headers, err) &&
	     make_url(client, &client->endpoint, call, lent, wall_s, headers, &url, err);
	s3_credentials_drop(client->credentials, lent);
	/* Not signed: whoever is between may change it. */
	if (!ok || (client->user_agent && !add_header(headers, "User-Agent", client->user_agent, err)))
		return false;
	*ret = (struct s3_request){ .url = buf_take(&url, NULL),
		.headers = TAKE(headers),
		.signed_s = wall_s,
		.signed_ms = signed_ms,
		.keys = number };
	ret->spec = spec_of(client, call, ret);
	atomic_fetch_add(&client->requests, 1);
	return true;
}

bool s3_client_link(
	struct s3_client *client, const char *key, unsigned seconds, struct buf *into, struct error *err)
{
	AUTO(http_headers) *none = http_headers_new();
	struct s3_call call = { .method = "GET", .key = key };
	const struct s3_lent *lent = s3_credentials_now(client->credentials, err);
	int64_t wall_s = s3_clock_now_s(&client->clock) - BEFORE_S, left_s;
	bool ok;

	if (!lent)
		return s3_client_hide(err);
	left_s = lent->ends_ms == INT64_MAX ? (int64_t)seconds : (lent->ends_ms - clock_ms()) / 1000;
	if (left_s > (int64_t)seconds)
		left_s = seconds;
	if (left_s > LINK_MAX_S)
		left_s = LINK_MAX_S;
	call.until_s = wall_s + BEFORE_S + left_s;
	ok = left_s > 0 ? make_url(client, &client->redirect, &call, lent, wall_s, none, into, err)
			: error_set(err, ERROR_UNAVAILABLE, NULL, "our keys end in less than a second");
	s3_credentials_drop(client->credentials, lent);
	return ok;
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

void s3_client_was_silent(struct s3_client *client, int64_t begun_ms, const struct error *why)
{
	if (s3_client_is_broken(why) && s3_outage_silent(&client->outage, begun_ms, clock_ms()))
		log_error("s3.away",
			"endpoint=%s error=%s what=\"who needs the store gets 503 until it answers\"",
			client->endpoint.origin, log_quote(str_of(why->text)));
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

/* Were the keys refused, not what was asked? The answer to a HEAD has no code: 400 is how S3 calls ended tokens. */
static bool keys_are_refused(const struct s3_call *call, const struct http_result *result)
{
	static const char *const codes[] = { "ExpiredToken", "ExpiredTokenException", "InvalidToken",
		"InvalidAccessKeyId", "TokenRefreshRequired" };
	AUTO_FINI(buf) code = buf_limit(CODE_MAX);

	if (result->status != 400 && result->status != 401 && result->status != 403)
		return false;
	if (!strcmp(call->method, "HEAD"))
		return result->status == 400;
	read_code(result, "Code", &code);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (str_is(buf_str(&code), codes[i]))
			return true;
	return false;
}

bool s3_client_has_other_keys(struct s3_client *client, const struct s3_call *call,
	const struct s3_request *request, const struct http_result *result)
{
	return keys_are_refused(call, result) &&
	       s3_credentials_refused(client->credentials, request->keys, client->soon_ms);
}

enum s3_again s3_client_again(struct s3_client *client, const struct s3_call *call,
	const struct s3_request *request, const struct http_result *result)
{
	bool refused = result && keys_are_refused(call, result);

	if (result)
		s3_client_heard(client, request, result);
	if (result && is_skewed(result, request->signed_s))
		return S3_AGAIN_NOW;
	if (result && !refused)
		return S3_AGAIN_NOT;
	switch (s3_credentials_others(client->credentials, request->keys, refused)) {
	case S3_OTHERS_NONE:
		break;
	case S3_OTHERS_ASKED_FOR:
		return S3_AGAIN_SOON;
	case S3_OTHERS_THERE:
		return S3_AGAIN_NOW;
	}
	return S3_AGAIN_NOT;
}

/* *ret_again: refused for what another signature mends, and there is one. */
static bool send_now(struct s3_client *client, const struct s3_call *call, struct http_result *result,
	bool *ret_again, struct error *err)
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
		*ret_again = is_skewed(result, request.signed_s) ||
			     s3_client_has_other_keys(client, call, &request, result);
	} else {
		s3_client_heard_nothing(client);
		if (!result->status)
			s3_client_was_silent(client, begun_ms, &failure);
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
	bool again = false;

	s3_credentials_await(client->credentials, client->soon_ms);
	if (!send_now(client, call, result, &again, err))
		return false;
	if (!again)
		return true;
	http_result_fini(result);
	return send_now(client, call, result, &again, err);
}

bool s3_client_should_end(const struct s3_client *client, bool patient, int64_t begun_ms)
{
	int64_t now = clock_ms();

	if (patient)
		return now - begun_ms >= client->give_up_ms;
	return now - begun_ms >= least(client->give_up_ms, client->soon_ms) ||
	       s3_outage_is_on(&client->outage, now) || !s3_credentials_are_good(client->credentials);
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
