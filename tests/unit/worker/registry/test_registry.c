/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a registry does without any HTTP: a chore puts, mounts and deletes images, and who watches hears of each change.
 */
#include "tests/unit/worker/registry/registry_rig.h"

#include "common/latch.h"
#include "worker/registry/manifest_cache.h"

#define SEEN_MAX 32

struct seen {
	enum index_op op;
	char name[64], tag[64];
	struct digest digest;
	struct index_version version;
};

struct world {
	struct registry_rig rig;
	struct seen seen[SEEN_MAX];
	size_t seen_len;
};

static void on_event(void *arg, const struct index_event *event)
{
	struct world *world = arg;
	struct seen *seen = &world->seen[world->seen_len++];

	assert_true(world->seen_len < SEEN_MAX);
	seen->op = event->change->op;
	seen->digest = event->change->descriptor ? event->change->descriptor->digest : event->change->digest;
	seen->version = event->version;
	assert_true(str_copy(str_of(event->name), seen->name, sizeof(seen->name)));
	if (event->change->tags_len)
		assert_true(str_copy(str_of(event->change->tags[0]), seen->tag, sizeof(seen->tag)));
}

static int setup(void **state)
{
	struct world *world = xnew(struct world);

	registry_rig_open(&world->rig);
	registry_watch(world->rig.registry, on_event, world);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	registry_rig_close(&world->rig);
	free(world);
	return 0;
}

/* As a chore does it: in a job on the pool, which waits. */
struct chore {
	void (*run)(struct world *world);
	struct world *world;
	struct latch done;
};

static void run_chore(void *arg)
{
	struct chore *chore = arg;

	chore->run(chore->world);
	latch_open(&chore->done);
}

static void in_pool(struct world *world, void (*run)(struct world *world))
{
	struct chore chore = { .run = run, .world = world, .done = LATCH_INIT };

	assert_true(pool_submit(world->rig.pool, run_chore, &chore));
	latch_wait(&chore.done);
}

static bool has_tag(struct world *world, const char *name, const char *tag)
{
	AUTO(index) *index = NULL;
	struct error err;

	return registry_index(world->rig.registry, str_of(name), &index, &err) &&
	       index_find_tag(index, str_of(tag));
}

static struct registry_push by_chore(void)
{
	return (struct registry_push){ .may_create = true, .may_update = true };
}

static void put_and_delete(struct world *world)
{
	struct registry_push push = by_chore();
	struct registry_removal removal = { .name = "app", .reference = { .tag = "v1" } };
	struct manifest_body *body;
	struct error err;
	bool needed;

	struct digest layer = put_blob(&world->rig, "app", LAYER);
	(void)put_blob(&world->rig, "app", CONFIG);
	assert_true(put_image(&world->rig, "app", "v1", &push));
	assert_true(has_tag(world, "app", "v1"));
	assert_true(registry_manifest(world->rig.registry, STR("app"), &push.stored, &body, &err));
	manifest_body_free(body);

	/* What an image needs stays; what nobody names goes. */
	assert_false(registry_delete_blob(
		world->rig.registry, "app", &layer, &(struct registry_call){ 0 }, &needed, &err));
	assert_true(needed);
	assert_true(registry_delete_wait(world->rig.registry, &removal, &err));
	assert_false(has_tag(world, "app", "v1"));
	removal.reference = (struct reference){ .is_digest = true, .digest = push.stored };
	assert_true(registry_delete_wait(world->rig.registry, &removal, &err));
	assert_true(registry_delete_blob(
		world->rig.registry, "app", &layer, &(struct registry_call){ 0 }, &needed, &err));
	assert_false(registry_delete_wait(world->rig.registry, &removal, &err));
	assert_string_equal(err.code, "MANIFEST_UNKNOWN");
}

