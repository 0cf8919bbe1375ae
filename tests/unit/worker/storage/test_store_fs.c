/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_store_fs - the suite on a folder, and what is special to folders: how it lies on the disk, other
 * file systems, processes that are killed in the middle of a write.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "tests/unit/remove_tree.h"
#include "tests/unit/worker/storage/store_suite.h"
#include "worker/storage/pace.h"

#define KILLS      30
#define OTHER_DISK "/dev/shm"

static char top[] = "/tmp/test_store_fs.XXXXXX";
static unsigned stores;
static char root[128];

static struct store *open_next(void)
{
	struct store *store = NULL;

	(void)snprintf(root, sizeof(root), "%s/%u/not/there/yet", top, stores++);
	return store_fs_open(&store, root, &failure) ? store : NULL;
}

static int setup(void **state)
{
	*state = open_next();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	store_free(*state);
	return 0;
}

static char *path_in_root(const char *key)
{
	static char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", root, key);
	return path;
}

static void expect_file(const char *key, const char *text)
{
	AUTO_FINI(buf) there = buf_limit(4096);

	OK(file_read(path_in_root(key), &there, &failure));
	assert_string_equal(buf_text(&there), text);
}

static struct stat stat_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) != 0)
		fail_msg("stat %s: errno %d", path, errno);
	return st;
}

static unsigned temps;

static int count_temp(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	temps += strncmp(path + ftw->base, ".tmp-", 5) == 0;
	return 0;
}

static void expect_no_temp(void)
{
	temps = 0;
	assert_int_equal(nftw(root, count_temp, 16, FTW_PHYS), 0);
	assert_int_equal(temps, 0);
}

/* ---- how it lies ---- */

#define HELLO "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"

static void layout(void **state)
{
	struct digest digest = digest_of(HASH_SHA256, STR("hello"));
	struct store_version version;

	assert_int_equal(
		store_index_fold(*state, STR("a/b.c"), STR("{}"), &nothing, &no_log, &version, &failure),
		STORE_OK);
	OK(store_blob_put(*state, STR("a/b.c"), &digest, STR("hello"), &failure));
	expect_file("a/b.c/index.json", "{}");
	expect_file("a/b.c/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	OK(store_name_put(*state, STR("a/b.c"), 0, &failure));
	expect_file("_catalog/a%2Fb%2Ec", "");
	expect_file("a/b.c/blobs/sha256/" HELLO, "hello");
	assert_int_equal(stat_of(path_in_root("a/b.c/index.json")).st_mode & 0777, 0600);
	assert_int_equal(stat_of(path_in_root("a/b.c/blobs")).st_mode & 0777, 0700);
	assert_string_equal(store_place(*state), root);
	assert_int_equal(store_requests(*state), 0);
	expect_no_temp();
}

static void refused_writes_leave_nothing(void **state)
{
	struct store_version version;

	assert_int_equal(store_index_fold(*state, STR("a"), STR("{}"), &nothing, &no_log, &version, &failure),
		STORE_OK);
	assert_int_equal(store_index_fold(*state, STR("a"), STR("{}"), &nothing, &no_log, &version, &failure),
		STORE_CONFLICT);
	expect_no_temp();
	/* A folder in the way counts as something that is there. */
	OK(file_make_folders(path_in_root("b/index.json/x"), 0700, &failure));
	assert_int_equal(store_index_fold(*state, STR("b"), STR("{}"), &nothing, &no_log, &version, &failure),
		STORE_CONFLICT);
	expect_no_temp();
}

/* Same inode number, same length, same tick of the clock: still another version. */
static void versions_do_not_come_back(void **state)
{
	struct store_version seen[50];
	const struct store_version *last = &nothing;

	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(
			store_index_fold(*state, STR("a"), STR("{}"), last, &no_log, &seen[i], &failure),
			STORE_OK);
		last = &seen[i];
	}
	for (unsigned i = 0; i < 50; i++) {
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(seen[i].text, seen[j].text);
	}
}

