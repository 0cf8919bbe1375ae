/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_spool - space is reserved and given back, whatever goes wrong; threads cannot pass the limit.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <signal.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/file.h"
#include "tests/unit/remove_tree.h"
#include "tests/unit/told_ok.h"
#include "worker/storage/pace.h"
#include "worker/storage/spool.h"

#define LIMIT   1000
#define THREADS 8

static char top[] = "/tmp/test_spool.XXXXXX";
static char folder[64];

static int setup(void **state)
{
	struct spool *spool = NULL;

	if (!spool_open(&spool, folder, LIMIT, true, &failure))
		return -1;
	*state = spool;
	return 0;
}

static int teardown(void **state)
{
	spool_free(*state);
	return 0;
}

static void appended_bytes_are_there(void **state)
{
	AUTO(spool_file) *file = NULL;
	AUTO_FINI(buf) there = buf_limit(100);

	OK(spool_file_new(*state, "one", &file, &failure));
	OK(spool_file_append(file, "hel", 3, &failure));
	OK(spool_file_append(file, "", 0, &failure));
	OK(spool_file_append(file, "lo", 2, &failure));
	assert_int_equal(file->size, 5);
	assert_int_equal(spool_used(*state), 5);
	OK(file_read(file->path, &there, &failure));
	assert_string_equal(buf_text(&there), "hello");
}

static size_t in_page_cache(const struct spool_file *file, size_t from, size_t to)
{
	size_t pages = (to - from) / SPOOL_ALIGN, found = 0;
	unsigned char *seen = xnew_array(unsigned char, pages);
	void *map = mmap(NULL, to - from, PROT_READ, MAP_SHARED, file->fd, (off_t)from);

	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(mincore(map, to - from, seen), 0);
	for (size_t i = 0; i < pages; i++)
		found += seen[i] & 1;
	assert_int_equal(munmap(map, to - from), 0);
	free(seen);
	return found * SPOOL_ALIGN;
}

/* Who pulls what was just pushed finds it in memory; of what is very large the beginning. */
static void the_beginning_is_in_the_page_cache(void **state)
{
	char *bytes = check_aligned(SPOOL_ALIGN, 1 << 20);
	char path[96];
	AUTO(spool) *spool = NULL;
	AUTO(spool_file) *file = NULL;
	size_t most = SPOOL_CACHED_MOST;

	(void)state;
	memset(bytes, 'x', 1 << 20);
	(void)snprintf(path, sizeof(path), "%s/cached", top);
	OK(spool_open(&spool, path, 1 << 30, true, &failure));
	OK(spool_file_new(spool, "large", &file, &failure));
	while (file->size < most + (4 << 20)) {
		OK(spool_file_append(file, bytes, 1 << 20, &failure));
		assert_false(file->direct && file->size <= most);
		assert_true(fcntl(file->fd, F_GETFL) & O_DIRECT || !file->direct);
	}
	spool_file_settle(file);
	assert_int_equal(in_page_cache(file, 0, most), most);
	free(bytes);
	spool_file_free(TAKE(file));
	spool_free(TAKE(spool));
	assert_true(remove_tree(path));
}

/* Whole blocks past the page cache, then a rest, then more: the file is what one write would have made. */
static void large_files_keep_every_byte(void **state)
{
	static const size_t parts[] = { SPOOL_CACHED_MOST, 1 << 20, (1 << 20) - 4096, 5000, 1 << 19, 1, 4096,
		300 * 1024 };
	char path[96];
	AUTO(spool) *spool = NULL;
	AUTO(spool_file) *file = NULL;
	AUTO_FINI(buf) there = buf_limit(72 << 20), wanted = buf_limit(72 << 20);
	char *bytes = check_aligned(SPOOL_ALIGN, SPOOL_CACHED_MOST);

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/large", top);
	OK(spool_open(&spool, path, 1 << 30, true, &failure));
	OK(spool_file_new(spool, "large", &file, &failure));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		for (size_t at = 0; at < parts[i]; at++)
			bytes[at] = (char)(at * 7 + at / 4093 + i);
		buf_append(&wanted, bytes, parts[i]);
		OK(spool_file_append(file, bytes, parts[i], &failure));
		assert_int_equal(file->size, wanted.len);
		if (i == 1)
			assert_true(fcntl(file->fd, F_GETFL) & O_DIRECT || !file->direct);
	}
	spool_file_settle(file);
	assert_false(fcntl(file->fd, F_GETFL) & O_DIRECT);
	OK(file_read(file->path, &there, &failure));
	assert_int_equal(there.len, wanted.len);
	assert_memory_equal(there.at, wanted.at, wanted.len);
	free(bytes);
	spool_file_free(TAKE(file));
	spool_free(TAKE(spool));
	assert_true(remove_tree(path));
}

