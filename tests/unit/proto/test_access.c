/* SPDX-License-Identifier: Apache-2.0 */
/* access: zot's accessControl, from the file and from the state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "proto/access.h"

static struct access *access_of(const char *json, bool open)
{
	AUTO(json_doc) *doc = NULL;
	struct access *access = NULL;
	struct error err;

	assert_true(json_parse(str_of(json), &doc, &err));
	assert_true(access_new(&access, json_root(doc), NULL, open, &err));
	return access;
}

static bool allows(
	const struct access *access, const struct access_who *who, struct str name, enum action action)
{
	return access_decide(access, who, name, action).allowed;
}

static bool may(const struct access *access, const char *user, const char *name, enum action action)
{
	struct access_who who = { .user = user, .anonymous = !*user };

	return allows(access, &who, str_of(name), action);
}

static void no_policy_means_all_for_users_and_nothing_for_others(void **state)
{
	AUTO(access) *closed = access_of("{}", false), *open = access_of("{}", true);

	(void)state;
	assert_true(may(closed, "ann", "a/b", ACTION_DELETE));
	assert_false(may(closed, "", "a/b", ACTION_READ));
	assert_true(may(open, "", "a/b", ACTION_CREATE));
	assert_true(access_has_anonymous(open));
	assert_false(access_has_anonymous(closed));
}

static const char policies[] =
	"{\"groups\":{\"ops\":{\"users\":[\"olga\"]}},"
	"\"adminPolicy\":{\"users\":[\"root\"],\"actions\":[\"read\",\"delete\"]},"
	"\"repositories\":{"
	"\"**\":{\"defaultPolicy\":[\"read\"],\"anonymousPolicy\":[\"read\"]},"
	"\"infra/*\":{\"policies\":[{\"users\":[\"ann\"],\"actions\":[\"read\",\"create\"]},"
	"{\"groups\":[\"ops\"],\"actions\":[\"read\",\"create\",\"update\",\"delete\"]}]},"
	"\"infra/secret\":{\"policies\":[{\"users\":[\"olga\"],\"actions\":[\"read\"]}]}}}";

static void the_longest_pattern_decides_alone(void **state)
{
	AUTO(access) *access = access_of(policies, false);

	(void)state;
	assert_true(may(access, "bob", "team/app", ACTION_READ));
	assert_false(may(access, "bob", "team/app", ACTION_CREATE));
	assert_true(may(access, "", "team/app", ACTION_READ));
	assert_false(may(access, "", "infra/base", ACTION_READ));
	assert_false(may(access, "bob", "infra/base", ACTION_READ));
	assert_true(may(access, "ann", "infra/base", ACTION_CREATE));
	assert_false(may(access, "ann", "infra/base", ACTION_DELETE));
	assert_true(may(access, "olga", "infra/base", ACTION_DELETE));
	assert_true(may(access, "olga", "infra/secret", ACTION_READ));
	assert_false(may(access, "olga", "infra/secret", ACTION_UPDATE));
	assert_true(may(access, "bob", "infra/deep/er", ACTION_READ));
}

static void the_admin_policy_grants_everywhere(void **state)
{
	AUTO(access) *access = access_of(policies, false);

	(void)state;
	assert_true(may(access, "root", "infra/secret", ACTION_DELETE));
	assert_false(may(access, "root", "infra/secret", ACTION_CREATE));
}

static bool detects(const struct access *access, const char *user, const char *name)
{
	struct access_who who = { .user = user, .anonymous = !*user };

	return allows(access, &who, str_of(name), ACTION_DETECT_COLLISION);
}

static void collisions_are_detected_for_whom_the_rules_say(void **state)
{
	AUTO(access) *none = access_of("{}", false);
	AUTO(access) *access = access_of(
		"{\"groups\":{\"ops\":{\"users\":[\"olga\"]}},"
		"\"adminPolicy\":{\"users\":[\"root\"],\"actions\":[\"read\",\"delete\"]},"
		"\"repositories\":{\"**\":{\"policies\":["
		"{\"users\":[\"ann\",\"root\"],\"actions\":[\"delete\",\"detectManifestCollision\"]},"
		"{\"groups\":[\"ops\"],\"actions\":[\"detectManifestCollision\"]}]},"
		"\"all/*\":{\"defaultPolicy\":[\"detectManifestCollision\"],"
		"\"anonymousPolicy\":[\"detectManifestCollision\"]}}}",
		false);

	(void)state;
	assert_false(detects(none, "ann", "a"));
	assert_true(detects(access, "ann", "a") && detects(access, "olga", "a"));
	assert_false(detects(access, "bob", "a") || detects(access, "", "a") || detects(access, "root", "a"));
	assert_true(detects(access, "bob", "all/x") && detects(access, "", "all/x"));
	assert_false(detects(access, "root", "all/x"));
	/* It allows nothing. */
	assert_false(may(access, "olga", "a", ACTION_DELETE));
}

