/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_loan.h"

#include <time.h>

#include "common/clock.h"
#include "common/json.h"
#include "s3/s3_xml.h"

#define CONNECT_MS  1000
#define STALL_MS    3000
#define TOTAL_MS    5000
#define JSON_MEMORY (1024 * 1024)
#define SAID_MAX    120

/* What stands in headers; a secret key is hashed alone, and may be a sentence. */
static bool is_sane(struct str text, bool in_header)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c < ' ' || c == 127 || (in_header && (c == ' ' || c > 127)))
			return false;
	}
	return true;
}

static bool take(struct str text, const char *what, bool needed, bool in_header, char *into, size_t size,
	struct error *err)
{
	if (!text.len && needed)
		return error_set(err, ERROR_INVALID, NULL, "%s is missing", what);
	if (!is_sane(text, in_header))
		return error_set(err, ERROR_INVALID, NULL, "%s has a character that no key has", what);
	return str_copy(text, into, size) ||
	       error_set(err, ERROR_TOO_LARGE, NULL, "%s is over %zu bytes", what, size - 1);
}

bool s3_loan_fill(struct s3_loan *loan, struct str access_key, struct str secret_key,
	struct str session_token, struct error *err)
{
	*loan = (struct s3_loan){ 0 };
	return take(access_key, "the access key", true, true, loan->access_key, sizeof loan->access_key,
		       err) &&
	       take(secret_key, "the secret key", true, false, loan->secret_key, sizeof loan->secret_key,
		       err) &&
	       take(session_token, "the session token", false, true, loan->session_token,
		       sizeof loan->session_token, err);
}

static bool take_number(struct str *s, size_t digits, uint64_t max, int *ret)
{
	struct str part = str_from(s->at, digits);
	uint64_t number;

	if (s->len < digits || !str_to_number(part, max, &number))
		return false;
	*s = str_from(s->at + digits, s->len - digits);
	*ret = (int)number;
	return true;
}

static bool skip_fraction(struct str *s)
{
	uint64_t digits;

	return !str_skip(s, ".") || str_number(s, INT64_MAX, &digits);
}

bool s3_loan_parse_time(struct str s, int64_t *ret_wall_s)
{
	struct tm tm = { 0 };

	if (!take_number(&s, 4, 9999, &tm.tm_year) || !str_skip(&s, "-") ||
		!take_number(&s, 2, 12, &tm.tm_mon) || !str_skip(&s, "-") ||
		!take_number(&s, 2, 31, &tm.tm_mday) || !str_skip(&s, "T") ||
		!take_number(&s, 2, 23, &tm.tm_hour) || !str_skip(&s, ":") ||
		!take_number(&s, 2, 59, &tm.tm_min) || !str_skip(&s, ":") ||
		!take_number(&s, 2, 60, &tm.tm_sec) || !skip_fraction(&s) || !str_is(s, "Z") || !tm.tm_mon ||
		tm.tm_year < 1970)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*ret_wall_s = timegm(&tm);
	return true;
}

static bool fill_end(struct s3_loan *loan, struct str text, int64_t date_s, struct error *err)
{
	int64_t end_s;

	if (!text.len)
		return true;
	if (!s3_loan_parse_time(text, &end_s))
		return error_set(err, ERROR_INVALID, NULL, "their end is no time");
	if (end_s <= date_s)
		return error_set(err, ERROR_UNAVAILABLE, NULL, "they have ended already");
	loan->ends = true;
	loan->left_ms = (end_s - date_s) * 1000;
	return true;
}

static bool finish(struct s3_loan *loan, struct str end, int64_t date_s, struct s3_loan *ret, bool filled,
	struct error *err)
{
	bool ok = filled && fill_end(loan, end, date_s, err);

	if (ok)
		*ret = *loan;
	explicit_bzero(loan, sizeof *loan);
	return ok || error_add(err, "keys in its answer");
}

