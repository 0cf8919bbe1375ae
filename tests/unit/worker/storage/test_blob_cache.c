/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_blob_cache - entries are kept and found again, bounded, and never believed for their size; a disk that fails turns it off, once.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/pool.h"
#include "tests/unit/in_folder.h"
#include "tests/unit/told_ok.h"
#include "worker/storage/blob_cache.h"
#include "worker/storage/blob_cache_priv.h"

#define MOST    1000
#define THREADS 6

static char top[] = "/tmp/test_blob_cache.XXXXXX";
static char folder[64];
static struct pool *pool;

/* Background jobs are through with what they were given. */
static void settle(void)
{
	struct pool_stats stats;

	do {
		(void)usleep(1000);
		stats = pool_stats(pool);
	} while (stats.background.queued + stats.background.running > 0);
}

static struct blob_cache *open_with(size_t entries)
{
	const struct blob_cache_settings settings = {
		.folder = folder, .bytes = MOST, .entries = entries, .pool = pool
	};
	struct blob_cache *cache = NULL;

	OK(blob_cache_open(&cache, &settings, &failure));
	settle();
	return cache;
}

static int set_up(void **state)
{
	(void)snprintf(folder, sizeof(folder), "%s/cache", top);
	OK(pool_new(&pool, 4, 100, &failure));
	*state = NULL;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	pool_free(pool);
	return remove_tree(folder) ? 0 : -1;
}

/* Bytes of this size that are told from others by their first one. */
static struct digest content(char *into, size_t size, int which)
{
	memset(into, 'x', size);
	if (size > 0)
		(void)snprintf(into, size, "%d", which);
	return digest_of(HASH_SHA256, str_from(into, size));
}

static bool fill(struct blob_cache *cache, size_t size, int which)
{
	char bytes[MOST + 1];
	struct digest digest = content(bytes, size, which);
	struct cache_file *file;
	bool ok;

	if (!cache_file_new(cache, &digest, size, &file, &failure))
		return false;
	ok = cache_file_write(file, str_from(bytes, size / 2), 0, &failure) &&
	     cache_file_write(file, str_from(bytes + size / 2, size - size / 2), size / 2, &failure) &&
	     cache_file_keep(file, &failure);
	cache_file_free(file);
	return ok;
}

static bool has(struct blob_cache *cache, size_t size, int which)
{
	char bytes[MOST + 1], got[MOST + 1];
	struct digest digest = content(bytes, size, which);
	uint64_t found = 0;
	int fd = -1;

	if (!blob_cache_get(cache, &digest, &fd, &found))
		return false;
	assert_int_equal(found, size);
	assert_int_equal(pread(fd, got, sizeof(got), 0), size);
	assert_memory_equal(got, bytes, size);
	assert_int_equal(close(fd), 0);
	return true;
}

static void path_of(const struct blob_cache *cache, size_t size, int which, char into[PATH_MAX])
{
	char bytes[MOST + 1];
	struct digest digest = content(bytes, size, which);

	assert_true(blob_cache_path(cache, 0, &digest, into));
}

static void an_entry_is_there_until_there_is_no_room(void **state)
{
	AUTO(blob_cache) *cache = open_with(0);

	(void)state;
	assert_false(has(cache, 100, 0));
	for (int i = 0; i < 10; i++)
		OK(fill(cache, 100, i));
	for (int i = 0; i < 10; i++)
		assert_true(has(cache, 100, i));
	OK(fill(cache, 300, 10));
	assert_true(has(cache, 300, 10));
	assert_int_equal(blob_cache_stats(cache).bytes, MOST);
	assert_int_equal(blob_cache_stats(cache).evictions, 3);
	assert_int_equal(blob_cache_stats(cache).entries, 8);
	assert_false(fill(cache, MOST / 2 + 1, 11));
	assert_int_equal(failure.kind, ERROR_FULL);
	assert_false(blob_cache_takes(cache, MOST / 2 + 1));
	assert_true(blob_cache_takes(cache, MOST / 2));
	OK(fill(cache, 0, 12));
	assert_true(has(cache, 0, 12));
}

static void entries_are_bounded(void **state)
{
	AUTO(blob_cache) *cache = open_with(5);

	(void)state;
	for (int i = 0; i < 40; i++)
		OK(fill(cache, 1 + (size_t)i / 10, i));
	assert_true(blob_cache_stats(cache).entries <= 5);
}