/* Somebody's clock was ahead. */
static void clock_that_went_back(void **state)
{
	struct timespec times[2] = { { .tv_sec = time(NULL) + 86400, .tv_nsec = 999999999 } };
	struct store_version version, later;
	AUTO_FINI(buf) into = buf_limit(64);
	struct stat before, after;

	times[1] = times[0];
	assert_int_equal(store_index_fold(*state, STR("a"), STR("{}"), &nothing, &no_log, &version, &failure),
		STORE_OK);
	assert_int_equal(utimensat(AT_FDCWD, path_in_root("a/index.json"), times, 0), 0);
	before = stat_of(path_in_root("a/index.json"));
	OK(store_index_get(*state, STR("a"), &into, &version, &failure));
	assert_int_equal(
		store_index_fold(*state, STR("a"), STR("{}"), &version, &no_log, &later, &failure), STORE_OK);
	after = stat_of(path_in_root("a/index.json"));
	assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec + 1);
	assert_int_equal(after.st_mtim.tv_nsec, 0);
}

/* ---- files of a spool ---- */

static int new_spool_file(const char *folder, const char *text, char path[128])
{
	int fd;

	(void)snprintf(path, 128, "%s/test_spool.XXXXXX", folder);
	fd = mkostemp(path, O_CLOEXEC);
	assert_true(fd >= 0);
	OK(file_write_all(fd, text, strlen(text), &failure));
	return fd;
}

static void spool_file_is_moved(void **state)
{
	struct digest digest = digest_of(HASH_SHA256, STR("hello"));
	char path[128];
	AUTO_FD fd = new_spool_file(top, "hello", path);
	struct stat before = stat_of(path);

	OK(store_blob_put_file(*state, STR("a"), &digest, fd, path, 5, &failure));
	assert_int_equal(stat_of(path_in_root("a/blobs/sha256/" HELLO)).st_ino, before.st_ino);
	assert_int_not_equal(access(path, F_OK), 0);
}

static void spool_file_of_another_disk(void **state)
{
	struct digest digest = digest_of(HASH_SHA256, STR("hello"));
	char path[128];
	AUTO_FD fd = new_spool_file(OTHER_DISK, "hello", path);

	OK(store_blob_put_file(*state, STR("a"), &digest, fd, path, 5, &failure));
	expect_file("a/blobs/sha256/" HELLO, "hello");
	assert_int_not_equal(access(path, F_OK), 0);
	expect_no_temp();
}

/* Only the first bytes are the blob; the path may be missing. */
static void part_of_a_file(void **state)
{
	struct digest digest = digest_of(HASH_SHA256, STR("hello"));
	char path[128];
	AUTO_FD fd = new_spool_file(top, "hello, world", path);

	OK(store_blob_put_file(*state, STR("a"), &digest, fd, path, 5, &failure));
	expect_file("a/blobs/sha256/" HELLO, "hello");
	OK(store_blob_delete(*state, STR("a"), &digest, store_clock_s(*state, STR_NONE) + 20, &failure));
	OK(store_blob_put_file(*state, STR("a"), &digest, fd, NULL, 5, &failure));
	expect_file("a/blobs/sha256/" HELLO, "hello");
	OK(store_blob_delete(*state, STR("a"), &digest, store_clock_s(*state, STR_NONE) + 20, &failure));
	assert_false(store_blob_put_file(*state, STR("a"), &digest, fd, NULL, 500, &failure));
	assert_int_not_equal(access(path_in_root("a/blobs/sha256/" HELLO), F_OK), 0);
	expect_no_temp();
}

static void cut_blob_is_replaced(void **state)
{
	struct digest digest = digest_of(HASH_SHA256, STR("hello"));

	OK(store_blob_put(*state, STR("a"), &digest, STR("hello"), &failure));
	assert_int_equal(truncate(path_in_root("a/blobs/sha256/" HELLO), 3), 0);
	OK(store_blob_put(*state, STR("a"), &digest, STR("hello"), &failure));
	expect_file("a/blobs/sha256/" HELLO, "hello");
}

/* ---- what others put into the folder ---- */

