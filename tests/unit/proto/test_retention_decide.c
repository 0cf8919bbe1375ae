/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_retention_decide - each rule alone and with others, what is untagged, what hangs on something else, and the reasons in words.
 */
#include "tests/unit/proto/retention_world.h"

/* Of one policy for all repositories. */
static void policy(struct world *world, const char *members)
{
	AUTO_FINI(buf) text = buf_limit(4096);

	buf_format(&text, "{\"policies\":[{\"repositories\":[\"**\"]%s%s}]}", *members ? "," : "", members);
	policies(world, buf_text(&text));
}

static void says(struct world *world, struct retention_verdict verdict, const char *text)
{
	AUTO_FINI(buf) found = buf_limit(4096);

	retention_explain(&world->terms, verdict, &found);
	assert_string_equal(buf_text(&found), text);
}

/* ---- tags ---- */

static void without_a_policy_tags_stay(void **state)
{
	struct world *world = *state;

	TAGS(world, { "a", 9999, NEVER }, { "b", UNKNOWN, UNKNOWN });
	policies(world, "{}");
	stay(world, "a b");
	says(world, world->tag_verdicts[0], "no policy is for the repository, tags stay");
	policies(world,
		"{\"policies\":[{\"repositories\":[\"other\"],\"keepTags\":[{\"patterns\":[\"x\"]}]}]}");
	stay(world, "a b");
	policy(world, "");
	stay(world, "a b");
	says(world, world->tag_verdicts[0], "policies[0]: has no keepTags, tags stay");
	policy(world, "\"keepTags\":[]");
	stay(world, "a b");
}

static void patterns_alone_need_no_statistics(void **state)
{
	struct world *world = *state;

	TAGS(world, { "v1", UNKNOWN, UNKNOWN }, { "v2.1", UNKNOWN, UNKNOWN }, { "x-prod", 1, 1 },
		{ "dev", 1, 1 });
	policy(world, "\"keepTags\":[{\"patterns\":[\"v2.*\",\".*-prod\"]}]");
	stay(world, "v2.1 x-prod");
	says(world, world->tag_verdicts[0], "policies[0].keepTags: no entry has a pattern for it");
	says(world, world->tag_verdicts[1], "policies[0].keepTags[0]: has it, and has no rules but patterns");
	policy(world, "\"keepTags\":[{\"patterns\":[]}]");
	stay(world, "v1 v2.1 x-prod dev");
	policy(world, "\"keepTags\":[{\"mostRecentlyPushedCount\":0}]");
	stay(world, "v1 v2.1 x-prod dev");
}

static void the_first_policy_decides(void **state)
{
	struct world *world = *state;

	TAGS(world, { "a", 1, 1 }, { "b", 1, 1 });
	policies(world,
		"{\"policies\":[{\"repositories\":[\"x\",\"team/*\"],\"keepTags\":[{\"patterns\":[\"a\"]}]},"
		"{\"repositories\":[\"team/app\"],\"keepTags\":[{\"patterns\":[\"b\"]}]}]}");
	stay(world, "a");
	policies(world, "{\"policies\":[{\"repositories\":[\"team\"],\"keepTags\":[{\"patterns\":[\"a\"]}]},"
			"{\"repositories\":[\"team/app\"],\"keepTags\":[{\"patterns\":[\"b\"]}]}]}");
	stay(world, "b");
	says(world, world->tag_verdicts[0], "policies[1].keepTags: no entry has a pattern for it");
}

/* A later entry may not keep what an earlier one has and lets go. */
static void the_first_entry_decides(void **state)
{
	struct world *world = *state;

	TAGS(world, { "v1", 48, NEVER }, { "v2", 1, NEVER }, { "x", 48, NEVER });
	policy(world, "\"keepTags\":[{\"patterns\":[\"v\"],\"pushedWithin\":\"24h\"},{\"patterns\":[\"v1\","
		      "\"x\"]}]");
	stay(world, "v2 x");
	says(world, world->tag_verdicts[0], "policies[0].keepTags[0]: none of its rules keeps it");
	says(world, world->tag_verdicts[2], "policies[0].keepTags[1]: has it, and has no rules but patterns");
}

