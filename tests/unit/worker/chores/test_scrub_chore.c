/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub_chore: it keeps to its rate, goes on after a restart where it was, sets aside what is rotten, and gives a pass up that somebody ends. What is found, and
 * how, is in unit/worker/registry/test_scrub.c and flow/test_worker_scrub.py.
 */
#include "tests/unit/worker/chores/chore_rig.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/chores/scrub_chore.h"

#define FAST  ((int64_t)1 << 40)
#define NEVER ((int64_t)1 << 40) /* ms */
#define BLOBS 6                  /* config, layer and manifest of two repositories */

struct world {
	struct chore_rig rig;
	struct scrub_chore scrub;
	int64_t budget; /* so many bytes from the first repository on, and none any more; 0: as the rate says */
	uint64_t runs; /* to be awaited */
};

static uint64_t ring_of(void *arg)
{
	(void)arg;
	return 1;
}

/* On the thread of the run, which is who looks at the rate. */
static bool is_ours(void *arg, struct str name)
{
	struct world *world = arg;

	if (world->budget && str_is(name, "a"))
		world->scrub.rate =
			(struct scrub_rate){ .per_s = 1, .have = world->budget, .since_ms = INT64_MAX };
	return true;
}

/* ---- a process ---- */

static void add_chore(struct world *world, int64_t bytes_per_s)
{
	world->scrub = (struct scrub_chore){ .registry = world->rig.rig.registry,
		.whose = { .ring = ring_of, .is_ours = is_ours, .arg = world },
		.member = "here",
		.every_ms = NEVER,
		.bytes_per_s = bytes_per_s };
	scrub_chore_add(world->rig.chores, &world->scrub);
}

/* It ends, and another one begins on its store. */
static void restart(struct world *world, int64_t bytes_per_s)
{
	chore_rig_stop(&world->rig);
	scrub_chore_fini(&world->scrub);
	loop_turn(world->rig.loop, 0);
	chores_free(world->rig.chores);
	loop_free(world->rig.loop);
	assert_true(loop_new(&world->rig.loop, "chores", NULL));
	world->rig.chores = chores_new(world->rig.loop, world->rig.rig.pool, chore_rig_no_load, NULL);
	add_chore(world, bytes_per_s);
	chore_rig_start(&world->rig);
}

static int make_old(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	(void)st;
	(void)ftw;
	return kind == FTW_F ? utimensat(AT_FDCWD, path, times, 0) : 0;
}

static void put(struct world *world, const char *name)
{
	struct registry_push push = { .may_create = true, .may_update = true };

	(void)put_blob(&world->rig.rig, name, CONFIG);
	(void)put_blob(&world->rig.rig, name, LAYER);
	assert_true(put_image(&world->rig.rig, name, "v1", &push));
}

static int setup(void **state)
{
	struct world *world = xnew(struct world);
	char path[128];

	chore_rig_open(&world->rig);
	put(world, "a");
	put(world, "b");
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof(path), "%s/%c/blobs", world->rig.rig.folder, "ab"[i]);
		assert_int_equal(nftw(path, make_old, 16, FTW_PHYS), 0);
	}
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	chore_rig_stop(&world->rig);
	scrub_chore_fini(&world->scrub);
	chore_rig_close(&world->rig);
	free(world);
	return 0;
}

static void layer_path(struct world *world, const char *name, char into[256])
{
	struct digest digest = digest_of(HASH_SHA256, LAYER);
	char encoded[129];

	digest_encoded(&digest, encoded);
	(void)snprintf(into, 256, "%s/%s/blobs/sha256/%s", world->rig.rig.folder, name, encoded);
}

/* ---- looking ---- */

static bool has_passed(void *arg)
{
	struct world *world = arg;

	return scrub_told(&world->scrub).passes >= 1;
}

static struct chore_stats stats_of(struct world *world)
{
	struct chore_stats stats[CHORES_MAX];

	assert_int_equal(chores_stats(world->rig.chores, stats), 1);
	return stats[0];
}

static bool has_run(void *arg)
{
	struct world *world = arg;

	return stats_of(world).runs >= world->runs;
}

static void await_runs(struct world *world, uint64_t n)
{
	world->runs = stats_of(world).runs + n;
	assert_true(chore_rig_await(has_run, world));
}

static bool has_spent(void *arg)
{
	struct world *world = arg;

	return scrub_told(&world->scrub).counts.blobs == world->runs;
}

/* A pass that is half done: all blobs of `a` are read, and nothing more will be. */
static void begin_half(struct world *world)
{
	world->budget = 8 * (int64_t)SCRUB_ASK;
	add_chore(world, SCRUB_ASK);
	chore_rig_start(&world->rig);
	world->runs = BLOBS / 2;
	assert_true(chore_rig_await(has_spent, world));
	await_runs(world, 2);
	assert_int_equal(scrub_told(&world->scrub).counts.blobs, BLOBS / 2);
	assert_true(scrub_told(&world->scrub).running);
	world->budget = 0;
}

static void read_note(struct world *world, struct buf *into)
{
	struct error err;

	buf_clear(into);
	if (!store_note_get(world->rig.rig.store, STR(".scrub.here"), into, &err))
		fail_msg("%s", err.text);
}