static bool refuse_names(void *arg, struct str name)
{
	(void)arg;
	fail_msg("%.*s is in the catalog", STR_ARGS(name));
	return false;
}

static void strange_files(void **state)
{
	static const char *const markers[] = { ".tmp-1", "UPPER", "a%2f", "a%41", "%", "a%2", "a.b", "x~",
		"a%2E%2E" };
	struct digest digest = digest_of(HASH_SHA256, STR("hello"));
	AUTO_FINI(blob_source) source = { .fd = -1 };
	AUTO_FINI(buf) into = buf_limit(64);
	uint64_t size;
	bool more = true;

	OK(file_make_folders(path_in_root("_catalog"), 0700, &failure));
	for (size_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++) {
		char key[64];

		(void)snprintf(key, sizeof(key), "_catalog/%s", markers[i]);
		OK(file_write_durable(path_in_root(key), STR(""), 0600, &failure));
	}
	OK(store_catalog(*state, STR_NONE, 2, refuse_names, NULL, &more, &failure));
	assert_false(more);
	OK(file_make_folders(path_in_root("a/blobs/sha256"), 0700, &failure));
	assert_int_equal(symlink("/etc/passwd", path_in_root("a/blobs/sha256/" HELLO)), 0);
	assert_false(store_blob_get(*state, STR("a"), &digest, &into, &failure));
	assert_int_equal(failure.kind, ERROR_UNKNOWN);
	assert_false(store_blob_source(*state, STR("a"), &digest, NULL, &source, &failure));
	assert_false(store_blob_size(*state, STR("a"), &digest, &size, &failure));
	assert_false(store_blob_mount(*state, STR("a"), STR("b"), &digest, &failure));
	assert_int_equal(unlink(path_in_root("a/blobs/sha256/" HELLO)), 0);
	assert_int_equal(mkfifo(path_in_root("a/blobs/sha256/" HELLO), 0600), 0);
	assert_false(store_blob_get(*state, STR("a"), &digest, &into, &failure));
	assert_int_equal(failure.kind, ERROR_UNKNOWN);
}

static bool count_names(void *arg, struct str name)
{
	char wanted[16];

	(void)snprintf(wanted, sizeof(wanted), "%06u", (*(unsigned *)arg)++);
	assert_true(str_is(name, wanted));
	return true;
}

/* More than one pass can hold. */
static void many_repositories(void **state)
{
	unsigned n = 0;
	bool more = true;

	OK(file_make_folders(path_in_root("_catalog"), 0700, &failure));
	for (unsigned i = 0; i < 9000; i++) {
		char key[64];
		int fd;

		(void)snprintf(key, sizeof(key), "_catalog/%06u", (i * 7919) % 9000);
		fd = open(path_in_root(key), O_WRONLY | O_CREAT | O_EXCL, 0600);
		assert_true(fd >= 0);
		assert_int_equal(close(fd), 0);
	}
	OK(store_catalog(*state, STR_NONE, 8999, count_names, &n, &more, &failure));
	assert_int_equal(n, 8999);
	assert_true(more);
	OK(store_catalog(*state, STR("008998"), 8999, count_names, &n, &more, &failure));
	assert_int_equal(n, 9000);
	assert_false(more);
}

struct names {
	char text[1024];
};

static bool add_name(void *arg, struct str name)
{
	struct names *names = arg;
	size_t len = strlen(names->text);

	(void)snprintf(names->text + len, sizeof(names->text) - len, "%.*s ", STR_ARGS(name));
	return true;
}

static void expect_catalog(struct store *store, const char *after, const char *wanted)
{
	struct names names = { "" };
	bool more = true;

	OK(store_catalog(store, str_of(after), 10, add_name, &names, &more, &failure));
	assert_string_equal(names.text, wanted);
	assert_false(more);
}

