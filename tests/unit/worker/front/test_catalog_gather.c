/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_catalog_gather - pages of members that have any names: each name once and in order, whoever has it; who runs out is asked again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/name_lines.h"
#include "worker/front/catalog_gather.h"
#include "worker/oci/catalog.h"

#define NAMES_MOST 3000

/* Names are n0000 to n2999; at[i] is a bit for each member that has it. */
struct world {
	unsigned at[NAMES_MOST];
	size_t parts;
	size_t asked, given, rounds; /* of the last page */
};

static void format_name(size_t i, char into[8])
{
	(void)snprintf(into, 8, "n%04zu", i);
}

static size_t number_of(const char *name)
{
	return *name ? strtoul(name + 1, NULL, 10) : 0;
}

static void answer(struct world *world, struct catalog_gather *gather, size_t part)
{
	struct buf text = buf_limit(NAME_LINES_MAX(10000));
	size_t left = catalog_gather_share(gather), len;
	const char *after = catalog_gather_after(gather);
	struct error err;

	world->asked++;
	for (size_t i = *after ? number_of(after) + 1 : 0; i < NAMES_MOST; i++) {
		char name[8];

		if (!(world->at[i] >> part & 1))
			continue;
		if (!left--) {
			name_lines_put_more(&text);
			break;
		}
		format_name(i, name);
		name_lines_put(&text, str_of(name));
		world->given++;
	}
	if (part == 0) {
		assert_true(catalog_gather_put_own(gather, part, &text, &err));
		buf_fini(&text);
		return;
	}
	AUTO_STR *said = buf_take(&text, &len);
	assert_true(catalog_gather_put(gather, part, &said, len, &err));
	assert_null(said);
}

/* lost: bits of parts that are silent from that round on. */
static struct catalog_gather *gather_page(
	struct world *world, const char *last, size_t n, unsigned lost, size_t from_round)
{
	struct oci_page page = { .n = n };
	struct catalog_gather *gather;
	bool again = true;

	assert_true(str_copy(str_of(last), page.last, sizeof(page.last)));
	gather = catalog_gather_new(&page, world->parts);
	world->asked = world->given = 0;
	for (world->rounds = 0; again; world->rounds++) {
		for (size_t part = 0; part < world->parts; part++)
			if (catalog_gather_asks(gather, part) &&
				!(world->rounds >= from_round && lost >> part & 1))
				answer(world, gather, part);
		again = catalog_gather_merge(gather);
	}
	assert_in_range(world->rounds, 1, CATALOG_ROUNDS);
	return gather;
}

/* Those of the parts that are not out, behind `last`. False: the page has not all that it might. */
static bool check_page(
	const struct world *world, struct catalog_gather *gather, const char *last, size_t n, unsigned out)
{
	bool more, wanted_more = false;
	struct catalog_page *page = catalog_gather_page(gather, &more);
	const char *at = strchr(buf_text(&page->body), '[');
	size_t len = 0, i = *last ? number_of(last) + 1 : 0;

	for (; i < NAMES_MOST; i++) {
		char name[16];

		if (!(world->at[i] & ~out))
			continue;
		(void)snprintf(name, sizeof(name), "%s\"n%04zu\"", len ? "," : "[", i);
		if (strncmp(at, name, strlen(name))) {
			wanted_more = true;
			break;
		}
		at += strlen(name);
		len++;
	}
	assert_string_equal(len ? at : at + 1, "");
	assert_in_range(len, 0, n);
	assert_int_equal(more, wanted_more);
	return len == n || !more;
}

static void fill(struct world *world, size_t parts, unsigned seed)
{
	*world = (struct world){ .parts = parts };
	for (size_t i = 0; i < NAMES_MOST; i++)
		world->at[i] = 1u << ((seed = seed * 1103515245u + 12345u) >> 16) % parts;
}

static void spread_names_fill_a_page_at_once(void **state)
{
	static struct world world;
	static const size_t ns[] = { 1, 2, 7, 100, 1000, 2999, 3000, 10000 };
	size_t rounds = 0, pages = 0;

	(void)state;
	for (size_t parts = 1; parts <= 9; parts++)
		for (size_t i = 0; i < sizeof(ns) / sizeof(*ns); i++)
			for (size_t from = 0; from < NAMES_MOST; from += 100) {
				AUTO(catalog_gather) *gather = NULL;
				char last[8];

				fill(&world, parts, (unsigned)(parts + i));
				format_name(from, last);
				gather = gather_page(&world, from ? last : "", ns[i], 0, 0);
				if (!check_page(&world, gather, from ? last : "", ns[i], 0))
					fail_msg("%zu names of %zu parts behind %s", ns[i], parts, last);
				rounds += world.rounds;
				pages++;
			}
	/* Another round is for the few that chance makes uneven. */
	assert_true(rounds - pages < pages / 50);
}

static void a_page_of_three_costs_little_more_than_its_names(void **state)
{
	static struct world world;

	(void)state;
	fill(&world, 3, 1);
	AUTO(catalog_gather) *gather = gather_page(&world, "", 100, 0, 0);
	assert_int_equal(catalog_gather_share(gather), 34 + 15 + 1);
	assert_int_equal(world.asked, 3);
	assert_in_range(world.given, 100, 150);
	assert_int_equal(catalog_share(100, 1), 100);
	assert_int_equal(catalog_share(1, 50), 1);
	assert_int_equal(catalog_share(10000, 100), 100 + 30 + 1);
}

