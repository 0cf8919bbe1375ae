/* SPDX-License-Identifier: Apache-2.0 */
/* audit: lines, a file that is moved away, a disk that is full, many writers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <signal.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/json.h"
#include "common/pool.h"
#include "tests/unit/remove_tree.h"
#include "worker/front/audit.h"

static char folder[64], path[96], moved[96];
static struct pool *pool;
static struct audit *audit;
static counter lost;

static int start(void **state)
{
	(void)state;
	memcpy(folder, "/tmp/zot-audit-XXXXXX", 22);
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/audit", folder);
	(void)snprintf(moved, sizeof(moved), "%s/audit.1", folder);
	lost = 0;
	assert_true(pool_new(&pool, 2, 10, NULL));
	assert_true(audit_open(&audit, path, pool, &lost, NULL));
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return remove_tree(folder) ? 0 : -1;
}

static void finish(void)
{
	pool_free(pool);
	audit_free(audit);
}

static void put(const char *object)
{
	audit_put(audit, &(struct audit_event){ .client = "192.0.2.1",
				 .subject = "ann",
				 .apikey = "",
				 .peer = "",
				 .action = "PUT",
				 .object = str_of(object),
				 .status = 201 });
}

static size_t lines_of(const char *file, struct buf *text)
{
	size_t n = 0;

	*text = buf_limit(64u * 1024 * 1024);
	assert_true(file_read(file, text, NULL));
	for (size_t i = 0; i < text->len; i++)
		n += text->at[i] == '\n';
	return n;
}

static void a_line_is_json(void **state)
{
	AUTO(json_doc) *doc = NULL;
	AUTO_FINI(buf) text = { 0 };
	struct error err;

	(void)state;
	put("/v2/a\"b/\x01\xff?x=\n");
	finish();
	assert_int_equal(lines_of(path, &text), 1);
	if (!json_parse(buf_str(&text), &doc, &err))
		fail_msg("%s", err.text);
	assert_true(str_is(json_str(json_find(json_root(doc), "subject")), "ann"));
	assert_true(str_is(json_str(json_find(json_root(doc), "clientIP")), "192.0.2.1"));
	assert_true(str_starts(json_str(json_find(json_root(doc), "object")), "/v2/a\"b/"));
}

static void *put_many(void *arg)
{
	for (int i = 0; i < 500; i++)
		put(arg);
	return NULL;
}

static void writers_do_not_mix(void **state)
{
	AUTO_FINI(buf) text = { 0 };
	pthread_t threads[4];
	struct str rest, line;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_many, (void *)(uintptr_t) "/v2/x"), 0);
	for (int i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	finish();
	assert_int_equal(lines_of(path, &text) + lost, 2000);
	assert_int_equal(lost, 0);
	for (rest = buf_str(&text); str_until(&rest, '\n', &line);)
		assert_true(str_starts(line, "{\"time\":") && str_ends(line, "\"status\":201}"));
}

static void await_lines(const char *file, size_t wanted)
{
	for (int i = 0; i < 1000; i++) {
		AUTO_FINI(buf) text = { 0 };
		if (lines_of(file, &text) + counter_get(&lost) == wanted)
			return;
		(void)usleep(10000);
	}
	fail_msg("%zu lines did not come", wanted);
}

static void a_file_that_was_moved_is_made_anew(void **state)
{
	AUTO_FINI(buf) text = { 0 };

	(void)state;
	put("/v2/before");
	await_lines(path, 1);
	assert_int_equal(rename(path, moved), 0);
	put("/v2/still-the-old");
	await_lines(moved, 2);
	audit_reopen(audit);
	put("/v2/after");
	finish();
	assert_int_equal(lines_of(path, &text), 1);
	assert_non_null(strstr(buf_text(&text), "/v2/after"));
}

/* A limit of the file's size stands for a full disk: a line is cut, the next ones fail. */
static void a_full_disk_loses_lines_and_tears_none(void **state)
{
	AUTO_FINI(buf) text = { 0 };
	struct rlimit before, small;
	struct str rest, line;
	size_t whole = 0, torn = 0;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 20; i++)
		put("/v2/full");
	await_lines(path, 20);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_true(counter_get(&lost) > 10);
	put("/v2/room");
	finish();
	(void)lines_of(path, &text);
	for (rest = buf_str(&text); str_until(&rest, '\n', &line);) {
		bool is_whole = str_starts(line, "{\"time\":") && str_ends(line, "\"status\":201}");
		whole += is_whole;
		torn += !is_whole;
	}
	assert_int_equal(whole, 21 - counter_get(&lost));
	assert_int_equal(torn, 1);
	assert_true(str_ends(str_from(text.at, text.len - 1), "\"/v2/room\",\"status\":201}"));
}

static void a_folder_that_is_not_there_is_told(void **state)
{
	struct audit *none;
	struct error err;

	(void)state;
	finish();
	assert_false(audit_open(&none, "/nowhere/audit", NULL, &lost, &err));
	assert_non_null(strstr(err.text, "log.audit"));
	assert_non_null(strstr(err.text, "/nowhere/audit"));
}

int main(void)
{
#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, start, stop)
	const struct CMUnitTest tests[] = {
		WITH_FILE(a_line_is_json),
		WITH_FILE(writers_do_not_mix),
		WITH_FILE(a_file_that_was_moved_is_made_anew),
		WITH_FILE(a_full_disk_loses_lines_and_tears_none),
		WITH_FILE(a_folder_that_is_not_there_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