bool s3_loan_parse_json(struct str text, int64_t date_s, struct s3_loan *ret, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	const struct json *root;
	struct s3_loan loan;
	struct str code;
	bool filled;

	if (!json_parse_within(text, JSON_MEMORY, &doc, NULL))
		return error_set(err, ERROR_INVALID, NULL, "its answer is no JSON");
	root = json_root(doc);
	code = json_str(json_find(root, "Code"));
	if (code.len && !str_is(code, "Success"))
		return error_set(err, ERROR_UNAVAILABLE, NULL, "it says %.*s",
			(int)(code.len < SAID_MAX ? code.len : SAID_MAX), code.at);
	filled = s3_loan_fill(&loan, json_str(json_find(root, "AccessKeyId")),
		json_str(json_find(root, "SecretAccessKey")), json_str(json_find(root, "Token")), err);
	return finish(&loan, json_str(json_find(root, "Expiration")), date_s, ret, filled, err);
}

bool s3_loan_parse_xml(struct str text, int64_t date_s, struct s3_loan *ret, struct error *err)
{
	AUTO_FINI(buf) access_key = buf_limit(S3_LOAN_ANSWER_MAX);
	AUTO_FINI(buf) secret_key = buf_limit(S3_LOAN_ANSWER_MAX);
	AUTO_FINI(buf) token = buf_limit(S3_LOAN_ANSWER_MAX);
	AUTO_FINI(buf) end = buf_limit(64);
	struct s3_loan loan;
	bool filled;

	if (!s3_xml_find(text, "AccessKeyId", &access_key) ||
		!s3_xml_find(text, "SecretAccessKey", &secret_key) ||
		!s3_xml_find(text, "SessionToken", &token) || !s3_xml_find(text, "Expiration", &end))
		return error_set(err, ERROR_INVALID, NULL, "its answer has no keys");
	filled = s3_loan_fill(&loan, buf_str(&access_key), buf_str(&secret_key), buf_str(&token), err);
	s3_loan_wipe(&secret_key);
	return finish(&loan, buf_str(&end), date_s, ret, filled, err);
}

void s3_loan_wipe(struct buf *buf)
{
	if (buf->at)
		explicit_bzero(buf->at, buf->len);
}

/* What it says itself: <Message> of XML, "message" of JSON, or nothing. */
static void add_said(const struct http_result *result, struct buf *into)
{
	AUTO_FINI(buf) code = buf_limit(SAID_MAX);
	AUTO_FINI(buf) message = buf_limit(SAID_MAX);
	AUTO(json_doc) *doc = NULL;

	if (s3_xml_find(buf_str(&result->body), "Code", &code)) {
		buf_format(into, " %s", buf_text(&code));
		if (s3_xml_find(buf_str(&result->body), "Message", &message))
			buf_format(into, ": %s", buf_text(&message));
	} else if (json_parse_within(buf_str(&result->body), JSON_MEMORY, &doc, NULL)) {
		struct str said = json_str(json_find(json_root(doc), "message"));

		if (said.len && said.len < SAID_MAX)
			buf_format(into, ": %.*s", STR_ARGS(said));
	}
}

bool s3_loan_ask(struct http_call_spec *spec, const char *who, struct http_result *result,
	int64_t *ret_date_s, struct error *err)
{
	AUTO_FINI(buf) said = buf_limit(4 * SAID_MAX);
	const char *date;

	spec->connect_ms = CONNECT_MS;
	spec->stall_ms = STALL_MS;
	spec->total_ms = TOTAL_MS;
	http_result_init(result, S3_LOAN_ANSWER_MAX);
	if (!http_send(spec, result, err)) {
		if (err)
			err->kind = ERROR_UNAVAILABLE;
		return error_add(err, "%s", who);
	}
	if (result->status != 200) {
		add_said(result, &said);
		return error_set(
			err, ERROR_UNAVAILABLE, NULL, "%s: %u%s", who, result->status, buf_text(&said));
	}
	date = http_headers_find(result->headers, "Date");
	if (!date || !http_date_parse(str_of(date), ret_date_s))
		*ret_date_s = clock_wall_s();
	return true;
}
