/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_event_queue - what was put is there again, in order, for each sink; a damaged end, a full queue, a disk that takes nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "tests/unit/in_folder.h"
#include "tests/unit/told_ok.h"
#include "worker/events/event_queue_priv.h"

static char top[] = "/tmp/test_event_queue.XXXXXX";
static atomic_uint more;

static void on_more(void *arg)
{
	(void)arg;
	atomic_fetch_add(&more, 1);
}

static struct event_queue *open_of(const char *name, uint64_t bytes, size_t sinks, uint64_t first_sink)
{
	struct event_queue_settings settings = { .bytes_max = bytes, .sinks_len = sinks, .on_more = on_more };
	struct event_queue *queue = NULL;
	char folder[128];

	(void)snprintf(folder, sizeof(folder), "%s/%s", top, name);
	settings.folder = folder;
	for (size_t i = 0; i < sinks; i++)
		settings.sinks[i] = first_sink + i;
	OK(event_queue_open(&queue, &settings, &failure));
	return queue;
}

static uint64_t put(struct event_queue *queue, const char *text, uint32_t order)
{
	uint64_t seq = event_queue_put(queue, str_of(text), order, 1);

	assert_true(seq);
	event_queue_settle(queue, seq, EVENT_MADE);
	return seq;
}

static struct event_place next_of(struct event_queue *queue, size_t sink)
{
	struct event_place place = { 0 };

	assert_true(event_queue_next(queue, sink, NULL, 0, &place));
	return place;
}

static void is_text(struct event_queue *queue, uint64_t seq, const char *text)
{
	AUTO_FINI(buf) found = buf_limit(4096);

	OK(event_queue_read(queue, seq, &found, &failure));
	assert_string_equal(buf_text(&found), text);
}

static bool is_empty(struct event_queue *queue, size_t sink)
{
	struct event_place place;

	return !event_queue_next(queue, sink, NULL, 0, &place);
}

static void test_order_within_a_repository(void **state)
{
	AUTO(event_queue) *queue = open_of("order", EVENT_QUEUE_LEAST, 1, 1);
	uint64_t first = put(queue, "a1", 7), second = put(queue, "a2", 7), other = put(queue, "b1", 8);
	const uint32_t busy[] = { 7 };
	struct event_place place;

	(void)state;
	assert_true(next_of(queue, 0).seq == first);
	assert_true(event_queue_next(queue, 0, busy, 1, &place) && place.seq == other);
	event_queue_done(queue, 0, first);
	assert_true(next_of(queue, 0).seq == second);
	event_queue_done(queue, 0, other);
	is_text(queue, second, "a2");
	event_queue_done(queue, 0, second);
	assert_true(is_empty(queue, 0));
	assert_int_equal(event_queue_stats(queue).queued[0], 0);
}

/* Thousands that wait behind one that is not taken hold their repository alone. */
static void test_a_repository_that_is_held_holds_no_other(void **state)
{
	AUTO(event_queue) *queue = open_of("held", 4u * 1024 * 1024, 1, 1);
	const uint32_t busy[] = { 7 };
	struct event_place place;
	uint64_t other;

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		put(queue, "x", 7);
	assert_false(event_queue_next(queue, 0, busy, 1, &place));
	other = put(queue, "other", 8);
	assert_true(event_queue_next(queue, 0, busy, 1, &place) && place.seq == other);
}

/* One that is about to be made holds those of its repository behind it, and one that was not made holds nobody. */
static void test_about_and_not_made(void **state)
{
	AUTO(event_queue) *queue = open_of("about", EVENT_QUEUE_LEAST, 1, 1);
	uint64_t about = event_queue_put(queue, STR("about"), 7, 1), other;
	unsigned told;

	(void)state;
	put(queue, "behind", 7);
	other = put(queue, "other", 8);
	assert_true(next_of(queue, 0).seq == other);
	assert_true(event_queue_stats(queue).queued[0] == 3 && event_queue_stats(queue).oldest_ms[0]);
	told = atomic_load(&more);
	event_queue_settle(queue, about, EVENT_NOT_MADE);
	assert_true(atomic_load(&more) == told + 1); /* somebody has to look for what was behind it */
	is_text(queue, next_of(queue, 0).seq, "behind");
	assert_int_equal(event_queue_stats(queue).queued[0], 2);
	event_queue_await(queue, other);
}

