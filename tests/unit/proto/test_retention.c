/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_retention - zot's files are read as zot reads them, what is wrong is named, the first policy decides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/regexp.h"
#include "proto/retention.h"

#define HOUR_MS INT64_C(3600000)

static struct retention *from(const char *text, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	struct retention *retention = NULL;

	if (!json_parse(str_of(text), &doc, err))
		fail_msg("test document: %s", err->text);
	return retention_new(&retention, json_root(doc), err) ? retention : NULL;
}

static struct retention *good(const char *text)
{
	struct error err;
	struct retention *retention = from(text, &err);

	if (!retention)
		fail_msg("%s: %s", text, err.text);
	return retention;
}

/* The example of zot's documentation, with all keys. */
static const char whole[] =
	"{\"dryRun\":false,\"delay\":\"24h\",\"policies\":[{\"repositories\":[\"infra/*\",\"tmp/**\"],"
	"\"deleteReferrers\":false,\"deleteUntagged\":true,"
	"\"KeepTags\":[{\"patterns\":[\"v2.*\",\".*-prod\"]},"
	"{\"patterns\":[\"v3.*\",\".*-prod\"],\"pulledWithin\":\"168h\"}]},"
	"{\"repositories\":[\"**\"],\"deleteReferrers\":true,\"deleteUntagged\":false,\"keepTags\":[{"
	"\"mostRecentlyPushedCount\":10,\"mostRecentlyPulledCount\":10,"
	"\"pulledWithin\":\"720h\",\"pushedWithin\":\"1h30m\"}],"
	"\"keepUntagged\":{\"pulledWithin\":\"720h\",\"mostRecentlyPushedCount\":2}}]}";

static void all_of_it_is_read(void **state)
{
	AUTO(retention) *retention = good(whole);
	struct retention_terms infra = retention_terms(retention, STR("infra/app"), HOUR_MS);
	struct retention_terms other = retention_terms(retention, STR("infra/a/b"), HOUR_MS);

	(void)state;
	assert_int_equal(infra.at, 0);
	assert_int_equal(infra.delay_ms, 24 * HOUR_MS);
	assert_false(infra.dry_run);
	assert_false(infra.policy->delete_referrers);
	assert_true(infra.policy->delete_untagged);
	assert_null(infra.policy->keep_untagged);
	assert_int_equal(infra.policy->keep_tags_len, 2);
	assert_int_equal(infra.policy->keep_tags[0].patterns_len, 2);
	assert_true(regexp_match(infra.policy->keep_tags[0].patterns[1], STR("a-prod")));
	assert_int_equal(infra.policy->keep_tags[0].pulled_within_ms, RETENTION_UNKNOWN);
	assert_int_equal(infra.policy->keep_tags[1].pulled_within_ms, 168 * HOUR_MS);
	assert_int_equal(other.at, 1);
	assert_true(other.policy->delete_referrers);
	assert_false(other.policy->delete_untagged);
	assert_int_equal(other.policy->keep_tags[0].pushed_count, 10);
	assert_int_equal(other.policy->keep_tags[0].pulled_count, 10);
	assert_int_equal(other.policy->keep_tags[0].pushed_within_ms, 3 * HOUR_MS / 2);
	assert_int_equal(other.policy->keep_untagged->pulled_within_ms, 720 * HOUR_MS);
	assert_int_equal(other.policy->keep_untagged->pushed_count, 2);
	assert_int_equal(retention_terms(retention, STR("tmp/x/y"), HOUR_MS).at, 0);
}

static void without_a_policy(void **state)
{
	AUTO(retention) *retention = good("{\"dryRun\":true,\"policies\":[{\"repositories\":[\"a\"]}]}");
	struct retention_terms terms = retention_terms(retention, STR("b"), HOUR_MS);

	(void)state;
	assert_null(terms.policy);
	assert_true(terms.dry_run);
	assert_int_equal(terms.delay_ms, HOUR_MS);
	assert_true(retention_terms(retention, STR("a"), HOUR_MS).policy->delete_untagged);
	terms = retention_terms(NULL, STR("a"), 7);
	assert_null(terms.policy);
	assert_false(terms.dry_run);
	assert_int_equal(terms.delay_ms, 7);
}

static void nulls_are_absent(void **state)
{
	AUTO(retention) *retention = good(
		"{\"dryRun\":null,\"delay\":null,\"policies\":[{\"repositories\":[\"**\"],\"deleteUntagged\":"
		"null,"
		"\"keepTags\":[{\"patterns\":null,\"pulledWithin\":null,\"mostRecentlyPushedCount\":null}],"
		"\"keepUntagged\":null}]}");
	struct retention_terms terms = retention_terms(retention, STR("a"), 5);

	(void)state;
	assert_int_equal(terms.delay_ms, 5);
	assert_true(terms.policy->delete_untagged);
	assert_null(terms.policy->keep_untagged);
	assert_int_equal(terms.policy->keep_tags[0].patterns_len, 0);
	assert_int_equal(terms.policy->keep_tags[0].pulled_within_ms, RETENTION_UNKNOWN);
}

