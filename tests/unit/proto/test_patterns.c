/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_patterns - which of several patterns decides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "proto/glob.h"
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

/* So many of these, the last one ends it. */
static void put_random(unsigned *seed, const char *const *parts, unsigned len, unsigned most, char into[64])
{
	unsigned n = 1 + (unsigned)rand_r(seed) % most;

	into[0] = '\0';
	while (n--)
		(void)strcat(into, parts[(unsigned)rand_r(seed) % len]);
}

/* Whatever patterns there are and whatever is asked, a look through all of them finds the same. */
static void many_are_asked_as_one_after_the_other(void **state)
{
	static const char *const pieces[] = { "a", "b", "ab", "/", "/", "/**", "*", "?", "[ab]", "{a,b/a}",
		"\\a" };
	static const char *const letters[] = { "a", "b", "ab", "/a", "/b", "a/" };
	enum { PATTERNS = 40, NAMES = 300 };
	char texts[PATTERNS][64], name[64];
	unsigned seed = 7, matched = 0;

	(void)state;
	for (unsigned round = 0; round < 50; round++) {
		AUTO(patterns) *patterns = patterns_new();

		for (unsigned i = 0; i < PATTERNS; i++) {
			put_random(&seed, pieces, 11, 5, texts[i]);
			(void)patterns_put(patterns, str_of(texts[i]), texts[i]);
		}
		patterns_settle(patterns);
		for (unsigned n = 0; n < NAMES; n++) {
			const char *best = NULL, *found;

			put_random(&seed, letters, 6, 4, name);
			for (unsigned i = 0; i < PATTERNS; i++) {
				bool literal = !strpbrk(texts[i], "*?[{\\");
				size_t len = strlen(texts[i]), most = best ? strlen(best) : 0;

				if (literal ? strcmp(texts[i], name) != 0
					    : !glob_match(str_of(texts[i]), str_of(name)))
					continue;
				if (!best || len > most ||
					(len == most && (literal || (strpbrk(best, "*?[{\\") &&
									    strcmp(texts[i], best) < 0))))
					best = texts[i];
			}
			found = patterns_find(patterns, str_of(name));
			assert_true(!found == !best);
			if (best)
				assert_string_equal(found, best);
			matched += best != NULL;
		}
	}
	assert_in_range(matched, 1000, 14000);
}

static void none_is_fine(void **state)
{
	AUTO(patterns) *patterns = patterns_of(NULL, 0);

	(void)state;
	assert_decides(patterns, "a", NULL);
	patterns_free(NULL);
}

/* Some of another one replaced, taken out, added: as one that was made of what comes of it. */
static void few_changes_over_another_one_are_as_if_made_anew(void **state)
{
	static const char *const names[] = { "other", "team/x", "team/app", "team/apps", "crew/app", "team",
		"team/a/b" };
	char *const texts[] = { all, team, apps, app, twin, long_one };
	static char other[] = "other value";
	enum { LEN = 6, KEEP = 0, REPLACE = 1, OUT = 2 };

	(void)state;
	/* Each of the six: below or not, and then kept, replaced or taken out. */
	for (unsigned below = 0; below < 1u << LEN; below++) {
		for (unsigned change = 0; change < 729; change += 10) {
			AUTO(patterns) *base = patterns_new(), *anew = patterns_new(), *over = NULL;
			unsigned what = change;

			for (size_t i = 0; i < LEN; i++)
				if (below & 1u << i)
					(void)patterns_put(base, str_of(texts[i]), texts[i]);
			patterns_settle(base);
			over = patterns_over(base);
			for (size_t i = 0; i < LEN; i++, what /= 3) {
				if (what % 3 == REPLACE)
					assert_null(patterns_put(over, str_of(texts[i]), other));
				else if (what % 3 == OUT)
					patterns_take_out(over, str_of(texts[i]));
				if (what % 3 == REPLACE)
					(void)patterns_put(anew, str_of(texts[i]), other);
				else if (what % 3 == KEEP && below & 1u << i)
					(void)patterns_put(anew, str_of(texts[i]), texts[i]);
			}
			patterns_settle(over);
			patterns_settle(anew);
			for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
				assert_ptr_equal(patterns_find(over, str_of(names[i])),
					patterns_find(anew, str_of(names[i])));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_longest_decides),
		cmocka_unit_test(a_name_goes_before_patterns_of_its_length),
		cmocka_unit_test(all_matches_are_told_in_order),
		cmocka_unit_test(the_last_of_one_pattern_counts),
		cmocka_unit_test(many_are_asked_as_one_after_the_other),
		cmocka_unit_test(few_changes_over_another_one_are_as_if_made_anew),
		cmocka_unit_test(none_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
