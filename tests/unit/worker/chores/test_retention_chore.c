/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_chore: whose repositories are looked at, when a pass begins, and that one which cannot be read does not keep the others waiting.
 */
#include "tests/unit/worker/chores/chore_rig.h"

#include <string.h>

#include "worker/chores/retention_chore.h"
#include "worker/storage/store.h"

#define KEEP_V "{\"keepTags\":[{\"patterns\":[\"^v\"]}]}"

struct world {
	struct chore_rig rig;
	struct retention_chore retention;
	atomic_bool on, removes; /* removes: what no pattern has; else all stays */
	_Atomic uint64_t version;
	atomic_uint opened, held; /* repositories that were, and that are still */
	_Atomic uint64_t runs;    /* to be awaited */
};

static bool is_on(void *arg)
{
	return atomic_load(&((struct world *)arg)->on);
}

static bool is_ours(void *arg, struct str name)
{
	(void)arg;
	return !str_starts(name, "others/");
}

static uint64_t version_of(void *arg)
{
	return atomic_load(&((struct world *)arg)->version);
}

/* ours/kept: nobody asks for anything. ours/wrong: its policy cannot be read. */
static bool open_source(void *arg, struct str name, struct retention_source *ret, struct error *err)
{
	struct world *world = arg;

	if (str_is(name, "ours/wrong"))
		return error_set(err, ERROR_INVALID, NULL, "no policy");
	*ret = (struct retention_source){ .delay_ms = 3600000, .held = world };
	if (!str_is(name, "ours/kept") &&
		!retention_new_of_entity(
			&ret->retention, atomic_load(&world->removes) ? STR(KEEP_V) : STR("{}"), err))
		return false;
	atomic_fetch_add(&world->opened, 1);
	atomic_fetch_add(&world->held, 1);
	return true;
}

static void close_source(void *arg, struct retention_source *source)
{
	struct world *world = arg;

	assert_ptr_equal(source->held, world);
	atomic_fetch_sub(&world->held, 1);
	retention_free(source->retention);
}

static int setup(void **state)
{
	struct world *world = xnew(struct world);

	chore_rig_open(&world->rig);
	atomic_init(&world->on, true);
	atomic_init(&world->removes, true);
	world->retention = (struct retention_chore){ .registry = world->rig.rig.registry,
		.every_ms = 3600000,
		.whose = { is_on, is_ours, version_of, open_source, close_source, world } };
	retention_chore_add(world->rig.chores, &world->retention);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	chore_rig_close(&world->rig);
	assert_int_equal(atomic_load(&world->held), 0);
	free(world);
	return 0;
}

static void put(struct world *world, const char *name, const char *tag)
{
	struct registry_push push = { .may_create = true, .may_update = true };

	(void)put_blob(&world->rig.rig, name, LAYER);
	(void)put_blob(&world->rig.rig, name, CONFIG);
	assert_true(put_image(&world->rig.rig, name, tag, &push));
}

static void fill(struct world *world)
{
	static const char *const names[] = { "ours/a", "ours/kept", "ours/wrong", "ours/z", "others/a" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		put(world, names[i], "v1");
		put(world, names[i], "old");
	}
}

static size_t tags_of(struct world *world, const char *name)
{
	AUTO(index) *view = NULL;
	struct error err;

	if (!registry_index(world->rig.rig.registry, str_of(name), &view, &err))
		fail_msg("%s", err.text);
	return index_tags_len(view);
}

static struct chore_stats stats_of(struct world *world)
{
	struct chore_stats stats[CHORES_MAX];

	assert_int_equal(chores_stats(world->rig.chores, stats), 1);
	return stats[0];
}

static bool has_run(void *arg)
{
	return stats_of(arg).runs >= 1;
}

static void only_what_is_ours_and_asked_for(void **state)
{
	struct world *world = *state;
	struct chore_stats stats;

	fill(world);
	chore_rig_start(&world->rig);
	assert_true(chore_rig_await(has_run, world));
	assert_int_equal(tags_of(world, "ours/a"), 1);
	assert_int_equal(tags_of(world, "ours/z"), 1); /* behind the one that is wrong */
	assert_int_equal(tags_of(world, "ours/kept"), 2);
	assert_int_equal(tags_of(world, "ours/wrong"), 2);
	assert_int_equal(tags_of(world, "others/a"), 2);
	stats = stats_of(world);
	assert_int_equal(stats.failures, 1); /* which is told */
	assert_int_equal(atomic_load(&world->opened), 3);
}

static bool has_run_again(void *arg)
{
	return stats_of(arg).runs >= atomic_load(&((struct world *)arg)->runs);
}

/* This many more looks whether it is time. */
static void await_looks(struct world *world, unsigned n)
{
	atomic_store(&world->runs, stats_of(world).runs + n);
	assert_true(chore_rig_await(has_run_again, world));
}

static bool all_were_opened(void *arg)
{
	return atomic_load(&((struct world *)arg)->opened) == 3;
}

static bool z_is_done(void *arg)
{
	return tags_of(arg, "ours/z") == 1;
}

/*
 * Where nobody asks for anything, or who owns what is not known, nothing is looked at; a pass begins as soon as that ends. The next one is in an hour
 * here, and the third the changed policy's.
 */
static void a_changed_policy_is_obeyed_at_once(void **state)
{
	struct world *world = *state;

	atomic_store(&world->on, false);
	atomic_store(&world->removes, false);
	fill(world);
	chore_rig_start(&world->rig);
	await_looks(world, 1);
	assert_int_equal(atomic_load(&world->opened), 0);
	atomic_store(&world->on, true);
	assert_true(chore_rig_await(all_were_opened, world));
	atomic_store(&world->removes, true);
	await_looks(world, 2);                            /* the first may be the pass itself */
	assert_int_equal(atomic_load(&world->opened), 3); /* it is not time */
	assert_int_equal(tags_of(world, "ours/z"), 2);
	atomic_store(&world->version, 1);
	assert_true(chore_rig_await(z_is_done, world));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_what_is_ours_and_asked_for),
		TEST(a_changed_policy_is_obeyed_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
