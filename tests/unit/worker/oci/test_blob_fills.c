/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_blob_fills - what has become an entry of the cache is not fetched once more by who looked a moment before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/http_client.h"
#include "common/loop.h"
#include "common/pool.h"
#include "tests/unit/in_folder.h"
#include "tests/unit/told_ok.h"
#include "worker/oci/blob_fills.h"
#include "worker/storage/blob_cache.h"

static const struct str CONTENT = { "all of a blob", 13 };

struct rig {
	struct pool *pool;
	struct blob_cache *cache;
	struct blob_fills *fills;
	struct loop *loop;
	struct digest digest;
	bool began;
	struct fill_reader *reader;
};

static void put_entry(struct rig *rig)
{
	struct cache_file *file;

	OK(cache_file_new(rig->cache, &rig->digest, CONTENT.len, &file, &failure));
	OK(cache_file_write(file, CONTENT, 0, &failure));
	OK(cache_file_keep(file, &failure));
	cache_file_free(file);
}

static void never(void *arg)
{
	(void)arg;
	fail();
}

static void read_late(void *arg)
{
	struct rig *rig = arg;
	struct fill_ask ask = {
		.digest = rig->digest, .may_begin = true, .loop = rig->loop, .wake = never, .arg = rig
	};

	rig->reader = blob_fills_read(rig->fills, &ask, &rig->began);
	loop_stop(rig->loop);
}

static void an_entry_is_not_fetched_again(void **state)
{
	char top[] = "/tmp/test_blob_fills.XXXXXX", folder[64];
	struct rig rig = { .digest = digest_of(HASH_SHA256, CONTENT), .began = true };
	uint64_t size;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(top));
	(void)snprintf(folder, sizeof(folder), "%s/cache", top);
	http_client_init();
	OK(pool_new(&rig.pool, 2, 100, &failure));
	OK(blob_cache_open(&rig.cache,
		&(struct blob_cache_settings){
			.folder = folder, .bytes = 1000, .entries = 10, .pool = rig.pool },
		&failure));
	OK(blob_fills_new(&rig.fills, NULL, rig.cache, 1, &failure));
	OK(loop_new(&rig.loop, "reader", &failure));

	/* It looks, and finds nothing; then another one's fill ends; then it reads. */
	assert_false(blob_cache_has(rig.cache, &rig.digest));
	assert_false(blob_cache_get(rig.cache, &rig.digest, &fd, &size));
	put_entry(&rig);
	loop_post(rig.loop, read_late, &rig);
	loop_run(rig.loop);
	assert_true(!rig.reader && !rig.began);
	assert_true(blob_cache_has(rig.cache, &rig.digest));
	assert_true(blob_cache_get(rig.cache, &rig.digest, &fd, &size));
	assert_int_equal(size, CONTENT.len);
	(void)close(fd);

	blob_fills_free(rig.fills);
	loop_free(rig.loop);
	blob_cache_free(rig.cache);
	pool_free(rig.pool);
	http_client_fini();
	assert_true(remove_tree(top));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(an_entry_is_not_fetched_again) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
