/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_retention_zot - the examples of zot's documentation, each of its attributes and each of its notes, over one repository: what stays is what stays at zot.
 *
 * What is expected was worked out by zot's rules, not by ours; where we differ on purpose docs/migration.md says so, and so does a comment here.
 */
#include "tests/unit/proto/retention_world.h"

#define DAY 24

/* Pushed and pulled, days ago; none at once. */
static const struct own_tag known[] = {
	{ "v1.0", 400 * DAY, 300 * DAY },
	{ "v1.1", 200 * DAY, 5 * DAY },
	{ "v1.2", 20 * DAY, NEVER },
	{ "v2.0", 390 * DAY, 380 * DAY },
	{ "v2.1", 100 * DAY, 1 * DAY },
	{ "v2.2-prod", 31 * DAY, 28 * DAY },
	{ "v3.0", 90 * DAY, 6 * DAY },
	{ "v3.1", 60 * DAY, 10 * DAY },
	{ "v3.2", 3 * DAY, NEVER },
	{ "web-prod", 350 * DAY, 340 * DAY },
	{ "old", 500 * DAY, NEVER },
	{ "dev-1", 45 * DAY, 44 * DAY },
	{ "dev-2", 40 * DAY, NEVER },
	{ "dev-3", 35 * DAY, 33 * DAY },
	{ "dev-4", 25 * DAY, NEVER },
	{ "latest", 1 * DAY, 2 },
};
#define KNOWN (sizeof(known) / sizeof(known[0]))
#define ALL   "v1.0 v1.1 v1.2 v2.0 v2.1 v2.2-prod v3.0 v3.1 v3.2 web-prod old dev-1 dev-2 dev-3 dev-4 latest"

/* The whole example of the documentation, and the first one, whose last policy is for nobody, since it names no repositories. */
#define WHOLE                                                                                                \
	"{\"dryRun\":false,\"delay\":\"24h\",\"policies\":["                                                 \
	"{\"repositories\":[\"infra/*\",\"prod/*\"],\"deleteReferrers\":false,\"keepTags\":["                \
	"{\"patterns\":[\"v2.*\",\".*-prod\"]},{\"patterns\":[\"v3.*\",\".*-prod\"],\"pulledWithin\":"       \
	"\"168h\"}]},"                                                                                       \
	"{\"repositories\":[\"tmp/**\"],\"deleteReferrers\":true,\"deleteUntagged\":true,\"keepTags\":["     \
	"{\"patterns\":[\"v1.*\"],\"pulledWithin\":\"168h\",\"pushedWithin\":\"168h\"}]},"                   \
	"{\"repositories\":[\"**\"],\"deleteReferrers\":true,\"deleteUntagged\":true,\"keepTags\":["         \
	"{\"mostRecentlyPushedCount\":10,\"mostRecentlyPulledCount\":10,\"pulledWithin\":\"720h\","          \
	"\"pushedWithin\":\"720h\"}]}]}"
#define OF_SUBPATH                                                                                           \
	"{\"policies\":[{\"repositories\":[\"a/infra/*\",\"a/prod/*\"],\"deleteReferrers\":false}]}"
#define SIMPLE                                                                                               \
	"{\"dryRun\":false,\"delay\":\"24h\",\"policies\":[{\"repositories\":[\"infra/*\",\"tmp/**\"],"      \
	"\"deleteReferrers\":false,\"deleteUntagged\":true,\"keepTags\":[{\"patterns\":[\"v2.*\",\".*-"      \
	"prod\"],\"mostRecentlyPushedCount\":10,\"mostRecentlyPulledCount\":10,\"pulledWithin\":\"720h\","   \
	"\"pushedWithin\":\"720h\"}]},{\"keepTags\":[{\"patterns\":[\".*\"]}]}]}"
#define POLICY(members) "{\"policies\":[{\"repositories\":[\"**\"]," members "}]}"
#define KEEP(entries)   POLICY("\"keepTags\":[" entries "]")

static void terms_of(struct world *world, const char *text, const char *repository)
{
	policies(world, text);
	world->terms = retention_terms(world->retention, str_of(repository), HOUR_MS);
}