static void pushed_count(void **state)
{
	struct world *world = *state;

	TAGS(world, { "a", 5, NEVER }, { "b", 1, 1 }, { "c", 3, 1 }, { "d", 3, 1 });
	policy(world, "\"keepTags\":[{\"mostRecentlyPushedCount\":2}]");
	stay(world, "b c"); /* c and d were pushed at once: by name */
	says(world, world->tag_verdicts[2],
		"policies[0].keepTags[0]: mostRecentlyPushedCount 2, it is number 2");
	policy(world, "\"keepTags\":[{\"mostRecentlyPushedCount\":9}]");
	stay(world, "a b c d");
}

static void counts_are_of_their_entry(void **state)
{
	struct world *world = *state;

	TAGS(world, { "v1", 5, NEVER }, { "v2", 4, NEVER }, { "dev1", 2, NEVER }, { "dev2", 1, NEVER });
	policy(world, "\"keepTags\":[{\"patterns\":[\"^v\"],\"mostRecentlyPushedCount\":1},{\"patterns\":[\"^"
		      "dev\"],"
		      "\"mostRecentlyPushedCount\":1}]");
	stay(world, "v2 dev2");
}

/* Those that were never pulled come behind the others, the newest first. */
static void pulled_count(void **state)
{
	struct world *world = *state;

	TAGS(world, { "a", 5, 4 }, { "b", 1, NEVER }, { "c", 3, 2 }, { "d", 2, NEVER });
	policy(world, "\"keepTags\":[{\"mostRecentlyPulledCount\":1}]");
	stay(world, "c");
	says(world, world->tag_verdicts[2],
		"policies[0].keepTags[0]: mostRecentlyPulledCount 1, it is number 1");
	policy(world, "\"keepTags\":[{\"mostRecentlyPulledCount\":3}]");
	stay(world, "a b c");
}

static void pushed_within(void **state)
{
	struct world *world = *state;

	TAGS(world, { "a", 23, 1 }, { "b", 24, 1 }, { "c", 100, 1 }, { "d", -2, 1 });
	policy(world, "\"keepTags\":[{\"pushedWithin\":\"24h\"}]");
	stay(world, "a d"); /* d is of a clock that goes before ours */
	says(world, world->tag_verdicts[0],
		"policies[0].keepTags[0]: pushedWithin or pulledWithin, it was pushed 23 hours ago");
	says(world, world->tag_verdicts[3],
		"policies[0].keepTags[0]: pushedWithin or pulledWithin, it was pushed 0 s ago");
	policy(world, "\"keepTags\":[{\"pushedWithin\":\"0s\"}]");
	stay(world, "d");
}

static void pulled_within(void **state)
{
	struct world *world = *state;

	TAGS(world, { "a", 100, 71 }, { "b", 100, 73 }, { "c", 1, NEVER }, { "d", 100, NEVER });
	policy(world, "\"keepTags\":[{\"pulledWithin\":\"72h\"}]");
	stay(world, "a c"); /* c had no time to be pulled */
	says(world, world->tag_verdicts[0],
		"policies[0].keepTags[0]: pulledWithin, it was pulled 2 days ago");
}

/* One rule that keeps it is enough. */
static void rules_are_alternatives(void **state)
{
	struct world *world = *state;

	TAGS(world, { "old", 500, 400 }, { "pulled", 500, 1 }, { "pushed", 2, NEVER }, { "new", 1, NEVER });
	policy(world, "\"keepTags\":[{\"mostRecentlyPushedCount\":1,\"pulledWithin\":\"2h\",\"pushedWithin\":"
		      "\"3h\"}]");
	stay(world, "pulled pushed new");
	policy(world, "\"keepTags\":[{\"mostRecentlyPushedCount\":1,\"mostRecentlyPulledCount\":1}]");
	stay(world, "pulled new");
	says(world, world->tag_verdicts[0], "policies[0].keepTags[0]: none of its rules keeps it");
}

