/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weigh_chore: the sum is of what is ours alone, again when something was changed, and nothing is said before who owns what is known.
 */
#include "tests/unit/worker/chores/chore_rig.h"

#include "proto/manifest.h"
#include "worker/chores/weigh_chore.h"
#include "worker/index/index.h"
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
	struct store_usage usage = { 0 };

	assert_true(store_name_put(store, str_of(name), 0, NULL));
	assert_int_equal(store_index_fold(store, str_of(name), STR("{}"), &absent,
				 &(struct store_log_place){ 0 }, &version, NULL),
		STORE_OK);
	assert_true(store_blob_put(store, str_of(name), &digest, str_of(bytes), NULL));
	assert_true(store_usage(store, str_of(name), NULL, &usage, NULL));
	assert_true(usage.bytes >= strlen(bytes));
	return usage.bytes;
}

static int setup(void **state)
{
	struct world *world = xnew(struct world);

	chore_rig_open(&world->rig);
	world->weigh = (struct weigh_chore){ .registry = world->rig.rig.registry,
		.whose = { ring_of, is_ours, changes_of, world } };
	weigh_chore_add(world->rig.chores, &world->weigh);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	chore_rig_close(&world->rig);
	weigh_chore_fini(&world->weigh);
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

static bool has(struct world *world, const char *name, uint64_t blobs, uint64_t manifests, uint64_t tags)
{
	struct weigh_row row;

	return weigh_find(&world->weigh, str_of(name), &row) && row.blobs == blobs &&
	       row.manifests == manifests && row.tags == tags;
}

static void push(struct world *world, const char *name, const char *tag)
{
	struct digest digest = digest_of(HASH_SHA256, STR("a manifest"));
	struct descriptor descriptor = { .digest = digest, .size = 10 };
	struct index_change change = {
		.op = INDEX_PUT_MANIFEST, .name = name, .descriptor = &descriptor, .tags = &tag, .tags_len = 1
	};
	struct error err = { .text = "" };

	descriptor.media_type = check_strdup("application/vnd.oci.image.manifest.v1+json");
	if (!indexes_change_wait(world->rig.rig.registry->indexes, &change, &err))
		fail_msg("%s", err.text);
	free(descriptor.media_type);
}

static void await_row(
	struct world *world, const char *name, uint64_t blobs, uint64_t manifests, uint64_t tags)
{
	for (int64_t end = clock_ms() + 30000; clock_ms() < end; (void)poll(NULL, 0, 5))
		if (has(world, name, blobs, manifests, tags))
			return;
	fail_msg("%s has not %llu blobs, %llu manifests, %llu tags", name, (unsigned long long)blobs,
		(unsigned long long)manifests, (unsigned long long)tags);
}

/* What is not changed is not looked at again: its index is not loaded a second time. */
static void what_each_has_is_known_and_looked_at_when_it_was_changed(void **state)
{
	struct world *world = *state;
	struct indexes *indexes = world->rig.rig.registry->indexes;
	struct weighed told;
	uint64_t loads;

	(void)put(world, "a/one", "some bytes");
	(void)put(world, "a/two", "and others");
	push(world, "a/one", "v1");
	atomic_store(&world->ring, 1);
	chore_rig_start(&world->rig);
	await_row(world, "a/two", 1, 0, 0);
	await_row(world, "a/one", 1, 1, 1);
	loads = indexes_stats(indexes).loads + indexes_stats(indexes).revalidations;
	push(world, "a/one", "v2");
	atomic_store(&world->changes, 1);
	await_row(world, "a/one", 1, 1, 2);
	assert_int_equal(indexes_stats(indexes).loads + indexes_stats(indexes).revalidations, loads);
	await_bytes(world, weigh_told(&world->weigh).bytes, 2);
	told = weigh_told(&world->weigh);
	assert_int_equal(told.blobs, 2);
	assert_int_equal(told.manifests, 1);
	assert_int_equal(told.unread, 0);
	assert_false(weigh_find(&world->weigh, STR("b/none"), &(struct weigh_row){ 0 }));
}

static void what_cannot_be_read_is_told_and_weighed(void **state)
{
	struct world *world = *state;
	char path[256];
	FILE *file;

	(void)put(world, "a/one", "some bytes");
	(void)snprintf(path, sizeof(path), "%s/a/one/index.json", world->rig.rig.folder);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs("no json", file) >= 0);
	assert_int_equal(fclose(file), 0);
	atomic_store(&world->ring, 1);
	chore_rig_start(&world->rig);
	for (int64_t end = clock_ms() + 30000; clock_ms() < end && !weigh_told(&world->weigh).known;)
		(void)poll(NULL, 0, 5);
	assert_int_equal(weigh_told(&world->weigh).unread, 1);
	assert_int_equal(weigh_told(&world->weigh).blobs, 1);
}

static void rows_are_kept_of_many_and_go_with_a_whole_walk(void **state)
{
	struct weigh_rows *rows = weigh_rows_new();
	struct store_usage usage = { 7, 3 };
	struct weigh_row row = { 7, 3, 2, 1 };

	(void)state;
	for (int walk = 0; walk < 2; walk++) {
		weigh_rows_begin(rows, false);
		for (unsigned i = walk; i < 5000; i++) {
			struct str name = str_from((const char *)&i, sizeof(i));

			assert_true(weigh_rows_same(rows, name, &usage, &row) == (walk == 1));
			if (walk == 0) {
				weigh_rows_open(rows, name);
				weigh_rows_set(rows, name, &row);
			}
		}
		weigh_rows_end(rows);
	}
	assert_false(weigh_rows_find(rows, str_from((const char *)&(unsigned){ 0 }, 4), &row));
	assert_true(weigh_rows_find(rows, str_from((const char *)&(unsigned){ 4999 }, 4), &row));
	assert_int_equal(row.manifests, 2);
	/* Other bytes, a change, a change while the index is looked at, a walk that believes nothing. */
	struct str name = str_from((const char *)&(unsigned){ 9 }, 4);
	assert_false(weigh_rows_same(rows, name, &(struct store_usage){ 8, 3 }, &row));
	weigh_rows_changed(rows, name);
	assert_false(weigh_rows_same(rows, name, &usage, &row));
	weigh_rows_open(rows, name);
	weigh_rows_changed(rows, name);
	weigh_rows_set(rows, name, &row);
	assert_false(weigh_rows_same(rows, name, &usage, &row));
	weigh_rows_open(rows, name);
	weigh_rows_set(rows, name, &row);
	assert_true(weigh_rows_same(rows, name, &usage, &row));
	weigh_rows_begin(rows, true);
	assert_false(weigh_rows_same(rows, name, &usage, &row));
	weigh_rows_free(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			nothing_is_said_before_it_is_known_who_owns_what, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_ours_is_weighed_and_again_when_that_is_another, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_each_has_is_known_and_looked_at_when_it_was_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_is_told_and_weighed, setup, teardown),
		cmocka_unit_test(rows_are_kept_of_many_and_go_with_a_whole_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