static bool ask(void *arg)
{
	struct world *world = ((void **)arg)[0];
	struct error err;

	return chores_ask(world->rig.chores, STR("scrub"), ((void **)arg)[1], &err);
}

static void order(struct world *world, struct chore_order what)
{
	void *both[] = { world, &what };

	assert_true(chore_rig_await(ask, both));
}

/* ---- the tests ---- */

static void a_pass_ends_and_the_next_is_not_due(void **state)
{
	struct world *world = *state;
	AUTO_FINI(buf) text = buf_limit(4096);
	struct scrub_totals told;

	add_chore(world, FAST);
	chore_rig_start(&world->rig);
	assert_true(chore_rig_await(has_passed, world));
	told = scrub_told(&world->scrub);
	assert_true(told.passes == 1 && !told.running && told.ended_s > 0);
	assert_true(told.counts.repositories == 2 && told.counts.blobs == BLOBS && !told.counts.failed);
	assert_int_equal(told.counts.young, 0);
	/* Its place is given up; when it began is known to who comes next. */
	read_note(world, &text);
	assert_null(strstr(buf_text(&text), "place"));
	restart(world, FAST);
	await_runs(world, 3);
	assert_int_equal(scrub_told(&world->scrub).counts.blobs, 0);
}

/* Whatever the machine does: what was not earned by then was not read. The last step may be more than there was. */
static void no_more_is_read_than_the_rate_has(void **state)
{
	struct world *world = *state;
	const int64_t per_s = 200000;
	int64_t began_ms = clock_ms();

	add_chore(world, per_s);
	chore_rig_start(&world->rig);
	assert_true(chore_rig_await(has_passed, world));
	assert_true(BLOBS * (int64_t)SCRUB_ASK <=
		    (clock_ms() - began_ms) * per_s / 1000 + 2 * (int64_t)SCRUB_ASK);
}

static void a_restart_goes_on_where_it_was(void **state)
{
	struct world *world = *state;
	AUTO_FINI(buf) text = buf_limit(4096);
	int64_t begun_s;

	begin_half(world);
	begun_s = world->scrub.begun_s;
	restart(world, FAST);
	assert_true(chore_rig_await(has_passed, world));
	assert_int_equal(scrub_told(&world->scrub).counts.blobs, BLOBS / 2);
	/* It is the pass that began before: the next one is due from then on. */
	assert_int_equal(world->scrub.begun_s, begun_s);
	read_note(world, &text);
	assert_null(strstr(buf_text(&text), "place"));
	restart(world, FAST);
	await_runs(world, 3);
	assert_int_equal(scrub_told(&world->scrub).counts.blobs, 0);
}

static void what_is_rotten_is_set_aside(void **state)
{
	struct world *world = *state;
	struct digest layer = digest_of(HASH_SHA256, LAYER);
	char path[256];
	struct scrub_counts counts;
	struct error err;
	uint64_t size;
	int fd;

	for (unsigned i = 0; i < 2; i++) {
		layer_path(world, i ? "b" : "a", path);
		fd = open(path, O_WRONLY);
		assert_true(fd >= 0 && pwrite(fd, "L", 1, 0) == 1);
		(void)close(fd);
		assert_int_equal(make_old(path, NULL, FTW_F, NULL), 0);
	}
	add_chore(world, FAST);
	chore_rig_start(&world->rig);
	assert_true(chore_rig_await(has_passed, world));
	counts = scrub_told(&world->scrub).counts;
	assert_true(counts.found[SCRUB_ROTTEN] == 2 && counts.set_aside == 2 && counts.healed == 0);
	assert_false(store_blob_size(world->rig.rig.store, STR("a"), &layer, &size, &err));
}

static bool has_given_up(void *arg)
{
	struct world *world = arg;

	return !scrub_told(&world->scrub).running;
}

static void who_ends_it_ends_the_pass(void **state)
{
	struct world *world = *state;
	AUTO_FINI(buf) text = buf_limit(4096);

	begin_half(world);
	order(world, (struct chore_order){ .stop = true });
	assert_true(chore_rig_await(has_given_up, world));
	await_runs(world, 2);
	assert_int_equal(scrub_told(&world->scrub).passes, 0);
	assert_int_equal(scrub_told(&world->scrub).counts.blobs, BLOBS / 2);
	read_note(world, &text);
	assert_null(strstr(buf_text(&text), "place"));
	/* It is not due, and who asks for one gets all of it. */
	restart(world, FAST);
	await_runs(world, 3);
	assert_int_equal(scrub_told(&world->scrub).counts.blobs, 0);
	order(world, (struct chore_order){ .id = 0 });
	assert_true(chore_rig_await(has_passed, world));
	assert_int_equal(scrub_told(&world->scrub).counts.blobs, BLOBS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_pass_ends_and_the_next_is_not_due, setup, teardown),
		cmocka_unit_test_setup_teardown(no_more_is_read_than_the_rate_has, setup, teardown),
		cmocka_unit_test_setup_teardown(a_restart_goes_on_where_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_rotten_is_set_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(who_ends_it_ends_the_pass, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