static void what_nobody_knows_stays(void **state)
{
	struct world *world = *state;

	TAGS(world, { "a", UNKNOWN, UNKNOWN }, { "b", 5, UNKNOWN }, { "c", UNKNOWN, 5 }, { "d", 5, 5 },
		{ "e", 4, 4 });
	policy(world, "\"keepTags\":[{\"mostRecentlyPushedCount\":1}]");
	stay(world, "a c e"); /* and has no rank */
	says(world, world->tag_verdicts[0], "no statistics say when it was pushed or pulled");
	policy(world, "\"keepTags\":[{\"mostRecentlyPulledCount\":1}]");
	stay(world, "a b e");
	policy(world, "\"keepTags\":[{\"pulledWithin\":\"1h\"}]");
	stay(world, "a b c");
	policy(world, "\"keepTags\":[{\"pushedWithin\":\"1h\"}]");
	stay(world, "a c");
	policy(world, "\"keepTags\":[{\"patterns\":[\"zzz\"],\"pushedWithin\":\"1h\"}]");
	stay(world, ""); /* no entry has them, whatever is known */
}

static void immutable_tags_stay(void **state)
{
	struct world *world = *state;

	TAGS(world, { "v1", 9, 9 }, { "v2", 9, 9 });
	world->tags[0].immutable = true;
	policy(world, "\"keepTags\":[{\"patterns\":[\"x\"]}]");
	stay(world, "v1");
	says(world, world->tag_verdicts[0],
		"immutableTags of the repository's entity, whatever a policy says");
	manifests_stay(world, "K-");
}

/* ---- manifests ---- */

static void a_manifest_goes_with_its_last_tag(void **state)
{
	struct world *world = *state;

	manifests(world, 3);
	add_tag(world, (struct tag_row){ "v1", 1, 1, 0, false });
	add_tag(world, (struct tag_row){ "old", 1, 1, 0, false });
	add_tag(world, (struct tag_row){ "older", 1, 1, 1, false });
	policy(world, "\"keepTags\":[{\"patterns\":[\"v\"]}]");
	stay(world, "v1");
	manifests_stay(world, "K-K"); /* of the third nobody knows when it was pushed */
	says(world, world->verdicts[0], "a tag that stays names it");
	says(world, world->verdicts[1], "it has no tag that stays");
	says(world, world->verdicts[2], "no statistics say when it was pushed or pulled");
	policy(world, "\"deleteUntagged\":false,\"keepTags\":[{\"patterns\":[\"v\"]}]");
	manifests_stay(world, "KKK");
	says(world, world->verdicts[1], "policies[0].deleteUntagged is false");
	policy(world, "\"keepUntagged\":{\"pulledWithin\":\"2h\"},\"keepTags\":[{\"patterns\":[\"v\"]}]");
	world->manifests[1].facts = facts(9, 1);
	manifests_stay(world, "KKK");
	says(world, world->verdicts[1], "policies[0].keepUntagged: pulledWithin, it was pulled 3600 s ago");
	world->manifests[1].facts = facts(9, 3);
	manifests_stay(world, "K-K");
}

static void what_is_untagged_waits_for_the_delay(void **state)
{
	struct world *world = *state;

	manifests(world, 3);
	world->manifests[0].facts = facts(2, 1);
	world->manifests[1].facts = facts(0, NEVER);
	policies(world, NULL);
	manifests_stay(world, "KKK");
	says(world, world->verdicts[0], "storage.retention is not set, so nothing goes");
	policies(world, "{}"); /* an hour */
	manifests_stay(world, "-KK");
	says(world, world->verdicts[0], "it has no tag, and was pushed 2 hours ago");
	says(world, world->verdicts[1], "within the delay, it was pushed 0 s ago");
	policies(world, "{\"delay\":\"3h\",\"policies\":[{\"repositories\":[\"**\"]}]}");
	manifests_stay(world, "KKK");
	policy(world, "\"deleteUntagged\":false");
	manifests_stay(world, "KKK");
	policies(world, "{\"delay\":\"0s\",\"policies\":[{\"repositories\":[\"**\"]}]}");
	manifests_stay(world, "--K");
}

static void keep_untagged(void **state)
{
	struct world *world = *state;

	manifests(world, 5);
	for (size_t i = 0; i < 4; i++)
		world->manifests[i].facts = facts(100 + (int)i, i == 3 ? 2 : 50);
	policy(world, "\"keepUntagged\":{\"mostRecentlyPushedCount\":2}");
	manifests_stay(world, "KK--K");
	says(world, world->verdicts[1],
		"policies[0].keepUntagged: mostRecentlyPushedCount 2, it is number 2");
	policy(world, "\"keepUntagged\":{\"mostRecentlyPulledCount\":1}");
	manifests_stay(world, "---KK");
	policy(world, "\"keepUntagged\":{\"pulledWithin\":\"3h\"}");
	manifests_stay(world, "---KK");
	policy(world, "\"keepUntagged\":{\"pushedWithin\":\"102h\"}");
	manifests_stay(world, "KK--K");
	policy(world, "\"keepUntagged\":{}"); /* no rule: as without it */
	manifests_stay(world, "----K");
}

