/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_plan: the rows are what the index lists, with their links and what is known of each; what is made of a digest belongs to it.
 */
#include "tests/unit/worker/registry/registry_rig.h"

#include <string.h>

#include "common/clock.h"
#include "proto/entity.h"
#include "worker/registry/retention_plan.h"

#define NAME  "team/app"
#define INDEX "application/vnd.oci.image.index.v1+json"

struct world {
	struct registry_rig rig;
	struct retention *retention;
	struct retention_plan *plan;
	struct entity *limits;
};

static int setup(void **state)
{
	struct world *world = xnew(struct world);

	registry_rig_open(&world->rig);
	(void)put_blob(&world->rig, NAME, CONFIG);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	retention_plan_free(world->plan);
	retention_free(world->retention);
	entity_free(world->limits);
	registry_rig_close(&world->rig);
	free(world);
	return 0;
}

static struct digest put_noted(
	struct world *world, const char *tag, const char *note, const struct digest *subject)
{
	return put_noted_image(&world->rig, NAME, tag, note, subject);
}

static const char *text_of(const struct digest *digest)
{
	static char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	return text;
}

static void make(struct world *world, const char *policy)
{
	struct retention_terms terms;
	struct error err;

	retention_plan_free(TAKE(world->plan));
	retention_free(TAKE(world->retention));
	assert_true(retention_new_of_entity(&world->retention, str_of(policy), &err));
	terms = retention_terms(world->retention, STR(NAME), 3600000);
	if (!retention_plan_new(&world->plan, world->rig.registry, STR(NAME), &terms, world->limits,
		    clock_wall_ms(), &err))
		fail_msg("%s", err.text);
}

static size_t row_of(const struct world *world, const struct digest *digest)
{
	for (size_t i = 0; i < world->plan->manifests_len; i++)
		if (digest_equal(&world->plan->manifests[i].digest, digest))
			return i;
	return RETENTION_GONE;
}

static const struct retention_tag *tag_of(const struct world *world, const char *name)
{
	for (size_t i = 0; i < world->plan->tags_len; i++)
		if (!strcmp(world->plan->tags[i].name, name))
			return &world->plan->tags[i];
	fail_msg("no tag %s", name);
	return NULL;
}

static void rows_have_their_links(void **state)
{
	struct world *world = *state;
	struct digest one = put_noted(world, "v1", "one", NULL), two = put_noted(world, NULL, "two", NULL);
	struct digest missing = digest_of(HASH_SHA256, STR("nobody")), signature, orphan, list;
	AUTO_FINI(buf) bytes = buf_limit(4096);
	const struct retention_manifest *manifests;
	char tag[128];

	signature = put_noted(world, NULL, "signature", &one);
	orphan = put_noted(world, NULL, "orphan", &missing);
	(void)snprintf(tag, sizeof(tag), "sha256-%s.sig", strchr(text_of(&two), ':') + 1);
	(void)put_noted(world, tag, "older signature", NULL);
	(void)snprintf(tag, sizeof(tag), "sha256-%s.sbom", strchr(text_of(&missing), ':') + 1);
	(void)put_noted(world, tag, "of nobody", NULL);
	buf_puts(&bytes, "{\"schemaVersion\":2,\"mediaType\":\"" INDEX "\",\"manifests\":[");
	buf_format(&bytes, "{\"mediaType\":\"" IMAGE "\",\"digest\":\"%s\",\"size\":9},", text_of(&two));
	buf_format(&bytes, "{\"mediaType\":\"" IMAGE "\",\"digest\":\"%s\",\"size\":9}]}", text_of(&missing));
	list = put_manifest(&world->rig, NAME, "list", buf_str(&bytes));
	make(world, "{\"deleteReferrers\":true}");
	assert_int_equal(world->plan->tags_len, 4);
	assert_int_equal(world->plan->manifests_len, 7);
	manifests = world->plan->manifests;
	assert_int_equal(tag_of(world, "v1")->manifest, row_of(world, &one));
	assert_int_equal(tag_of(world, "v1")->subject, RETENTION_NONE);
	assert_int_equal(manifests[row_of(world, &signature)].subject, row_of(world, &one));
	assert_int_equal(manifests[row_of(world, &orphan)].subject, RETENTION_GONE);
	assert_int_equal(manifests[row_of(world, &one)].subject, RETENTION_NONE);
	assert_int_equal(tag_of(world, tag)->subject, RETENTION_GONE);
	(void)snprintf(tag, sizeof(tag), "sha256-%s.sig", strchr(text_of(&two), ':') + 1);
	assert_int_equal(tag_of(world, tag)->subject, row_of(world, &two));
	/* What an index names and the repository does not list is no link. */
	assert_int_equal(manifests[row_of(world, &list)].children_len, 1);
	assert_int_equal(manifests[row_of(world, &list)].children[0], row_of(world, &two));
	assert_int_equal(manifests[row_of(world, &one)].children_len, 0);
}

