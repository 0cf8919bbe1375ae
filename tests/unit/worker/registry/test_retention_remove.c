/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_remove: what no pattern keeps is gone from the index, with its manifest; what was pushed, tagged, named or signed since the plan stays.
 */
#include "tests/unit/worker/registry/registry_rig.h"

#include "proto/entity.h"
#include "worker/registry/retention_guard.h"
#include "worker/registry/retention_remove.h"

#define NAME  "team/app"
#define INDEX "application/vnd.oci.image.index.v1+json"

struct world {
	struct registry_rig rig;
	struct retention *retention;
	struct retention_work work;
	struct buf told;                        /* "tag reason\n" of each removal */
	void (*meanwhile)(struct world *world); /* once, when the first is gone */
};

static void on_removed(void *arg, const struct retention_work *work, const char *tag,
	const struct digest *digest, const char *why)
{
	struct world *world = arg;

	assert_ptr_equal(work, &world->work);
	assert_true(digest->raw[0] || digest->raw[1] || digest->raw[2]);
	buf_format(&world->told, "%s: %s\n", *tag ? tag : "untagged", why);
	if (world->meanwhile) {
		void (*meanwhile)(struct world *) = world->meanwhile;

		world->meanwhile = NULL;
		meanwhile(world);
	}
}

static int setup(void **state)
{
	struct world *world = xnew(struct world);

	registry_rig_open(&world->rig);
	world->told = buf_limit(64 * 1024);
	(void)put_blob(&world->rig, NAME, CONFIG);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	registry_rig_close(&world->rig);
	retention_free(world->retention);
	buf_fini(&world->told);
	free(world);
	return 0;
}

static struct digest put_noted(
	struct world *world, const char *tag, const char *note, const struct digest *subject)
{
	return put_noted_image(&world->rig, NAME, tag, note, subject);
}

static struct digest put_index(struct world *world, const char *tag, const struct digest *members, size_t n)
{
	AUTO_FINI(buf) bytes = buf_limit(4096);
	char text[DIGEST_TEXT_SIZE];

	buf_puts(&bytes, "{\"schemaVersion\":2,\"mediaType\":\"" INDEX "\",\"manifests\":[");
	for (size_t i = 0; i < n; i++) {
		digest_format(&members[i], text);
		buf_format(&bytes, "%s{\"mediaType\":\"" IMAGE "\",\"digest\":\"%s\",\"size\":9}",
			i ? "," : "", text);
	}
	buf_puts(&bytes, "]}");
	return put_manifest(&world->rig, NAME, tag, buf_str(&bytes));
}

static void policy(struct world *world, const char *text)
{
	struct error err;

	if (!retention_new_of_entity(&world->retention, str_of(text), &err))
		fail_msg("%s", err.text);
	world->work = (struct retention_work){ .registry = world->rig.registry,
		.name = STR(NAME),
		.terms = retention_terms(world->retention, STR(NAME), 3600000),
		.removed = on_removed,
		.arg = world };
}

static void run(struct world *world)
{
	struct error err;

	if (!retention_remove(&world->work, &err))
		fail_msg("%s", err.text);
}

/* The tags that are there, and how many manifests. */
static void there(struct world *world, const char *tags, size_t manifests)
{
	AUTO_FINI(buf) found = buf_limit(4096);
	AUTO(index) *view = NULL;
	struct error err;

	assert_true(registry_index(world->rig.registry, STR(NAME), &view, &err));
	for (size_t i = 0; i < index_tags_len(view); i++)
		buf_format(&found, "%s%s", i ? " " : "", index_tag_at(view, i));
	assert_string_equal(buf_text(&found), tags);
	assert_int_equal(index_len(view), manifests);
}

static bool lists(struct world *world, const struct digest *digest)
{
	AUTO(index) *view = NULL;
	struct error err;

	assert_true(registry_index(world->rig.registry, STR(NAME), &view, &err));
	return index_find_digest(view, digest) != NULL;
}

#define KEEP_V "{\"deleteReferrers\":true,\"keepTags\":[{\"patterns\":[\"^v\"]}]}"

static void what_no_pattern_has_goes_with_its_manifest(void **state)
{
	struct world *world = *state;

	(void)put_noted(world, "v1", "1", NULL);
	(void)put_noted(world, "same", "1", NULL);
	(void)put_noted(world, "old", "2", NULL);
	(void)put_noted(world, "older", "2", NULL);
	policy(world, KEEP_V);
	run(world);
	there(world, "v1", 1);
	assert_int_equal(world->work.tags, 3);
	assert_int_equal(world->work.manifests, 1);
	assert_false(world->work.left);
	assert_string_equal(buf_text(&world->told),
		"same: retention of the repository's entity.keepTags: no entry has a pattern for it\n"
		"old: retention of the repository's entity.keepTags: no entry has a pattern for it\n"
		"older: retention of the repository's entity.keepTags: no entry has a pattern for it\n");
	run(world);
	there(world, "v1", 1);
}

static void a_dry_run_tells_and_leaves(void **state)
{
	struct world *world = *state;

	(void)put_noted(world, "v1", "1", NULL);
	(void)put_noted(world, "old", "2", NULL);
	policy(world, "{\"dryRun\":true,\"keepTags\":[{\"patterns\":[\"^v\"]}]}");
	run(world);
	there(world, "old v1", 2);
	assert_int_equal(world->work.tags, 1);
	assert_int_equal(world->work.manifests, 1);
	assert_non_null(strstr(buf_text(&world->told), "old: "));
}