static void all_that_an_index_names_stays_with_it(void **state)
{
	static const size_t of_index[] = { 1, 2 }, of_list[] = { 3 };
	struct world *world = *state;

	manifests(world, 5);
	for (size_t i = 0; i < 5; i++)
		world->manifests[i].facts = facts(100, NEVER);
	world->manifests[0].children = of_index;
	world->manifests[0].children_len = 2;
	world->manifests[2].children = of_list; /* an index in an index */
	world->manifests[2].children_len = 1;
	add_tag(world, (struct tag_row){ "v1", 100, NEVER, 0, false });
	policies(world, "{}");
	manifests_stay(world, "KKKK-");
	says(world, world->verdicts[3], "an index that stays names it");
	policy(world, "\"keepTags\":[{\"patterns\":[\"x\"]}]");
	manifests_stay(world, "-----");
	/* One of them has a tag that stays, and takes what it names with it. */
	add_tag(world, (struct tag_row){ "x", 100, NEVER, 2, false });
	manifests_stay(world, "--KK-");
	/* Ranks are of what no index names. */
	world->repository.tags_len = 0;
	policy(world, "\"keepUntagged\":{\"mostRecentlyPushedCount\":1}");
	world->manifests[0].facts = facts(99, NEVER);
	manifests_stay(world, "KKKK-");
}

static void links_that_go_round_keep_nothing(void **state)
{
	static const size_t of_first[] = { 1 };
	struct world *world = *state;

	manifests(world, 2);
	world->manifests[0].children = of_first;
	world->manifests[0].children_len = 1;
	world->manifests[0].subject = 1;
	world->manifests[0].facts = world->manifests[1].facts = facts(100, NEVER);
	policy(world, "\"deleteReferrers\":true");
	manifests_stay(world, "--");
	policy(world, "");
	manifests_stay(world, "KK"); /* the first refers to something, and so stays; it names the second */
}

static void referrers_stay_as_long_as_what_they_are_for(void **state)
{
	struct world *world = *state;

	manifests(world, 5);
	for (size_t i = 0; i < 5; i++)
		world->manifests[i].facts = facts(100, NEVER);
	world->manifests[1].subject = 0;
	world->manifests[2].subject = 1; /* a signature of a signature */
	world->manifests[3].subject = RETENTION_GONE;
	world->manifests[4].subject = RETENTION_GONE;
	world->manifests[4].facts = facts(0, NEVER);
	add_tag(world, (struct tag_row){ "v1", 100, NEVER, 0, false });
	policies(world, "{}");
	manifests_stay(world, "KKKKK");
	says(world, world->verdicts[3], "it belongs to another manifest, and deleteReferrers is not set");
	policy(world, "\"deleteReferrers\":true");
	manifests_stay(world, "KKK-K");
	says(world, world->verdicts[2], "it belongs to a manifest that stays");
	says(world, world->verdicts[3], "the manifest that it belongs to is gone, and was pushed 4 days ago");
	says(world, world->verdicts[4], "within the delay, it was pushed 0 s ago");
	policy(world, "\"deleteReferrers\":true,\"keepTags\":[{\"patterns\":[\"x\"]}]");
	manifests_stay(world, "----K");
	policy(world, "\"deleteReferrers\":false,\"keepTags\":[{\"patterns\":[\"x\"]}]");
	manifests_stay(world, "-KKKK");
	/* A tag of its own counts as of any other. */
	policy(world, "\"deleteReferrers\":true,\"keepTags\":[{\"patterns\":[\"x\"]}]");
	add_tag(world, (struct tag_row){ "x", 100, NEVER, 3, false });
	manifests_stay(world, "---KK");
}