static void a_key_s_scopes_do_not_take_the_protection_away(void **state)
{
	const char *scopes[] = { "a:delete", "b:delete,detectManifestCollision" };
	struct apikey body = {
		.owner = "ann", .label = "", .secret_hash = "", .enabled = true, .scopes = { scopes, 2 }
	};
	AUTO(entity) *key = entity_new(ENTITY_APIKEY, STR("key-12345"), 1, &body);
	struct access_who who = { .user = "ann", .key = key };
	AUTO(access) *access = access_of(
		"{\"repositories\":{\"a\":{\"policies\":[{\"users\":[\"ann\"],\"actions\":[\"delete\","
		"\"detectManifestCollision\"]}]},\"*\":{\"defaultPolicy\":[\"delete\"]}}}",
		false);

	(void)state;
	assert_true(allows(access, &who, STR("a"), ACTION_DETECT_COLLISION));
	assert_true(allows(access, &who, STR("b"), ACTION_DETECT_COLLISION));
	assert_false(allows(access, &who, STR("c"), ACTION_DETECT_COLLISION));
}

static void scopes_narrow_a_key(void **state)
{
	const char *scopes[] = { "team/**:read,create", "lib/x:delete" };
	struct apikey body = {
		.owner = "ann", .label = "", .secret_hash = "", .enabled = true, .scopes = { scopes, 2 }
	};
	AUTO(entity) *key = entity_new(ENTITY_APIKEY, STR("key-12345"), 1, &body);
	struct access_who who = { .user = "ann", .key = key };
	AUTO(access) *access = access_of("{}", false);

	(void)state;
	assert_true(allows(access, &who, STR("team/app"), ACTION_CREATE));
	assert_false(allows(access, &who, STR("team/app"), ACTION_DELETE));
	assert_true(allows(access, &who, STR("lib/x"), ACTION_DELETE));
	assert_false(allows(access, &who, STR("other"), ACTION_READ));
}

/* At a repository's owner: what it mounts from is a repository that the peer has not looked at. */
static void scopes_narrow_a_key_that_a_peer_tells_of(void **state)
{
	const char *scopes[] = { "team/**:read,create" };
	struct apikey body = {
		.owner = "ann", .label = "", .secret_hash = "", .enabled = true, .scopes = { scopes, 1 }
	};
	AUTO(entity) *key = entity_new(ENTITY_APIKEY, STR("key-12345"), 1, &body);
	struct access_who known = { .user = "ann", .key = key },
			  unknown = { .user = "ann", .key_unknown = true }, keyless = { .user = "ann" };
	AUTO(access) *access = access_of("{}", false);

	(void)state;
	assert_true(allows(access, &known, STR("team/app"), ACTION_READ));
	assert_false(allows(access, &known, STR("other"), ACTION_READ));
	assert_false(allows(access, &unknown, STR("other"), ACTION_READ));
	assert_true(allows(access, &unknown, STR("team/app"), ACTION_CREATE));
	assert_true(allows(access, &keyless, STR("other"), ACTION_READ));
}

static void policies_of_the_state_win_over_the_file(void **state)
{
	const char *users[] = { "ann" }, *actions[] = { "read" };
	struct policy_rule rule = { .users = { users, 1 }, .actions = { actions, 1 } };
	struct policy body = { .policies = &rule, .policies_len = 1 };
	AUTO(entity) *entity = entity_new(ENTITY_POLICY, STR("infra/*"), 1, &body);
	AUTO(state) *empty = state_new();
	AUTO(state) *with = state_change(empty, &entity, 1, 1);
	AUTO(json_doc) *doc = NULL;
	AUTO(access) *access = NULL;

	(void)state;
	assert_true(json_parse(str_of(policies), &doc, NULL));
	assert_true(access_new(&access, json_root(doc), with, false, NULL));
	assert_true(may(access, "ann", "infra/base", ACTION_READ));
	assert_false(may(access, "ann", "infra/base", ACTION_CREATE));
}