/* Escaped, they are longer than a file's name may be. */
static void catalog_of_long_names(void **state)
{
	char name[256], next[256], wanted[1024];

	for (size_t i = 0; i < 255; i++)
		name[i] = i % 2 ? '/' : 'a';
	name[255] = '\0';
	memcpy(next, name, sizeof(next));
	next[254] = 'b';
	store_suite_create(*state, next);
	store_suite_create(*state, "a");
	store_suite_create(*state, name);
	store_suite_create(*state, "b");
	(void)snprintf(wanted, sizeof(wanted), "a %s %s b ", name, next);
	expect_catalog(*state, NULL, wanted);
	(void)snprintf(wanted, sizeof(wanted), "%s b ", next);
	expect_catalog(*state, name, wanted);
}

static void folder_that_went_away(void **state)
{
	assert_int_equal(rmdir(root), 0);
	assert_false(store_check(*state, &failure));
	assert_int_equal(failure.kind, ERROR_UNAVAILABLE);
}

/* ---- killed while it writes ---- */

static _Noreturn void write_for_ever(struct store *store, uint64_t n, int to)
{
	struct store_version version;
	AUTO_FINI(buf) text = buf_limit(8192);

	CHECK(store_index_get(store, STR("counter"), &text, &version, NULL));
	for (;;) {
		n++;
		buf_clear(&text);
		buf_format(&text, "%08llu", (unsigned long long)n);
		/* Long enough for a write that is cut to show, and every byte tells the number. */
		for (unsigned i = 0; i < 500; i++)
			buf_format(&text, " %08llu", (unsigned long long)n);
		CHECK(store_index_fold(store, STR("counter"), buf_str(&text), &version, &no_log, &version,
			      NULL) == STORE_OK);
		CHECK(write(to, &n, sizeof(n)) == sizeof(n));
	}
}

static uint64_t read_counter(struct store *store)
{
	AUTO_FINI(buf) text = buf_limit(8192);
	struct store_version version;
	struct str rest, first;
	uint64_t n = 0;

	OK(store_index_get(store, STR("counter"), &text, &version, &failure));
	rest = buf_str(&text);
	assert_int_equal(rest.len, 8 + 500 * 9);
	first = str_from(rest.at, 8);
	assert_true(str_to_number(first, UINT64_MAX, &n));
	for (size_t at = 9; at < rest.len; at += 9)
		assert_true(str_equal(str_from(rest.at + at, 8), first));
	return n;
}

/* Lets a child write until a moment of our choosing; what it has reported must be there. */
static uint64_t kill_one(struct store *store, uint64_t n)
{
	const struct timespec moment = { 0, (long)random_below(20 * 1000 * 1000) };
	uint64_t reported = n, found;
	int ends[2];
	pid_t child;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		write_for_ever(store, n, ends[1]);
	(void)close(ends[1]);
	assert_int_equal(read(ends[0], &reported, sizeof(reported)), sizeof(reported));
	/* Not a wait for an event: the moment of the kill is to be anywhere in a write. */
	(void)nanosleep(&moment, NULL);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	while (read(ends[0], &reported, sizeof(reported)) == sizeof(reported))
		continue;
	(void)close(ends[0]);
	found = read_counter(store);
	if (found != reported && found != reported + 1)
		fail_msg("%llu was reported, %llu is there", (unsigned long long)reported,
			(unsigned long long)found);
	return found;
}

static void killed_writers(void **state)
{
	AUTO_FINI(buf) text = buf_limit(8192);
	struct store_version version;
	uint64_t n = 0;

	for (unsigned i = 0; i < 501; i++)
		buf_puts(&text, i ? " 00000000" : "00000000");
	assert_int_equal(store_index_fold(*state, STR("counter"), buf_str(&text), &nothing, &no_log, &version,
				 &failure),
		STORE_OK);
	for (unsigned i = 0; i < KILLS; i++)
		n = kill_one(*state, n);
	print_message("%u writers killed after %llu writes\n", KILLS, (unsigned long long)n);
}

/* ---- what killed ones leave ---- */

static void put_blob(struct store *store, const char *name, const char *text)
{
	struct digest digest = digest_of(HASH_SHA256, str_of(text));

	OK(store_blob_put(store, str_of(name), &digest, str_of(text), &failure));
}

