/* SPDX-License-Identifier: Apache-2.0 */
/* move_fetch: what is said of a blob that is not here, of a repository that is ours and of one that is not, or is not any more. */
#include "tests/unit/worker/registry/registry_rig.h"

#include "proto/ring.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/cluster_new.h"
#include "worker/moves/moves.h"

struct world {
	struct registry_rig rig;
	struct cluster *cluster;
	struct moves *moves;
	char ours[32], others[32]; /* repositories */
	struct digest digest;
};

/* A name that this member owns, or does not. */
static void find_name(struct world *world, bool is_ours, char *into, size_t size)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(world->cluster);

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(into, size, "some/r%d", i);
		if ((ring_owner(snapshot->ring, str_of(into)) == snapshot->self) == is_ours)
			return;
	}
	fail_msg("no such name");
}

static int set_up(void **state)
{
	struct world *world = xnew(struct world);
	const char *list[] = { "127.0.0.1:10", "127.0.0.1:9" };
	struct member_settings members = { .members = { list, 2 },
		.hash_key = "loremipsumdolors",
		.secret = "0123456789abcdef0123456789abcdef",
		.isolated = true };
	struct moves_settings settings = { 0 };
	struct error err;

	registry_rig_open(&world->rig);
	if (!cluster_new(&world->cluster, &members, 10, &err))
		fail_msg("%s", err.text);
	settings.cluster = world->cluster;
	settings.registry = world->rig.registry;
	settings.pool = world->rig.pool;
	world->moves = moves_new(&settings);
	find_name(world, true, world->ours, sizeof(world->ours));
	find_name(world, false, world->others, sizeof(world->others));
	world->digest = digest_of(HASH_SHA256, STR("a manifest"));
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	moves_stop(world->moves);
	registry_rig_close(&world->rig);
	moves_free(world->moves);
	cluster_free(world->cluster);
	free(world);
	return 0;
}

static enum error_kind size_of(struct world *world, const char *name)
{
	uint64_t size;
	struct error err;

	assert_false(store_blob_size(world->rig.store, str_of(name), &world->digest, &size, &err));
	return err.kind;
}

static enum error_kind bytes_of(struct world *world, const char *name)
{
	AUTO_FINI(buf) into = buf_limit(1000);
	struct error err;

	assert_false(store_blob_get(world->rig.store, str_of(name), &world->digest, &into, &err));
	return err.kind;
}

static void test_what_is_ours_and_nowhere(void **state)
{
	struct world *world = *state;

	assert_int_equal(size_of(world, world->ours), ERROR_UNKNOWN);
	assert_int_equal(bytes_of(world, world->ours), ERROR_UNKNOWN);
}

/* Members ask each other for sizes, and go on where one has nothing. Bytes are wanted of what an index names: whoever has that by now can tell. */
static void test_what_is_of_others(void **state)
{
	struct world *world = *state;

	assert_int_equal(size_of(world, world->others), ERROR_UNKNOWN);
	assert_int_equal(bytes_of(world, world->others), ERROR_UNAVAILABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_ours_and_nowhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_of_others, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