static void what_is_known_comes_from_the_index(void **state)
{
	struct world *world = *state;
	int64_t before_ms = clock_wall_ms();
	struct digest one = put_noted(world, "pulled", "one", NULL);
	const struct retention_facts *facts;
	struct error err;

	(void)put_noted(world, "quiet", "two", NULL);
	registry_pulled(world->rig.registry, STR(NAME), &one, "pulled");
	assert_true(registry_write_pulls_of(world->rig.registry, STR(NAME), &err));
	(void)put_noted(world, "later", "one", NULL); /* the same manifest, under another name */
	make(world, "{\"keepTags\":[{\"mostRecentlyPulledCount\":1}]}");
	facts = &tag_of(world, "pulled")->facts;
	assert_in_range(facts->pushed_ms, before_ms - 1000, clock_wall_ms() + 1000);
	assert_in_range(facts->pulled_ms, facts->pushed_ms, clock_wall_ms() + 1000);
	assert_int_equal(tag_of(world, "quiet")->facts.pulled_ms, 0);
	/* A tag is known by itself; its manifest by all its names. */
	assert_int_equal(tag_of(world, "later")->facts.pulled_ms, 0);
	assert_true(tag_of(world, "later")->facts.pushed_ms >= facts->pushed_ms);
	assert_int_equal(world->plan->manifests[row_of(world, &one)].facts.pulled_ms, facts->pulled_ms);
	assert_int_equal(world->plan->manifests[row_of(world, &one)].facts.pushed_ms, facts->pushed_ms);
	assert_true(retention_keeps(world->plan->tag_verdicts[tag_of(world, "pulled") - world->plan->tags]));
	assert_false(retention_keeps(world->plan->tag_verdicts[tag_of(world, "quiet") - world->plan->tags]));
}

static void limits_say_what_is_immutable(void **state)
{
	struct world *world = *state;
	AUTO(json_doc) *doc = NULL;
	struct error err;

	(void)put_noted(world, "fixed-1", "one", NULL);
	(void)put_noted(world, "free", "two", NULL);
	assert_true(json_parse(STR("{\"immutableTags\":[\"fixed-*\"]}"), &doc, &err));
	assert_true(
		entity_from_json(ENTITY_REPOSITORY, STR(NAME), json_root(doc), NULL, &world->limits, &err));
	make(world, "{\"keepTags\":[{\"patterns\":[\"none\"]}]}");
	assert_true(tag_of(world, "fixed-1")->immutable);
	assert_false(tag_of(world, "free")->immutable);
}

static void what_is_not_there_is_said(void **state)
{
	struct world *world = *state;
	struct retention_terms terms = { .delay_ms = 1 };
	struct retention_plan *plan = NULL;
	struct error err;

	assert_false(retention_plan_new(&plan, world->rig.registry, STR("no/such"), &terms, NULL, 1, &err));
	assert_int_equal(err.kind, ERROR_UNKNOWN);
	assert_null(plan);
	retention_plan_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_have_their_links),
		TEST(what_is_known_comes_from_the_index),
		TEST(limits_say_what_is_immutable),
		TEST(what_is_not_there_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
