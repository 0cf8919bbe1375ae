/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_http_head - heads and chunks, however they are cut, and what is refused of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "common/check.h"
#include "common/http_chunks.h"
#include "common/http_head.h"

/* 0: it is taken; 1: more is to come. */
static unsigned status_of(const char *text, size_t len, struct http_head *ret)
{
	struct http_refusal why = { 0 };
	size_t at = 0, head_len = 0;
	enum http_head_step step = HTTP_HEAD_MORE;
	for (size_t n = 1; n <= len && step == HTTP_HEAD_MORE; n++)
		step = http_head_find(str_from(text, n), &at, &head_len, &why);
	if (step == HTTP_HEAD_MORE)
		return 1;
	size_t whole = 0, from = 0;
	struct http_refusal at_once = { 0 };
	assert_int_equal(http_head_find(str_from(text, len), &from, &whole, &at_once), step);
	assert_int_equal(at_once.status, why.status);
	if (step == HTTP_HEAD_BAD)
		return why.status;
	assert_int_equal(whole, head_len);
	static char copy[HTTP_HEAD_MAX];
	memcpy(copy, text, head_len);
	if (http_head_parse(copy, head_len, ret, &why))
		return 0;
	assert_true(why.status >= 400 && why.why);
	return why.status;
}

#define STATUS(literal) status_of(literal, sizeof(literal) - 1, &head)

