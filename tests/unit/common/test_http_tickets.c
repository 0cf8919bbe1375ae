/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_http_tickets - keys of tickets: whose they are, and how long.
 */
#include "common/http_tickets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define HOUR  ((int64_t)HTTP_TICKET_S)
#define BEGIN (495000 * HOUR)

struct secret {
	bool has;
	uint8_t bytes[HTTP_TICKET_SECRET];
};

static bool tell(void *arg, uint8_t into[HTTP_TICKET_SECRET])
{
	const struct secret *secret = arg;

	memcpy(into, secret->bytes, HTTP_TICKET_SECRET);
	return secret->has;
}

static bool opens(
	struct http_tickets *tickets, const struct http_ticket_key *sealed, int64_t wall_s, bool *ret_old)
{
	struct http_ticket_key key;

	if (!http_tickets_open(tickets, sealed->name, wall_s, &key, ret_old))
		return false;
	assert_memory_equal(&key, sealed, sizeof(key));
	return true;
}

static void test_a_key_is_good_for_this_hour_and_the_next(void **state)
{
	(void)state;
	struct secret secret = { .has = true, .bytes = "a secret" };

	for (int may_share = 0; may_share < 2; may_share++) {
		AUTO(http_tickets) *tickets = http_tickets_new(tell, &secret);
		struct http_ticket_key first = http_tickets_seal(tickets, may_share, BEGIN), next;
		bool old = true;

		assert_true(opens(tickets, &first, BEGIN + HOUR - 1, &old));
		assert_false(old);
		assert_true(opens(tickets, &first, BEGIN + HOUR, &old));
		assert_true(old);
		next = http_tickets_seal(tickets, may_share, BEGIN + HOUR);
		assert_memory_not_equal(&next, &first, sizeof(next));
		assert_memory_not_equal(next.cipher, next.mac, sizeof(next.mac));
		assert_true(opens(tickets, &first, BEGIN + 2 * HOUR - 1, &old));
		assert_false(opens(tickets, &first, BEGIN + 2 * HOUR, &old));
		assert_true(opens(tickets, &next, BEGIN + 2 * HOUR, &old));
		/* Nobody came for hours. */
		assert_false(opens(tickets, &next, BEGIN + 9 * HOUR, &old));
	}
}

static void test_who_has_the_secret_opens_what_may_be_shared(void **state)
{
	(void)state;
	struct secret same = { .has = true, .bytes = "a secret" },
		      other = { .has = true, .bytes = "another" };
	AUTO(http_tickets) *one = http_tickets_new(tell, &same);
	AUTO(http_tickets) *two = http_tickets_new(tell, &same);
	AUTO(http_tickets) *stranger = http_tickets_new(tell, &other);
	AUTO(http_tickets) *alone = http_tickets_new(NULL, NULL);
	struct http_ticket_key shared = http_tickets_seal(one, true, BEGIN);
	struct http_ticket_key own = http_tickets_seal(one, false, BEGIN);
	bool old;

	assert_true(opens(two, &shared, BEGIN, &old));
	assert_false(old);
	/* Its clock is up to an hour behind, or ahead. */
	assert_true(opens(two, &shared, BEGIN - 1, &old));
	assert_true(opens(two, &shared, BEGIN + HOUR + 1, &old));
	assert_false(opens(two, &shared, BEGIN - HOUR - 1, &old));
	assert_false(opens(two, &own, BEGIN, &old));
	assert_true(opens(one, &own, BEGIN, &old));
	assert_false(opens(stranger, &shared, BEGIN, &old));
	assert_false(opens(alone, &shared, BEGIN, &old));
}

static void test_another_secret_counts_at_once(void **state)
{
	(void)state;
	struct secret secret = { .has = false, .bytes = "a secret" };
	AUTO(http_tickets) *tickets = http_tickets_new(tell, &secret);
	AUTO(http_tickets) *alone = http_tickets_new(NULL, NULL);
	struct http_ticket_key without = http_tickets_seal(tickets, true, BEGIN), first, second;
	bool old;

	assert_false(opens(alone, &without, BEGIN, &old));
	assert_true(opens(tickets, &without, BEGIN, &old));
	secret.has = true;
	first = http_tickets_seal(tickets, true, BEGIN);
	assert_memory_not_equal(&first, &without, sizeof(first));
	secret.bytes[0] ^= 1;
	second = http_tickets_seal(tickets, true, BEGIN);
	assert_memory_not_equal(&second, &first, sizeof(first));
	assert_false(opens(tickets, &first, BEGIN, &old));
	assert_true(opens(tickets, &second, BEGIN, &old));
	assert_true(opens(tickets, &without, BEGIN, &old));
	secret.has = false;
	assert_false(opens(tickets, &second, BEGIN, &old));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_key_is_good_for_this_hour_and_the_next),
		cmocka_unit_test(test_who_has_the_secret_opens_what_may_be_shared),
		cmocka_unit_test(test_another_secret_counts_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
