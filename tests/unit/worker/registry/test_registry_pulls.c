/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pulls that were counted come into the indexes of their repositories, each on its own.
 */
#include "tests/unit/worker/registry/registry_rig.h"

#include "worker/registry/pull_counts.h"

static int setup(void **state)
{
	struct registry_rig *rig = xnew(struct registry_rig);

	registry_rig_open(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct registry_rig *rig = *state;

	registry_rig_close(rig);
	free(rig);
	return 0;
}

/* The second push makes a log. */
static struct digest push(struct registry_rig *rig, const char *name)
{
	static const char *const tags[] = { "v1", "v2" };
	struct digest stored = { .alg = HASH_SHA256 };

	(void)put_blob(rig, name, LAYER);
	(void)put_blob(rig, name, CONFIG);
	for (size_t i = 0; i < 2; i++) {
		struct registry_push push = { .may_create = true, .may_update = true, .by = "ann" };

		assert_true(put_image(rig, name, tags[i], &push));
		stored = push.stored;
	}
	return stored;
}

static void pull(struct registry_rig *rig, const char *name, const struct digest *digest, unsigned times)
{
	while (times--)
		registry_pulled(rig->registry, str_of(name), digest, "v1");
}

static uint64_t pulls_of(struct registry_rig *rig, const char *name, const struct digest *digest)
{
	AUTO(index) *index = NULL;
	struct index_stats tag, manifest;
	struct error err;

	assert_true(registry_index(rig->registry, str_of(name), &index, &err));
	assert_true(index_tag_stats(index, STR("v1"), &tag) && index_digest_stats(index, digest, &manifest));
	assert_int_equal(tag.pulls, manifest.pulls);
	assert_int_equal(tag.pulled_ms, manifest.pulled_ms);
	assert_string_equal(tag.pushed_by, "ann");
	assert_true(tag.pushed_ms == manifest.pushed_ms && tag.pushed_ms > 0 &&
		    (!tag.pulls || tag.pulled_ms >= tag.pushed_ms));
	return tag.pulls;
}

static bool write_pulls(struct registry_rig *rig, struct error *err)
{
	return registry_write_pulls(rig->registry, NULL, err);
}

static void they_are_written_for_each_repository(void **state)
{
	struct registry_rig *rig = *state;
	struct digest digest = { .alg = HASH_SHA256 };
	struct error err;
	char name[16];

	for (unsigned n = 0; n < 40; n++) {
		(void)snprintf(name, sizeof(name), "r%u", n);
		digest = push(rig, name);
		pull(rig, name, &digest, n);
		assert_int_equal(pulls_of(rig, name, &digest), 0);
	}
	assert_true(write_pulls(rig, &err));
	for (unsigned n = 0; n < 40; n++) {
		(void)snprintf(name, sizeof(name), "r%u", n);
		assert_int_equal(pulls_of(rig, name, &digest), n);
	}
	assert_int_equal(pull_counts_stats(rig->registry->pulls).rows, 0);
	assert_true(write_pulls(rig, &err));
}

static void of_one_at_once(void **state)
{
	struct registry_rig *rig = *state;
	struct digest digest = push(rig, "a");
	struct error err;

	(void)push(rig, "b");
	assert_true(registry_write_pulls_of(rig->registry, STR("a"), &err));
	pull(rig, "a", &digest, 3);
	pull(rig, "b", &digest, 2);
	assert_true(registry_write_pulls_of(rig->registry, STR("a"), &err));
	assert_int_equal(pulls_of(rig, "a", &digest), 3);
	assert_int_equal(pulls_of(rig, "b", &digest), 0);
}

static bool is_away(void *arg, struct str name)
{
	return str_is(name, arg);
}

/* A repository that was deleted has none; of one that another member has they are lost, and that is counted. */
static void what_is_gone_or_away(void **state)
{
	struct registry_rig *rig = *state;
	struct digest digest = push(rig, "a");
	static char away[] = "away";
	struct error err;

	(void)push(rig, "away");
	rig->registry->away_arg = away;
	rig->registry->is_away = is_away;
	pull(rig, "gone", &digest, 1);
	pull(rig, "away", &digest, 2);
	pull(rig, "a", &digest, 3);
	assert_true(write_pulls(rig, &err));
	assert_int_equal(pulls_of(rig, "a", &digest), 3);
	assert_int_equal(pulls_of(rig, "away", &digest), 0);
	assert_int_equal(pull_counts_stats(rig->registry->pulls).lost, 2);
	assert_int_equal(pull_counts_stats(rig->registry->pulls).rows, 0);
}

static void move(struct registry_rig *rig, const char *from, const char *to)
{
	char source[128], target[128];

	(void)snprintf(source, sizeof(source), "%s/%s", rig->folder, from);
	(void)snprintf(target, sizeof(target), "%s/%s", rig->folder, to);
	assert_int_equal(rename(source, target), 0);
}

/* One that cannot be written keeps no other from it, and is written when it can be. */
static void one_that_fails_is_kept(void **state)
{
	struct registry_rig *rig = *state;
	struct digest digest = push(rig, "damaged");
	struct error err;
	char path[128];
	FILE *file;

	(void)push(rig, "fine");
	move(rig, "damaged/index.json", "damaged/kept");
	(void)snprintf(path, sizeof(path), "%s/damaged/index.json", rig->folder);
	file = fopen(path, "w");
	assert_true(file && fputs("{", file) >= 0 && fclose(file) == 0);
	pull(rig, "damaged", &digest, 2);
	pull(rig, "fine", &digest, 1);
	assert_false(write_pulls(rig, &err));
	assert_non_null(strstr(err.text, "damaged"));
	assert_int_equal(pulls_of(rig, "fine", &digest), 1);
	pull(rig, "damaged", &digest, 5);
	assert_false(write_pulls(rig, &err));
	move(rig, "damaged/kept", "damaged/index.json");
	assert_true(write_pulls(rig, &err));
	assert_true(write_pulls(rig, &err));
	assert_int_equal(pulls_of(rig, "damaged", &digest), 7);
	assert_int_equal(pull_counts_stats(rig->registry->pulls).lost, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(they_are_written_for_each_repository, setup, teardown),
		cmocka_unit_test_setup_teardown(of_one_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_gone_or_away, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_fails_is_kept, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