static void limit_is_for_all_files(void **state)
{
	static const char bytes[LIMIT + 1];
	struct spool_file *a = NULL, *b = NULL;

	OK(spool_file_new(*state, "a", &a, &failure));
	OK(spool_file_new(*state, "b", &b, &failure));
	assert_false(spool_file_append(a, bytes, LIMIT + 1, &failure));
	assert_int_equal(failure.kind, ERROR_FULL);
	OK(spool_file_append(a, bytes, 600, &failure));
	assert_false(spool_file_append(b, bytes, 401, &failure));
	assert_int_equal(failure.kind, ERROR_FULL);
	OK(spool_file_append(b, bytes, 400, &failure));
	assert_int_equal(spool_used(*state), spool_limit(*state));
	assert_false(spool_file_append(b, bytes, 1, &failure));
	spool_file_free(a);
	assert_int_equal(spool_used(*state), 400);
	OK(spool_file_append(b, bytes, 600, &failure));
	spool_file_free(b);
	assert_int_equal(spool_used(*state), 0);
}

/* The disk is full before the spool is: a limit of the process stands in for the disk. */
static void failed_write_gives_back(void **state)
{
	static const char bytes[500];
	AUTO(spool_file) *file = NULL;
	struct rlimit old, small;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 700;
	(void)signal(SIGXFSZ, SIG_IGN);
	OK(spool_file_new(*state, "one", &file, &failure));
	OK(spool_file_append(file, bytes, 500, &failure));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_false(spool_file_append(file, bytes, 500, &failure));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(file->size, 500);
	assert_int_equal(spool_used(*state), 500);
	assert_int_equal(lseek(file->fd, 0, SEEK_END), 500);
}

static void file_that_was_moved_away(void **state)
{
	AUTO_FINI(buf) there = buf_limit(100);
	struct spool_file *file = NULL;
	char target[96];

	(void)snprintf(target, sizeof(target), "%s/moved", top);
	OK(spool_file_new(*state, "one", &file, &failure));
	OK(spool_file_append(file, "hello", 5, &failure));
	assert_int_equal(rename(file->path, target), 0);
	spool_file_free(file);
	assert_int_equal(spool_used(*state), 0);
	OK(file_read(target, &there, &failure));
	assert_string_equal(buf_text(&there), "hello");
}

static void names_are_taken_once(void **state)
{
	AUTO(spool_file) *file = NULL;
	struct spool_file *again = NULL;

	OK(spool_file_new(*state, "one", &file, &failure));
	assert_false(spool_file_new(*state, "one", &again, &failure));
	assert_false(spool_file_new(*state, "", &again, &failure));
	assert_false(spool_file_new(*state, "../one", &again, &failure));
	assert_int_equal(failure.kind, ERROR_INVALID);
}

static void folder_is_emptied_of_ours(void **state)
{
	struct spool *spool = NULL;
	struct spool_file *file = NULL;
	char own[96], other[96];

	(void)state;
	(void)snprintf(own, sizeof(own), "%s/left", folder);
	(void)snprintf(other, sizeof(other), "%s/other.txt", folder);
	OK(spool_open(&spool, folder, LIMIT, true, &failure));
	OK(spool_file_new(spool, "left", &file, &failure));
	OK(spool_file_append(file, "x", 1, &failure));
	/* As a process that dies leaves it. */
	AUTO_STR *path = check_strdup(file->path);
	assert_int_equal(link(path, own), 0);
	spool_file_free(file);
	assert_int_equal(rename(own, path), 0);
	OK(file_write_durable(other, STR("not ours"), 0600, &failure));
	spool_free(spool);
	OK(spool_open(&spool, folder, LIMIT, true, &failure));
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(access(other, F_OK), 0);
	assert_int_equal(spool_used(spool), 0);
	spool_free(spool);
}

static void folder_has_one_owner(void **state)
{
	struct spool *second = NULL;

	(void)state;
	assert_false(spool_open(&second, folder, LIMIT, true, &failure));
	assert_int_equal(failure.kind, ERROR_CONFLICT);
}

static char *in_top(const char *name)
{
	static char path[96];

	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	return path;
}