/* What is being filled has its room, and gives it back. */
static void room_is_given_back(void **state)
{
	AUTO(blob_cache) *cache = open_with(0);
	char bytes[MOST];
	struct digest digest = content(bytes, 400, 1), other = content(bytes, 400, 2);
	struct cache_file *first, *second, *third;

	(void)state;
	OK(cache_file_new(cache, &digest, 400, &first, &failure));
	OK(cache_file_new(cache, &other, 400, &second, &failure));
	assert_false(cache_file_new(cache, &other, 400, &third, &failure));
	assert_int_equal(failure.kind, ERROR_FULL);
	cache_file_free(first);
	assert_int_equal(blob_cache_stats(cache).bytes, 400);
	cache_file_free(second);
	assert_int_equal(blob_cache_stats(cache).bytes, 0);
	assert_true(blob_cache_check(cache, &failure));
}

static void entries_are_found_again(void **state)
{
	struct blob_cache *cache = open_with(0);
	char part[PATH_MAX];

	(void)state;
	for (int i = 0; i < 5; i++)
		OK(fill(cache, 100, i));
	blob_cache_free(cache);
	(void)snprintf(part, sizeof(part), "%s/fill/left.part", folder);
	assert_int_equal(close(open(part, O_CREAT | O_WRONLY, 0600)), 0);
	cache = open_with(0);
	assert_int_equal(access(part, F_OK), -1);
	for (int i = 0; i < 5; i++)
		assert_true(has(cache, 100, i));
	assert_int_equal(blob_cache_stats(cache).bytes, 500);
	blob_cache_free(cache);
}

/* Of another boot: right, wrong at the same length, and short. */
static void doubtful_entries_are_read_through(void **state)
{
	struct blob_cache *cache = open_with(0);
	char home[PATH_MAX], old[PATH_MAX], path[PATH_MAX];

	(void)state;
	for (int i = 0; i < 3; i++)
		OK(fill(cache, 100, i));
	path_of(cache, 100, 1, path);
	int fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "?", 1, 50), 1);
	(void)close(fd);
	path_of(cache, 100, 2, path);
	assert_int_equal(truncate(path, 10), 0);
	(void)snprintf(home, sizeof(home), "%s/%s", folder, cache->homes[0]);
	(void)snprintf(old, sizeof(old), "%s/boot-before", folder);
	blob_cache_free(cache);
	assert_int_equal(rename(home, old), 0);
	cache = open_with(0);
	assert_int_equal(blob_cache_stats(cache).entries, 3);
	for (int i = 0; i < 3; i++)
		assert_false(has(cache, 100, i));
	settle();
	assert_true(has(cache, 100, 0));
	assert_false(has(cache, 100, 1));
	assert_false(has(cache, 100, 2));
	assert_int_equal(blob_cache_stats(cache).entries, 1);
	assert_int_equal(blob_cache_stats(cache).bytes, 100);
	assert_int_equal(blob_cache_stats(cache).doubted, 1);
	blob_cache_free(cache);
}

/* A fill may have made the folder that it is about to end in. */
static void the_search_at_the_start_takes_no_folder_away(void **state)
{
	struct blob_cache *cache = open_with(0);
	char shelf[PATH_MAX], path[PATH_MAX];

	(void)state;
	OK(fill(cache, 100, 1));
	path_of(cache, 100, 1, path);
	(void)snprintf(shelf, sizeof(shelf), "%s", path);
	*strrchr(shelf, '/') = '\0';
	blob_cache_free(cache);
	assert_int_equal(unlink(path), 0);
	cache = open_with(0);
	assert_int_equal(blob_cache_stats(cache).entries, 0);
	assert_int_equal(access(shelf, F_OK), 0);
	blob_cache_free(cache);
}