#define POLICY(text) "{\"policies\":[{\"repositories\":[\"**\"]," text "}]}"
#define ENTRY(text)  POLICY("\"keepTags\":[{" text "}]")

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{ "[]", "must be an object" },
		{ "{\"dryrum\":true}", "unknown key \"dryrum\"; did you mean \"dryRun\"?" },
		{ "{\"x\":true}", "unknown key \"x\"; the first known is \"dryRun\"" },
		{ "{\"delay\":\"1h\",\"DELAY\":\"2h\"}", "delay: is there twice" },
		{ "{\"dryRun\":\"yes\"}", "dryRun: must be true or false" },
		{ "{\"delay\":\"-24h\"}", "delay: \"-24h\" is no duration of 0 or more" },
		{ "{\"delay\":\"1d\"}", "delay: \"1d\" is no duration" },
		{ "{\"delay\":-1}", "delay: is out of bounds" },
		{ "{\"delay\":99999999999999999}", "delay: is out of bounds" },
		{ "{\"delay\":true}", "delay: must be a duration" },
		{ "{\"policies\":{}}", "policies: must be a list of objects" },
		{ "{\"policies\":[3]}", "policies: [0]: must be an object" },
		{ "{\"policies\":[{\"repositories\":[\"a\",\"[b\"]}]}",
			"policies: [0]: repositories: [1]: \"[b\": " },
		{ "{\"policies\":[{\"repositories\":[1]}]}", "repositories: [0]: must be a glob" },
		{ "{\"policies\":[{\"repoNames\":[\"a\"]}]}", "policies: [0]: unknown key \"repoNames\"" },
		{ POLICY("\"keepTag\":[]"),
			"policies: [0]: unknown key \"keepTag\"; did you mean \"keepTags\"?" },
		{ POLICY("\"delay\":\"1h\""), "unknown key \"delay\"" },
		{ POLICY("\"keepTags\":{}"), "keepTags: must be a list of objects" },
		{ POLICY("\"keepUntagged\":[]"), "keepUntagged: must be an object" },
		{ POLICY("\"keepUntagged\":{\"patterns\":[]}"), "keepUntagged: unknown key \"patterns\"" },
		{ ENTRY("\"patterns\":[\"a\",\"(\"]"),
			"policies: [0]: keepTags: [0]: patterns: [1]: \"(\": byte 1" },
		{ ENTRY("\"patterns\":\"a\""), "patterns: must be a list of regular expressions" },
		{ ENTRY("\"patterns\":[1]"), "patterns: [0]: must be a regular expression" },
		{ ENTRY("\"mostRecentlyPushedCount\":-1"), "mostRecentlyPushedCount: -1 is out of bounds" },
		{ ENTRY("\"mostRecentlyPulledCount\":\"3\""),
			"mostRecentlyPulledCount: must be a whole number" },
		{ ENTRY("\"pushedWithinn\":\"1h\""), "did you mean \"pushedWithin\"?" },
		{ ENTRY("\"pulledWithin\":\"\""), "pulledWithin: \"\" is no duration" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error err;
		AUTO(retention) *retention = from(cases[i].text, &err);

		if (retention)
			fail_msg("%s is taken", cases[i].text);
		if (!strstr(err.text, cases[i].says))
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, err.text, cases[i].says);
	}
}

/* A list of n times the same. */
static void check_most(const char *begin, const char *item, const char *end, size_t most, const char *says)
{
	for (size_t n = most; n <= most + 1; n++) {
		AUTO_FINI(buf) text = buf_limit(1024 * 1024);
		AUTO(retention) *retention = NULL;
		struct error err;

		buf_puts(&text, begin);
		for (size_t i = 0; i < n; i++)
			buf_format(&text, "%s%s", i ? "," : "", item);
		buf_puts(&text, end);
		retention = from(buf_text(&text), &err);
		if (n == most ? !retention : retention || !strstr(err.text, says))
			fail_msg("%zu of %s", n, item);
	}
}

static void lists_are_bounded(void **state)
{
	(void)state;
	check_most("{\"policies\":[", "{\"repositories\":[\"a\"]}", "]}", RETENTION_POLICIES_MAX,
		"policies: has 257 items; at most 256");
	check_most("{\"policies\":[{\"repositories\":[", "\"a\"", "]}]}", RETENTION_GLOBS_MAX, "at most 256");
	check_most("{\"policies\":[{\"repositories\":[\"a\"],\"keepTags\":[", "{}", "]}]}",
		RETENTION_ENTRIES_MAX, "at most 64");
	check_most("{\"policies\":[{\"repositories\":[\"a\"],\"keepTags\":[{\"patterns\":[", "\"a\"",
		"]}]}]}", RETENTION_PATTERNS_MAX, "at most 64");
}

static void an_entity_has_one_policy(void **state)
{
	AUTO(retention) *retention = NULL;
	AUTO_FINI(buf) large = buf_limit(2 * RETENTION_TEXT_MAX);
	struct retention_terms terms;
	struct error err;

	(void)state;
	assert_true(retention_new_of_entity(&retention,
		STR("{\"dryRun\":true,\"delay\":\"2h\",\"deleteReferrers\":true,\"keepTags\":[{\"patterns\":["
		    "\"v\"]}]}"),
		&err));
	terms = retention_terms(retention, STR("anything/at/all"), 5);
	assert_true(terms.of_entity && terms.dry_run && terms.policy->delete_referrers &&
		    terms.policy->delete_untagged);
	assert_int_equal(terms.delay_ms, 2 * HOUR_MS);
	assert_int_equal(terms.policy->keep_tags_len, 1);
	assert_true(retention_check(STR("{}"), &err));
	assert_false(retention_check(STR("{\"policies\":[]}"), &err));
	assert_non_null(strstr(err.text, "unknown key \"policies\""));
	assert_false(retention_check(STR("{\"keepTags\":[{\"patterns\":[\"(\"]}]}"), &err));
	assert_false(retention_check(STR("{"), &err));
	while (large.len <= RETENTION_TEXT_MAX)
		buf_putc(&large, ' ');
	assert_false(retention_check(buf_str(&large), &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_is_read),
		cmocka_unit_test(without_a_policy),
		cmocka_unit_test(nulls_are_absent),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(lists_are_bounded),
		cmocka_unit_test(an_entity_has_one_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
