/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chore puts and deletes images through the registry: no HTTP server is anywhere near. What comes (collection, retention, sync) does so.
 */
#include "tests/unit/worker/registry/registry_rig.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "common/loop.h"
#include "worker/chores/chores.h"

#define IMAGES 40

struct world {
	struct registry_rig rig;
	struct loop *loop;
	struct chores *chores;
	pthread_t thread;
	unsigned images; /* to put */
	atomic_uint put, deleted;
};

static void *turn_loop(void *loop)
{
	loop_run(loop);
	return NULL;
}

static struct chores_load no_load(void *arg)
{
	(void)arg;
	return (struct chores_load){ 0 };
}

static int setup(void **state)
{
	struct world *world = xnew(struct world);
	struct error err;

	registry_rig_open(&world->rig);
	assert_true(loop_new(&world->loop, "chores", &err));
	world->chores = chores_new(world->loop, world->rig.pool, no_load, NULL);
	*state = world;
	return 0;
}

/* As a worker ends. */
static void stop(struct world *world)
{
	chores_stop(world->chores);
	loop_stop(world->loop);
	assert_int_equal(pthread_join(world->thread, NULL), 0);
	chores_await_end(world->chores);
}

static int teardown(void **state)
{
	struct world *world = *state;

	registry_rig_close(&world->rig);
	loop_turn(world->loop, 0);
	chores_free(world->chores);
	loop_free(world->loop);
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
	if (!put_image(&world->rig, "mirror/app", tag, &push)) {
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
	if (!registry_delete_wait(world->rig.registry, &removal, err))
		return false;
	atomic_fetch_add(&world->deleted, 1);
	return true;
}

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	struct world *world = arg;

	(void)put_blob(&world->rig, "mirror/app", LAYER);
	(void)put_blob(&world->rig, "mirror/app", CONFIG);
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
	chores_add(world->chores, &(struct chore){ .name = "mirror", .run = run, .arg = world });
	chores_start(world->chores);
	assert_int_equal(pthread_create(&world->thread, NULL, turn_loop, world->loop), 0);
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

	if (!registry_index(world->rig.registry, STR("mirror/app"), &index, &err))
		fail_msg("%s", err.text);
	return index_tags_len(index);
}

static void a_chore_puts_and_deletes_images(void **state)
{
	struct world *world = *state;

	start(world, IMAGES);
	await(&world->deleted, IMAGES - 1);
	stop(world);
	assert_int_equal(atomic_load(&world->put), IMAGES);
	assert_int_equal(count_tags(world), 1);
}

static void one_that_would_go_on_for_ever_ends_with_the_worker(void **state)
{
	struct world *world = *state;

	start(world, UINT32_MAX);
	await(&world->put, 3);
	stop(world);
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
