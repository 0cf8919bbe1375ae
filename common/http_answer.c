/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http_answer.h"

#include <string.h>

#include "common/check.h"

#define LENGTH_MAX ((uint64_t)1 << 62)

static bool refuse(struct error *err, const char *why)
{
	return error_set(err, ERROR_INVALID, NULL, "the head of an answer %s", why);
}

/* Without its CR LF. */
static bool take_line(struct str *rest, struct str *ret, struct error *err)
{
	if (!str_until(rest, '\n', ret) || ret->len == 0 || ret->at[ret->len - 1] != '\r')
		return refuse(err, "has a line that does not end with CR LF");
	ret->len--;
	return true;
}

static bool read_status(struct str line, unsigned *ret, struct error *err)
{
	uint64_t status;

	if (!str_skip(&line, "HTTP/1.1 ") || line.len < 3 || (line.len > 3 && line.at[3] != ' ') ||
		!str_to_number(str_from(line.at, 3), 999, &status) || status < 100)
		return refuse(err, "does not begin with \"HTTP/1.1\" and a status");
	*ret = (unsigned)status;
	return true;
}

static bool read_field(struct str line, struct http_answer *into, struct error *err)
{
	struct str name;
	uint64_t length;

	if (!str_until(&line, ':', &name) || !http_headers_add(into->headers, name, line))
		return refuse(err, "has a field that is none, or too many of them");
	if (str_is_nocase(name, "Transfer-Encoding"))
		return refuse(err, "has a Transfer-Encoding");
	if (!str_is_nocase(name, "Content-Length"))
		return true;
	if (into->length >= 0 || !str_to_number(str_trim(line), LENGTH_MAX, &length))
		return refuse(err, "has a Content-Length that is no number, or two of them");
	into->length = (int64_t)length;
	return true;
}

static bool parse(struct str rest, struct http_answer *into, struct error *err)
{
	struct str line;

	if (!take_line(&rest, &line, err) || !read_status(line, &into->status, err))
		return false;
	for (;;) {
		if (!take_line(&rest, &line, err))
			return false;
		if (line.len == 0)
			return rest.len == 0 || refuse(err, "has an empty line before its end");
		if (!read_field(line, into, err))
			return false;
	}
}

bool http_answer_parse(struct str head, struct http_answer *ret, struct error *err)
{
	AUTO(http_headers) *headers = http_headers_new();
	struct http_answer answer = { .length = -1, .headers = headers };

	if (head.len > HTTP_ANSWER_MAX)
		return refuse(err, "is over 80 KiB");
	if (!parse(head, &answer, err))
		return false;
	*ret = answer;
	(void)TAKE(headers);
	return true;
}
