/* SPDX-License-Identifier: Apache-2.0 */
/* test_graphql_request - queries as clients send them over HTTP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/check.h"
#include "graphql/graphql_limits.h"
#include "graphql/graphql_request.h"

static void expect(enum http_method method, const char *query, const char *type, const char *body,
	const char *text, const char *operation, const char *a)
{
	AUTO_FINI(graphql_request) request = { 0 };
	struct error err;

	if (!graphql_request_read(method, str_of(query), type, str_of(body), &request, &err))
		fail_msg("%s %s: %s", query, body, err.text);
	assert_true(str_is(request.text, text));
	assert_true(str_is(request.operation, operation));
	assert_true(str_is(json_str(json_find(request.variables, "a")), a));
}

static void expect_error(
	enum http_method method, struct str query, const char *type, struct str body, const char *words)
{
	AUTO_FINI(graphql_request) request = { 0 };
	struct error err = { .text = "" };

	assert_false(graphql_request_read(method, query, type, body, &request, &err));
	if (!strstr(err.text, words))
		fail_msg("\"%s\" has not \"%s\"", err.text, words);
}

static void get(void **state)
{
	(void)state;
	expect(HTTP_GET, "query=%7Ba%7D", NULL, NULL, "{a}", "", "");
	expect(HTTP_GET, "query={a(b:%22c%22)+d}&operationName=X&variables={%22a%22:%22v%22}", NULL, NULL,
		"{a(b:\"c\") d}", "X", "v");
	/* The body is the query again. */
	expect(HTTP_GET, "query={a}&variables=null", "application/json", "{b}", "{a}", "", "");
	expect(HTTP_GET, "query={a}&variables=", NULL, NULL, "{a}", "", "");
	expect_error(HTTP_GET, STR(""), NULL, STR_NONE, "parameter query is missing");
	expect_error(
		HTTP_GET, STR("query={a}&query={b}"), NULL, STR_NONE, "parameter query is there 2 times");
	expect_error(HTTP_GET, STR("query=%7"), NULL, STR_NONE, "parameter query is broken");
	expect_error(HTTP_GET, STR("query={a}&variables={"), NULL, STR_NONE, "variables");
	expect_error(HTTP_GET, STR("query={a}&variables=[1]"), NULL, STR_NONE, "variables are an array");
}

static void post(void **state)
{
	(void)state;
	expect(HTTP_POST, "", "application/json", "{\"query\":\"{a}\"}", "{a}", "", "");
	expect(HTTP_POST, "query={x}", "Application/JSON; charset=utf-8",
		"{\"operationName\":\"X\",\"extensions\":{},\"query\":\"{a}\",\"variables\":{\"a\":\"v\"}}",
		"{a}", "X", "v");
	expect(HTTP_POST, "", "application/json",
		"{\"query\":\"{a}\",\"operationName\":null,\"variables\":null}", "{a}", "", "");
	expect(HTTP_POST, "operationName=X&variables={\"a\":\"v\"}", "application/graphql", "{a}", "{a}", "X",
		"v");
	expect_error(
		HTTP_POST, STR(""), "application/json", STR("[{\"query\":\"{a}\"}]"), "one query at a time");
	expect_error(HTTP_POST, STR(""), "application/json", STR("{\"query\":1}"),
		"\"query\" is an integer, and has to be a string");
	expect_error(HTTP_POST, STR(""), "application/json", STR("{}"), "\"query\" is missing");
	expect_error(HTTP_POST, STR(""), "application/json", STR("{\"query\":\"\",\"variables\":3}"),
		"variables are an integer");
	expect_error(HTTP_POST, STR(""), "application/json", STR("{"), "the body");
	expect_error(HTTP_POST, STR(""), "text/plain", STR("{a}"), "Content-Type is \"text/plain\"");
	expect_error(HTTP_POST, STR(""), NULL, STR("{a}"), "Content-Type is missing");
	expect_error(HTTP_PUT, STR(""), NULL, STR("{a}"), "not by PUT");
}

static void bounds(void **state)
{
	AUTO_FINI(buf) text = buf_limit(1024 * 1024);

	(void)state;
	buf_puts(&text, "query={");
	for (unsigned i = 0; i < GRAPHQL_TEXT_MAX; i++)
		buf_putc(&text, 'a');
	expect_error(HTTP_GET, buf_str(&text), NULL, STR_NONE, "longer than 65536 bytes");
	for (unsigned i = 0; i < GRAPHQL_BODY_MAX; i++)
		buf_putc(&text, 'a');
	expect_error(HTTP_POST, STR(""), "application/json", buf_str(&text), "over the limit of 262144");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get),
		cmocka_unit_test(post),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests_name("graphql_request", tests, NULL, NULL);
}