static void an_index_goes_before_what_it_names(void **state)
{
	struct world *world = *state;
	struct digest members[3], nested;

	for (unsigned i = 0; i < 3; i++) {
		static const char *const notes[] = { "0", "1", "2" }, *const tags[] = { "a", "b", "c" };

		members[i] = put_noted(world, tags[i], notes[i], NULL);
	}
	nested = put_index(world, "nested", members, 2);
	(void)put_index(world, "all", &nested, 1);
	(void)put_index(world, "v1", &members[2], 1);
	policy(world, KEEP_V);
	run(world);
	there(world, "v1", 2);
	assert_true(lists(world, &members[2]));
	assert_false(lists(world, &nested));
}

static void immutable_tags_stay(void **state)
{
	struct world *world = *state;
	AUTO(json_doc) *doc = NULL;
	AUTO(entity) *limits = NULL;
	struct error err;

	(void)put_noted(world, "old", "1", NULL);
	(void)put_noted(world, "fixed", "2", NULL);
	(void)put_noted(world, "also", "2", NULL);
	assert_true(json_parse(STR("{\"immutableTags\":[\"fix*\"]}"), &doc, &err));
	assert_true(entity_from_json(ENTITY_REPOSITORY, STR(NAME), json_root(doc), NULL, &limits, &err));
	policy(world, KEEP_V);
	world->work.limits = limits;
	run(world);
	there(world, "fixed", 1);
	assert_int_equal(world->work.immutable, 1);
	assert_int_equal(world->work.tags, 2);
	assert_false(world->work.left);
}

/* ---- meanwhile ---- */

static void tag_the_others(struct world *world)
{
	(void)put_noted(world, "v-new", "b", NULL);
	(void)put_noted(world, "b", "moved", NULL);
}

static void what_is_tagged_meanwhile_stays(void **state)
{
	struct world *world = *state;
	struct digest b;

	(void)put_noted(world, "a", "a", NULL);
	b = put_noted(world, "b", "b", NULL);
	for (char note[] = "c"; note[0] < 'k'; note[0]++)
		(void)put_noted(world, note, note, NULL);
	(void)put_noted(world, "v1", "a", NULL); /* the tag a goes alone, and first */
	policy(world, KEEP_V);
	world->meanwhile = tag_the_others;
	run(world);
	assert_true(lists(world, &b));
	there(world, "v-new v1",
		2); /* the plan was made anew: b, which was moved, is for no pattern either */
	assert_false(world->work.left);
}

static struct digest guarded[3];

static void name_and_sign(struct world *world)
{
	(void)put_index(world, NULL, &guarded[0], 1);
	(void)put_noted(world, NULL, "signature", &guarded[1]);
}

/* What is new is untagged here, and nobody knows since when: it stays, and so does what it needs. */
static void what_is_named_or_signed_meanwhile_stays(void **state)
{
	struct world *world = *state;

	(void)put_noted(world, "v1", "first", NULL);
	(void)put_noted(world, "first", "first", NULL);
	guarded[0] = put_noted(world, "a", "a", NULL);
	guarded[1] = put_noted(world, "b", "b", NULL);
	guarded[2] = put_noted(world, "c", "c", NULL);
	policy(world, KEEP_V);
	world->meanwhile = name_and_sign;
	run(world);
	assert_true(lists(world, &guarded[0]));
	assert_false(lists(world, &guarded[2]));
}

/* The guard by itself: each kind of news. */
static void what_a_guard_sees(void **state)
{
	struct world *world = *state;
	struct registry *registry = world->rig.registry;
	struct digest named = put_noted(world, "a", "a", NULL), signd = put_noted(world, "b", "b", NULL);
	struct digest retagged = put_noted(world, "c", "c", NULL), quiet = put_noted(world, "d", "d", NULL);
	AUTO(index) *before = NULL, *after = NULL;
	AUTO(retention_guard) *guard = NULL;
	struct registry_removal removal = { .name = NAME, .reference = { .tag = "a" } };
	struct error err;

	assert_true(registry_index(registry, STR(NAME), &before, &err));
	guard = retention_guard_new(registry, STR(NAME), before);
	assert_true(retention_guard_allows_manifest(guard, before, &named, &err));
	(void)put_index(world, NULL, &named, 1);
	(void)put_noted(world, NULL, "signature", &signd);
	(void)put_noted(world, "other", "c", NULL);
	assert_true(registry_delete_wait(registry, &removal, &err));
	assert_true(registry_index(registry, STR(NAME), &after, &err));
	assert_false(retention_guard_allows_manifest(guard, after, &named, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_false(retention_guard_allows_manifest(guard, after, &signd, &err));
	assert_false(retention_guard_allows_manifest(guard, after, &retagged, &err));
	assert_true(retention_guard_allows_manifest(guard, after, &quiet, &err));
	assert_false(retention_guard_allows_tag(guard, after, STR("other"), &err));
	assert_true(retention_guard_allows_tag(guard, after, STR("a"), &err)); /* gone is not news */
	assert_true(retention_guard_allows_tag(guard, after, STR("d"), &err));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_no_pattern_has_goes_with_its_manifest),
		TEST(a_dry_run_tells_and_leaves),
		TEST(an_index_goes_before_what_it_names),
		TEST(immutable_tags_stay),
		TEST(what_is_tagged_meanwhile_stays),
		TEST(what_is_named_or_signed_meanwhile_stays),
		TEST(what_a_guard_sees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
