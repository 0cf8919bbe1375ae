/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_manifest_cache - least recently used goes first, references outlive eviction, threads agree.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/check.h"
#include "worker/registry/manifest_cache.h"

#define SIZE    1000
#define ROOM    (3 * 1500) /* for three bodies of SIZE and their entries, not for four */
#define THREADS 4

static struct digest put_n(struct manifest_cache *cache, unsigned n)
{
	char bytes[SIZE] = { 0 };
	struct digest digest;

	(void)snprintf(bytes, sizeof(bytes), "%u", n);
	digest = digest_of(HASH_SHA256, str_from(bytes, SIZE));
	manifest_body_free(manifest_cache_put(cache, &digest, str_from(bytes, SIZE)));
	return digest;
}

static bool has(struct manifest_cache *cache, const struct digest *digest)
{
	AUTO(manifest_body) *body = manifest_cache_find(cache, digest);

	return body != NULL;
}

static void found_by_digest(void **state)
{
	AUTO(manifest_cache) *cache = manifest_cache_new(1 << 20);
	struct digest one = digest_of(HASH_SHA256, STR("1")), two = digest_of(HASH_SHA512, STR("1"));

	(void)state;
	assert_null(manifest_cache_find(cache, &one));
	AUTO(manifest_body) *put = manifest_cache_put(cache, &one, STR("1"));
	AUTO(manifest_body) *found = manifest_cache_find(cache, &one);
	AUTO(manifest_body) *again = manifest_cache_put(cache, &one, STR("1"));
	assert_ptr_equal(put, found);
	assert_ptr_equal(put, again);
	assert_true(str_is(found->bytes, "1"));
	assert_null(manifest_cache_find(cache, &two));
}

static void least_recently_used_goes(void **state)
{
	AUTO(manifest_cache) *cache = manifest_cache_new(ROOM);
	struct digest a = put_n(cache, 1), b = put_n(cache, 2), c = put_n(cache, 3), d;

	(void)state;
	assert_true(has(cache, &a) && has(cache, &b) && has(cache, &c) && has(cache, &a));
	d = put_n(cache, 4);
	assert_false(has(cache, &b));
	assert_true(has(cache, &a) && has(cache, &c) && has(cache, &d));
}

static void reference_outlives_eviction(void **state)
{
	struct manifest_cache *cache = manifest_cache_new(ROOM);
	struct digest digest = digest_of(HASH_SHA256, STR("mine"));
	AUTO(manifest_body) *body = manifest_cache_put(cache, &digest, STR("mine"));

	(void)state;
	for (unsigned i = 0; i < 20; i++)
		(void)put_n(cache, i);
	assert_false(has(cache, &digest));
	assert_true(str_is(body->bytes, "mine"));
	manifest_cache_free(cache);
	assert_true(str_is(body->bytes, "mine"));
}

/* It is handed out all the same, it is only not kept, and pushes nothing out. */
static void larger_than_the_cache(void **state)
{
	AUTO(manifest_cache) *cache = manifest_cache_new(ROOM);
	AUTO(manifest_cache) *none = manifest_cache_new(0);
	static const char bytes[ROOM];
	struct digest small = put_n(cache, 1), large = digest_of(HASH_SHA256, str_from(bytes, ROOM));
	AUTO(manifest_body) *body = manifest_cache_put(cache, &large, str_from(bytes, ROOM));
	AUTO(manifest_body) *other = manifest_cache_put(none, &small, STR(""));

	(void)state;
	assert_int_equal(body->bytes.len, ROOM);
	assert_int_equal(other->bytes.len, 0);
	assert_false(has(cache, &large));
	assert_false(has(none, &small));
	assert_true(has(cache, &small));
}

static void *churn(void *arg)
{
	struct manifest_cache *cache = arg;

	for (unsigned i = 0; i < 2000; i++) {
		struct digest digest = put_n(cache, i % 7);
		AUTO(manifest_body) *body = manifest_cache_find(cache, &digest);
		struct digest found;

		if (!body)
			continue;
		found = digest_of(HASH_SHA256, body->bytes);
		CHECK(digest_equal(&found, &digest));
	}
	return NULL;
}

static void threads_agree(void **state)
{
	AUTO(manifest_cache) *cache = manifest_cache_new(ROOM);
	pthread_t threads[THREADS];

	(void)state;
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn, cache), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_by_digest),
		cmocka_unit_test(least_recently_used_goes),
		cmocka_unit_test(reference_outlives_eviction),
		cmocka_unit_test(larger_than_the_cache),
		cmocka_unit_test(threads_agree),
	};

	return cmocka_run_group_tests_name("manifest_cache", tests, NULL, NULL);
}