static void spools_of_the_dead_are_emptied(void **state)
{
	struct spool_file *alive = NULL;
	uint64_t removed = 0;

	OK(spool_file_new(*state, "alive", &alive, &failure));
	OK(file_make_folders(in_top("dead"), 0700, &failure));
	OK(file_write_durable(in_top("dead/a.upload"), STR("left"), 0600, &failure));
	OK(file_write_durable(in_top("dead/notes.txt"), STR("not ours"), 0600, &failure));
	OK(spool_sweep(top, NULL, NULL, &removed, &failure));
	assert_int_equal(removed, 1);
	assert_int_equal(access(alive->path, F_OK), 0);
	assert_int_equal(access(in_top("dead/notes.txt"), F_OK), 0);
	spool_file_free(alive);
	OK(spool_sweep(in_top("absent"), NULL, NULL, &removed, &failure));
}

static bool may_sweep(void *arg)
{
	return atomic_load((atomic_bool *)arg);
}

static void *sweep_on(void *arg)
{
	const struct pace pace = { may_sweep, arg };
	uint64_t removed;

	while (atomic_load((atomic_bool *)arg))
		CHECK(spool_sweep(top, &pace, NULL, &removed, NULL));
	return NULL;
}

static void an_owner_may_start_during_a_sweep(void **state)
{
	atomic_bool go_on = true;
	pthread_t thread;

	(void)state;
	OK(file_make_folders(in_top("again"), 0700, &failure));
	assert_int_equal(pthread_create(&thread, NULL, sweep_on, &go_on), 0);
	for (int i = 0; i < 300; i++) {
		struct spool *spool = NULL;
		char path[96];

		/* Something to take the lock for. */
		(void)snprintf(path, sizeof(path), "%s/again/%d.upload", top, i);
		OK(file_write_durable(path, STR("left"), 0600, &failure));
		OK(spool_open(&spool, in_top("again"), LIMIT, true, &failure));
		assert_int_not_equal(access(path, F_OK), 0);
		spool_free(spool);
	}
	atomic_store(&go_on, false);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void a_folder_tells_that_its_owner_was_killed(void **state)
{
	struct spool *spool = NULL;

	(void)state;
	OK(file_make_folders(in_top("killed"), 0700, &failure));
	OK(spool_open(&spool, in_top("killed"), LIMIT, true, &failure));
	assert_false(spool_was_left(spool));
	spool_free(spool);
	OK(spool_open(&spool, in_top("killed"), LIMIT, true, &failure));
	assert_false(spool_was_left(spool));
	spool_free(spool);
	OK(file_write_durable(in_top("killed/running"), STR(""), 0600, &failure));
	OK(spool_open(&spool, in_top("killed"), LIMIT, true, &failure));
	assert_true(spool_was_left(spool));
	spool_free(spool);
}

static atomic_uint taken;

static void *fill(void *arg)
{
	struct spool *spool = arg;
	struct spool_file *file = NULL;
	static atomic_uint names;
	char name[16];

	(void)snprintf(name, sizeof(name), "%u", atomic_fetch_add(&names, 1));
	CHECK(spool_file_new(spool, name, &file, NULL));
	while (spool_file_append(file, "1234567", 7, NULL)) {
		CHECK(spool_used(spool) <= LIMIT);
		atomic_fetch_add(&taken, 1);
	}
	spool_file_free(file);
	return NULL;
}

/* Some append in the room that others gave back, so there may be more than fit at once, never fewer. */
static void threads_share_the_limit(void **state)
{
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fill, *state), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(atomic_load(&taken) >= LIMIT / 7);
	assert_int_equal(spool_used(*state), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(appended_bytes_are_there),
		TEST(large_files_keep_every_byte),
		TEST(the_beginning_is_in_the_page_cache),
		TEST(limit_is_for_all_files),
		TEST(failed_write_gives_back),
		TEST(file_that_was_moved_away),
		TEST(names_are_taken_once),
		cmocka_unit_test(folder_is_emptied_of_ours),
		TEST(folder_has_one_owner),
		TEST(spools_of_the_dead_are_emptied),
		TEST(an_owner_may_start_during_a_sweep),
		cmocka_unit_test(a_folder_tells_that_its_owner_was_killed),
		TEST(threads_share_the_limit),
	};
	int failed;

	if (!mkdtemp(top))
		return 1;
	(void)snprintf(folder, sizeof(folder), "%s/spool", top);
	failed = cmocka_run_group_tests_name("spool", tests, NULL, NULL);
	if (!remove_tree(top))
		failed++;
	return failed != 0;
}