static void what_is_wrong_is_named(void **state)
{
	static const char *const wrong[][2] = {
		{ "{\"repositorys\":{}}", "did you mean \"repositories\"" },
		{ "{\"repositories\":{\"a\":{\"defaultPolicy\":[\"reed\"]}}}", "\"reed\" is no action" },
		{ "{\"repositories\":{\"a\":{\"policies\":[{\"user\":[]}]}}}", "policies[0]" },
		{ "{\"repositories\":{\"a[\":{}}}", "repositories.\"a[\"" },
		{ "{\"adminPolicy\":{\"users\":[1]}}", "users[0] must be a text" },
		{ "{\"groups\":{\"g\":{\"users\":3}}}", "groups.g" },
		{ "{\"groups\":{\"g\":{\"user\":[]}}}", "did you mean \"users\"" },
		{ "{\"groups\":{\"g\":[\"ann\"]}}", "groups.g: must be an object" },
		{ "{\"groups\":[]}", "groups must be an object, is an array" },
		{ "{\"repositories\":[]}", "repositories must be an object, is an array" },
		{ "{\"adminPolicy\":{\"users\":[\"a\"],\"actions\":[\"detectManifestCollision\"]}}",
			"adminPolicy: detectManifestCollision has no effect" },
		{ "{\"repositories\":{\"a\":{\"policies\":[{\"users\":[\"a\"],\"conditions\":\"x\"}]}}}",
			"policies[0]: conditions are not served" },
		{ "{\"adminPolicy\":{\"users\":[\"a\"],\"conditions\":[{\"expression\":\"true\"}]}}",
			"adminPolicy: conditions are not served" },
		{ "{\"metrics\":{\"anonymousPolicy\":[\"create\"]}}",
			"metrics: anonymousPolicy: metrics can be read" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		AUTO(json_doc) *doc = NULL;
		struct access *access;
		struct error err;
		assert_true(json_parse(str_of(wrong[i][0]), &doc, &err));
		assert_false(access_new(&access, json_root(doc), NULL, false, &err));
		if (!strstr(err.text, wrong[i][1]))
			fail_msg("%s: %s", wrong[i][0], err.text);
	}
}

/* What decided, by whom it asks and where. */
static void a_decision_says_what_made_it(void **state)
{
	static const struct {
		const char *user, *name;
		enum action action;
		bool allowed;
		enum access_by by;
		const char *policy;
		size_t rule;
	} rows[] = {
		{ "ann", "infra/base", ACTION_CREATE, true, ACCESS_BY_RULE, "infra/*", 0 },
		{ "olga", "infra/base", ACTION_DELETE, true, ACCESS_BY_RULE, "infra/*", 1 },
		{ "ann", "infra/base", ACTION_DELETE, false, ACCESS_BY_NO_RULE, "infra/*", 0 },
		{ "olga", "infra/secret", ACTION_UPDATE, false, ACCESS_BY_NO_RULE, "infra/secret", 0 },
		{ "bob", "team/app", ACTION_READ, true, ACCESS_BY_DEFAULT_POLICY, "**", 0 },
		{ "", "team/app", ACTION_READ, true, ACCESS_BY_ANONYMOUS_POLICY, "**", 0 },
		{ "", "team/app", ACTION_CREATE, false, ACCESS_BY_NO_RULE, "**", 0 },
		{ "root", "infra/secret", ACTION_DELETE, true, ACCESS_BY_ADMIN_POLICY, "", 0 },
	};
	AUTO(access) *access = access_of(policies, false);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct access_who who = { .user = rows[i].user, .anonymous = !*rows[i].user };
		struct access_decision decision =
			access_decide(access, &who, str_of(rows[i].name), rows[i].action);

		assert_int_equal(decision.allowed, rows[i].allowed);
		assert_int_equal(decision.by, rows[i].by);
		assert_string_equal(decision.policy, rows[i].policy);
		assert_int_equal(decision.rule, rows[i].rule);
		assert_int_equal(decision.of_file, *rows[i].policy != '\0');
		assert_true(*access_decision_text(&decision) && *access_by_name(decision.by));
	}
}

