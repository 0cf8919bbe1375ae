/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_entity - bodies from JSON and msgpack and back, and everything that is refused on the way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/check.h"
#include "common/password.h"
#include "proto/entity.h"

#define KEY_ID     "zak_0123456789"
#define HASH64     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KEY(rest)  "{\"owner\":\"alice\",\"secretHash\":\"" HASH64 "\"" rest "}"
#define RING(rest) "{\"hashKey\":\"000102030405060708090a0b0c0d0e0f\"" rest "}"

static struct error last;

static struct entity *from(enum entity_kind kind, const char *id, const char *text, const struct entity *base)
{
	AUTO(json_doc) *doc = NULL;
	struct entity *entity = NULL;

	memset(&last, 0, sizeof(last));
	if (!json_parse(str_of(text), &doc, &last))
		fail_msg("test document: %s", last.text);
	if (entity_from_json(kind, str_of(id), json_root(doc), base, &entity, &last))
		return entity;
	assert_null(entity);
	assert_true(last.text[0]);
	return NULL;
}

static struct entity *good(enum entity_kind kind, const char *id, const char *text)
{
	struct entity *entity = from(kind, id, text, NULL);

	if (!entity)
		fail_msg("%s: %s", text, last.text);
	return entity;
}

/* Refused, and the text says all of these. */
static void refused(
	enum entity_kind kind, const char *id, const char *text, const char *says, const char *and_says)
{
	AUTO(entity) *entity = from(kind, id, text, NULL);

	assert_null(entity);
	if (!strstr(last.text, says) || !strstr(last.text, and_says))
		fail_msg("\"%s\" says neither \"%s\" nor \"%s\"", last.text, says, and_says);
}

/* entity_to_json(), the caller frees. */
static char *shown(const struct entity *entity)
{
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	struct json_writer writer = json_writer(&b);

	entity_to_json(entity, &writer);
	assert_false(b.failed);
	return buf_take(&b, NULL);
}

/* Through msgpack and back; checks that nothing of it changed. */
static struct entity *packed(const struct entity *entity)
{
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	AUTO_FINI(buf) again = buf_limit(1024 * 1024);
	AUTO(pack_doc) *doc = NULL;
	struct entity *copy = NULL;
	struct error err;

	entity_encode(entity, &b);
	assert_true(pack_parse(buf_str(&b), &doc, &err));
	if (!entity_decode(pack_root(doc), &copy, &err))
		fail_msg("%s", err.text);
	entity_encode(copy, &again);
	assert_true(str_equal(buf_str(&b), buf_str(&again)));
	return copy;
}

static void a_user_has_defaults(void **state)
{
	AUTO(entity) *entity = good(ENTITY_USER, "alice@example.org", "{}");
	const struct user *user = entity_user(entity);

	(void)state;
	assert_int_equal(entity_kind(entity), ENTITY_USER);
	assert_true(str_is(entity_id(entity), "alice@example.org"));
	assert_true(user->enabled);
	assert_string_equal(user->password_hash, "");
	assert_int_equal(user->groups.len, 0);
	assert_int_equal(entity_revision(entity), 0);
	assert_false(entity_is_deleted(entity));
}

static void a_password_is_hashed_and_never_shown(void **state)
{
	AUTO(entity) *entity = good(ENTITY_USER, "alice",
		"{\"password\":\"correct "
		"horse\",\"groups\":[\"dev\",\"ops\"],\"roles\":[\"admin\"],\"metadata\":{\"a\":\"b\"}}");
	AUTO(entity) *copy = packed(entity);
	const struct user *user = entity_user(copy);
	AUTO_STR *text = shown(copy);

	(void)state;
	assert_true(password_verify(STR("correct horse"), str_of(user->password_hash), 4));
	assert_int_equal(user->groups.len, 2);
	assert_string_equal(user->groups.at[1], "ops");
	assert_string_equal(user->metadata.at[0].value, "b");
	assert_null(strstr(text, "horse"));
	assert_null(strstr(text, "assword"));
	assert_null(strstr(text, "$2"));
	assert_non_null(strstr(text, "\"groups\":[\"dev\",\"ops\"]"));
}