/* Who gives it has computed it; nobody does so again. */
static void put_with_a_digest(struct world *world)
{
	struct registry_push push = by_chore();
	struct digest known;

	(void)put_blob(&world->rig, "app", LAYER);
	(void)put_blob(&world->rig, "app", CONFIG);
	assert_true(put_image(&world->rig, "app", "v1", &push));
	known = push.stored;
	push = by_chore();
	push.sha256 = known.raw;
	assert_true(put_image(&world->rig, "app", "v2", &push));
	assert_true(digest_equal(&push.stored, &known));
	push = by_chore();
	push.sha256 = (const uint8_t[32]){ 1 };
	push.digest = &known;
	assert_false(put_image(&world->rig, "app", "v2", &push));
	assert_string_equal(push.err.code, "DIGEST_INVALID");
}

static void a_digest_that_is_known_counts(void **state)
{
	in_pool(*state, put_with_a_digest);
}

static void a_chore_puts_and_deletes_images(void **state)
{
	in_pool(*state, put_and_delete);
}

static void put_what_lacks(struct world *world)
{
	struct registry_push push = by_chore();

	assert_false(put_image(&world->rig, "app", "v1", &push));
	assert_string_equal(push.err.code, "MANIFEST_BLOB_UNKNOWN");
	(void)put_blob(&world->rig, "app", LAYER);
	(void)put_blob(&world->rig, "app", CONFIG);
	push = (struct registry_push){ .may_create = true };
	assert_true(put_image(&world->rig, "app", "v1", &push));
	push = (struct registry_push){ .may_create = true };
	assert_false(put_image(&world->rig, "app", "v1", &push));
	assert_string_equal(push.err.code, "DENIED");
}

static void what_is_missing_or_not_allowed_is_refused(void **state)
{
	in_pool(*state, put_what_lacks);
}

static bool may_read_app(void *arg, struct str name)
{
	(void)arg;
	return str_is(name, "app");
}

static void mount_blobs(struct world *world)
{
	struct digest layer = put_blob(&world->rig, "app", LAYER);
	struct registry *registry = world->rig.registry;

	assert_false(registry_mount(registry, STR("two"), &layer, STR("secret"), may_read_app, NULL));
	assert_true(registry_mount(registry, STR("two"), &layer, STR("app"), may_read_app, NULL));
	assert_true(registry_mount(registry, STR("three"), &layer, STR_NONE, may_read_app, NULL));
}

static void a_blob_is_mounted_from_where_one_may_read(void **state)
{
	in_pool(*state, mount_blobs);
}

static void put_tags(struct world *world)
{
	struct registry_removal removal = { .name = "app", .reference = { .tag = "v1" } };
	struct error err;

	(void)put_blob(&world->rig, "app", LAYER);
	(void)put_blob(&world->rig, "app", CONFIG);
	for (unsigned i = 0; i < 3; i++) {
		struct registry_push push = by_chore();
		assert_true(put_image(&world->rig, "app", i < 1 ? "v1" : "v2", &push));
	}
	assert_true(registry_delete_wait(world->rig.registry, &removal, &err));
}

/* The third push changed nothing. */
static void who_watches_hears_of_each_change_once(void **state)
{
	struct world *world = *state;

	in_pool(world, put_tags);
	assert_int_equal(world->seen_len, 3);
	assert_int_equal(world->seen[0].op, INDEX_PUT_MANIFEST);
	assert_string_equal(world->seen[0].tag, "v1");
	assert_string_equal(world->seen[1].tag, "v2");
	assert_true(digest_equal(&world->seen[0].digest, &world->seen[1].digest));
	assert_int_equal(world->seen[2].op, INDEX_DELETE_TAG);
	for (size_t i = 0; i < world->seen_len; i++)
		assert_string_equal(world->seen[i].name, "app");
	/* The first made the index.json, with a new log; what came then lies in that. */
	assert_true(*world->seen[0].version.generation);
	assert_string_equal(world->seen[1].version.generation, world->seen[0].version.generation);
	assert_true(world->seen[1].version.at > world->seen[0].version.at);
	assert_true(world->seen[2].version.at > world->seen[1].version.at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_chore_puts_and_deletes_images, setup, teardown),
		cmocka_unit_test_setup_teardown(a_digest_that_is_known_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_missing_or_not_allowed_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_blob_is_mounted_from_where_one_may_read, setup, teardown),
		cmocka_unit_test_setup_teardown(who_watches_hears_of_each_change_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
