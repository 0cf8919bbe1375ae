/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chore puts and deletes images through the registry: no HTTP server is anywhere near. What comes (collection, retention, sync) does so.
 */
#include "tests/unit/worker/chores/chore_rig.h"

#include <sched.h>

#define IMAGES 40

struct world {
	struct chore_rig rig;
	unsigned images; /* to put */
	atomic_uint put, deleted;
};

static int setup(void **state)
{
	struct world *world = xnew(struct world);

	chore_rig_open(&world->rig);
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

static void tag_of(unsigned n, char into[16])
{
	(void)snprintf(into, 16, "v%u", n);
}

static bool put_one(struct world *world, unsigned n, struct error *err)
{
	struct registry_push push = { .may_create = true, .may_update = true };
	char tag[16];

	tag_of(n, tag);
	if (!put_image(&world->rig.rig, "mirror/app", tag, &push)) {
		*err = push.err;
		return false;
	}
	atomic_fetch_add(&world->put, 1);
	return true;
}

static bool delete_one(struct world *world, unsigned n, struct error *err)
{
	struct registry_removal removal = { .name = "mirror/app" };

	tag_of(n, removal.reference.tag);
	if (!registry_delete_wait(world->rig.rig.registry, &removal, err))
		return false;
	atomic_fetch_add(&world->deleted, 1);
	return true;
}

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	struct world *world = arg;

	(void)put_blob(&world->rig.rig, "mirror/app", LAYER);
	(void)put_blob(&world->rig.rig, "mirror/app", CONFIG);
	for (unsigned n = 0; n < world->images && chore_may_go_on(turn); n++)
		if (!put_one(world, n, err))
			return false;
	for (unsigned n = 0; n + 1 < world->images && chore_may_go_on(turn); n++)
		if (!delete_one(world, n, err))
			return false;
	return true;
}

static void start(struct world *world, unsigned images)
{
	world->images = images;
	chores_add(world->rig.chores, &(struct chore){ .name = "mirror", .run = run, .arg = world });
	chore_rig_start(&world->rig);
}

static void await(const atomic_uint *count, unsigned least)
{
	while (atomic_load(count) < least)
		(void)sched_yield();
}

static size_t count_tags(struct world *world)
{
	AUTO(index) *index = NULL;
	struct error err;

	if (!registry_index(world->rig.rig.registry, STR("mirror/app"), &index, &err))
		fail_msg("%s", err.text);
	return index_tags_len(index);
}

static void a_chore_puts_and_deletes_images(void **state)
{
	struct world *world = *state;

	start(world, IMAGES);
	await(&world->deleted, IMAGES - 1);
	chore_rig_stop(&world->rig);
	assert_int_equal(atomic_load(&world->put), IMAGES);
	assert_int_equal(count_tags(world), 1);
}

static void one_that_would_go_on_for_ever_ends_with_the_worker(void **state)
{
	struct world *world = *state;

	start(world, UINT32_MAX);
	await(&world->put, 3);
	chore_rig_stop(&world->rig);
	assert_int_equal(count_tags(world), atomic_load(&world->put));
	assert_int_equal(atomic_load(&world->deleted), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_chore_puts_and_deletes_images, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_that_would_go_on_for_ever_ends_with_the_worker, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