static void tags_of_a_digest_belong_to_it(void **state)
{
	struct world *world = *state;

	manifests(world, 4);
	for (size_t i = 0; i < 4; i++)
		world->manifests[i].facts = facts(100, NEVER);
	add_tag(world, (struct tag_row){ "v1", 100, NEVER, 0, false });
	add_tag(world, (struct tag_row){ "sha256-0.sig", 100, NEVER, 1, false });
	add_tag(world, (struct tag_row){ "sha256-1.sig", 100, NEVER, 2, false });
	add_tag(world, (struct tag_row){ "sha256-2.sig", 0, NEVER, 3, false });
	world->tags[1].subject = 0;
	world->tags[2].subject = world->tags[3].subject = RETENTION_GONE;
	policy(world, "\"keepTags\":[{\"patterns\":[\"v\"]}]");
	stay(world, "v1 sha256-0.sig sha256-1.sig sha256-2.sig");
	manifests_stay(world, "KKKK");
	policy(world, "\"deleteReferrers\":true,\"keepTags\":[{\"patterns\":[\"v\"]}]");
	stay(world, "v1 sha256-0.sig sha256-2.sig");
	manifests_stay(world, "KK-K");
	says(world, world->tag_verdicts[1], "it belongs to a manifest that stays");
	policy(world, "\"deleteReferrers\":true,\"keepTags\":[{\"patterns\":[\"x\"]}]");
	stay(world, "sha256-2.sig");
	manifests_stay(world, "---K");
}

static void a_digest_in_a_tag(void **state)
{
	static const char hex[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	struct digest digest;
	char text[256];

	(void)state;
	(void)snprintf(text, sizeof(text), "sha256-%s", hex);
	assert_true(retention_tag_subject(str_of(text), &digest));
	assert_int_equal(digest.alg, HASH_SHA256);
	assert_int_equal(digest.raw[1], 0x23);
	(void)snprintf(text, sizeof(text), "sha256-%s.sig", hex);
	assert_true(retention_tag_subject(str_of(text), &digest));
	(void)snprintf(text, sizeof(text), "sha512-%s%s", hex, hex);
	assert_true(retention_tag_subject(str_of(text), &digest));
	(void)snprintf(text, sizeof(text), "sha256-%s0", hex);
	assert_false(retention_tag_subject(str_of(text), &digest));
	(void)snprintf(text, sizeof(text), "sha256:%s", hex);
	assert_false(retention_tag_subject(str_of(text), &digest));
	assert_false(retention_tag_subject(STR("sha256-0.sig"), &digest));
	assert_false(retention_tag_subject(STR("latest"), &digest));
	assert_false(retention_tag_subject(STR("sha1-abc"), &digest));
}

static void an_entity_says_so(void **state)
{
	struct world *world = *state;

	TAGS(world, { "a", 5, 5 }, { "b", 5, 5 });
	retention_free(world->retention);
	world->retention = NULL;
	assert_true(retention_new_of_entity(
		&world->retention, STR("{\"keepTags\":[{\"patterns\":[\"a\"]}]}"), NULL));
	world->terms = retention_terms(world->retention, STR("x"), 0);
	stay(world, "a");
	says(world, world->tag_verdicts[1],
		"retention of the repository's entity.keepTags: no entry has a pattern for it");
}

static void nothing_is_there(void **state)
{
	struct world *world = *state;

	manifests(world, 0);
	policy(world, "\"keepTags\":[{\"mostRecentlyPushedCount\":1}]");
	stay(world, "");
	manifests_stay(world, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest all[] = {
		TEST(without_a_policy_tags_stay),
		TEST(patterns_alone_need_no_statistics),
		TEST(the_first_policy_decides),
		TEST(the_first_entry_decides),
		TEST(pushed_count),
		TEST(counts_are_of_their_entry),
		TEST(pulled_count),
		TEST(pushed_within),
		TEST(pulled_within),
		TEST(rules_are_alternatives),
		TEST(what_nobody_knows_stays),
		TEST(immutable_tags_stay),
		TEST(a_manifest_goes_with_its_last_tag),
		TEST(what_is_untagged_waits_for_the_delay),
		TEST(keep_untagged),
		TEST(all_that_an_index_names_stays_with_it),
		TEST(links_that_go_round_keep_nothing),
		TEST(referrers_stay_as_long_as_what_they_are_for),
		TEST(tags_of_a_digest_belong_to_it),
		TEST(a_digest_in_a_tag),
		TEST(an_entity_says_so),
		TEST(nothing_is_there),
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}
