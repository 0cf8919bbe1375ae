/* SPDX-License-Identifier: Apache-2.0 */
/* rate_limit: buckets under a clock of the test's, many clients, many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "worker/auth/rate_limit.h"

#define SECOND INT64_C(1000000)

static struct ip address(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(str_of(text), &ip));
	return ip;
}

static struct ip numbered(uint32_t n)
{
	struct ip ip = address("10.0.0.0");

	ip.at[13] = (uint8_t)(n >> 16);
	ip.at[14] = (uint8_t)(n >> 8);
	ip.at[15] = (uint8_t)n;
	return ip;
}

/* How many of n requests at one moment are let through. */
static unsigned burst(
	struct rate_limit *limit, const char *client, enum http_method method, int64_t now_us, unsigned n)
{
	struct ip ip = address(client);
	struct rate_refusal refusal;
	unsigned passed = 0;

	while (n--)
		passed += rate_limit_take(limit, &ip, method, now_us, &refusal);
	return passed;
}

static void a_bucket_empties_and_fills(void **state)
{
	AUTO(rate_limit) *limit = rate_limit_new();
	struct rate_refusal refusal = { 0 };
	struct ip ip = address("192.0.2.1");
	int64_t now = 7 * SECOND;

	(void)state;
	assert_int_equal(burst(limit, "192.0.2.1", HTTP_GET, now, 1000), 1000); /* no rules */
	rate_limit_set(limit, &(struct rate_rules){ .all = 10 });
	assert_int_equal(burst(limit, "192.0.2.1", HTTP_GET, now, 100), 10);
	assert_int_equal(burst(limit, "192.0.2.2", HTTP_GET, now, 100), 10); /* each its own */
	assert_false(rate_limit_take(limit, &ip, HTTP_GET, now, &refusal));
	assert_int_equal(refusal.limit, 10);
	assert_int_equal(refusal.retry_after_s, 1);
	assert_int_equal(refusal.reset_s, 1);
	assert_int_equal(burst(limit, "192.0.2.1", HTTP_GET, now + SECOND / 10 - 1, 5), 0);
	assert_int_equal(burst(limit, "192.0.2.1", HTTP_GET, now + SECOND / 10, 5), 1);
	assert_int_equal(burst(limit, "192.0.2.1", HTTP_GET, now + SECOND, 100), 9);
	assert_int_equal(
		burst(limit, "192.0.2.1", HTTP_GET, now + 100 * SECOND, 100), 10); /* full, not more */
	/* A clock that is read earlier than another request's gives nothing away. */
	assert_int_equal(burst(limit, "192.0.2.1", HTTP_GET, now + 99 * SECOND, 100), 0);
}

static void methods_have_buckets_of_their_own(void **state)
{
	AUTO(rate_limit) *limit = rate_limit_new();
	struct rate_rules rules = { .all = 6, .method = { [HTTP_PUT] = 1, [HTTP_DELETE] = 3 } };
	struct rate_refusal refusal = { 0 };
	struct ip ip = address("2001:db8::1");
	int64_t now = SECOND;

	(void)state;
	rate_limit_set(limit, &rules);
	assert_int_equal(burst(limit, "2001:db8::1", HTTP_PUT, now, 9), 1);
	assert_int_equal(burst(limit, "2001:db8::1", HTTP_DELETE, now, 9), 3);
	/* What was refused took nothing of the whole: 6 - 1 - 3. */
	assert_int_equal(burst(limit, "2001:db8::1", HTTP_GET, now, 9), 2);
	assert_int_equal(burst(limit, "2001:db8::1", HTTP_OTHER, now, 9), 0);
	rate_limit_set(limit, &(struct rate_rules){ .method = { [HTTP_PUT] = 1 } });
	assert_int_equal(burst(limit, "2001:db8::1", HTTP_GET, now, 1000), 1000);
	assert_false(rate_limit_take(limit, &ip, HTTP_PUT, now, &refusal));
	assert_int_equal(refusal.limit, 1);
	rate_limit_set(limit, &(struct rate_rules){ 0 });
	assert_int_equal(burst(limit, "2001:db8::1", HTTP_PUT, now, 1000), 1000);
}