static void write_aged(const char *key, int64_t age_s)
{
	struct timespec times[2] = { { .tv_sec = clock_wall_s() - age_s },
		{ .tv_sec = clock_wall_s() - age_s } };

	OK(file_make_folders(path_in_root("lib/app/blobs/sha256"), 0700, &failure));
	OK(file_write_durable(path_in_root(key), STR("half"), 0600, &failure));
	assert_int_equal(utimensat(AT_FDCWD, path_in_root(key), times, AT_SYMLINK_NOFOLLOW), 0);
}

static uint64_t sweep(struct store *store, bool was_killed)
{
	uint64_t removed;

	OK(store_sweep(store, was_killed, clock_wall_s(), NULL, NULL, &removed, &failure));
	return removed;
}

#define OLD   "lib/app/blobs/sha256/.tmp-old"
#define HELD  "lib/app/.tmp-held"
#define YOUNG "_catalog/.tmp-young"

static void temp_files_of_the_dead_are_removed(void **state)
{
	static const struct timespec long_ago[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	int held;

	put_blob(*state, "lib/app", "hello");
	write_aged(OLD, 100);
	write_aged(HELD, 100);
	OK(file_make_folders(path_in_root("_catalog"), 0700, &failure));
	write_aged(YOUNG, -100);
	write_aged("lib/app/blobs/sha256/tmp-named", 100);
	held = open(path_in_root(HELD), O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(held, LOCK_SH), 0);
	assert_int_equal(sweep(*state, true), 1);
	assert_int_not_equal(access(path_in_root(OLD), F_OK), 0);
	(void)stat_of(path_in_root(HELD));
	(void)stat_of(path_in_root(YOUNG));
	(void)stat_of(path_in_root("lib/app/blobs/sha256/tmp-named"));
	(void)close(held);
	/* Nobody was killed, and it was done just now. */
	assert_int_equal(sweep(*state, false), 0);
	(void)stat_of(path_in_root(HELD));
	assert_int_equal(utimensat(AT_FDCWD, path_in_root("_catalog/.swept"), long_ago, 0), 0);
	assert_int_equal(sweep(*state, false), 1);
	assert_int_not_equal(access(path_in_root(HELD), F_OK), 0);
	expect_file("lib/app/blobs/sha256/" HELLO, "hello");
}

struct sweeper {
	struct store *store;
	atomic_bool go_on;
	_Atomic uint64_t removed;
};

static bool may_sweep(void *arg)
{
	return atomic_load((atomic_bool *)arg);
}

static void *sweep_all(void *arg)
{
	struct sweeper *sweeper = arg;
	const struct pace pace = { may_sweep, &sweeper->go_on };

	/* As if everything were older than the process: only the locks are left. */
	while (atomic_load(&sweeper->go_on)) {
		uint64_t removed;
		CHECK(store_sweep(sweeper->store, true, INT64_MAX, &pace, NULL, &removed, NULL));
		atomic_fetch_add(&sweeper->removed, removed);
	}
	return NULL;
}

static void temp_files_of_the_living_are_not(void **state)
{
	struct sweeper sweeper = { .store = *state, .go_on = true };
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sweep_all, &sweeper), 0);
	for (int i = 0; i < 500; i++) {
		char text[32];
		(void)snprintf(text, sizeof(text), "blob %d", i);
		put_blob(*state, "lib/app", text);
	}
	atomic_store(&sweeper.go_on, false);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	expect_no_temp();
	print_message("%llu temp files were taken before they were held\n",
		(unsigned long long)atomic_load(&sweeper.removed));
}

/* ---- blobs that several repositories have ---- */

#define LARGE 200000

struct large {
	char bytes[LARGE];
	struct digest digest;
	char encoded[129], key[160];
};

static struct large *large_new(char fill)
{
	static struct large all[2];
	static unsigned given;
	struct large *large = &all[given++ % 2];
	char encoded[129];

