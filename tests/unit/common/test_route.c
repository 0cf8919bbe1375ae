/* SPDX-License-Identifier: Apache-2.0 */
/* route: a path and a method find their row, or what there is instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/route.h"

enum { SHAPE_LIST = 1, SHAPE_ONE };

static const struct route rows[] = {
	{ .operation = "live", .path = "/livez", .methods = ROUTE_READS },
	{ .operation = "users", .path = "/api/users*", .shape = SHAPE_LIST, .methods = ROUTE_READS },
	{ .operation = "put_user", .path = "/api/users*", .shape = SHAPE_LIST, .methods = ROUTE_M(PUT) },
	{ .operation = "one", .path = "", .shape = SHAPE_ONE, .methods = ROUTE_M(DELETE) },
};
static const struct route_table table = { rows, sizeof(rows) / sizeof(rows[0]) };

static const char *find(const char *path, enum http_method method, const char *rest)
{
	const struct route *row = NULL;
	struct str found_rest = STR_NONE;
	unsigned allowed;

	if (route_find(table, str_of(path), method, &row, &found_rest, &allowed) != ROUTE_FOUND)
		return NULL;
	assert_true(str_is(found_rest, rest));
	return row->operation;
}

static enum route_found look(const char *path, enum http_method method, unsigned *ret_allowed)
{
	const struct route *row = NULL;
	struct str rest;

	return route_find(table, str_of(path), method, &row, &rest, ret_allowed);
}

static void a_path_and_a_method_find_their_row(void **state)
{
	(void)state;
	assert_string_equal(find("/livez", HTTP_HEAD, ""), "live");
	assert_string_equal(find("/api/users", HTTP_GET, ""), "users");
	assert_string_equal(find("/api/users/", HTTP_GET, ""), "users");
	assert_string_equal(find("/api/users/ann/keys", HTTP_PUT, "ann/keys"), "put_user");
}

static void what_only_begins_alike_is_another_path(void **state)
{
	unsigned allowed;

	(void)state;
	assert_int_equal(look("/livez/", HTTP_GET, &allowed), ROUTE_NO_PATH);
	assert_int_equal(look("/livezz", HTTP_GET, &allowed), ROUTE_NO_PATH);
	assert_int_equal(look("/api/users2", HTTP_GET, &allowed), ROUTE_NO_PATH);
	assert_int_equal(look("/api/user", HTTP_GET, &allowed), ROUTE_NO_PATH);
	assert_int_equal(allowed, 0);
}

static void a_method_that_the_path_does_not_know_is_told_those_that_it_does(void **state)
{
	AUTO_FINI(buf) allow = buf_limit(64);
	unsigned allowed;

	(void)state;
	assert_int_equal(look("/api/users/ann", HTTP_OTHER, &allowed), ROUTE_NO_METHOD);
	route_allow(allowed, &allow);
	assert_string_equal(buf_text(&allow), "GET, HEAD, PUT");
}

static void a_shape_finds_its_rows(void **state)
{
	const struct route *row = NULL;
	unsigned allowed;

	(void)state;
	assert_int_equal(route_find_shape(table, SHAPE_LIST, HTTP_PUT, &row, &allowed), ROUTE_FOUND);
	assert_string_equal(row->operation, "put_user");
	assert_int_equal(route_find_shape(table, SHAPE_ONE, HTTP_GET, &row, &allowed), ROUTE_NO_METHOD);
	assert_int_equal(allowed, ROUTE_M(DELETE));
	assert_int_equal(route_find_shape(table, 7, HTTP_GET, &row, &allowed), ROUTE_NO_PATH);
}

static void a_query_has_what_its_row_knows(void **state)
{
	static const char *const parameters[] = { "apikey", "day", NULL };
	const struct route row = { .parameters = parameters }, any = { .operation = "any" };
	struct str unknown = STR_NONE;

	(void)state;
	assert_true(route_takes(&row, STR(""), &unknown));
	assert_true(route_takes(&row, STR("day=2026-11-20&apikey=x&day=y"), &unknown));
	assert_false(route_takes(&row, STR("day=1&apikeys=x&z=1"), &unknown));
	assert_true(str_is(unknown, "apikeys"));
	assert_string_equal(route_nearest(&row, unknown), "apikey");
	assert_null(route_nearest(&row, STR("something else")));
	assert_true(route_takes(&any, STR("z=1"), &unknown));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_and_a_method_find_their_row),
		cmocka_unit_test(what_only_begins_alike_is_another_path),
		cmocka_unit_test(a_method_that_the_path_does_not_know_is_told_those_that_it_does),
		cmocka_unit_test(a_shape_finds_its_rows),
		cmocka_unit_test(a_query_has_what_its_row_knows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