static void a_decision_without_policies_says_so(void **state)
{
	struct access_who ann = { .user = "ann" }, nobody = { .user = "", .anonymous = true },
			  admin = { .user = "root", .admin = true };
	AUTO(access) *none = access_of("{}", false);
	AUTO(access) *one = access_of("{\"repositories\":{\"a\":{}}}", false);

	(void)state;
	assert_int_equal(access_decide(none, &ann, STR("a"), ACTION_READ).by, ACCESS_BY_NO_POLICIES);
	assert_int_equal(access_decide(none, &nobody, STR("a"), ACTION_READ).by, ACCESS_BY_NO_POLICIES);
	assert_int_equal(access_decide(one, &ann, STR("b"), ACTION_READ).by, ACCESS_BY_NO_PATTERN);
	assert_int_equal(access_decide(one, &admin, STR("b"), ACTION_READ).by, ACCESS_BY_ROLE);
	assert_int_equal(access_policies(none), 0);
	assert_int_equal(access_policies(one), 1);
}

static void a_decision_names_the_scope(void **state)
{
	const char *scopes[] = { "lib/*:read", "team/**:read,create" };
	struct apikey body = { .owner = "ann", .secret_hash = "", .enabled = true, .scopes = { scopes, 2 } };
	AUTO(entity) *key = entity_new(ENTITY_APIKEY, STR("key-12345"), 1, &body);
	struct access_who who = { .user = "ann", .key = key };
	AUTO(access) *access = access_of(policies, false);
	struct access_decision through = access_decide(access, &who, STR("team/app"), ACTION_READ),
			       refused = access_decide(access, &who, STR("infra/base"), ACTION_READ);

	(void)state;
	assert_true(through.allowed);
	assert_string_equal(through.scope, "team/**:read,create");
	assert_string_equal(through.policy, "**");
	assert_false(refused.allowed);
	assert_int_equal(refused.by, ACCESS_BY_SCOPES);
	assert_string_equal(refused.scope, "");
}

struct matches {
	char text[256];
};

static void note_match(void *arg, const char *policy, bool of_file, bool decides)
{
	struct matches *matches = arg;
	size_t len = strlen(matches->text);

	assert_true(of_file);
	(void)snprintf(matches->text + len, sizeof(matches->text) - len, "%s%s ", policy, decides ? "!" : "");
}

static void all_that_match_are_told_and_which_decides(void **state)
{
	AUTO(access) *access = access_of(policies, false);
	struct matches matches = { "" };

	(void)state;
	access_each_match(access, STR("infra/secret"), note_match, &matches);
	assert_string_equal(matches.text, "infra/secret! infra/* ** ");
	matches.text[0] = '\0';
	access_each_match(access, STR("infra/base"), note_match, &matches);
	assert_string_equal(matches.text, "infra/*! ** ");
}

static struct state *with(const struct state *old, struct entity *entity)
{
	struct state *state = state_change(old, &entity, 1, state_revision(old) + 1);

	entity_free(entity);
	return state;
}

static struct entity *group_of(const char *id, const char *user)
{
	const char *users[] = { "nobody-of-this-name", user };
	struct user_group body = { .users = { users, 2 } };

	return entity_new(ENTITY_GROUP, str_of(id), 1, &body);
}

static void group_entities_name_users_too(void **state)
{
	const char *groups[] = { "dev" }, *actions[] = { "read" };
	struct policy_rule rule = { .groups = { groups, 1 }, .actions = { actions, 1 } };
	struct policy body = { .policies = &rule, .policies_len = 1 };
	AUTO(state) *empty = state_new();
	AUTO(state) *ruled = with(empty, entity_new(ENTITY_POLICY, STR("app"), 1, &body));
	AUTO(state) *grouped = with(ruled, group_of("dev", "ann"));
	AUTO(access) *access = NULL;
	struct access_who ann = { .user = "ann", .state = ruled }, bob = { .user = "bob", .state = grouped };
	struct access_who nobody = { .user = "", .anonymous = true, .state = grouped };

	(void)state;
	assert_true(access_new(&access, NULL, ruled, false, NULL));
	assert_false(allows(access, &ann, STR("app"), ACTION_READ));
	ann.state = grouped;
	assert_true(allows(access, &ann, STR("app"), ACTION_READ));
	assert_false(allows(access, &ann, STR("app"), ACTION_CREATE));
	assert_false(allows(access, &bob, STR("app"), ACTION_READ));
	assert_false(allows(access, &nobody, STR("app"), ACTION_READ));
	assert_true(access_is_in_group(&ann, STR("dev")) && !access_is_in_group(&ann, STR("ops")));
}

