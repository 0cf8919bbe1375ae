/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http - methods and statuses by table, header lists as a row of lines whose texts lie in few blocks.
 */
#include "common/http.h"

#include <strings.h>
#include <time.h>

#include "common/check.h"

#define HEADERS_BYTES_MAX (64u * 1024)
#define HEADERS_LINES_MAX 200u

static const char *const methods[] = {
	[HTTP_GET] = "GET",
	[HTTP_HEAD] = "HEAD",
	[HTTP_POST] = "POST",
	[HTTP_PUT] = "PUT",
	[HTTP_PATCH] = "PATCH",
	[HTTP_DELETE] = "DELETE",
	[HTTP_OPTIONS] = "OPTIONS",
	[HTTP_OTHER] = "OTHER",
};

const char *http_method_name(enum http_method method)
{
	return (unsigned)method <= HTTP_OTHER ? methods[method] : methods[HTTP_OTHER];
}

enum http_method http_method_parse(struct str name)
{
	unsigned method = HTTP_GET;

	while (method < HTTP_OTHER && !str_is(name, methods[method]))
		method++;
	return (enum http_method)method;
}

const char *http_status_text(unsigned status)
{
	static const struct {
		unsigned status;
		const char *text;
	} table[] = {
		{ 100, "Continue" },
		{ 101, "Switching Protocols" },
		{ 200, "OK" },
		{ 201, "Created" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 206, "Partial Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 303, "See Other" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 409, "Conflict" },
		{ 410, "Gone" },
		{ 411, "Length Required" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Range Not Satisfiable" },
		{ 417, "Expectation Failed" },
		{ 421, "Misdirected Request" },
		{ 422, "Unprocessable Content" },
		{ 426, "Upgrade Required" },
		{ 428, "Precondition Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 507, "Insufficient Storage" },
		{ 508, "Loop Detected" },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (table[i].status == status)
			return table[i].text;
	}
	return "Unknown";
}

/* ---- headers ---- */

struct http_line {
	char *name, *value; /* in `first` or a block, the value behind the name */
};

struct block {
	struct block *next;
	char bytes[];
};

#define FIRST_LINES 16
#define FIRST_BYTES ((size_t)1024)
#define BLOCK_BYTES ((size_t)4096)

/* One allocation for a usual list. */
struct http_headers {
	struct http_line *lines; /* first_lines, or a longer row */
	size_t len, room, bytes;
	char *at; /* where the next texts go */
	size_t left;
	struct block *blocks;
	struct http_line first_lines[FIRST_LINES];
	char first[FIRST_BYTES];
};

struct http_headers *http_headers_new(void)
{
	struct http_headers *headers = xnew(struct http_headers);

	headers->lines = headers->first_lines;
	headers->room = FIRST_LINES;
	headers->at = headers->first;
	headers->left = FIRST_BYTES;
	return headers;
}

void http_headers_free(struct http_headers *headers)
{
	struct block *block, *next;

	if (!headers)
		return;
	for (block = headers->blocks; block; block = next) {
		next = block->next;
		free(block);
	}
	if (headers->lines != headers->first_lines)
		free(headers->lines);
	free(headers);
}

/* A bit for each: letters, digits, "!#$%&'*+-.^_`|~". */
bool http_is_token_char(char c)
{
	static const uint64_t token[] = { UINT64_C(0x03ff6cfa00000000), UINT64_C(0x57ffffffc7fffffe), 0, 0 };

	return token[(uint8_t)c >> 6] >> ((uint8_t)c & 63) & 1;
}

static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!http_is_token_char(s.at[i]))
			return false;
	return s.len > 0;
}

static bool is_field_value(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		uint8_t c = (uint8_t)s.at[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static void make_room(struct http_headers *headers)
{
	size_t room = headers->room * 2;
	struct http_line *lines;

	if (headers->len < headers->room)
		return;
	lines = xnew_array(struct http_line, room);
	memcpy(lines, headers->lines, headers->len * sizeof(*lines));
	if (headers->lines != headers->first_lines)
		free(headers->lines);
	headers->lines = lines;
	headers->room = room;
}

/* What is left of a block that is too short for it is lost. */
static char *take_room(struct http_headers *headers, size_t len)
{
	size_t size = len > BLOCK_BYTES ? len : BLOCK_BYTES;
	struct block *block;
	char *at;

	if (len > headers->left) {
		block = check_alloc(1, sizeof(*block) + size);
		block->next = headers->blocks;
		headers->blocks = block;
		headers->at = block->bytes;
		headers->left = size;
	}
	at = headers->at;
	headers->at += len;
	headers->left -= len;
	return at;
}

static char *put_text(char *at, struct str text)
{
	if (text.len)
		memcpy(at, text.at, text.len);
	at[text.len] = '\0';
	return at + text.len + 1;
}

bool http_headers_add(struct http_headers *headers, struct str name, struct str value)
{
	struct http_line line;

	if (headers->len >= HEADERS_LINES_MAX || name.len > HEADERS_BYTES_MAX ||
		value.len > HEADERS_BYTES_MAX || headers->bytes + name.len + value.len > HEADERS_BYTES_MAX)
		return false;
	if (!is_token(name) || !is_field_value(value))
		return false;
	value = str_trim(value);
	make_room(headers);
	line.name = take_room(headers, name.len + value.len + 2);
	line.value = put_text(line.name, name);
	(void)put_text(line.value, value);
	headers->lines[headers->len++] = line;
	headers->bytes += name.len + value.len;
	return true;
}

const char *http_headers_find(const struct http_headers *headers, const char *name)
{
	for (size_t i = 0; i < headers->len; i++) {
		if (strcasecmp(headers->lines[i].name, name) == 0)
			return headers->lines[i].value;
	}
	return NULL;
}

size_t http_headers_len(const struct http_headers *headers)
{
	return headers->len;
}

void http_headers_at(
	const struct http_headers *headers, size_t at, const char **ret_name, const char **ret_value)
{
	CHECK(at < headers->len);
	*ret_name = headers->lines[at].name;
	*ret_value = headers->lines[at].value;
}

bool http_header_is_hop(struct str name)
{
	static const char *const hops[] = { "connection", "keep-alive", "te", "trailer", "transfer-encoding",
		"upgrade" };

	for (size_t i = 0; i < sizeof(hops) / sizeof(*hops); i++) {
		if (str_is_nocase(name, hops[i]))
			return true;
	}
	return name.len >= 6 && strncasecmp(name.at, "proxy-", 6) == 0;
}

/* Dates. */

static bool take_month(struct str *s, int *ret_month)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct str word;

	if (!str_until(s, ' ', &word) || word.len != 3)
		return false;
	for (int month = 0; month < 12; month++) {
		if (memcmp(months + 3 * month, word.at, 3) != 0)
			continue;
		*ret_month = month;
		return true;
	}
	return false;
}

/* Exactly so many digits, and what ends them. */
static bool take_digits(struct str *s, size_t digits, uint64_t max, const char *end, int *ret)
{
	size_t before = s->len;
	uint64_t number;

	if (!str_number(s, max, &number) || before - s->len != digits || !str_skip(s, end))
		return false;
	*ret = (int)number;
	return true;
}

bool http_date_parse(struct str text, int64_t *ret_wall_s)
{
	struct tm tm = { 0 };
	struct str weekday;

	if (!str_until(&text, ' ', &weekday) || !take_digits(&text, 2, 31, " ", &tm.tm_mday) ||
		!take_month(&text, &tm.tm_mon) || !take_digits(&text, 4, 9999, " ", &tm.tm_year) ||
		!take_digits(&text, 2, 23, ":", &tm.tm_hour) || !take_digits(&text, 2, 59, ":", &tm.tm_min) ||
		!take_digits(&text, 2, 60, " GMT", &tm.tm_sec) || text.len || tm.tm_year < 1970)
		return false;
	tm.tm_year -= 1900;
	*ret_wall_s = timegm(&tm);
	return true;
}

/* ---- URLs ---- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The next decoded byte off *s, or 0 when it is none that may be. */
static char next_byte(struct str *s, bool plus_is_blank)
{
	char c = s->at[0];
	size_t len = 1;

	if (c == '+' && plus_is_blank) {
		c = ' ';
	} else if (c == '%') {
		int high = s->len > 2 ? hex_value(s->at[1]) : -1, low = s->len > 2 ? hex_value(s->at[2]) : -1;

		c = (char)(high < 0 || low < 0 ? 0 : high << 4 | low);
		len = s->len > 2 ? 3 : 1;
	}
	*s = str_from(s->at + len, s->len - len);
	return c;
}

bool http_unescape(struct str s, bool plus_is_blank, struct buf *into)
{
	size_t before = into->len;

	while (s.len) {
		char c = next_byte(&s, plus_is_blank);

		if (c)
			buf_putc(into, c);
		if (!c || into->failed) {
			into->len = before;
			if (into->at)
				into->at[before] = '\0';
			return false;
		}
	}
	return true;
}

bool http_query_next(struct str *query, struct str *ret_name, struct str *ret_value)
{
	struct str parameter = STR_NONE, name;

	do {
		if (query->len == 0)
			return false;
		if (!str_until(query, '&', &parameter)) {
			parameter = *query;
			*query = str_from(query->at + query->len, 0);
		}
	} while (parameter.len == 0);
	if (str_until(&parameter, '=', &name)) {
		*ret_name = name;
		*ret_value = parameter;
	} else {
		*ret_name = parameter;
		*ret_value = str_from(parameter.at + parameter.len, 0);
	}
	return true;
}

/* Does the percent-encoded text decode to this name? */
static bool decodes_to(struct str s, const char *name)
{
	for (; s.len && *name; name++) {
		if (next_byte(&s, true) != *name)
			return false;
	}
	return s.len == 0 && *name == '\0';
}

unsigned http_query_get(struct str query, const char *name, struct buf *into)
{
	struct str at_name, at_value;
	unsigned count = 0;

	while (http_query_next(&query, &at_name, &at_value)) {
		if (decodes_to(at_name, name) && count++ == 0 && into && !http_unescape(at_value, true, into))
			into->failed = true;
	}
	return count;
}

void http_basic(struct str login, struct buf *into)
{
	buf_puts(into, "Basic ");
	buf_base64(into, login.at, login.len);
}

bool http_accepts(const char *header, const char *token)
{
	struct str list = str_of(header), item, name;

	while (header && str_next(&list, ',', &item)) {
		struct str rest = item;
		if (!str_until(&rest, ';', &name)) {
			name = item;
			rest = STR_NONE;
		}
		name = str_trim(name);
		rest = str_trim(rest);
		if (name.len == strlen(token) && str_is_nocase(name, token))
			return !str_is(rest, "q=0") && !str_is(rest, "q=0.0") && !str_is(rest, "q=0.00") &&
			       !str_is(rest, "q=0.000");
	}
	return false;
}