	memset(large->bytes, fill, LARGE);
	large->digest = digest_of(HASH_SHA256, str_from(large->bytes, LARGE));
	digest_encoded(&large->digest, encoded);
	memcpy(large->encoded, encoded, sizeof(encoded));
	(void)snprintf(large->key, sizeof(large->key), "_dedupe/blobs/sha256/%.2s/%s", encoded, encoded);
	return large;
}

/* As an upload that has ended. */
static void upload(struct store *store, const char *name, const struct large *large)
{
	char path[160];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/upload", top);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	OK(file_write_all(fd, large->bytes, LARGE, &failure));
	OK(store_blob_put_file(store, str_of(name), &large->digest, fd, path, LARGE, &failure));
	(void)close(fd);
	(void)unlink(path);
}

static struct stat blob_stat(const char *name, const struct large *large)
{
	char key[300];

	(void)snprintf(key, sizeof(key), "%s/blobs/sha256/%s", name, large->encoded);
	return stat_of(path_in_root(key));
}

static bool is_listed(const struct large *large)
{
	struct stat st;

	return stat(path_in_root(large->key), &st) == 0;
}

static void drop(struct store *store, const char *name, const struct large *large)
{
	OK(store_blob_delete(store, str_of(name), &large->digest, clock_wall_s() + 20, &failure));
}

static void list(struct store *store, const char *name)
{
	struct store_version version;

	OK(store_name_put(store, str_of(name), 0, &failure));

	assert_int_equal(
		store_index_fold(store, str_of(name), STR("{}"), &nothing, &no_log, &version, &failure),
		STORE_OK);
}

static void the_same_blob_takes_its_bytes_once(void **state)
{
	struct large *large = large_new('l');
	struct digest small = digest_of(HASH_SHA256, STR("small"));
	struct store_usage usage = { 0 };

	store_fs_set_dedupe(*state, true);
	upload(*state, "one", large);
	assert_int_equal(blob_stat("one", large).st_nlink, 2);
	assert_int_equal(store_saved(*state), 0);
	upload(*state, "two/deep", large);
	assert_int_equal(blob_stat("one", large).st_ino, blob_stat("two/deep", large).st_ino);
	assert_int_equal(blob_stat("one", large).st_nlink, 3);
	assert_int_equal(store_saved(*state), LARGE);
	upload(*state, "two/deep", large);
	assert_int_equal(blob_stat("one", large).st_nlink, 3);
	assert_int_equal(store_saved(*state), LARGE);
	OK(store_blob_mount(*state, STR("one"), STR("three"), &large->digest, &failure));
	assert_int_equal(blob_stat("three", large).st_nlink, 4);
	OK(store_usage(*state, STR("three"), NULL, &usage, &failure));
	assert_int_equal(usage.bytes, LARGE);
	assert_int_equal(usage.blobs, 1);
	expect_no_temp();
	drop(*state, "one", large);
	drop(*state, "three", large);
	assert_int_equal(store_saved(*state), 0);
	assert_true(is_listed(large));
	/* The last takes its name in the index with it: the bytes are free. */
	drop(*state, "two/deep", large);
	assert_false(is_listed(large));
	OK(store_blob_put(*state, STR("one"), &small, STR("small"), &failure));
	OK(store_blob_mount(*state, STR("one"), STR("two"), &small, &failure));
	assert_int_equal(store_saved(*state), 0);
}

/* What came is right, whatever lies there. */
static void what_is_damaged_is_not_shared(void **state)
{
	struct large *large = large_new('d');
	FILE *f;

	store_fs_set_dedupe(*state, true);
	upload(*state, "one", large);
	f = fopen(path_in_root(large->key), "r+");
	assert_non_null(f);
	assert_int_equal(fputc('x', f), 'x');
	assert_int_equal(fclose(f), 0);
	upload(*state, "two", large);
	assert_int_not_equal(blob_stat("one", large).st_ino, blob_stat("two", large).st_ino);
	upload(*state, "three", large);
	assert_int_equal(blob_stat("three", large).st_ino, blob_stat("two", large).st_ino);
	/* One that is cut. */
	assert_int_equal(truncate(path_in_root(large->key), 100), 0);
	upload(*state, "one", large);
	assert_int_equal(blob_stat("one", large).st_size, LARGE);
	assert_int_equal(blob_stat("one", large).st_nlink, 2);
}