static void the_admin_policies_of_file_and_state_both_count(void **state)
{
	const char *groups[] = { "ops" }, *actions[] = { "delete" };
	struct admin_policy body = { .groups = { groups, 1 }, .actions = { actions, 1 } };
	AUTO(state) *empty = state_new();
	AUTO(state) *grouped = with(empty, group_of("ops", "eve"));
	AUTO(state) *ruled = with(grouped, entity_new(ENTITY_ADMIN_POLICY, STR("admin"), 1, &body));
	AUTO(json_doc) *doc = NULL;
	AUTO(access) *access = NULL;
	struct access_who eve = { .user = "eve", .state = ruled }, root = { .user = "root", .state = ruled };

	(void)state;
	assert_true(json_parse(STR("{\"repositories\":{\"**\":{}},\"adminPolicy\":{\"users\":[\"root\"],"
				   "\"actions\":[\"read\"]}}"),
		&doc, NULL));
	assert_true(access_new(&access, json_root(doc), ruled, false, NULL));
	assert_int_equal(access_policies(access), 3);
	assert_true(allows(access, &root, STR("a"), ACTION_READ));
	assert_false(allows(access, &root, STR("a"), ACTION_DELETE));
	assert_true(allows(access, &eve, STR("a"), ACTION_DELETE));
	assert_false(allows(access, &eve, STR("a"), ACTION_READ));
	assert_int_equal(
		access_decide(access, &eve, STR("a"), ACTION_DETECT_COLLISION).by, ACCESS_BY_ADMIN_POLICY);
}

/* So a change of anything else does not make it again. */
static void it_obeys_each_state_with_the_same_policies(void **state)
{
	const char *actions[] = { "read" };
	struct policy body = { .default_policy = { actions, 1 } };
	struct admin_policy admin = { .actions = { actions, 1 } };
	AUTO(state) *empty = state_new();
	AUTO(state) *ruled = with(empty, entity_new(ENTITY_POLICY, STR("app"), 1, &body));
	AUTO(state) *grouped = with(ruled, group_of("dev", "ann"));
	AUTO(state) *other = with(grouped, entity_new(ENTITY_POLICY, STR("lib"), 1, &body));
	AUTO(state) *administered = with(grouped, entity_new(ENTITY_ADMIN_POLICY, STR("admin"), 1, &admin));
	AUTO(access) *access = NULL;

	(void)state;
	assert_true(access_new(&access, NULL, ruled, false, NULL));
	assert_true(access_obeys(access, ruled) && access_obeys(access, grouped));
	assert_false(access_obeys(access, other) || access_obeys(access, administered) ||
		     access_obeys(access, empty));
}

/* ---- a few policies of many change ---- */

static struct entity *policy_of(unsigned number, unsigned actions, bool anonymous, uint64_t revision)
{
	static const char *names[] = { "read", "create", "update", "delete" };
	const char *given[4];
	struct policy body = { .default_policy = { given, 0 } };
	char id[32];

	for (unsigned i = 0; i < 4; i++)
		if (actions & 1u << i)
			given[body.default_policy.len++] = names[i];
	if (anonymous)
		body.anonymous_policy = (struct texts){ names, 1 };
	(void)snprintf(id, sizeof(id), "team-%03u/**", number);
	return entity_new(ENTITY_POLICY, str_of(id), revision, &body);
}

static struct state *changed_policy(struct state *old, struct entity *policy)
{
	struct state *state = with(old, policy);

	state_free(old);
	return state;
}

static void assert_same_answers(struct access *over, const struct state *state, unsigned teams)
{
	AUTO(access) *anew = NULL;
	char name[32];

	assert_true(access_new(&anew, NULL, state, false, NULL));
	assert_true(access_obeys(over, state));
	assert_int_equal(access_policies(over), access_policies(anew));
	assert_int_equal(access_has_anonymous(over), access_has_anonymous(anew));
	for (unsigned i = 0; i < teams; i++) {
		(void)snprintf(name, sizeof(name), "team-%03u/app", i);
		for (enum action action = ACTION_READ; action <= ACTION_DELETE; action++) {
			assert_int_equal(may(over, "ann", name, action), may(anew, "ann", name, action));
			assert_int_equal(may(over, "", name, action), may(anew, "", name, action));
		}
	}
}

