/* SPDX-License-Identifier: Apache-2.0 */
/* peer_keys: which secret of the leaders signs and is believed, before, at and after a change. */
#include "worker/auth/peer_keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/entity.h"

#define OWN   STR("the cluster's own key of 32 byte")
#define FIRST "1111111111111111111111111111111111111111111111111111111111111111"
#define NEXT  "2222222222222222222222222222222222222222222222222222222222222222"
#define SINCE 1000000

static struct peer_keys keys_of(const char *secret, const char *before)
{
	const struct ring_body ring = {
		.peer_secret = secret, .peer_secret_before = before, .peer_secret_since = SINCE
	};

	return peer_keys_of(&ring);
}

static bool is_believed(const struct peer_keys *keys, int64_t wall_s, struct str key)
{
	struct str believed[PEER_KEYS_MAX];
	unsigned len = peer_keys_believed(keys, wall_s, believed);

	for (unsigned i = 0; i < len; i++)
		if (str_equal(believed[i], key))
			return true;
	return false;
}

static void without_a_secret_the_own_key_counts(void **state)
{
	struct peer_keys none = { 0 }, older = keys_of("", "");
	struct str believed[PEER_KEYS_MAX];

	(void)state;
	assert_true(str_equal(peer_keys_sign(&none, OWN, SINCE), OWN));
	assert_true(str_equal(peer_keys_sign(&older, OWN, SINCE), OWN));
	assert_int_equal(peer_keys_believed(&none, SINCE, believed), 0);
	assert_int_equal(peer_keys_believed(&older, SINCE, believed), 0);
}

static void the_first_one_counts_alone(void **state)
{
	struct peer_keys keys = keys_of(FIRST, ""), same = keys_of(FIRST, ""), other = keys_of(NEXT, "");
	struct str key = peer_keys_sign(&keys, OWN, SINCE);
	struct str believed[PEER_KEYS_MAX];

	(void)state;
	assert_int_equal(key.len, PEER_KEY_BYTES);
	assert_true(str_equal(key, peer_keys_sign(&same, OWN, SINCE + 1000)));
	assert_false(str_equal(key, peer_keys_sign(&other, OWN, SINCE)));
	assert_false(str_equal(key, OWN));
	assert_int_equal(peer_keys_believed(&keys, SINCE, believed), 1);
	assert_true(is_believed(&keys, SINCE, key) && !is_believed(&keys, SINCE, OWN));
}

static void at_a_change_the_one_before_goes_on_for_a_while(void **state)
{
	struct peer_keys old = keys_of(FIRST, ""), new = keys_of(NEXT, FIRST), alone = keys_of(NEXT, "");
	struct str before = peer_keys_sign(&old, OWN, SINCE), after = peer_keys_sign(&alone, OWN, SINCE);

	(void)state;
	assert_true(str_equal(peer_keys_sign(&new, OWN, SINCE), before));
	assert_true(str_equal(peer_keys_sign(&new, OWN, SINCE + PEER_SETTLE_S - 1), before));
	assert_true(str_equal(peer_keys_sign(&new, OWN, SINCE + PEER_SETTLE_S), after));
	for (int64_t at = SINCE - PEER_BEFORE_S + 1; at < SINCE + PEER_BEFORE_S; at++)
		assert_true(is_believed(&new, at, before) && is_believed(&new, at, after));
	/* Who was locked out knows the one before, and no other. */
	assert_false(is_believed(&new, SINCE + PEER_BEFORE_S, before));
	assert_false(is_believed(&new, SINCE + 1000000, before));
	assert_true(is_believed(&new, SINCE + 1000000, after));
	/* Our clock is far behind: not for ever. */
	assert_false(is_believed(&new, SINCE - PEER_BEFORE_S, before));
	assert_true(str_equal(peer_keys_sign(&new, OWN, SINCE - PEER_SETTLE_S), after));
}

static void a_mark_tells_secrets_apart(void **state)
{
	uint64_t one = peer_key_mark(STR("0123456789abcdef")), other = peer_key_mark(STR("0123456789abcdeg"));

	(void)state;
	assert_true(one == peer_key_mark(STR("0123456789abcdef")) && one != other);
	/* Two values mean something else, and JSON has to carry it. */
	assert_in_range(one, 2, (UINT64_C(1) << 48) - 1);
	assert_in_range(other, 2, (UINT64_C(1) << 48) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_secret_the_own_key_counts),
		cmocka_unit_test(the_first_one_counts_alone),
		cmocka_unit_test(at_a_change_the_one_before_goes_on_for_a_while),
		cmocka_unit_test(a_mark_tells_secrets_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