static void a_crypt_hash_is_taken_as_it_is(void **state)
{
	static const char hash[] = "$2y$10$abcdefghijklmnopqrstuuDSKsE3w8ep0tW5p4kzVXjZRBFKPGyAW";
	AUTO_FINI(buf) text = buf_limit(1024);
	AUTO(entity) *entity = NULL;

	(void)state;
	buf_format(&text, "{\"passwordHash\":\"%s\"}", hash);
	entity = good(ENTITY_USER, "alice", buf_text(&text));
	assert_string_equal(entity_user(entity)->password_hash, hash);
	refused(ENTITY_USER, "alice", "{\"passwordHash\":\"secret\"}", "passwordHash", "bcrypt");
	refused(ENTITY_USER, "alice", "{\"password\":\"short\"}", "password", "8 to 72");
	refused(ENTITY_USER, "alice", "{\"passwordHash\":\"x\",\"password\":\"long enough\"}", "either",
		"passwordHash");
}

static void an_apikey_takes_hash_or_secret(void **state)
{
	AUTO(entity) *entity =
		good(ENTITY_APIKEY, KEY_ID, "{\"owner\":\"alice\",\"clientSecret\":\"0123456789abcdef\"}");
	AUTO(entity) *given = good(ENTITY_APIKEY, KEY_ID, KEY(""));
	AUTO_STR *text = shown(given);

	(void)state;
	assert_string_equal(entity_apikey(entity)->secret_hash,
		"9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f");
	assert_string_equal(entity_apikey(given)->secret_hash, HASH64);
	assert_null(strstr(text, "ecret"));
	assert_null(strstr(text, HASH64));
	refused(ENTITY_APIKEY, KEY_ID, "{\"owner\":\"alice\"}", "secretHash", "required");
	refused(ENTITY_APIKEY, KEY_ID, "{\"secretHash\":\"" HASH64 "\"}", "owner", "required");
	refused(ENTITY_APIKEY, KEY_ID, "{\"owner\":\"alice\",\"secretHash\":\"abc\"}", "secretHash", "64");
	refused(ENTITY_APIKEY, KEY_ID, "{\"owner\":\"alice\",\"clientSecret\":\"short\"}", "clientSecret",
		"16 to 512");
}

static void an_apikey_carries_quotas(void **state)
{
	AUTO(entity) *entity = good(ENTITY_APIKEY, KEY_ID,
		KEY(",\"label\":\"ci\",\"enabled\":false,\"throttlingQuota\":5,\"dailyQuota\":1000,"
		    "\"monthlyQuota\":20000,"
		    "\"monthlyBytes\":9007199254740993,\"tags\":[\"ci\"],\"validUntil\":\"2026-11-20T12:00:"
		    "00Z\","
		    "\"scopes\":[\"team/**:read,create\"],\"metadata\":{}"));
	AUTO(entity) *copy = packed(entity);
	const struct apikey *key = entity_apikey(copy);
	AUTO_STR *text = shown(copy);

	(void)state;
	assert_string_equal(key->label, "ci");
	assert_false(key->enabled);
	assert_int_equal(key->throttling_quota, 5);
	assert_int_equal(key->daily_quota, 1000);
	assert_int_equal(key->monthly_quota, 20000);
	assert_true(key->monthly_bytes == 9007199254740993);
	assert_int_equal(key->valid_until, 1795176000);
	assert_string_equal(key->scopes.at[0], "team/**:read,create");
	assert_non_null(strstr(text, "\"validUntil\":\"2026-11-20T12:00:00"));
	assert_non_null(strstr(text, "\"monthlyBytes\":9007199254740993"));
}

static void times_are_rfc3339_or_seconds(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
	} times[] = {
		{ "0", 0 },
		{ "1795176000", 1795176000 },
		{ "\"1970-01-01T00:00:00Z\"", 0 },
		{ "\"2000-02-29T23:59:59.999Z\"", 951868799 },
		{ "\"2026-11-20T13:00:00+01:00\"", 1795176000 },
		{ "\"2026-11-20t06:30:00-05:30\"", 1795176000 },
		{ "\"9999-12-31T23:59:59Z\"", 253402300799 },
	};
	static const char *const bad[] = { "\"\"", "\"2026-11-20\"", "\"2026-13-01T00:00:00Z\"",
		"\"2025-02-29T00:00:00Z\"", "\"2026-11-20T24:00:00Z\"", "\"2026-11-20T12:00:00\"",
		"\"2026-11-20T12:00:00Zx\"", "\"2026-11-20T12:00:00.Z\"", "\"1969-12-31T23:59:59Z\"",
		"\"1970-01-01T00:00:00+01:00\"", "-1", "253402300800", "1.5", "true" };

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		AUTO_FINI(buf) b = buf_limit(1024);
		AUTO(entity) *entity = NULL;

		buf_format(&b, KEY(",\"validUntil\":%s"), times[i].text);
		entity = good(ENTITY_APIKEY, KEY_ID, buf_text(&b));
		assert_true(entity_apikey(entity)->valid_until == times[i].seconds);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		AUTO_FINI(buf) b = buf_limit(1024);

		buf_format(&b, KEY(",\"validUntil\":%s"), bad[i]);
		refused(ENTITY_APIKEY, KEY_ID, buf_text(&b), "validUntil", "");
	}
}