static void test_a_head_is_cut_up(void **state)
{
	(void)state;
	struct http_head head;
	assert_int_equal(
		STATUS("PUT /v2/a%20b/blobs?x=1&y HTTP/1.1\r\nHost: [::1]:5000\r\nA:b\r\nC: \t d e \t\r\n"
		       "Empty:\r\nContent-Length: 42\r\nExpect: 100-Continue\r\nConnection: x, "
		       "Close\r\n\r\nrest"),
		0);
	assert_int_equal(head.method, HTTP_PUT);
	assert_true(str_is(head.target, "/v2/a%20b/blobs?x=1&y"));
	assert_int_equal(head.length, 42);
	assert_true(head.expects && head.close);
	assert_int_equal(head.fields_len, 7);
	assert_string_equal(http_head_field(&head, "c", 1), "d e");
	assert_string_equal(http_head_field(&head, "A", 1), "b");
	assert_string_equal(http_head_field(&head, "empty", 5), "");
	assert_null(http_head_field(&head, "empt", 4));
	assert_int_equal(STATUS("GET / HTTP/1.0\r\n\r\n"), 0);
	assert_true(head.close && head.minor == 0);
	assert_int_equal(STATUS("POST * HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
	assert_int_equal(STATUS("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
	assert_int_equal(STATUS("POST / HTTP/1.7\r\nHost:\r\nTransfer-Encoding: Chunked\r\n\r\n"), 0);
	assert_int_equal(head.length, -1);
	assert_int_equal(STATUS("GET / HTTP/1.1\r\nHost: x\r\n"), 1);
}

static void test_what_has_two_readings_is_refused(void **state)
{
	(void)state;
	struct http_head head;
	static const struct {
		unsigned status;
		const char *lines; /* behind the first, without the end */
	} fields[] = {
		{ 400, "Host : x" },
		{ 400, "Host: x\r\nA\t: b" },
		{ 400, " Host: x" },
		{ 400, "Host: x\r\n y" },
		{ 400, "Host: x\r\nA:\r\n\tb" },
		{ 400, "Host: x\r\n: b" },
		{ 400, "Host: x\r\nA b" },
		{ 400, "Host: x\r\nA[]: b" },
		{ 400, "Host: x\r\nA\xe9: b" },
		{ 400, "Host: x\r\nA: b\x01" },
		{ 400, "Host: x\r\nA: b\rc" },
		{ 400, "Host: x\r\nA: b\nc: d" },
		{ 400, "Host: x\r\nA: \x7f" },
		{ 400, "" },
		{ 400, "A: b" },
		{ 400, "Host: x\r\nHost: x" },
		{ 400, "Host: x, y" },
		{ 400, "Host: a@b" },
		{ 400, "Host: a/b" },
		{ 400, "Host: a b" },
		{ 400, "Host: x\r\nContent-Length: " },
		{ 400, "Host: x\r\nContent-Length: +5" },
		{ 400, "Host: x\r\nContent-Length: -0" },
		{ 400, "Host: x\r\nContent-Length: 0x5" },
		{ 400, "Host: x\r\nContent-Length: 05" },
		{ 400, "Host: x\r\nContent-Length: 5 5" },
		{ 400, "Host: x\r\nContent-Length: 5, 5" },
		{ 400, "Host: x\r\nContent-Length: 5\r\nContent-Length: 5" },
		{ 413, "Host: x\r\nContent-Length: 99999999999999999999" },
		{ 400, "Host: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked" },
		{ 400, "Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked" },
		{ 400, "Host: x\r\nTransfer-Encoding: chunked, gzip" },
		{ 400, "Host: x\r\nTransfer-Encoding: gzip, chunked" },
		{ 400, "Host: x\r\nTransfer-Encoding:" },
		{ 501, "Host: x\r\nTransfer-Encoding: xchunked" },
		{ 400, "Host: x\r\nTransfer-Encoding: chunked\x0b" },
		{ 501, "Host: x\r\nTransfer-Encoding: identity" },
	};
	static const struct {
		unsigned status;
		const char *first;
	} firsts[] = {
		{ 400, "GET  / HTTP/1.1" },
		{ 400, "GET /  HTTP/1.1" },
		{ 400, "GET\t/ HTTP/1.1" },
		{ 400, " GET / HTTP/1.1" },
		{ 400, "GET / HTTP/1.1 " },
		{ 400, "GET / HTTP/1" },
		{ 400, "GET /" },
		{ 400, "GET / HTTP/01.1" },
		{ 400, "GET / http/1.1" },
		{ 505, "GET / HTTP/2.0" },
		{ 400, "GET HTTP/1.1" },
		{ 400, "GET /a b HTTP/1.1" },
		{ 400, "GET /a#b HTTP/1.1" },
		{ 400, "GET /\xe9 HTTP/1.1" },
		{ 400, "GET /\x01 HTTP/1.1" },
		{ 400, "GET x HTTP/1.1" },
		{ 400, "G(T / HTTP/1.1" },
		{ 400, "CONNECT a:1 HTTP/1.1" },
		{ 400, "\x16\x03\x01" },
		{ 505, "PRI * HTTP/2.0" },
	};
	char text[512];
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		int n = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n%s%s\r\n", fields[i].lines,
			*fields[i].lines ? "\r\n" : "");
		unsigned status = status_of(text, (size_t)n, &head);
		if (status != fields[i].status)
			fail_msg("%u, not %u: %s", status, fields[i].status, fields[i].lines);
	}
	for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++) {
		int n = snprintf(text, sizeof(text), "%s\r\nHost: x\r\n\r\n", firsts[i].first);
		unsigned status = status_of(text, (size_t)n, &head);
		if (status != firsts[i].status && !(firsts[i].status == 505 && status == 400))
			fail_msg("%u, not %u: %s", status, firsts[i].status, firsts[i].first);
	}
	assert_int_equal(STATUS("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
	assert_int_equal(STATUS("GET / HTTP/1.1\r\nHost: x\0\r\n\r\n"), 400);
	assert_int_equal(STATUS("GET / HTTP/1.1\nHost: x\n\n"), 400);
	assert_int_equal(STATUS("GET / HTTP/1.1\rHost: x\r\r\n\r\n"), 400);
	assert_int_equal(STATUS("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
	assert_int_equal(STATUS("GET / HTTP/1.1\r\nHost: x\r\n\r\r\n\r\n"), 400);
}

static void test_heads_have_bounds(void **state)
{
	(void)state;
	static char text[40000];
	struct http_head head;
	for (unsigned fields = 99; fields <= 100; fields++) {
		size_t len = (size_t)snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: x\r\n");
		for (unsigned i = 0; i < fields; i++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "A: b\r\n");
		len += (size_t)snprintf(text + len, sizeof(text) - len, "\r\n");
		assert_int_equal(status_of(text, len, &head), fields == 99 ? 0 : 431);
	}
	memset(text, 'a', sizeof(text));
	assert_int_equal(status_of(text, sizeof(text), &head), 400);
	memcpy(text, "GET /", 5);
	assert_int_equal(status_of(text, sizeof(text), &head), 414);
	memcpy(text, "GET / HTTP/1.1\r\nA: ", 19);
	assert_int_equal(status_of(text, sizeof(text), &head), 431);
}

/* Chunks, byte by byte: the data, or NULL for a refusal. */
static const char *unchunked(const char *text, struct http_refusal *ret_why)
{
	static char data[4096];
	struct http_chunks chunks = { 0 };
	size_t len = 0;
	*ret_why = (struct http_refusal){ 0 };
	for (const char *at = text; *at; at++) {
		struct str bytes = str_from(at, 1), piece;
		enum http_chunks_step step = http_chunks_next(&chunks, &bytes, &piece, ret_why);
		if (step == HTTP_CHUNKS_BAD)
			return NULL;
		if (step == HTTP_CHUNKS_DATA) {
			CHECK(len < sizeof(data) - 1);
			data[len++] = *piece.at;
			http_chunks_took(&chunks, &bytes, 1);
		}
		if (step == HTTP_CHUNKS_END) {
			data[len] = '\0';
			return data;
		}
	}
	return "(more)";
}

static void test_chunks_are_taken_apart(void **state)
{
	(void)state;
	struct http_refusal why;
	assert_string_equal(unchunked("5\r\nhello\r\n0\r\n\r\n", &why), "hello");
	assert_string_equal(unchunked("1;a=b;c\r\nx\r\n00a ;d\r\n", &why) ? "taken" : "refused", "refused");
	assert_string_equal(
		unchunked("1;a=b; c = \"d\"\r\nx\r\n00A\r\n0123456789\r\n0;x\r\nTrailer: y\r\nZ:\r\n\r\n",
			&why),
		"x0123456789");
	assert_string_equal(unchunked("0\r\n\r\n", &why), "");
	assert_string_equal(unchunked("5\r\nhel", &why), "(more)");
}

static void test_chunks_that_are_none(void **state)
{
	(void)state;
	static const char *const wrong[] = { "5\nhello\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhelloxx",
		"5\r\nhello\n0", "0x5\r\n", "5_0\r\n", " 5\r\n", "5 \r\n", "-5\r\n", "+5\r\n", "\r\n",
		";a\r\n", "5;\r\n", "5;;a\r\n", "5;a\nhello", "5;a\rb", "5;a\x01\r\n", "g\r\n",
		"0\r\n: x\r\n\r\n", "0\r\n x: y\r\n\r\n", "0\r\nx\r\n\r\n", "0\r\nx: y\n\r\n",
		"0\r\nx : y\r\n\r\n", "5\rhello" };
	struct http_refusal why;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (unchunked(wrong[i], &why))
			fail_msg("taken: %s", wrong[i]);
		assert_int_equal(why.status, 400);
	}
	assert_null(unchunked("fffffffffffffffff\r\n", &why));
	assert_int_equal(why.status, 413);
}

static void test_lines_of_chunks_have_bounds(void **state)
{
	(void)state;
	static char text[HTTP_TRAILERS_MAX + 2000];
	struct http_refusal why;
	(void)snprintf(text, sizeof(text), "5;%0300d\r\nhello\r\n0\r\n\r\n", 1);
	assert_null(unchunked(text, &why));
	assert_int_equal(why.status, 431);
	(void)snprintf(text, sizeof(text), "0\r\na: %05000d", 1);
	assert_null(unchunked(text, &why));
	assert_int_equal(why.status, 431);
	(void)snprintf(text, sizeof(text), "0\r\na: %03000d\r\n\r\n", 1);
	assert_string_equal(unchunked(text, &why), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_head_is_cut_up),
		cmocka_unit_test(test_what_has_two_readings_is_refused),
		cmocka_unit_test(test_heads_have_bounds),
		cmocka_unit_test(test_chunks_are_taken_apart),
		cmocka_unit_test(test_chunks_that_are_none),
		cmocka_unit_test(test_lines_of_chunks_have_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
