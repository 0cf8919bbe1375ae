/* SPDX-License-Identifier: Apache-2.0 */
/* rights: what is asked of the rules for an identity, a peer's among them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/auth/identity.h"
#include "worker/auth/rights.h"
#include "worker/auth/snapshot_new.h"

static struct snapshot *led_snapshot(void)
{
	struct snapshot_rules rules = { .led = true };
	struct snapshot *snapshot;

	assert_true(snapshot_new_plain(&snapshot, NULL, 0, &rules, false, NULL));
	return snapshot;
}

static void who_is_logged_in_may_and_nobody_else(void **state)
{
	AUTO(snapshot) *snapshot = led_snapshot();
	AUTO(identity) *ann = identity_new_user(STR("ann"), NULL, NULL), *nobody = identity_new_anonymous();

	(void)state;
	assert_true(rights_allow(snapshot, ann, STR("a"), ACTION_DELETE));
	assert_false(rights_allow(snapshot, nobody, STR("a"), ACTION_READ));
	assert_true(rights_allow_metrics(snapshot, ann));
	assert_false(rights_allow_metrics(snapshot, nobody));
	assert_int_equal(rights_decide(snapshot, ann, STR("a"), ACTION_READ).by, ACCESS_BY_NO_POLICIES);
}

/* At a repository's owner: what it mounts from is a repository that the peer has not looked at. */
static void scopes_narrow_a_key_that_a_peer_tells_of(void **state)
{
	const char *scopes[] = { "team/**:read,create" };
	struct apikey body = {
		.owner = "ann", .label = "", .secret_hash = "", .enabled = true, .scopes = { scopes, 1 }
	};
	struct peer_claims claims = { .sender = "w", .user = "ann", .apikey = "key-12345" };
	AUTO(entity) *key = entity_new(ENTITY_APIKEY, STR("key-12345"), 1, &body);
	AUTO(identity) *known = identity_new_peer(&claims, key);
	AUTO(identity) *unknown = identity_new_peer(&claims, NULL);
	AUTO(snapshot) *snapshot = led_snapshot();

	(void)state;
	assert_true(rights_allow(snapshot, known, STR("team/app"), ACTION_READ));
	assert_false(rights_allow(snapshot, known, STR("other"), ACTION_READ));
	assert_false(rights_allow(snapshot, unknown, STR("other"), ACTION_READ));
	assert_true(rights_allow(snapshot, unknown, STR("team/app"), ACTION_CREATE));
	claims.apikey = "";
	AUTO(identity) *keyless = identity_new_peer(&claims, NULL);
	assert_true(rights_allow(snapshot, keyless, STR("other"), ACTION_READ));
}

/* What a worker says of a client is what the other one makes an identity of. */
static void an_identity_is_the_same_at_a_peer(void **state)
{
	const char *groups[] = { "team", "ops" };
	const struct peer_claims from = { .sender = "w",
		.client = "192.0.2.7",
		.user = "ann",
		.apikey = "key-12345",
		.admin = true,
		.groups = groups,
		.groups_len = 2 };
	AUTO(identity) *ann = identity_new_peer(&from, NULL), *nobody = identity_new_anonymous();
	struct peer_claims said = { .sender = "other" };

	(void)state;
	identity_claim(ann, &said);
	assert_string_equal(said.user, "ann");
	assert_string_equal(said.apikey, "key-12345");
	assert_true(said.admin);
	assert_false(said.anonymous);
	assert_int_equal(said.groups_len, 2);
	assert_string_equal(said.groups[0], "team");
	assert_string_equal(said.groups[1], "ops");
	/* Who says so is not for an identity to tell. */
	assert_string_equal(said.sender, "other");
	identity_claim(nobody, &said);
	assert_string_equal(said.user, "");
	assert_string_equal(said.apikey, "");
	assert_true(said.anonymous);
	assert_false(said.admin);
	assert_int_equal(said.groups_len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_logged_in_may_and_nobody_else),
		cmocka_unit_test(scopes_narrow_a_key_that_a_peer_tells_of),
		cmocka_unit_test(an_identity_is_the_same_at_a_peer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