static void tags_of_the_known_repository(void **state)
{
	static const struct {
		const char *repository, *text, *stay;
	} cases[] = {
		/* ---- the examples ---- */
		{ "infra/app", WHOLE, "v2.0 v2.1 v2.2-prod v3.0 v3.2 web-prod" },
		{ "prod/app", WHOLE, "v2.0 v2.1 v2.2-prod v3.0 v3.2 web-prod" },
		{ "tmp/a/b", WHOLE, "v1.1" },
		{ "tmp", WHOLE, "v1.1" },
		{ "infra/a/b", WHOLE,
			"v1.0 v1.1 v1.2 v2.1 v2.2-prod v3.0 v3.1 v3.2 web-prod dev-1 dev-2 dev-3 dev-4 "
			"latest" },
		{ "a/infra/x", OF_SUBPATH, ALL },
		{ "a/other", OF_SUBPATH, ALL },
		{ "infra/app", SIMPLE, "v2.0 v2.1 v2.2-prod web-prod" },
		{ "other", SIMPLE, ALL },
		/* ---- the attributes ---- */
		{ "app", KEEP("{\"mostRecentlyPushedCount\":3}"), "v1.2 v3.2 latest" },
		{ "app", KEEP("{\"mostRecentlyPushedCount\":100}"), ALL },
		{ "app", KEEP("{\"mostRecentlyPushedCount\":0}"), ALL },
		{ "app", KEEP("{\"mostRecentlyPulledCount\":3}"), "v1.1 v2.1 latest" },
		{ "app", KEEP("{\"mostRecentlyPulledCount\":11}"), /* all that were pulled */
			"v1.0 v1.1 v2.0 v2.1 v2.2-prod v3.0 v3.1 web-prod dev-1 dev-3 latest" },
		{ "app", KEEP("{\"pushedWithin\":\"720h\"}"), "v1.2 v3.2 dev-4 latest" },
		{ "app", KEEP("{\"pulledWithin\":\"720h\"}"),
			"v1.1 v1.2 v2.1 v2.2-prod v3.0 v3.1 v3.2 dev-4 latest" },
		{ "app", KEEP("{\"patterns\":[\"^v3\"]}"), "v3.0 v3.1 v3.2" },
		{ "app", KEEP("{\"patterns\":[\"3\"]}"), "v3.0 v3.1 v3.2 dev-3" }, /* anywhere in it */
		{ "app", KEEP("{\"patterns\":[\".*\"]}"), ALL },
		{ "app", KEEP("{\"patterns\":[]}"), ALL },
		/* ---- the notes ---- */
		{ "app", "{}", ALL },
		{ "app", "{\"policies\":[]}", ALL },
		{ "app", POLICY("\"keepTags\":[]"), ALL },
		{ "app", POLICY("\"deleteUntagged\":true"), ALL },
		{ "app", KEEP("{\"patterns\":[\"no such tag\"]}"), "" },
		{ "app", /* the first policy that a repository matches */
			"{\"policies\":[{\"repositories\":[\"x\",\"app\"],\"keepTags\":[{\"patterns\":["
			"\"old\"]}]},"
			"{\"repositories\":[\"**\"],\"keepTags\":[{}]}]}",
			"old" },
		{ "app", /* one rule is enough */
			KEEP("{\"mostRecentlyPushedCount\":1,\"mostRecentlyPulledCount\":1,"
			     "\"pushedWithin\":\"96h\",\"pulledWithin\":\"48h\"}"),
			"v2.1 v3.2 latest" },
		{ "app", /* entries are alternatives */
			KEEP("{\"patterns\":[\"^v1\"],\"mostRecentlyPushedCount\":1},"
			     "{\"patterns\":[\"^dev-\"],\"pulledWithin\":\"720h\"}"),
			"v1.2 dev-4" },
		{ "app", /* a tag is looked at by the first entry that has it */
			KEEP("{\"patterns\":[\"^v1\"],\"mostRecentlyPushedCount\":1},"
			     "{\"patterns\":[\"v1.0\"]}"),
			"v1.2" },
		{ "app", /* pattern AND (rule OR rule), counts are of the pattern's tags */
			KEEP("{\"patterns\":[\"^v\"],\"mostRecentlyPushedCount\":2,"
			     "\"mostRecentlyPulledCount\":2}"),
			"v1.1 v1.2 v2.1 v3.2" },
		{ "app", KEEP("{\"patterns\":[\"^dev-\"],\"pulledWithin\":\"960h\"}"), "dev-3 dev-4" },
	};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tags(world, known, KNOWN);
		terms_of(world, cases[i].text, cases[i].repository);
		stay(world, cases[i].stay);
	}
}

