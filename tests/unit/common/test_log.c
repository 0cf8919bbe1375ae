/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_log - lines as they arrive in a file: both forms, bounds, quoting, threads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

#include "common/file.h"
#include "common/json.h"
#include "common/log.h"
#include "tests/unit/remove_tree.h"

static char folder[256], path[300];
static struct buf text;

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/test_log.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/log", folder);
	buf_init(&text, 4 << 20);
	return log_open(path) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	buf_fini(&text);
	return remove_tree(folder) ? 0 : -1;
}

/* What was logged since the last call. */
static const char *logged(void)
{
	buf_clear(&text);
	assert_true(file_read(path, &text, NULL));
	assert_int_equal(truncate(path, 0), 0);
	return buf_text(&text);
}

/* The line behind its time, which is looked at here. */
static const char *behind_time(const char *line)
{
	assert_memory_equal(line, "time=20", 7);
	assert_memory_equal(line + 28, "Z ", 2);
	return line + 30;
}

static void test_logfmt(void **state)
{
	(void)state;
	log_init(LOG_INFO, false);
	log_info("pull.done", "name=%s bytes=%d", "a/b", 3);
	assert_string_equal(behind_time(logged()), "level=info event=pull.done name=a/b bytes=3\n");
	log_warn("plain", "%s", "");
	assert_string_equal(behind_time(logged()), "level=warn event=plain\n");
	log_error("x", "a=%s", "one\ntwo\x1b[31m");
	assert_string_equal(behind_time(logged()), "level=error event=x a=one two [31m\n");
}

static void test_levels(void **state)
{
	(void)state;
	log_init(LOG_WARN, false);
	log_info("no", "a=1");
	log_debug("no", "a=1");
	assert_string_equal(logged(), "");
	assert_false(log_enabled(LOG_INFO));
	assert_true(log_enabled(LOG_WARN) && log_enabled(LOG_ERROR));
	assert_false(log_open("/nonexistent/log"));
	log_warn("yes", "a=1");
	assert_non_null(strstr(logged(), "event=yes"));
}

static struct json_doc *logged_json(void)
{
	struct json_doc *doc = NULL;
	struct error err;

	logged();
	assert_true(str_ends(buf_str(&text), "}\n"));
	assert_ptr_equal(strchr(buf_text(&text), '\n'), text.at + text.len - 1);
	if (!json_parse(buf_str(&text), &doc, &err))
		fail_msg("%s: %s", err.text, buf_text(&text));
	return doc;
}

static void test_json_members(void **state)
{
	log_init(LOG_INFO, true);
	log_info("pull.done",
		"name=%s bytes=%d quoted=%s ok=true ratio=-1.50 id=0123 big=12345678901234567890 empty= "
		"end=%s",
		"a/b=c", 3, log_quote(STR("a \"b\"\\\n\x01\xff c=d")), "x");
	AUTO(json_doc) *doc = logged_json();

	(void)state;
	assert_non_null(strstr(buf_text(&text),
		"\"level\":\"info\",\"message\":\"pull.done\",\"name\":\"a/b=c\",\"bytes\":3,"
		"\"quoted\":\"a \\\"b\\\"\\\\\\n\\\\x01\\\\xff c=d\",\"ok\":true,\"ratio\":-1.50,"
		"\"id\":\"0123\",\"big\":\"12345678901234567890\",\"empty\":\"\",\"end\":\"x\"}\n"));
	assert_true(str_ends(json_str(json_find(json_root(doc), "time")), "Z"));
}

static void test_json_of_anything(void **state)
{
	static const char *const tails[] = {
		"",
		" ",
		"just words",
		"words a=1 more words",
		"a=\"open",
		"a=\"open\\",
		"=",
		"==",
		"a==",
		"a",
		"\"",
		"\\",
		"a=\"x\"y=1",
		"time=1 level=2 message=3 text=4",
		"a=\xff\xfe",
		"a=\"\\q\\u0041\"",
		"a=- b=1. c=.5 d=1e5 e=--1",
		"a=\"b\\\"\" c=\"\"",
	};

	(void)state;
	log_init(LOG_INFO, true);
	for (size_t i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
		log_info("event \"quoted\"", "%s", tails[i]);
		json_doc_free(logged_json());
	}
	log_info("e", "words a=1 more words");
	assert_non_null(strstr(logged(), ",\"text\":\"words\",\"a\":1,\"text2\":\"more words\"}\n"));
}

static void test_lines_are_bounded(void **state)
{
	char big[20000];

	(void)state;
	memset(big, '"', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_init(LOG_INFO, false);
	log_info("e", "a=%s", big);
	logged();
	assert_in_range(text.len, 3000, 4096);
	assert_true(str_ends(buf_str(&text), "...\n"));
	log_init(LOG_INFO, true);
	log_info("e", "first=1 a=x%s", big);
	json_doc_free(logged_json());
	assert_in_range(text.len, 50, 4096);
	assert_non_null(strstr(buf_text(&text), "\"first\":1,\"cut\":true}"));
}

static void test_quote(void **state)
{
	char big[2000];
	const char *four[4];

	(void)state;
	assert_string_equal(
		log_quote(STR("a\"\\\r\n\t\x00\x7f\xc3z")), "\"a\\\"\\\\\\r\\n\\t\\x00\\x7f\\xc3z\"");
	assert_string_equal(log_quote(STR_NONE), "\"\"");
	memset(big, '\n', sizeof(big));
	assert_in_range(strlen(log_quote(str_from(big, sizeof(big)))), 500, 511);
	assert_true(str_ends(str_of(log_quote(str_from(big, sizeof(big)))), "...\""));
	for (int i = 0; i < 4; i++)
		four[i] = log_quote(str_from(&"abcd"[i], 1));
	assert_string_equal(four[0], "\"a\"");
	assert_string_equal(four[3], "\"d\"");
}

static void *log_many(void *arg)
{
	const char *name = arg;

	for (int i = 0; i < 200; i++)
		log_info("many", "name=%s i=%d", log_quote(str_of(name)), i);
	return NULL;
}

static void test_threads_do_not_mix_lines(void **state)
{
	char names[4][2] = { "a", "b", "c", "d" };
	struct str left, line;
	pthread_t threads[4];
	unsigned lines = 0;

	(void)state;
	log_init(LOG_INFO, false);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	logged();
	for (left = buf_str(&text); str_until(&left, '\n', &line); lines++)
		assert_true(str_starts(line, "time=") && line.len < 90);
	assert_int_equal(lines, 800);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_logfmt, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_levels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_json_members, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_json_of_anything, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lines_are_bounded, set_up, tear_down),
		cmocka_unit_test(test_quote),
		cmocka_unit_test_setup_teardown(test_threads_do_not_mix_lines, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
