/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collect_chore: when walks may begin, and what they pass over. What they do is in unit/worker/registry/test_collect.c and flow/test_worker_gc.py.
 */
#include "tests/unit/worker/chores/chore_rig.h"

#include "worker/chores/collect_chore.h"

#define AT(hours, minutes) ((int64_t)1000 * 86400 + (hours)*3600 + (minutes)*60)

static void a_window_lies_within_a_day_or_over_midnight(void **state)
{
	struct collect_window window = { 0, 0 };

	(void)state;
	assert_true(collect_window_has(&window, AT(12, 0)));
	assert_true(collect_window_parse(STR("09:30-17:00"), &window));
	assert_false(collect_window_has(&window, AT(9, 29)));
	assert_true(collect_window_has(&window, AT(9, 30)));
	assert_true(collect_window_has(&window, AT(16, 59)));
	assert_false(collect_window_has(&window, AT(17, 0)));
	assert_true(collect_window_parse(STR("22:00-04:15"), &window));
	assert_true(collect_window_has(&window, AT(23, 59)));
	assert_true(collect_window_has(&window, AT(0, 0)));
	assert_true(collect_window_has(&window, AT(4, 14)));
	assert_false(collect_window_has(&window, AT(4, 15)));
	assert_false(collect_window_has(&window, AT(21, 59)));
}

static void what_is_no_window_is_refused(void **state)
{
	static const char *const wrong[] = { "", "-", "09:00", "9:00-10:00", "09:00-24:00", "09:60-10:00",
		"09:00-09:00", "09-10", "09:00-10:00 ", "aa:bb-cc:dd" };
	struct collect_window window = { 1, 2 };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(collect_window_parse(str_of(wrong[i]), &window));
	assert_true(window.from == 1 && window.to == 2);
}

/* ---- what was left clean ---- */

struct world {
	struct chore_rig rig;
	struct collect_chore collect;
	uint64_t walks; /* to be awaited */
};

static uint64_t ring_of(void *arg)
{
	(void)arg;
	return 1;
}

static bool is_ours(void *arg, struct str name)
{
	(void)arg;
	(void)name;
	return true;
}

static bool delay_of(void *arg, struct str name, int64_t *ret_ms)
{
	(void)arg;
	(void)name;
	*ret_ms = 0;
	return true;
}

static int setup(void **state)
{
	struct world *world = xnew(struct world);

	chore_rig_open(&world->rig);
	world->collect = (struct collect_chore){ .registry = world->rig.rig.registry,
		.whose = { .ring = ring_of, .is_ours = is_ours },
		.delay_of = delay_of,
		.every_ms = 1 };
	collect_chore_add(world->rig.chores, &world->collect);
	(void)put_blob(&world->rig.rig, "app", CONFIG);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	chore_rig_close(&world->rig);
	collect_chore_fini(&world->collect);
	free(world);
	return 0;
}

static bool has_walked(void *arg)
{
	struct world *world = arg;

	return collect_told(&world->collect).walks >= world->walks;
}

/* How many repositories were walked by the end of a walk that began after now. */
static uint64_t walked(struct world *world)
{
	world->walks = collect_told(&world->collect).walks + 2;
	assert_true(chore_rig_await(has_walked, world));
	return collect_told(&world->collect).walked;
}

static void what_is_only_pulled_is_not_walked_again(void **state)
{
	struct world *world = *state;
	struct registry *registry = world->rig.rig.registry;
	struct registry_removal removal = { .name = "app", .reference = { .tag = "v2" } };
	struct digest image = put_noted_image(&world->rig.rig, "app", "v1", "one", NULL);
	struct index_change fold = { .op = INDEX_FOLD, .name = "app" };
	struct error err;
	uint64_t first;

	(void)put_noted_image(&world->rig.rig, "app", "v2", "one", NULL);
	chore_rig_start(&world->rig);
	first = walked(world);
	registry_pulled(registry, STR("app"), &image, "v1");
	assert_true(registry_write_pulls_of(registry, STR("app"), &err));
	assert_int_equal(walked(world), first);
	assert_true(indexes_change_wait(registry->indexes, &fold, &err));
	assert_int_equal(walked(world), first);
	/* A tag is a change; what it named is still there. */
	assert_true(registry_delete_wait(registry, &removal, &err));
	assert_int_equal(walked(world), first + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_lies_within_a_day_or_over_midnight),
		cmocka_unit_test(what_is_no_window_is_refused),
		cmocka_unit_test_setup_teardown(what_is_only_pulled_is_not_walked_again, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
