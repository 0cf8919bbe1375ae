/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weigh_chore: the sum is of what is ours alone, again when something was changed, and nothing is said before who owns what is known.
 */
#include "tests/unit/worker/chores/chore_rig.h"

#include "worker/chores/weigh_chore.h"
#include "worker/storage/store.h"

struct world {
	struct chore_rig rig;
	struct weigh_chore weigh;
	_Atomic uint64_t ring, changes;
	atomic_uint asked; /* for the ring, by the chore */
};

static uint64_t ring_of(void *arg)
{
	struct world *world = arg;

	atomic_fetch_add(&world->asked, 1);
	return atomic_load(&world->ring);
}

static uint64_t changes_of(void *arg)
{
	return atomic_load(&((struct world *)arg)->changes);
}

/* Under the ring 2 also those that begin with "b". */
static bool is_ours(void *arg, struct str name)
{
	return str_starts(name, "a/") || (atomic_load(&((struct world *)arg)->ring) == 2);
}

/* How many bytes it has with its index, as store_usage() says. */
static uint64_t put(struct world *world, const char *name, const char *bytes)
{
	static const struct store_version absent;
	struct store *store = world->rig.rig.store;
	struct store_version version;
	struct digest digest = digest_of(HASH_SHA256, str_of(bytes));
	uint64_t size = 0;

	assert_true(store_name_put(store, str_of(name), 0, NULL));
	assert_int_equal(store_index_fold(store, str_of(name), STR("{}"), &absent,
				 &(struct store_log_place){ 0 }, &version, NULL),
		STORE_OK);
	assert_true(store_blob_put(store, str_of(name), &digest, str_of(bytes), NULL));
	assert_true(store_usage(store, str_of(name), NULL, &size, NULL));
	assert_true(size >= strlen(bytes));
	return size;
}

static int setup(void **state)
{
	struct world *world = xnew(struct world);

	chore_rig_open(&world->rig);
	world->weigh = (struct weigh_chore){ .store = world->rig.rig.store,
		.whose = { ring_of, is_ours, changes_of, world } };
	weigh_chore_add(world->rig.chores, &world->weigh);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	chore_rig_close(&world->rig);
	free(world);
	return 0;
}

static void await_bytes(struct world *world, uint64_t bytes, uint64_t repositories)
{
	struct weighed told = { 0 };

	for (int64_t end = clock_ms() + 30000; clock_ms() < end; (void)poll(NULL, 0, 5)) {
		told = weigh_told(&world->weigh);
		if (told.known && told.bytes == bytes && told.repositories == repositories)
			return;
	}
	fail_msg("%d, %llu bytes of %llu", told.known, (unsigned long long)told.bytes,
		(unsigned long long)told.repositories);
}

static void nothing_is_said_before_it_is_known_who_owns_what(void **state)
{
	struct world *world = *state;

	(void)put(world, "a/one", "bytes");
	chore_rig_start(&world->rig);
	while (atomic_load(&world->asked) < 2)
		(void)poll(NULL, 0, 5);
	assert_false(weigh_told(&world->weigh).known);
	assert_false(weigh_told(NULL).known);
}

static void what_is_ours_is_weighed_and_again_when_that_is_another(void **state)
{
	struct world *world = *state;
	uint64_t ours = put(world, "a/one", "some bytes") + put(world, "a/two", "and others");
	uint64_t others = put(world, "b/one", "of somebody else");

	atomic_store(&world->ring, 1);
	chore_rig_start(&world->rig);
	await_bytes(world, ours, 2);
	atomic_store(&world->ring, 2);
	await_bytes(world, ours + others, 3);
	others += put(world, "b/two", "that came later");
	atomic_store(&world->changes, 1);
	await_bytes(world, ours + others, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			nothing_is_said_before_it_is_known_who_owns_what, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_ours_is_weighed_and_again_when_that_is_another, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
