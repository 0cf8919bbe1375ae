/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "common/buf.h"
#include "common/http_answer.h"

static void a_head_is_read(void **state)
{
	struct http_answer answer;
	struct error err;

	(void)state;
	assert_true(http_answer_parse(
		STR("HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\nX-A:  b \r\nx-a: c\r\n\r\n"), &answer,
		&err));
	assert_int_equal(answer.status, 404);
	assert_int_equal(answer.length, 12);
	assert_int_equal(http_headers_len(answer.headers), 3);
	assert_string_equal(http_headers_find(answer.headers, "X-A"), "b");
	http_headers_free(answer.headers);
	assert_true(http_answer_parse(STR("HTTP/1.1 204\r\n\r\n"), &answer, &err));
	assert_int_equal(answer.status, 204);
	assert_int_equal(answer.length, -1);
	http_headers_free(answer.headers);
}

static void assert_refused(struct str head, const char *why)
{
	struct http_answer answer;
	struct error err;

	assert_false(http_answer_parse(head, &answer, &err));
	if (!strstr(err.text, why))
		fail_msg("\"%s\" says nothing of \"%s\"", err.text, why);
}
#define REFUSED(head, why) assert_refused(STR(head), why)

static void what_is_none_or_has_two_readings_is_refused(void **state)
{
	AUTO_FINI(buf) large = buf_limit(HTTP_ANSWER_MAX + 4096);

	(void)state;
	REFUSED("", "CR LF");
	REFUSED("HTTP/1.1 200 OK", "CR LF");
	REFUSED("HTTP/1.1 200 OK\r\n", "CR LF");
	REFUSED("HTTP/1.1 200 OK\n\n", "CR LF");
	REFUSED("HTTP/1.0 200 OK\r\n\r\n", "begin");
	REFUSED("HTTP/1.1 99 Low\r\n\r\n", "begin");
	REFUSED("HTTP/1.1 099 Low\r\n\r\n", "begin");
	REFUSED("HTTP/1.1 2000 OK\r\n\r\n", "begin");
	REFUSED("HTTP/1.1 2x0 OK\r\n\r\n", "begin");
	REFUSED("GET / HTTP/1.1\r\n\r\n", "begin");
	REFUSED("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "field");
	REFUSED("HTTP/1.1 200 OK\r\nbad name: x\r\n\r\n", "field");
	REFUSED("HTTP/1.1 200 OK\r\na: \x01\r\n\r\n", "field");
	REFUSED("HTTP/1.1 200 OK\r\na: b\r\n\r\nrest", "empty line");
	REFUSED("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding");
	REFUSED("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "two of them");
	REFUSED("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no number");
	REFUSED("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "no number");
	buf_puts(&large, "HTTP/1.1 200 OK\r\n");
	while (large.len < 70 * 1024)
		buf_puts(&large, "Name: some seventy bytes of a value that is repeated again and again\r\n");
	buf_puts(&large, "\r\n");
	assert_refused(buf_str(&large), "too many");
	while (large.len <= HTTP_ANSWER_MAX)
		buf_puts(&large, "more");
	assert_refused(buf_str(&large), "80 KiB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_is_read),
		cmocka_unit_test(what_is_none_or_has_two_readings_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