static void a_few_policies_that_change_share_the_others(void **unused)
{
	enum { TEAMS = 200 };
	AUTO(state) *state = state_new();
	struct access *access = NULL, *next;
	unsigned seed = 7, anew = 0, over = 0;

	(void)unused;
	for (unsigned i = 0; i < TEAMS; i++)
		state = changed_policy(state, policy_of(i, i & 15, false, i + 1));
	assert_true(access_new(&access, NULL, state, false, NULL));
	for (unsigned i = 0; i < 300; i++) {
		unsigned team = (seed = seed * 1103515245 + 12345) >> 16;
		char id[32];

		(void)snprintf(id, sizeof(id), "team-%03u/**", team % TEAMS);
		state = changed_policy(
			state, team & 1024 ? entity_new_deleted(ENTITY_POLICY, str_of(id), 1000 + i)
					   : policy_of(team % TEAMS, seed >> 24 & 15, !(i % 50), 1000 + i));
		next = access_new_over(access, state);
		over += next != NULL;
		if (!next) {
			anew++;
			assert_true(access_new(&next, NULL, state, false, NULL));
		}
		access_free(access);
		access = next;
		if (i % 10 == 0)
			assert_same_answers(access, state, TEAMS);
	}
	/* Some of them are of one that changed before. */
	assert_in_range(anew, 2, 300 / 64);
	assert_int_equal(over, 300 - anew);
	access_free(access);
}

static void the_file_s_rules_stay_while_policies_change(void **unused)
{
	static const char file[] = "{\"groups\":{\"ops\":{\"users\":[\"olga\"]}},"
				   "\"metrics\":{\"users\":[\"mia\"]},"
				   "\"adminPolicy\":{\"groups\":[\"ops\"],\"actions\":[\"read\"]}}";
	const struct access_who mia = { .user = "mia" }, ann = { .user = "ann" };
	AUTO(json_doc) *doc = NULL;
	AUTO(state) *state = state_new();
	AUTO(access) *access = NULL, *over = NULL, *of_file = NULL;

	(void)unused;
	assert_true(json_parse(str_of(file), &doc, NULL));
	state = changed_policy(state, policy_of(1, 1, false, 1));
	assert_true(access_new(&access, json_root(doc), state, false, NULL));
	state = changed_policy(state, policy_of(2, 2, false, 2));
	over = access_new_over(access, state);
	assert_non_null(over);
	assert_true(may(over, "olga", "other", ACTION_READ) && !may(over, "ann", "other", ACTION_READ));
	assert_true(
		may(over, "ann", "team-001/a", ACTION_READ) && may(over, "ann", "team-002/a", ACTION_CREATE));
	assert_true(access_allows_metrics(over, &mia) && !access_allows_metrics(over, &ann));
	assert_int_equal(access_policies(over), 3);
	/* One of the file may come back when the state's of its name goes: it is made anew. */
	of_file = access_of(policies, false);
	assert_null(access_new_over(of_file, state));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_policy_means_all_for_users_and_nothing_for_others),
		cmocka_unit_test(the_longest_pattern_decides_alone),
		cmocka_unit_test(the_admin_policy_grants_everywhere),
		cmocka_unit_test(collisions_are_detected_for_whom_the_rules_say),
		cmocka_unit_test(a_key_s_scopes_do_not_take_the_protection_away),
		cmocka_unit_test(scopes_narrow_a_key),
		cmocka_unit_test(scopes_narrow_a_key_that_a_peer_tells_of),
		cmocka_unit_test(policies_of_the_state_win_over_the_file),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(a_decision_says_what_made_it),
		cmocka_unit_test(a_decision_without_policies_says_so),
		cmocka_unit_test(a_decision_names_the_scope),
		cmocka_unit_test(all_that_match_are_told_and_which_decides),
		cmocka_unit_test(group_entities_name_users_too),
		cmocka_unit_test(the_admin_policies_of_file_and_state_both_count),
		cmocka_unit_test(it_obeys_each_state_with_the_same_policies),
		cmocka_unit_test(a_few_policies_that_change_share_the_others),
		cmocka_unit_test(the_file_s_rules_stay_while_policies_change),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