static void a_file_of_another_size_is_no_entry(void **state)
{
	AUTO(blob_cache) *cache = open_with(0);
	char path[PATH_MAX];

	(void)state;
	OK(fill(cache, 100, 1));
	path_of(cache, 100, 1, path);
	assert_int_equal(truncate(path, 99), 0);
	assert_false(has(cache, 100, 1));
	assert_int_equal(blob_cache_stats(cache).entries, 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_true(blob_cache_check(cache, &failure));
}

static void a_file_is_adopted_without_a_copy(void **state)
{
	AUTO(blob_cache) *cache = open_with(0);
	char bytes[MOST], from[PATH_MAX];
	struct digest digest = content(bytes, 200, 1);
	struct stat st;

	(void)state;
	(void)snprintf(from, sizeof(from), "%s/pushed", top);
	OK(file_write_durable(from, str_from(bytes, 200), 0600, &failure));
	for (int i = 0; i < 2; i++)
		blob_cache_adopt(cache, &digest, from, 200);
	assert_int_equal(stat(from, &st), 0);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(unlink(from), 0);
	assert_true(has(cache, 200, 1));
	assert_int_equal(blob_cache_stats(cache).bytes, 200);
	/* One that is gone, and one that is too large. */
	digest = content(bytes, 200, 2);
	blob_cache_adopt(cache, &digest, from, 200);
	blob_cache_adopt(cache, &digest, from, MOST);
	assert_int_equal(blob_cache_stats(cache).bytes, 200);
	assert_true(blob_cache_check(cache, &failure));
}

static void a_second_process_is_refused(void **state)
{
	AUTO(blob_cache) *cache = open_with(0);
	const struct blob_cache_settings settings = { .folder = folder, .bytes = MOST, .pool = pool };
	struct blob_cache *second = NULL;

	(void)state;
	assert_false(blob_cache_open(&second, &settings, &failure));
	assert_int_equal(failure.kind, ERROR_CONFLICT);
}

static void a_disk_that_fails_turns_it_off(void **state)
{
	AUTO(blob_cache) *cache = open_with(0);
	char bytes[MOST];
	struct digest digest = content(bytes, 100, 2);
	struct cache_file *file;

	(void)state;
	OK(fill(cache, 100, 1));
	OK(cache_file_new(cache, &digest, 100, &file, &failure));
	int fd = open("/dev/full", O_RDWR);
	assert_true(fd >= 0 && dup2(fd, file->fd) == file->fd);
	(void)close(fd);
	assert_false(cache_file_write(file, str_from(bytes, 100), 0, &failure));
	cache_file_free(file);
	assert_false(blob_cache_check(cache, &failure));
	assert_non_null(strstr(failure.text, "off: "));
	assert_false(has(cache, 100, 1));
	assert_false(blob_cache_takes(cache, 1));
	assert_false(fill(cache, 100, 3));
	assert_int_equal(failure.kind, ERROR_UNAVAILABLE);
	/* Later it is tried again, and has what it had. */
	lock_take(&cache->lock);
	cache->retry_ms = clock_ms();
	lock_drop(&cache->lock);
	OK(fill(cache, 100, 3));
	assert_true(has(cache, 100, 1) && has(cache, 100, 3) && blob_cache_check(cache, &failure));
}

static void *hammer(void *arg)
{
	struct blob_cache *cache = arg;
	uint32_t seed = (uint32_t)(uintptr_t)&seed;

	for (int turn = 0; turn < 400; turn++) {
		seed = seed * 1664525u + 1013904223u;
		int which = (int)(seed >> 8) % 30;
		if (!has(cache, 50 + (size_t)which, which))
			(void)!fill(cache, 50 + (size_t)which, which);
	}
	return NULL;
}

/* Filled, read and pushed out at once: what is found is right, and the sum holds. */
static void threads_agree(void **state)
{
	AUTO(blob_cache) *cache = open_with(0);
	pthread_t threads[THREADS];
	struct blob_cache_stats stats;

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, cache), 0);
	for (size_t i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	stats = blob_cache_stats(cache);
	assert_true(stats.on && stats.bytes <= MOST && stats.evictions > 0);
	uint64_t bytes = 0;
	for (int i = 0; i < 30; i++)
		bytes += has(cache, 50 + (size_t)i, i) ? 50 + (uint64_t)i : 0;
	assert_int_equal(bytes, blob_cache_stats(cache).bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_entry_is_there_until_there_is_no_room, set_up, tear_down),
		cmocka_unit_test_setup_teardown(entries_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(room_is_given_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(entries_are_found_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(doubtful_entries_are_read_through, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			the_search_at_the_start_takes_no_folder_away, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_of_another_size_is_no_entry, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_is_adopted_without_a_copy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_second_process_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_disk_that_fails_turns_it_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(threads_agree, set_up, tear_down),
	};

	return RUN_IN_FOLDER(top, tests);
}
