/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_index_pulls - sums of pulls, in rows that copies share, and as text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "worker/index/index_pulls.h"

static void add(struct index_rows *rows, const char *key, uint64_t count, int64_t last_ms)
{
	index_pulls_add(rows, &(struct index_pull){ .key = str_of(key), .count = count, .last_ms = last_ms });
}

static void assert_pulls(const struct index_rows *rows, const char *key, uint64_t count, int64_t last_ms)
{
	struct index_pull found = index_pulls_find(rows, str_of(key));

	assert_int_equal(found.count, count);
	assert_int_equal(found.last_ms, last_ms);
}

static void they_add_up(void **state)
{
	struct index_rows rows = { .kind = &index_pulls_kind }, copy = { .kind = &index_pulls_kind };

	(void)state;
	assert_pulls(&rows, "v1", 0, 0);
	add(&rows, "v1", 2, 50);
	add(&rows, "v", 1, 7);
	index_rows_copy(&copy, &rows);
	add(&rows, "v1", 3, 40);
	assert_pulls(&rows, "v1", 5, 50);
	add(&rows, "v1", 1, 60);
	assert_pulls(&rows, "v1", 6, 60);
	assert_pulls(&rows, "v", 1, 7);
	assert_pulls(&copy, "v1", 2, 50);
	index_pulls_drop(&copy, STR("v1"));
	index_pulls_drop(&copy, STR("never there"));
	assert_pulls(&copy, "v1", 0, 0);
	assert_pulls(&copy, "v", 1, 7);
	assert_pulls(&rows, "v1", 6, 60);
	index_rows_fini(&rows);
	index_rows_fini(&copy);
}

static void they_end_somewhere(void **state)
{
	struct index_rows rows = { .kind = &index_pulls_kind };

	(void)state;
	add(&rows, "v1", UINT64_MAX, 1);
	assert_pulls(&rows, "v1", INDEX_PULLS_MAX, 1);
	add(&rows, "v1", UINT64_MAX, 2);
	assert_pulls(&rows, "v1", INDEX_PULLS_MAX, 2);
	index_rows_fini(&rows);
}

static struct index_rows read_all(const char *text)
{
	struct index_rows rows = { .kind = &index_pulls_kind };
	AUTO(json_doc) *doc = NULL;
	const struct json *value;
	struct index_pull pull;
	struct str key;

	assert_true(json_parse(str_of(text), &doc, NULL));
	for (void *it = NULL; json_next(json_root(doc), &it, &key, &value);)
		if (index_pulls_read(key, value, &pull))
			index_pulls_add(&rows, &pull);
	return rows;
}

static void as_text(void **state)
{
	AUTO_FINI(buf) text = buf_limit(1024);
	struct json_writer writer = json_writer(&text);
	struct index_rows rows = { .kind = &index_pulls_kind }, read;

	(void)state;
	add(&rows, "v1", INDEX_PULLS_MAX, 1763740000123);
	add(&rows, "sha256:00", 3, 0);
	json_open_object(&writer);
	index_pulls_write_all(&rows, &writer);
	json_close_object(&writer);
	assert_string_equal(buf_text(&text), "{\"sha256:00\":[3,0],\"v1\":[9007199254740992,1763740000123]}");
	read = read_all(buf_text(&text));
	assert_int_equal(read.len, 2);
	assert_pulls(&read, "v1", INDEX_PULLS_MAX, 1763740000123);
	assert_pulls(&read, "sha256:00", 3, 0);
	index_rows_fini(&read);
	index_rows_fini(&rows);
}

static void what_is_damaged_is_passed_over(void **state)
{
	struct index_rows read =
		read_all("{\"a\":3,\"b\":[],\"c\":[1],\"d\":[0,5],\"e\":[-1,5],\"f\":[1,-5],\"g\":[\"1\",5],"
			 "\"h\":[9007199254740993,5],\"i\":[1,9007199254740993],\"j\":{\"0\":1},\"k\":[1.5,5]"
			 ",\"good\":[1,5]}");

	(void)state;
	assert_int_equal(read.len, 1);
	assert_pulls(&read, "good", 1, 5);
	index_rows_fini(&read);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_add_up),
		cmocka_unit_test(they_end_somewhere),
		cmocka_unit_test(as_text),
		cmocka_unit_test(what_is_damaged_is_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