static void off_and_on_again(void **state)
{
	struct large *first = large_new('1'), *second = large_new('2');
	struct store_dedupe told;
	char key[200];

	list(*state, "one");
	list(*state, "two/deep");
	upload(*state, "one", first);
	upload(*state, "two/deep", first);
	upload(*state, "two/deep", second);
	assert_int_equal(blob_stat("one", first).st_nlink, 1);
	assert_false(is_listed(first));
	OK(store_dedupe(*state, false, NULL, NULL, &told, &failure));
	assert_int_equal(told.linked + told.removed + told.files, 0);
	/* On: what is there becomes one. */
	store_fs_set_dedupe(*state, true);
	OK(store_dedupe(*state, false, NULL, NULL, &told, &failure));
	assert_int_equal(told.linked, 1);
	assert_int_equal(told.files, 2);
	assert_int_equal(told.saved, LARGE);
	assert_int_equal(store_saved(*state), LARGE);
	assert_int_equal(blob_stat("one", first).st_ino, blob_stat("two/deep", first).st_ino);
	assert_int_equal(blob_stat("two/deep", second).st_nlink, 2);
	expect_no_temp();
	/* Once a day; what the index has alone goes each time. */
	assert_int_equal(unlink(path_in_root(first->key)), 0);
	(void)snprintf(key, sizeof(key), "two/deep/blobs/sha256/%s", second->encoded);
	assert_int_equal(unlink(path_in_root(key)), 0);
	OK(store_dedupe(*state, false, NULL, NULL, &told, &failure));
	assert_false(is_listed(first));
	assert_int_equal(told.removed, 1);
	assert_int_equal(unlink(path_in_root("_dedupe/.shared")), 0);
	OK(store_dedupe(*state, false, NULL, NULL, &told, &failure));
	assert_true(is_listed(first));
	/* Off: links stay, the index goes, so that what others remove is free at once. */
	store_fs_set_dedupe(*state, false);
	OK(store_dedupe(*state, false, NULL, NULL, &told, &failure));
	assert_false(is_listed(first));
	assert_int_equal(blob_stat("one", first).st_nlink, 2);
	upload(*state, "three", first);
	assert_int_equal(blob_stat("three", first).st_nlink, 1);
}

static bool after_some(void *arg)
{
	return ++*(unsigned *)arg < 4;
}

static void a_walk_that_ended_early_is_made_again(void **state)
{
	struct large *large = large_new('e');
	unsigned steps = 0;
	const struct pace pace = { after_some, &steps };
	struct store_dedupe told;
	char name[16];

	for (int i = 0; i < 20; i++) {
		(void)snprintf(name, sizeof(name), "r%02d", i);
		list(*state, name);
		upload(*state, name, large);
	}
	store_fs_set_dedupe(*state, true);
	OK(store_dedupe(*state, false, &pace, NULL, &told, &failure));
	assert_in_range(told.linked, 0, 18);
	OK(store_dedupe(*state, false, NULL, NULL, &told, &failure));
	assert_int_equal(blob_stat("r00", large).st_nlink, 21);
	assert_int_equal(told.saved, 19 * LARGE);
}

