/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_merge - sorted parts become one order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/merge.h"

#define PARTS_MAX 40

struct taken {
	char text[4096];
	size_t len, refuse_at;
};

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool take(void *arg, const void *item)
{
	struct taken *taken = arg;
	size_t used = strlen(taken->text);

	if (taken->refuse_at && taken->len == taken->refuse_at)
		return false;
	(void)snprintf(
		taken->text + used, sizeof(taken->text) - used, "%s%s", used ? " " : "", (const char *)item);
	taken->len++;
	return true;
}

/* "a c f+" is a part with three items that has more. */
static size_t make_parts(char *text, struct merge_part *parts, const void *items[][64])
{
	size_t len = 0;
	char *rest = text;

	for (char *part; (part = strsep(&rest, ",")); len++) {
		size_t at = 0;
		char *plus = strchr(part, '+');

		parts[len].more = plus;
		if (plus)
			*plus = '\0';
		for (char *item; (item = strsep(&part, " "));)
			if (*item)
				items[len][at++] = item;
		parts[len].items = items[len];
		parts[len].len = at;
	}
	return len;
}

static void expect_with(const char *from, size_t n, size_t refuse_at, const char *wanted)
{
	struct merge_part parts[PARTS_MAX];
	static const void *items[PARTS_MAX][64];
	struct taken taken = { .refuse_at = refuse_at };
	char *text = strdup(from);
	bool more = merge_parts(parts, make_parts(text, parts, items), by_text, n, take, &taken);

	(void)snprintf(taken.text + strlen(taken.text), 8, "%s", more ? "+" : "");
	if (strcmp(taken.text, wanted) != 0)
		fail_msg("%zu of %s: \"%s\", not \"%s\"", n, from, taken.text, wanted);
	free(text);
}

static void expect(const char *from, size_t n, const char *wanted)
{
	expect_with(from, n, 0, wanted);
}

static void parts_are_one(void **state)
{
	(void)state;
	expect("", 10, "");
	expect(",,", 10, "");
	expect("a", 10, "a");
	expect("a c e,b d f", 10, "a b c d e f");
	expect("d e f,a b c,", 10, "a b c d e f");
}

static void doubles_are_one(void **state)
{
	(void)state;
	expect("a b c,a b c,a c d", 10, "a b c d");
	/* What comes behind the last that is wanted may be only doubles of it: then nothing is left. */
	expect("a b,b,b", 2, "a b");
	expect("a b,b c,b", 2, "a b+");
}

static void a_page_is_full(void **state)
{
	(void)state;
	expect("a c e,b d f", 3, "a b c+");
	expect("a c e,b d f", 6, "a b c d e f");
	expect("a", 0, "+");
	expect("", 0, "");
	expect_with("a c e,b d f", 6, 2, "a b+");
}

/* What lies behind the end of a part that has more is not known, so no other part may go on. */
static void nobody_overtakes_what_was_not_seen(void **state)
{
	(void)state;
	expect("a b+,c d", 10, "a b+");
	expect("a d+,b c e", 10, "a b c d+");
	expect("a b+,a b", 10, "a b+");
	expect("+,a b", 10, "+");
	expect("a b+,a b+", 2, "a b+");
}

struct first {
	const void *item;
};

static bool take_first(void *arg, const void *item)
{
	((struct first *)arg)->item = item;
	return true;
}

static void the_first_part_gives_it(void **state)
{
	char here[] = "a", there[] = "a";
	const void *one[] = { there }, *two[] = { here };
	const struct merge_part parts[] = { { one, 1, false }, { two, 1, false } };
	struct first first = { 0 };

	(void)state;
	assert_false(merge_parts(parts, 2, by_text, 5, take_first, &first));
	assert_ptr_equal(first.item, there);
}

static void order_is_checked(void **state)
{
	const void *good[] = { "a", "b", "c" }, *twice[] = { "a", "a" }, *back[] = { "b", "a" };

	(void)state;
	assert_true(merge_is_sorted(&(struct merge_part){ good, 3, false }, NULL, by_text));
	assert_true(merge_is_sorted(&(struct merge_part){ good, 0, true }, "z", by_text));
	assert_true(merge_is_sorted(&(struct merge_part){ good + 1, 2, false }, "a", by_text));
	assert_false(merge_is_sorted(&(struct merge_part){ good, 3, false }, "a", by_text));
	assert_false(merge_is_sorted(&(struct merge_part){ twice, 2, false }, NULL, by_text));
	assert_false(merge_is_sorted(&(struct merge_part){ back, 2, false }, NULL, by_text));
}

/* Numbers are dealt out to parts, some to several; pages of all sizes, walked by value, give each once. */

#define NUMBERS 500

static int by_number(const void *a, const void *b)
{
	int left = *(const int *)a, right = *(const int *)b;

	return (left > right) - (left < right);
}

struct walk {
	int seen[NUMBERS], len;
};

static bool take_number(void *arg, const void *item)
{
	struct walk *walk = arg;

	walk->seen[walk->len++] = *(const int *)item;
	return true;
}

static void walk(unsigned parts_len, size_t n, size_t each)
{
	static int numbers[NUMBERS];
	static const void *all[PARTS_MAX][NUMBERS];
	size_t lens[PARTS_MAX] = { 0 };
	struct walk walk = { 0 };
	int last = -1, asked = 0;
	bool more = true;

	for (int i = 0; i < NUMBERS; i++) {
		numbers[i] = i;
		for (int copies = rand() % 3 ? 1 : 2; copies--;) {
			size_t part = (size_t)rand() % parts_len;
			if (!lens[part] || all[part][lens[part] - 1] != &numbers[i])
				all[part][lens[part]++] = &numbers[i];
		}
	}
	while (more) {
		struct merge_part parts[PARTS_MAX];
		int before = walk.len;
		for (size_t i = 0; i < parts_len; i++) {
			size_t from = 0;
			while (from < lens[i] && *(const int *)all[i][from] <= last)
				from++;
			parts[i] = (struct merge_part){ all[i] + from,
				lens[i] - from < each ? lens[i] - from : each, lens[i] - from > each };
			assert_true(merge_is_sorted(&parts[i], last < 0 ? NULL : &last, by_number));
		}
		more = merge_parts(parts, parts_len, by_number, n, take_number, &walk);
		assert_true(!more || walk.len > before);
		assert_true((size_t)(walk.len - before) <= n);
		if (walk.len)
			last = walk.seen[walk.len - 1];
		assert_true(++asked <= NUMBERS + 1);
	}
	assert_int_equal(walk.len, NUMBERS);
	for (int i = 0; i < NUMBERS; i++)
		assert_int_equal(walk.seen[i], i);
}

static void pages_by_value_have_all(void **state)
{
	(void)state;
	srand(43);
	for (unsigned parts = 1; parts <= PARTS_MAX; parts += 3)
		for (size_t n = 1; n < 700; n = n * 3 + 1) {
			walk(parts, n, n);
			walk(parts, n, n + 1);
			walk(parts, n, n / parts + 1);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_one),
		cmocka_unit_test(doubles_are_one),
		cmocka_unit_test(a_page_is_full),
		cmocka_unit_test(nobody_overtakes_what_was_not_seen),
		cmocka_unit_test(the_first_part_gives_it),
		cmocka_unit_test(order_is_checked),
		cmocka_unit_test(pages_by_value_have_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
