/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_patterns - which of several patterns decides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "proto/patterns.h"

/* Each pattern is its own value. */
static struct patterns *patterns_of(char *const *texts, size_t len)
{
	struct patterns *patterns = patterns_new();

	for (size_t i = 0; i < len; i++)
		assert_null(patterns_put(patterns, str_of(texts[i]), texts[i]));
	patterns_settle(patterns);
	return patterns;
}

static void assert_decides(const struct patterns *patterns, const char *name, const char *expected)
{
	const char *found = patterns_find(patterns, str_of(name));

	if (!expected)
		assert_null(found);
	else
		assert_string_equal(found ? found : "none", expected);
}

static char all[] = "**", team[] = "team/**", apps[] = "team/app*", app[] = "team/app", twin[] = "team/ap?",
	    long_one[] = "{team,crew}/app";

static void the_longest_decides(void **state)
{
	char *const texts[] = { all, team, app, apps, twin, long_one };
	AUTO(patterns) *patterns = patterns_of(texts, 6);

	(void)state;
	assert_decides(patterns, "other", "**");
	assert_decides(patterns, "team/x", "team/**");
	assert_decides(patterns, "team/apps", "team/app*");
	assert_decides(patterns, "team/apo", "team/ap?");
	assert_decides(patterns, "crew/app", "{team,crew}/app");
	/* Longer than a name of its own, that one goes before it; of its length it would not. */
	assert_decides(patterns, "team/app", "{team,crew}/app");
}

static void a_name_goes_before_patterns_of_its_length(void **state)
{
	char *const texts[] = { twin, app, team };
	AUTO(patterns) *patterns = patterns_of(texts, 3);

	(void)state;
	assert_decides(patterns, "team/app", "team/app");
	assert_decides(patterns, "team/ap?", "team/ap?"); /* a pattern is no name */
	assert_decides(patterns, "other", NULL);
}

static void put_match(void *arg, void *value)
{
	struct buf *seen = arg;

	buf_format(seen, "%s ", (char *)value);
}

static void all_matches_are_told_in_order(void **state)
{
	char *const texts[] = { all, team, app, apps, long_one };
	AUTO(patterns) *patterns = patterns_of(texts, 5);
	AUTO_FINI(buf) seen = buf_limit(256);
	size_t values = 0;
	void *value;

	(void)state;
	patterns_each_match(patterns, STR("team/app"), put_match, &seen);
	assert_string_equal(buf_text(&seen), "team/app {team,crew}/app team/app* team/** ** ");
	for (size_t at = 0; patterns_next(patterns, &at, &value);)
		values++;
	assert_int_equal(values, 5);
}

static void the_last_of_one_pattern_counts(void **state)
{
	AUTO(patterns) *patterns = patterns_new();

	(void)state;
	assert_null(patterns_put(patterns, STR("a/**"), all));
	assert_ptr_equal(patterns_put(patterns, STR("a/**"), team), all);
	patterns_settle(patterns);
	assert_ptr_equal(patterns_find(patterns, STR("a/b")), team);
}

static void none_is_fine(void **state)
{
	AUTO(patterns) *patterns = patterns_of(NULL, 0);

	(void)state;
	assert_decides(patterns, "a", NULL);
	patterns_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_decides),
		cmocka_unit_test(a_name_goes_before_patterns_of_its_length),
		cmocka_unit_test(all_matches_are_told_in_order),
		cmocka_unit_test(the_last_of_one_pattern_counts),
		cmocka_unit_test(none_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