static void scopes_are_globs_and_actions(void **state)
{
	(void)state;
	entity_free(good(ENTITY_APIKEY, KEY_ID,
		KEY(",\"scopes\":[\"**:read\",\"a/b:read,create,update,delete,detectManifestCollision\"]")));
	refused(ENTITY_APIKEY, KEY_ID, KEY(",\"scopes\":[\"**:read\",\"**\"]"), "scopes: [1]",
		"<glob>:<action>");
	refused(ENTITY_APIKEY, KEY_ID, KEY(",\"scopes\":[\"**:reed\"]"), "reed",
		"read, create, update, delete");
	refused(ENTITY_APIKEY, KEY_ID, KEY(",\"scopes\":[\"**:\"]"), "scopes: [0]", "");
	refused(ENTITY_APIKEY, KEY_ID, KEY(",\"scopes\":[\"**:read,,create\"]"), "scopes: [0]", "");
	refused(ENTITY_APIKEY, KEY_ID, KEY(",\"scopes\":[\"[a:read\"]"), "scopes: [0]", "glob");
	refused(ENTITY_APIKEY, KEY_ID, KEY(",\"scopes\":\"**:read\""), "scopes", "list");
	refused(ENTITY_APIKEY, KEY_ID, KEY(",\"scopes\":[7]"), "scopes: [0]", "text");
}

static void a_policy_is_zots_access_control(void **state)
{
	AUTO(entity) *entity = good(ENTITY_POLICY, "team/{a,b}/**",
		"{\"policies\":[{\"users\":[\"alice\"],\"actions\":[\"read\",\"create\"]},{\"groups\":["
		"\"ops\"],\"actions\":[\"delete\"]}],"
		"\"defaultPolicy\":[\"read\"],\"anonymousPolicy\":[]}");
	AUTO(entity) *copy = packed(entity);
	const struct policy *policy = entity_policy(copy);
	AUTO_STR *text = shown(copy);

	(void)state;
	assert_int_equal(policy->policies_len, 2);
	assert_string_equal(policy->policies[0].users.at[0], "alice");
	assert_string_equal(policy->policies[0].actions.at[1], "create");
	assert_int_equal(policy->policies[1].users.len, 0);
	assert_string_equal(policy->policies[1].groups.at[0], "ops");
	assert_string_equal(policy->default_policy.at[0], "read");
	assert_int_equal(policy->anonymous_policy.len, 0);
	assert_string_equal(text,
		"{\"id\":\"team/{a,b}/"
		"**\",\"revision\":0,\"policies\":[{\"users\":[\"alice\"],\"groups\":[],\"actions\":"
		"[\"read\",\"create\"]},{\"users\":[],\"groups\":[\"ops\"],\"actions\":[\"delete\"]}],"
		"\"defaultPolicy\":[\"read\"],\"anonymousPolicy\":[]}");
	refused(ENTITY_POLICY, "**", "{\"policies\":[{\"actions\":[\"read\"]},{\"actions\":[\"push\"]}]}",
		"policies: [1]: actions: [0]", "detectManifestCollision");
	refused(ENTITY_POLICY, "**", "{\"policies\":[{\"user\":[]}]}", "\"user\"", "\"users\"");
	refused(ENTITY_POLICY, "**", "{\"policies\":[[]]}", "policies: [0]", "object");
	refused(ENTITY_POLICY, "[a", "{}", "glob", "");
}