/* Sinks are known by their ids. Who was not there when it was put is not told. What was about to be is in doubt. */
static void test_it_is_there_again(void **state)
{
	struct event_queue *queue = open_of("again", EVENT_QUEUE_LEAST, 2, 1);
	uint64_t first = put(queue, "one", 1), second = put(queue, "two", 2);
	struct event_place place;

	(void)state;
	event_queue_done(queue, 0, first);
	(void)event_queue_put(queue, STR("three"), 3, 2);
	event_queue_settle(queue, event_queue_put(queue, STR("four"), 4, 1), EVENT_NOT_MADE);
	event_queue_free(queue);
	queue = open_of("again", EVENT_QUEUE_LEAST, 2,
		2); /* the second one is the first now, and a new one is there */
	assert_true(is_empty(queue, 1));
	assert_int_equal(event_queue_stats(queue).queued[0], 4);
	assert_true(next_of(queue, 0).seq == first && !next_of(queue, 0).doubt);
	event_queue_done(queue, 0, first);
	event_queue_done(queue, 0, second);
	place = next_of(queue, 0);
	assert_true(place.doubt);
	is_text(queue, place.seq, "three");
	event_queue_settle(queue, place.seq, EVENT_MADE);
	assert_false(next_of(queue, 0).doubt);
	put(queue, "five", 5);
	assert_int_equal(event_queue_stats(queue).queued[1], 1);
	event_queue_free(queue);
	queue = open_of("again", EVENT_QUEUE_LEAST, 2,
		1); /* the first again: it has had one, and was away for the rest */
	assert_int_equal(event_queue_stats(queue).queued[0], 1 + 2);
	event_queue_free(queue);
}

static void newest_of(const char *name, char path[512])
{
	char folder[128], newest[64] = "";
	const struct dirent *entry;
	DIR *dir;

	(void)snprintf(folder, sizeof(folder), "%s/%s", top, name);
	dir = opendir(folder);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (str_ends(str_of(entry->d_name), ".events") && strcmp(entry->d_name, newest) > 0)
			assert_true(str_copy(str_of(entry->d_name), newest, sizeof(newest)));
	(void)closedir(dir);
	(void)snprintf(path, 512, "%s/%s", folder, newest);
}

/* At whatever byte the file ends, or is another: all before is there, nothing behind, and it goes on. */
static void test_a_damaged_end(void **state)
{
	AUTO_FINI(buf) whole = buf_limit(65536);
	struct event_queue *queue = open_of("cut", EVENT_QUEUE_LEAST, 1, 1);
	char path[512];
	size_t one, two;

	(void)state;
	put(queue, "one", 1);
	newest_of("cut", path);
	OK(file_read(path, &whole, &failure));
	one = whole.len;
	put(queue, "two", 2);
	event_queue_free(queue);
	buf_clear(&whole);
	OK(file_read(path, &whole, &failure));
	two = whole.len;
	for (size_t at = one; at < two; at += 3)
		for (unsigned flip = 0; flip < 2; flip++) {
			AUTO_STR *copy = str_dup(buf_str(&whole));

			copy[at] ^= 0x10;
			OK(remove_tree(top) && file_make_folders(top, 0700, &failure));
			queue = open_of("cut", EVENT_QUEUE_LEAST, 1, 1);
			event_queue_free(queue);
			newest_of("cut", path);
			OK(file_write_durable(path, str_from(copy, flip ? two : at), 0600, &failure));
			queue = open_of("cut", EVENT_QUEUE_LEAST, 1, 1);
			is_text(queue, next_of(queue, 0).seq, "one");
			put(queue, "three", 1);
			event_queue_free(queue);
			queue = open_of("cut", EVENT_QUEUE_LEAST, 1, 1);
			event_queue_done(queue, 0, next_of(queue, 0).seq);
			while (!is_empty(queue, 0) && next_of(queue, 0).doubt)
				event_queue_done(
					queue, 0, next_of(queue, 0).seq); /* "two", whose mark was cut off */
			is_text(queue, next_of(queue, 0).seq, "three");
			event_queue_free(queue);
		}
}

/* However often it starts, nothing goes that somebody needs. */
static void test_many_starts(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3 * EVENT_QUEUE_FILES; i++) {
		struct event_queue *queue = open_of("starts", EVENT_QUEUE_LEAST, 1, 1);

		assert_int_equal(event_queue_stats(queue).queued[0], i);
		put(queue, "one more", i);
		event_queue_free(queue);
	}
}

static void test_a_file_of_another_kind(void **state)
{
	char path[512];

	(void)state;
	event_queue_free(open_of("kind", EVENT_QUEUE_LEAST, 1, 1));
	newest_of("kind", path);
	OK(file_write_durable(
		path, STR("zot events 2\n and what a newer version means by it"), 0600, &failure));
	AUTO(event_queue) *queue = open_of("kind", EVENT_QUEUE_LEAST, 1, 1);
	assert_true(is_empty(queue, 0));
	put(queue, "one", 1);
}

static void test_full(void **state)
{
	struct event_queue *queue = open_of("full", EVENT_QUEUE_LEAST, 2, 1);
	struct event_queue_stats stats;
	char text[32];
	uint64_t last = 0, lost;

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		(void)snprintf(text, sizeof(text), "number %u", i);
		last = put(queue, text, i);
		event_queue_done(queue, 1, last);
	}
	stats = event_queue_stats(queue);
	assert_true(stats.bytes <= EVENT_QUEUE_LEAST && !stats.queued[1] && !stats.dropped[1]);
	assert_true(stats.queued[0] + stats.dropped[0] == 5000 && stats.dropped[0] > 1000 &&
		    stats.queued[0] > 100);
	lost = stats.dropped[0];
	(void)snprintf(text, sizeof(text), "number %u", (unsigned)lost);
	is_text(queue, next_of(queue, 0).seq, text);
	event_queue_free(queue);
	queue = open_of("full", EVENT_QUEUE_LEAST, 2, 1);
	assert_int_equal(event_queue_stats(queue).queued[0], 5000 - lost);
	assert_int_equal(event_queue_stats(queue).queued[1], 0);
	is_text(queue, next_of(queue, 0).seq, text);
	while (!is_empty(queue, 0))
		event_queue_done(queue, 0, next_of(queue, 0).seq);
	assert_true(event_queue_stats(queue).bytes < EVENT_QUEUE_LEAST / 4);
	event_queue_free(queue);
}