/* Where a file system has a bound (ext4: 65,000) one more is a new file, and the next are linked to that. */
static void as_many_names_as_may_be(void **state)
{
	struct large *large = large_new('m');
	char from[512], to[512];
	unsigned n = 0;
	ino_t old;

	store_fs_set_dedupe(*state, true);
	upload(*state, "one", large);
	(void)snprintf(from, sizeof(from), "%s", path_in_root(large->key));
	OK(file_make_folders(path_in_root("links"), 0700, &failure));
	for (; n < 66000; n++) {
		(void)snprintf(to, sizeof(to), "%s/links/%u", root, n);
		if (link(from, to) != 0)
			break;
	}
	old = blob_stat("one", large).st_ino;
	if (n == 66000) {
		print_message("this file system gives a file more than 66,000 names\n");
		upload(*state, "two", large);
		assert_int_equal(blob_stat("two", large).st_ino, old);
		return;
	}
	assert_int_equal(errno, EMLINK);
	upload(*state, "two", large);
	assert_int_not_equal(blob_stat("two", large).st_ino, old);
	upload(*state, "three", large);
	assert_int_equal(blob_stat("three", large).st_ino, blob_stat("two", large).st_ino);
	/* The name in the index is free again. */
	(void)snprintf(from, sizeof(from), "%s/one/blobs/sha256/%s", root, large->encoded);
	assert_int_equal(link(from, to), 0);
	OK(store_blob_mount(*state, STR("one"), STR("four"), &large->digest, &failure));
	assert_int_not_equal(blob_stat("four", large).st_ino, old);
	assert_int_equal(store_saved(*state), LARGE);
}

/* Walks beside pushes and deletions: what was deleted stays deleted. */
struct sharer {
	struct store *store;
	atomic_bool go_on;
	unsigned linked;
};

static void *share_all(void *arg)
{
	struct sharer *sharer = arg;
	struct store_dedupe told;

	while (atomic_load(&sharer->go_on)) {
		struct error err;

		if (!store_dedupe(sharer->store, true, NULL, NULL, &told, &err))
			fail_msg("%s", err.text);
		sharer->linked += (unsigned)told.linked;
	}
	return NULL;
}

static void what_is_deleted_beside_a_walk_stays_deleted(void **state)
{
	struct large *large = large_new('w');
	struct sharer sharer = { .store = *state, .go_on = true };
	char other[512], blob[512];
	pthread_t thread;

	list(*state, "keeps");
	list(*state, "goes");
	store_fs_set_dedupe(*state, true);
	upload(*state, "keeps", large);
	(void)snprintf(other, sizeof(other), "%s/other", top);
	(void)snprintf(blob, sizeof(blob), "%s/goes/blobs/sha256/%s", root, large->encoded);
	assert_int_equal(pthread_create(&thread, NULL, share_all, &sharer), 0);
	for (int i = 0; i < 300; i++) {
		struct stat st;
		int fd = open(other, O_RDWR | O_CREAT | O_TRUNC, 0600);

		/* A file of its own, as others leave it. */
		assert_true(fd >= 0);
		OK(file_write_all(fd, large->bytes, LARGE, &failure));
		(void)close(fd);
		OK(file_make_folders(path_in_root("goes/blobs/sha256"), 0700, &failure));
		assert_int_equal(rename(other, blob), 0);
		if (i % 3)
			(void)sched_yield();
		drop(*state, "goes", large);
		(void)sched_yield();
		assert_int_not_equal(stat(blob, &st), 0);
	}
	atomic_store(&sharer.go_on, false);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(blob_stat("keeps", large).st_size, LARGE);
	print_message("%u files became links before they were deleted\n", sharer.linked);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(layout),
		TEST(refused_writes_leave_nothing),
		TEST(versions_do_not_come_back),
		TEST(clock_that_went_back),
		TEST(spool_file_is_moved),
		TEST(spool_file_of_another_disk),
		TEST(part_of_a_file),
		TEST(cut_blob_is_replaced),
		TEST(strange_files),
		TEST(many_repositories),
		TEST(catalog_of_long_names),
		TEST(folder_that_went_away),
		TEST(killed_writers),
		TEST(temp_files_of_the_dead_are_removed),
		TEST(temp_files_of_the_living_are_not),
		TEST(the_same_blob_takes_its_bytes_once),
		TEST(what_is_damaged_is_not_shared),
		TEST(off_and_on_again),
		TEST(a_walk_that_ended_early_is_made_again),
		TEST(as_many_names_as_may_be),
		TEST(what_is_deleted_beside_a_walk_stays_deleted),
	};

	return store_suite_main(top, open_next, "fs", tests, sizeof(tests) / sizeof(tests[0]));
}
