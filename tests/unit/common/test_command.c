/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_command - what a command line means: rows, their options, and every wrong use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/command.h"
#include "common/settings.h"

#define WRONG_USE 2
#define RAN       7

static struct command_call got;

static int run_copy(const struct command_call *call)
{
	got = *call;
	return RAN;
}

static const struct command_option options[] = {
	{ "--user", "NAME", "who" },
	{ "--user-agent", "TEXT", "with what" },
	{ "--force", NULL, "also when it is there" },
};
static const struct command rows[] = {
	{ "serve", "FILE", "serve", .run = run_copy },
	{ "copy", "FILE", "copy", .run = run_copy, .options = options, .options_len = 3 },
	{ "reset", NULL, "reset", .run = run_copy },
};

static const struct settings_table no_settings = { .rows = NULL };

static const struct command_table table = {
	.program = "p", .what = "a test", .rows = rows, .len = 3, .settings = &no_settings
};

/* Words with blanks between them. */
static int run(const char *line)
{
	static char text[256];
	char *argv[16], *rest = text;
	int argc = 0;

	(void)snprintf(text, sizeof(text), "%s", line);
	for (char *word; (word = strtok_r(rest, " ", &rest));)
		argv[argc++] = word;
	memset(&got, 0, sizeof(got));
	return command_main(&table, argc, argv);
}

static void runs_a_row_with_its_argument(void **state)
{
	(void)state;
	assert_int_equal(run("p serve"), RAN);
	assert_null(got.argument);
	assert_int_equal(run("p serve a.json"), RAN);
	assert_string_equal(got.argument, "a.json");
	assert_int_equal(run("p reset"), RAN);
}

static void takes_options_before_and_behind(void **state)
{
	(void)state;
	assert_int_equal(run("p copy --user a --force x"), RAN);
	assert_string_equal(command_option(&got, "--user"), "a");
	assert_string_equal(command_option(&got, "--force"), "");
	assert_null(command_option(&got, "--user-agent"));
	assert_string_equal(got.argument, "x");
	assert_int_equal(run("p copy x --user-agent=-b --user=a=b"), RAN);
	assert_string_equal(command_option(&got, "--user"), "a=b");
	assert_string_equal(command_option(&got, "--user-agent"), "-b");
	assert_int_equal(run("p copy --user="), RAN);
	assert_string_equal(command_option(&got, "--user"), "");
}

static void a_wrong_use_runs_nothing(void **state)
{
	static const char *const lines[] = { "p", "p sevre", "p serve a b", "p serve --user a", "p reset x",
		"p copy --user", "p copy --force=1 x", "p copy --users a", "p copy x y", "p version x" };

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(run(lines[i]), WRONG_USE);
		assert_null(got.row);
	}
}

static void help_is_no_run(void **state)
{
	static const char *const lines[] = { "p --help", "p -h", "p help", "p serve --help", "p copy -h",
		"p copy --force --help", "p version" };

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		assert_int_equal(run(lines[i]), 0);
		assert_null(got.row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_a_row_with_its_argument),
		cmocka_unit_test(takes_options_before_and_behind),
		cmocka_unit_test(a_wrong_use_runs_nothing),
		cmocka_unit_test(help_is_no_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