/* A disk without room: nobody is refused, and it goes on where there is room again. */
static void test_a_disk_that_takes_nothing(void **state)
{
	AUTO(event_queue) *queue = open_of("disk", EVENT_QUEUE_LEAST, 1, 1);
	struct rlimit before, none;

	(void)state;
	put(queue, "one", 1);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	none = before;
	none.rlim_cur = 160; /* half of a frame is taken */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_true(!event_queue_put(queue,
		STR("two: it is long enough to go over the limit, all by itself, in one write"), 1, 3));
	assert_true(!event_queue_put(queue,
		STR("three: the same, so that a half of it would be there twice, if it was left"), 1, 1));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(event_queue_stats(queue).dropped[0], 4);
	put(queue, "four", 1);
	event_queue_free(TAKE(queue));
	queue = open_of("disk", EVENT_QUEUE_LEAST, 1, 1);
	event_queue_done(queue, 0, next_of(queue, 0).seq);
	is_text(queue, next_of(queue, 0).seq, "four");
}

static pthread_mutex_t disk = PTHREAD_MUTEX_INITIALIZER;

/* Of libc, as the queue calls it here: it takes as long as `disk` is held. */
int fdatasync(int fd)
{
	(void)pthread_mutex_lock(&disk);
	(void)pthread_mutex_unlock(&disk);
	return (int)syscall(SYS_fdatasync, fd);
}

/* A disk that hangs costs one wait, and not one for each who comes. */
static void test_a_disk_that_hangs(void **state)
{
	AUTO(event_queue) *queue = open_of("hangs", EVENT_QUEUE_LEAST, 1, 1);
	int64_t begun = clock_ms();
	uint64_t last = 0;

	(void)state;
	assert_int_equal(pthread_mutex_lock(&disk), 0);
	for (unsigned i = 0; i < 100; i++)
		event_queue_await(queue, last = put(queue, "x", i));
	assert_true(clock_ms() - begun < 100 * EVENT_QUEUE_WAIT_MS / 2);
	assert_int_equal(pthread_mutex_unlock(&disk), 0);
	for (bool synced = false; !synced;) {
		lock_take(&queue->lock);
		synced = queue->synced_seq == last && !queue->late;
		lock_drop(&queue->lock);
	}
	event_queue_await(queue, last);
}

static void test_one_process(void **state)
{
	AUTO(event_queue) *queue = open_of("lock", EVENT_QUEUE_LEAST, 1, 1);
	struct event_queue_settings settings = { .bytes_max = EVENT_QUEUE_LEAST, .on_more = on_more };
	struct event_queue *second = NULL;
	char folder[128];

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/lock", top);
	settings.folder = folder;
	assert_false(event_queue_open(&second, &settings, &failure));
	assert_int_equal(failure.kind, ERROR_CONFLICT);
}

#define PUTTERS 4
#define PUTS    500

static void *run_puts(void *arg)
{
	struct event_queue *queue = arg;

	for (unsigned i = 0; i < PUTS; i++)
		event_queue_await(queue, put(queue, "x", (uint32_t)i));
	return NULL;
}

static void test_many_threads(void **state)
{
	AUTO(event_queue) *queue = open_of("threads", 4u * 1024 * 1024, 1, 1);
	pthread_t threads[PUTTERS];
	unsigned had = 0;

	(void)state;
	for (unsigned i = 0; i < PUTTERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, run_puts, queue), 0);
	while (had < PUTTERS * PUTS)
		if (!is_empty(queue, 0)) {
			event_queue_done(queue, 0, next_of(queue, 0).seq);
			had++;
		}
	for (unsigned i = 0; i < PUTTERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(is_empty(queue, 0) && atomic_load(&more) >= PUTTERS * PUTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_within_a_repository),
		cmocka_unit_test(test_a_repository_that_is_held_holds_no_other),
		cmocka_unit_test(test_about_and_not_made),
		cmocka_unit_test(test_it_is_there_again),
		cmocka_unit_test(test_a_damaged_end),
		cmocka_unit_test(test_many_starts),
		cmocka_unit_test(test_a_file_of_another_kind),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_a_disk_that_takes_nothing),
		cmocka_unit_test(test_a_disk_that_hangs),
		cmocka_unit_test(test_one_process),
		cmocka_unit_test(test_many_threads),
	};

	return RUN_IN_FOLDER(top, tests);
}