static void settings_have_bounds(void **state)
{
	AUTO(entity) *entity = good(ENTITY_SETTINGS, "cluster", "{}");
	AUTO(entity) *copy = packed(entity);
	const struct cluster_settings *settings = entity_settings(copy);

	(void)state;
	assert_int_equal(settings->lease_ms, 6000);
	assert_int_equal(settings->push_every_ms, 2000);
	assert_int_equal(settings->poll_wait_ms, 25000);
	assert_false(settings->isolated);
	refused(ENTITY_SETTINGS, "cluster", "{\"leaseMs\":999}", "leaseMs", "1000 to 600000");
	refused(ENTITY_SETTINGS, "cluster", "{\"leaseMs\":2000}", "pushEveryMs", "less than leaseMs");
	refused(ENTITY_SETTINGS, "cluster", "{\"pollWaitMs\":-1}", "pollWaitMs", "0 to 60000");
	refused(ENTITY_SETTINGS, "cluster", "{\"leaseMs\":\"6000\"}", "leaseMs", "whole number");
	refused(ENTITY_SETTINGS, "cluster", "{\"leaseMs\":6000.5}", "leaseMs", "whole number");
	refused(ENTITY_SETTINGS, "cluster", "{\"isolated\":1}", "isolated", "true or false");
	refused(ENTITY_SETTINGS, "other", "{}", "cluster", "");
}

static void a_ring_has_members(void **state)
{
	AUTO(entity) *entity = good(ENTITY_RING, "ring",
		RING(",\"epoch\":7,\"members\":[{\"id\":\"w1\",\"url\":\"http://"
		     "10.0.0.1:8080\",\"zone\":\"a\",\"state\":\"draining\"},{\"id\":\"w0\"}]"));
	AUTO(entity) *copy = packed(entity);
	const struct ring_body *ring = entity_ring(copy);

	(void)state;
	assert_int_equal(ring->epoch, 7);
	assert_string_equal(ring->algorithm, "slots");
	assert_string_equal(ring->hash_key, "000102030405060708090a0b0c0d0e0f");
	assert_int_equal(ring->members_len, 2);
	assert_string_equal(ring->members[0].url, "http://10.0.0.1:8080");
	assert_string_equal(ring->members[0].state, "draining");
	assert_string_equal(ring->members[1].id, "w0");
	assert_string_equal(ring->members[1].zone, "");
	assert_string_equal(ring->members[1].state, "active");
	refused(ENTITY_RING, "ring", RING(",\"members\":[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"a\"}]"),
		"\"a\"", "twice");
	refused(ENTITY_RING, "ring", RING(",\"members\":[{\"id\":\"a\",\"state\":\"lost\"}]"), "lost",
		"joining, active, draining");
	refused(ENTITY_RING, "ring", RING(",\"members\":[{}]"), "members: [0]: id", "required");
	refused(ENTITY_RING, "ring", "{}", "hashKey", "required");
	refused(ENTITY_RING, "ring", "{\"hashKey\":\"0001\"}", "hashKey", "32");
	refused(ENTITY_RING, "ring", "{\"hashKey\":\"000102030405060708090A0B0C0D0E0F\"}", "hashKey",
		"0-9 a-f");
}

static void a_repository_has_limits(void **state)
{
	AUTO(entity) *entity = good(ENTITY_REPOSITORY, "team/**",
		"{\"byteQuota\":1000,\"tagLimit\":3,\"immutableTags\":[\"v*\"],\"description\":\"ours\"}");
	AUTO(entity) *copy = packed(entity);
	AUTO(entity) *none = good(ENTITY_REPOSITORY, "app", "{}");
	const struct repository_limits *limits = entity_repository(copy);
	AUTO_STR *text = shown(copy);

	(void)state;
	assert_int_equal(limits->byte_quota, 1000);
	assert_int_equal(limits->tag_limit, 3);
	assert_string_equal(limits->immutable_tags.at[0], "v*");
	assert_string_equal(text,
		"{\"id\":\"team/"
		"**\",\"revision\":0,\"byteQuota\":1000,\"tagLimit\":3,\"immutableTags\":[\"v*\"],"
		"\"retention\":null,\"description\":\"ours\"}");
	assert_int_equal(entity_repository(none)->byte_quota, 0);
	assert_int_equal(entity_repository(none)->immutable_tags.len, 0);
	refused(ENTITY_REPOSITORY, "[a", "{}", "glob", "");
	refused(ENTITY_REPOSITORY, "a", "{\"byteQuota\":-1}", "byteQuota", "0 to");
	refused(ENTITY_REPOSITORY, "a", "{\"tagLimit\":\"3\"}", "tagLimit", "number");
	refused(ENTITY_REPOSITORY, "a", "{\"immutableTags\":[\"v1\",\"[v\"]}", "immutableTags: [1]", "");
	refused(ENTITY_REPOSITORY, "a", "{\"tagQuota\":3}", "\"tagQuota\"", "");
}