/* One member has all names of the first half, another one those of the second. */
static void who_runs_out_is_asked_again(void **state)
{
	static struct world world;

	(void)state;
	world = (struct world){ .parts = 10 };
	for (size_t i = 0; i < NAMES_MOST; i++)
		world.at[i] = i < NAMES_MOST / 2 ? 2 : 4;
	for (size_t i = 0; i < 10; i++)
		world.at[NAMES_MOST - 1 - i] = 1u << i;
	AUTO(catalog_gather) *gather = gather_page(&world, "", 100, 0, 0);
	assert_true(check_page(&world, gather, "", 100, 0));
	assert_int_equal(world.rounds, 2);
	assert_int_equal(world.asked, 11);
	AUTO(catalog_gather) *across = gather_page(&world, "n1450", 100, 0, 0);
	assert_true(check_page(&world, across, "n1450", 100, 0));
	/* All of them want more than a page has: it is shorter, and says so. */
	for (size_t i = 0; i < NAMES_MOST; i++)
		world.at[i] = 1u << i / 30 % 10;
	AUTO(catalog_gather) *uneven = gather_page(&world, "", 1000, 0, 0);
	(void)check_page(&world, uneven, "", 1000, 0);
}

static void names_that_several_have_are_one(void **state)
{
	static struct world world;

	(void)state;
	fill(&world, 3, 7);
	for (size_t i = 0; i < NAMES_MOST; i += 2)
		world.at[i] = 7;
	for (size_t n = 1; n < 400; n += 13) {
		AUTO(catalog_gather) *gather = gather_page(&world, "n0500", n, 0, 0);
		assert_true(check_page(&world, gather, "n0500", n, 0));
	}
}

static void who_is_lost_at_first_is_out(void **state)
{
	static struct world world;

	(void)state;
	fill(&world, 3, 3);
	AUTO(catalog_gather) *gather = gather_page(&world, "", 100, 2, 0);
	assert_true(check_page(&world, gather, "", 100, 2));
	assert_true(catalog_gather_has_any(gather));
	AUTO(catalog_gather) *none = gather_page(&world, "", 100, 7, 0);
	assert_false(catalog_gather_has_any(none));
}

/* Nothing of the others may come behind the place from which on its names are not known. */
static void who_is_lost_later_ends_the_page(void **state)
{
	static struct world world;

	(void)state;
	world = (struct world){ .parts = 3 };
	for (size_t i = 0; i < NAMES_MOST; i++)
		world.at[i] = i % 10 ? 2 : 1;
	AUTO(catalog_gather) *gather = gather_page(&world, "", 100, 2, 1);
	assert_false(check_page(&world, gather, "", 100, 0));
	assert_int_equal(world.rounds, 2);
}

/* The text of one that is refused stays the caller's, and it counts as lost. */
static void lies_are_as_silence(void **state)
{
	const struct oci_page page = { .n = 2 };
	AUTO(catalog_gather) *gather = catalog_gather_new(&page, 2);
	AUTO_FINI(buf) own = buf_limit(100);
	AUTO_STR *lie = check_strdup("b\na\n");
	struct error err;
	bool more;

	(void)state;
	assert_false(catalog_gather_put(gather, 1, &lie, 4, &err));
	assert_non_null(lie);
	name_lines_put(&own, STR("x"));
	assert_true(catalog_gather_put_own(gather, 0, &own, &err));
	assert_false(catalog_gather_merge(gather));
	assert_string_equal(buf_text(&catalog_gather_page(gather, &more)->body), "{\"repositories\":[\"x\"");
	assert_false(more);
}

/* Whoever has what: a walk by the last name of each page has every name once. */
static void walks_are_whole(void **state)
{
	static struct world world;
	unsigned seed = 5;

	(void)state;
	for (unsigned turn = 0; turn < 40; turn++) {
		size_t parts = 1 + turn % 7, n = 1 + turn * turn, seen = 0, wanted = 0;
		char last[8] = "";
		bool more = true;

		world = (struct world){ .parts = parts };
		for (size_t i = 0; i < NAMES_MOST; i++) {
			seed = seed * 1103515245u + 12345u;
			/* In runs, so that shares run out. */
			world.at[i] =
				seed >> 16 & 8 ? (seed >> 20) & ((1u << parts) - 1) : 1u << i / 200 % parts;
			wanted += world.at[i] > 0;
		}
		while (more) {
			AUTO(catalog_gather) *gather = gather_page(&world, last, n, 0, 0);
			const struct catalog_page *page = catalog_gather_page(gather, &more);

			(void)check_page(&world, gather, last, n, 0);
			for (const char *at = buf_text(&page->body); (at = strstr(at, "\"n")); at++)
				seen++;
			assert_true(!more || strcmp(page->last, last) > 0);
			assert_true(str_copy(str_of(page->last), last, sizeof(last)));
		}
		assert_int_equal(seen, wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spread_names_fill_a_page_at_once),
		cmocka_unit_test(a_page_of_three_costs_little_more_than_its_names),
		cmocka_unit_test(who_runs_out_is_asked_again),
		cmocka_unit_test(names_that_several_have_are_one),
		cmocka_unit_test(who_is_lost_at_first_is_out),
		cmocka_unit_test(who_is_lost_later_ends_the_page),
		cmocka_unit_test(lies_are_as_silence),
		cmocka_unit_test(walks_are_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