static void a_v6_client_is_its_network(void **state)
{
	AUTO(rate_limit) *limit = rate_limit_new();

	(void)state;
	rate_limit_set(limit, &(struct rate_rules){ .all = 2 });
	assert_int_equal(burst(limit, "2001:db8:1:2::1", HTTP_GET, SECOND, 1), 1);
	assert_int_equal(burst(limit, "2001:db8:1:2:ffff::9", HTTP_GET, SECOND, 9), 1);
	assert_int_equal(burst(limit, "2001:db8:1:3::1", HTTP_GET, SECOND, 9), 2);
}

static void the_table_is_bounded_and_forgets_the_oldest(void **state)
{
	AUTO(rate_limit) *limit = rate_limit_new();
	struct rate_refusal refusal;
	unsigned clients = 0, remembered = 0;

	(void)state;
	rate_limit_set(limit, &(struct rate_rules){ .all = 1 });
	for (uint32_t n = 0; n < 200000; n++) {
		struct ip ip = numbered(n);
		assert_true(rate_limit_take(limit, &ip, HTTP_GET, SECOND, &refusal));
		/* One that comes all the time is never forgotten. */
		assert_int_equal(burst(limit, "192.0.2.1", HTTP_GET, SECOND, 1), n == 0);
	}
	/* The newest first, so that no question makes it forget one that is still to be asked for. */
	for (uint32_t n = 200000; n-- > 0;) {
		struct ip ip = numbered(n);
		bool known = !rate_limit_take(limit, &ip, HTTP_GET, SECOND, &refusal);
		clients += known;
		remembered += known && n >= 150000;
	}
	assert_true(clients <= 65536);
	assert_true(clients > 60000);
	assert_true(remembered > 49000);
}

static struct rate_limit *shared;
static atomic_uint passed;

static void *many_takes(void *arg)
{
	struct rate_refusal refusal;
	struct ip ip = address("192.0.2.1");

	(void)arg;
	for (unsigned i = 0; i < 20000; i++) {
		struct ip other = numbered(i * 7);
		atomic_fetch_add(&passed, rate_limit_take(shared, &ip, HTTP_GET, SECOND, &refusal));
		(void)!rate_limit_take(shared, &other, HTTP_PUT, SECOND, &refusal);
	}
	return NULL;
}

static void threads_share_a_bucket(void **state)
{
	pthread_t threads[4];

	(void)state;
	shared = rate_limit_new();
	rate_limit_set(shared, &(struct rate_rules){ .all = 1000 });
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, many_takes, NULL), 0);
	for (int i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&passed), 1000);
	rate_limit_free(shared);
}

/* With RATE_LIMIT_TAKES set: what a request pays, in nanoseconds. */
static void cost(void **state)
{
	const char *text = getenv("RATE_LIMIT_TAKES");
	struct rate_refusal refusal;
	uint64_t n = 0, i;
	int64_t begun;

	(void)state;
	if (!text || !str_to_number(str_of(text), 1000000000, &n) || !n)
		skip();
	AUTO(rate_limit) *limit = rate_limit_new();
	for (uint32_t clients = 1; clients <= 100000; clients *= 10) {
		rate_limit_set(limit, &(struct rate_rules){ .all = 100, .method = { [HTTP_GET] = 50 } });
		begun = clock_us();
		for (i = 0; i < n; i++) {
			struct ip ip = numbered((uint32_t)(i % clients));
			(void)!rate_limit_take(limit, &ip, HTTP_GET, begun + (int64_t)i, &refusal);
		}
		print_message(
			"%u clients: %.0f ns\n", clients, (double)(clock_us() - begun) * 1000 / (double)n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bucket_empties_and_fills),
		cmocka_unit_test(methods_have_buckets_of_their_own),
		cmocka_unit_test(a_v6_client_is_its_network),
		cmocka_unit_test(the_table_is_bounded_and_forgets_the_oldest),
		cmocka_unit_test(threads_share_a_bucket),
		cmocka_unit_test(cost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