/* Without one an entity is what it was before there were any: its hash is the same. */
static void a_repository_has_a_retention(void **state)
{
	AUTO(entity) *entity = good(ENTITY_REPOSITORY, "team/**",
		"{\"retention\":{\"delay\":\"24h\",\"keepTags\":[{\"patterns\":[\"^v\"]}]}}");
	AUTO(entity) *copy = packed(entity);
	AUTO(entity) *none = from(ENTITY_REPOSITORY, "team/**", "{\"retention\":null}", entity);
	AUTO(entity) *same = from(ENTITY_REPOSITORY, "team/**", "{\"tagLimit\":1}", entity);
	AUTO_FINI(buf) encoded = buf_limit(4096);
	AUTO_STR *text = shown(copy);

	(void)state;
	assert_string_equal(entity_repository(copy)->retention,
		"{\"delay\":\"24h\",\"keepTags\":[{\"patterns\":[\"^v\"]}]}");
	assert_string_equal(entity_repository(same)->retention, entity_repository(copy)->retention);
	assert_non_null(
		strstr(text, "\"retention\":{\"delay\":\"24h\",\"keepTags\":[{\"patterns\":[\"^v\"]}]},"));
	assert_string_equal(entity_repository(none)->retention, "");
	entity_encode(none, &encoded);
	assert_null(memmem(encoded.at, encoded.len, "retention", 9));
	refused(ENTITY_REPOSITORY, "a", "{\"retention\":\"{}\"}", "retention: must be an object",
		"not a string");
	refused(ENTITY_REPOSITORY, "a", "{\"retention\":{\"keepTag\":[]}}",
		"retention: unknown key \"keepTag\"", "\"keepTags\"");
	refused(ENTITY_REPOSITORY, "a", "{\"retention\":{\"repositories\":[\"**\"]}}", "\"repositories\"",
		"");
	refused(ENTITY_REPOSITORY, "a", "{\"retention\":{\"keepTags\":[{\"patterns\":[\"v(\"]}]}}",
		"retention: keepTags: [0]: patterns: [0]: \"v(\"", "byte 2");
	refused(ENTITY_REPOSITORY, "a", "{\"retention\":{\"delay\":\"-1h\"}}", "retention: delay:", "-1h");
}

static void ids_follow_the_kinds_rule(void **state)
{
	char id[300];

	(void)state;
	memset(id, 'a', sizeof(id));
	id[256] = '\0';
	refused(ENTITY_USER, id, "{}", "256", "255");
	id[255] = '\0';
	entity_free(good(ENTITY_USER, id, "{}"));
	refused(ENTITY_USER, "", "{}", "0 bytes", "");
	refused(ENTITY_USER, "a b", "{}", "user's name", "");
	refused(ENTITY_USER, "a/b", "{}", "user's name", "");
	refused(ENTITY_APIKEY, "short", KEY(""), "8 to 128", "");
	refused(ENTITY_APIKEY, "has.a.dot.in.it", KEY(""), "8 to 128", "");
	refused(ENTITY_RING, "other", RING(""), "\"ring\"", "");
}

static void unknown_members_name_the_nearest(void **state)
{
	(void)state;
	refused(ENTITY_APIKEY, KEY_ID, KEY(",\"dailyqouta\":1"), "\"dailyqouta\"", "\"dailyQuota\"");
	refused(ENTITY_USER, "alice", "{\"group\":[]}", "\"group\"", "\"groups\"");
	refused(ENTITY_USER, "alice", "{\"roles\":[\"root\"]}", "root", "admin");
	refused(ENTITY_USER, "alice", "[]", "object", "");
	refused(ENTITY_USER, "alice", "{\"metadata\":{\"a\":1}}", "metadata", "\"a\"");
	refused(ENTITY_USER, "alice", "{\"metadata\":{\"\":\"x\"}}", "metadata", "a key");
	refused(ENTITY_USER, "alice", "{\"groups\":[\"\"]}", "groups: [0]", "1 to 255");
}