/* What is pushed within the last 12 hours is too young for the delay of a day, and old enough for gcDelay, an hour here. */
static void make_untagged(struct world *world)
{
	static const size_t members[] = { 3 };

	manifests(world, 9);
	for (size_t i = 0; i < 9; i++)
		world->manifests[i].facts = facts(i == 1 || i == 6 ? 12 : 48, NEVER);
	world->manifests[4].children = members; /* of an index that has a tag */
	world->manifests[4].children_len = 1;
	world->manifests[5].subject = 0;
	world->manifests[6].subject = world->manifests[7].subject = RETENTION_GONE;
	world->manifests[8].subject = 2; /* which has no tag */
	add_tag(world, (struct tag_row){ "v1-v2.0", 48, 1, 0, false });
	add_tag(world, (struct tag_row){ "v1-v2.1", 48, 1, 4, false });
}

static void manifests_without_a_tag(void **state)
{
	static const struct {
		const char *repository, *text, *stay;
	} cases[] = {
		/* Each letter one of: tagged, young, old, member, index, its signature, young and old orphans, signature of the old. */
		{ "infra/app", WHOLE, "KK-KKKKKK" }, { "tmp/app", WHOLE, "KK-KKKK--" },
		{ "any", WHOLE, "KK-KKKK--" },
		{ "a/infra/x", OF_SUBPATH, "K--KKKKKK" }, /* delay is gcDelay where it is not set */
		{ "other", OF_SUBPATH, "K--KKKKKK" }, { "infra/app", SIMPLE, "KK-KKKKKK" },
		{ "app", "{}", "K--KKKKKK" }, { "app", POLICY("\"deleteUntagged\":false"), "KKKKKKKKK" },
		{ "app", POLICY("\"deleteUntagged\":false,\"deleteReferrers\":true"), "KKKKKK--K" },
		{ "app", POLICY("\"deleteReferrers\":true"), "K--KKK---" },
		{ "app", "{\"delay\":\"72h\"}", "KKKKKKKKK" }, { "app", "{\"delay\":\"0s\"}", "K--KKKKKK" },
		{ "app", NULL, "KKKKKKKKK" }, /* at zot as "{}" */
	};
	struct world *world = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		make_untagged(world);
		terms_of(world, cases[i].text, cases[i].repository);
		manifests_stay(world, cases[i].stay);
	}
}

/* What zot and we say of tags that statistics do not know. */
static void without_statistics(void **state)
{
	struct world *world = *state;

	TAGS(world, { "v1", UNKNOWN, UNKNOWN }, { "old", UNKNOWN, UNKNOWN }, { "v2", 9, 9 }, { "v3", 8, 8 });
	policies(world, KEEP("{\"patterns\":[\"^v\"],\"mostRecentlyPushedCount\":1}"));
	stay(world, "v1 v3"); /* at zot "old" stays, too */
	policies(world, KEEP("{\"patterns\":[\"^v\"]}"));
	stay(world, "v1 v2 v3");
}

static void a_policy_without_repositories_is_for_none(void **state)
{
	struct world *world = *state;

	policies(world, SIMPLE);
	assert_int_equal(retention_policy_for_none(world->retention), 1);
	policies(world, "{\"policies\":[{\"repositories\":[]},{\"repositories\":[\"a\"]}]}");
	assert_int_equal(retention_policy_for_none(world->retention), 0);
	policies(world, WHOLE);
	assert_int_equal(retention_policy_for_none(world->retention), SIZE_MAX);
	policies(world, NULL);
	assert_int_equal(retention_policy_for_none(world->retention), SIZE_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(tags_of_the_known_repository),
		TEST(manifests_without_a_tag),
		TEST(without_statistics),
		TEST(a_policy_without_repositories_is_for_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
