/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_chore_view - what is shown of a chore, and what may be asked of one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/chore_view.h"

static void shows(const struct usage_chore *chore, const char *wanted)
{
	AUTO_FINI(buf) b = buf_limit(4096);
	struct json_writer w = json_writer(&b);

	chore_view_write(chore, &w);
	assert_string_equal(buf_text(&b), wanted);
}

static void what_is_nothing_is_left_out(void **state)
{
	char running[] = "running", idle[] = "idle", failed[] = "failed", unit[] = "files", at[] = "a/b",
	     why[] = "no \"disk\"";

	(void)state;
	shows(&(struct usage_chore){ .name = "fold" },
		"{\"name\":\"fold\",\"state\":\"idle\",\"canDryRun\":false}");
	shows(&(struct usage_chore){ .name = "gc",
		      .state = running,
		      .can_dry_run = true,
		      .order = 5,
		      .run = { .unit = unit, .about = 9, .what = at, .at_s = 1700000000, .dry_run = true } },
		"{\"name\":\"gc\",\"state\":\"running\",\"canDryRun\":true,\"order\":5,\"run\":{\"dryRun\":"
		"true,\"what\":\"files\","
		"\"done\":0,\"about\":9,\"at\":\"a/b\",\"began\":\"2023-11-14T22:13:20.000Z\"}}");
	shows(&(struct usage_chore){ .name = "weigh",
		      .state = idle,
		      .last = { .how = failed, .at_s = 1700000000, .ms = 3, .error = why } },
		"{\"name\":\"weigh\",\"state\":\"idle\",\"canDryRun\":false,\"last\":{\"how\":\"failed\","
		"\"ended\":\"2023-11-14T22:13:20.000Z\",\"ms\":3,"
		"\"error\":\"no \\\"disk\\\"\"}}");
}

static void refused(const char *body, const char *says)
{
	struct chore_view_order order;
	struct error err;

	if (chore_view_order_parse(str_of(body), &order, &err))
		fail_msg("taken: %s", body);
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void orders_are_read(void **state)
{
	struct chore_view_order order;
	struct error err;

	(void)state;
	assert_true(chore_view_order_parse(
		STR("{\"chore\":\"gc\",\"action\":\"start\",\"dryRun\":true}"), &order, &err));
	assert_true(order.dry_run && !order.stop);
	assert_string_equal(order.chore, "gc");
	assert_true(chore_view_order_parse(STR("{\"chore\":\"gc\",\"action\":\"stop\"}"), &order, &err));
	assert_true(order.stop && !order.dry_run);
	refused("", "the body");
	refused("[]", "must be a JSON object");
	refused("{\"action\":\"start\"}", "chore: needed");
	refused("{\"chore\":7,\"action\":\"start\"}", "chore: needed");
	refused("{\"chore\":\"gc\"}", "action: needed, \"start\" or \"stop\"");
	refused("{\"chore\":\"gc\",\"action\":\"pause\"}", "action: needed");
	refused("{\"chore\":\"gc\",\"action\":\"start\",\"dryRun\":1}", "dryRun: true or false");
	refused("{\"chore\":\"gc\",\"action\":\"stop\",\"dryRun\":true}", "dryRun: is for \"start\" alone");
	refused("{\"chore\":"
		"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
		"\"action\":\"stop\"}",
		"chore: needed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_nothing_is_left_out),
		cmocka_unit_test(orders_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