static void what_was_shown_can_be_written_back(void **state)
{
	AUTO(entity) *entity = good(ENTITY_USER, "alice",
		"{\"id\":\"alice\",\"kind\":\"user\",\"revision\":9,\"groups\":[\"dev\"]}");
	AUTO(entity) *stamped = entity_with_revision(entity, 42);
	AUTO_STR *text = shown(stamped);
	AUTO(entity) *again = good(ENTITY_USER, "alice", text);

	(void)state;
	assert_int_equal(entity_revision(stamped), 42);
	assert_string_equal(entity_user(stamped)->groups.at[0], "dev");
	assert_int_equal(entity_revision(again), 0);
	assert_string_equal(entity_user(again)->groups.at[0], "dev");
	refused(ENTITY_USER, "alice", "{\"id\":\"bob\"}", "id", "alice");
	refused(ENTITY_USER, "alice", "{\"kind\":\"group\"}", "kind", "user");
}

static void a_merge_patch_changes_what_it_names(void **state)
{
	AUTO(entity) *base = good(ENTITY_APIKEY, KEY_ID,
		KEY(",\"label\":\"old\",\"enabled\":false,\"dailyQuota\":10,\"tags\":[\"x\",\"y\"],"
		    "\"metadata\":{\"a\":\"1\",\"b\":\"2\"}"));
	AUTO(entity) *stamped = entity_with_revision(base, 5);
	AUTO(entity) *patched = from(ENTITY_APIKEY, KEY_ID,
		"{\"label\":\"new\",\"enabled\":null,\"tags\":[\"z\"],\"metadata\":{\"a\":null,\"b\":\"3\","
		"\"c\":\"4\"}}",
		stamped);
	const struct apikey *key;

	(void)state;
	assert_non_null(patched);
	entity_free(TAKE(base));
	entity_free(TAKE(stamped)); /* the result shares nothing with its base */
	key = entity_apikey(patched);
	assert_int_equal(entity_revision(patched), 5);
	assert_string_equal(key->label, "new");
	assert_true(key->enabled);
	assert_int_equal(key->daily_quota, 10);
	assert_string_equal(key->secret_hash, HASH64);
	assert_int_equal(key->tags.len, 1);
	assert_string_equal(key->tags.at[0], "z");
	assert_int_equal(key->metadata.len, 2);
	assert_string_equal(key->metadata.at[0].key, "b");
	assert_string_equal(key->metadata.at[0].value, "3");
	assert_string_equal(key->metadata.at[1].key, "c");
}

static void a_merge_patch_keeps_the_rules(void **state)
{
	AUTO(entity) *base = good(ENTITY_APIKEY, KEY_ID, KEY(""));

	(void)state;
	assert_null(from(ENTITY_APIKEY, KEY_ID, "{\"secretHash\":null}", base));
	assert_non_null(strstr(last.text, "required"));
	assert_null(from(ENTITY_APIKEY, KEY_ID, "{\"owner\":\"bob\"}", base));
	assert_non_null(strstr(last.text, "cannot be changed"));
	entity_free(from(ENTITY_APIKEY, KEY_ID, "{\"owner\":\"alice\"}", base));
	assert_int_equal(last.text[0], 0);
}

static void a_body_struct_is_copied_whole(void **state)
{
	char name[] = "w1";
	char group[] = "dev";
	const char *groups[] = { group };
	struct ring_row row = { .id = name };
	struct ring_body ring = { .epoch = 1, .algorithm = "slots", .members = &row, .members_len = 1 };
	struct user user = { .groups = { groups, 1 }, .enabled = true };
	AUTO(entity) *a = entity_new(ENTITY_RING, STR("ring"), 3, &ring);
	AUTO(entity) *b = entity_new(ENTITY_USER, STR("alice"), 4, &user);

	(void)state;
	memset(name, 'x', 2);
	memset(group, 'x', 3);
	assert_string_equal(entity_ring(a)->members[0].id, "w1");
	assert_string_equal(entity_ring(a)->members[0].zone, "");
	assert_string_equal(entity_ring(a)->hash_key, "");
	assert_string_equal(entity_user(b)->groups.at[0], "dev");
	assert_int_equal(entity_revision(b), 4);
}

static void a_tombstone_has_no_body(void **state)
{
	AUTO(entity) *entity = entity_new_deleted(ENTITY_USER, STR("alice"), 8);
	AUTO(entity) *copy = packed(entity);
	AUTO(entity) *other = entity_ref(copy);
	AUTO_STR *text = shown(copy);

	(void)state;
	assert_true(entity_is_deleted(copy));
	assert_null(entity_user(copy));
	assert_ptr_equal(other, copy);
	assert_string_equal(text, "{\"id\":\"alice\",\"revision\":8,\"deleted\":true}");
}

#define WORKER(rest) "{\"secretHash\":\"" HASH64 "\"" rest "}"

static void a_worker_has_a_secret(void **state)
{
	AUTO(entity) *entity = good(ENTITY_WORKER, "zot-worker-1",
		WORKER(",\"description\":\"rack 7\",\"validUntil\":1800000000"));
	AUTO(entity) *copy = packed(entity);
	AUTO(entity) *given = good(ENTITY_WORKER, "w", "{\"clientSecret\":\"a secret of 16 bytes\"}");
	const struct worker_key *key = entity_worker(copy);

	(void)state;
	assert_string_equal(key->secret_hash, HASH64);
	assert_string_equal(key->description, "rack 7");
	assert_true(key->enabled);
	assert_int_equal(key->valid_until, 1800000000);
	assert_int_equal(strlen(entity_worker(given)->secret_hash), 64);
	assert_true(entity_kind_is_leaders(ENTITY_WORKER) && !entity_kind_is_leaders(ENTITY_USER));
	refused(ENTITY_WORKER, "w", "{}", "secretHash", "required");
	refused(ENTITY_WORKER, "w", "{\"clientSecret\":\"short\"}", "clientSecret", "16 to 512");
	refused(ENTITY_WORKER, "a:b", WORKER(""), "worker's name", "A-Z");
	refused(ENTITY_WORKER, "a b", WORKER(""), "worker's name", "A-Z");
	refused(ENTITY_WORKER, "w", WORKER(",\"roles\":[]"), "roles", "");
}

static void kinds_have_names(void **state)
{
	enum entity_kind kind;

	(void)state;
	for (unsigned i = 0; i < ENTITY_KINDS; i++) {
		assert_true(entity_kind_parse(str_of(entity_kind_name((enum entity_kind)i)), &kind));
		assert_int_equal(kind, i);
	}
	assert_false(entity_kind_parse(STR("users"), &kind));
}

/* {"tags":["xx...","xx...",...]} */
static char *tags_text(size_t items, size_t bytes)
{
	AUTO_FINI(buf) b = buf_limit(8 * 1024 * 1024);

	buf_puts(&b, "{\"owner\":\"alice\",\"secretHash\":\"" HASH64 "\",\"tags\":[");
	for (size_t i = 0; i < items; i++) {
		buf_puts(&b, i ? ",\"" : "\"");
		for (size_t n = 0; n < bytes; n++)
			buf_putc(&b, 'x');
		buf_putc(&b, '"');
	}
	buf_puts(&b, "]}");
	assert_false(b.failed);
	return buf_take(&b, NULL);
}

static void sizes_are_bounded(void **state)
{
	AUTO_STR *most = tags_text(1024, 200);
	AUTO_STR *many = tags_text(1025, 1);
	AUTO_STR *wide = tags_text(1, 256);
	AUTO_STR *large = tags_text(1024, 255);

	(void)state;
	entity_free(good(ENTITY_APIKEY, KEY_ID, most));
	refused(ENTITY_APIKEY, KEY_ID, many, "tags", "1024");
	assert_int_equal(last.kind, ERROR_TOO_LARGE);
	refused(ENTITY_APIKEY, KEY_ID, wide, "tags: [0]", "1 to 255");
	refused(ENTITY_APIKEY, KEY_ID, large, "larger than", "");
	assert_int_equal(last.kind, ERROR_TOO_LARGE);
}

/* Decodes {kind, id, revision, body:{name: <value written by `write`>}}. */
static bool decodes(const char *kind, struct str id, const char *name, void (*write)(struct buf *))
{
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	AUTO(pack_doc) *doc = NULL;
	AUTO(entity) *entity = NULL;

	pack_map(&b, 4);
	pack_str(&b, STR("kind"));
	pack_str(&b, str_of(kind));
	pack_str(&b, STR("id"));
	pack_str(&b, id);
	pack_str(&b, STR("revision"));
	pack_uint(&b, 1);
	pack_str(&b, STR("body"));
	pack_map(&b, 1);
	pack_str(&b, str_of(name));
	write(&b);
	assert_true(pack_parse(buf_str(&b), &doc, NULL));
	return entity_decode(pack_root(doc), &entity, &last);
}

static void write_true(struct buf *b)
{
	pack_bool(b, true);
}
static void write_number(struct buf *b)
{
	pack_int(b, -1);
}
static void write_group(struct buf *b)
{
	pack_array(b, 1);
	pack_str(b, STR("dev"));
}
static void write_nul(struct buf *b)
{
	pack_array(b, 1);
	pack_str(b, str_from("a\0b", 3));
}
static void write_latin1(struct buf *b)
{
	pack_array(b, 1);
	pack_str(b, STR("caf\xe9"));
}
static void write_surrogate(struct buf *b)
{
	pack_array(b, 1);
	pack_str(b, STR("\xed\xa0\x80"));
}
static void write_utf8(struct buf *b)
{
	pack_array(b, 1);
	pack_str(b, STR("caf\xc3\xa9 \xf0\x9f\x90\xb3"));
}
static void write_bad_row(struct buf *b)
{
	pack_array(b, 1);
	buf_putc(b, '\xc0'); /* nil */
}

static void decoding_checks_like_json(void **state)
{
	(void)state;
	assert_true(decodes("user", STR("alice"), "enabled", write_true));
	assert_true(decodes("user", STR("alice"), "groups", write_group));
	assert_true(decodes("user", STR("alice"), "groups", write_utf8));
	assert_true(decodes("user", STR("alice"), "memberOfTheFuture", write_true));
	assert_false(decodes("user", STR("alice"), "enabled", write_number));
	assert_false(decodes("user", STR("alice"), "groups", write_true));
	assert_false(decodes("user", STR("alice"), "groups", write_nul));
	assert_false(decodes("user", STR("alice"), "groups", write_latin1));
	assert_false(decodes("user", STR("alice"), "groups", write_surrogate));
	assert_false(decodes("user", STR("alice"), "roles", write_group));
	assert_false(decodes("user", STR("alice"), "metadata", write_group));
	assert_false(decodes("user", STR("al ice"), "enabled", write_true));
	assert_false(decodes("user", str_from("a\0b", 3), "enabled", write_true));
	assert_false(decodes("thing", STR("alice"), "enabled", write_true));
	assert_false(decodes("policy", STR("**"), "policies", write_bad_row));
	assert_false(decodes("settings", STR("cluster"), "leaseMs", write_number));
	assert_true(decodes("settings", STR("cluster"), "isolated", write_true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_user_has_defaults),
		cmocka_unit_test(a_password_is_hashed_and_never_shown),
		cmocka_unit_test(a_crypt_hash_is_taken_as_it_is),
		cmocka_unit_test(an_apikey_takes_hash_or_secret),
		cmocka_unit_test(an_apikey_carries_quotas),
		cmocka_unit_test(times_are_rfc3339_or_seconds),
		cmocka_unit_test(scopes_are_globs_and_actions),
		cmocka_unit_test(a_policy_is_zots_access_control),
		cmocka_unit_test(settings_have_bounds),
		cmocka_unit_test(a_ring_has_members),
		cmocka_unit_test(a_repository_has_limits),
		cmocka_unit_test(a_repository_has_a_retention),
		cmocka_unit_test(ids_follow_the_kinds_rule),
		cmocka_unit_test(unknown_members_name_the_nearest),
		cmocka_unit_test(what_was_shown_can_be_written_back),
		cmocka_unit_test(a_merge_patch_changes_what_it_names),
		cmocka_unit_test(a_merge_patch_keeps_the_rules),
		cmocka_unit_test(a_body_struct_is_copied_whole),
		cmocka_unit_test(a_tombstone_has_no_body),
		cmocka_unit_test(a_worker_has_a_secret),
		cmocka_unit_test(kinds_have_names),
		cmocka_unit_test(sizes_are_bounded),
		cmocka_unit_test(decoding_checks_like_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
