/* SPDX-License-Identifier: Apache-2.0 */
/* ceilings: what is believed after a kill is never below what was written, or nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/file.h"
#include "tests/unit/remove_tree.h"
#include "worker/cluster/ceilings.h"
#include "worker/cluster/data_file.h"

static char folder[64], path[96];

static int start(void **state)
{
	(void)state;
	memcpy(folder, "/tmp/zot-ceil-XXXXXX", 21);
	assert_non_null(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/usage.ceilings", folder);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	return remove_tree(folder) ? 0 : -1;
}

static char one_name[] = "one", two_name[] = "a key\nwith lines";

static struct ceiling of(char *apikey, uint64_t used)
{
	return (struct ceiling){ .apikey = apikey, .day = "2026-11-20", .used = used };
}

/* -1: there is none. */
static int64_t loaded(const char *apikey)
{
	char boot[CEILINGS_BOOT_SIZE];
	struct ceiling *list = NULL;
	int64_t used = -1;
	struct error err;
	size_t len = 0;

	assert_true(ceilings_load(path, boot, &list, &len, &err));
	for (size_t i = 0; i < len; i++) {
		assert_string_equal(boot, "b1");
		assert_string_equal(list[i].day, "2026-11-20");
		if (!strcmp(list[i].apikey, apikey))
			used = (int64_t)list[i].used;
	}
	ceiling_list_free(list, len);
	return used;
}

/* A whole file, then lines. */
static void write_some(void)
{
	AUTO(ceilings) *ceilings = ceilings_new(path, "b1");
	struct ceiling first[] = { of(one_name, 1), of(two_name, 5) };
	struct ceiling then[] = { of(one_name, 8) }, last[] = { of(two_name, 6) };
	struct error err;

	assert_true(ceilings_wants_all(ceilings));
	assert_true(ceilings_write(ceilings, first, 2, &err));
	assert_false(ceilings_wants_all(ceilings));
	assert_true(ceilings_append(ceilings, then, 1, &err));
	assert_true(ceilings_append(ceilings, last, 1, &err));
}

static void the_last_line_counts(void **state)
{
	(void)state;
	assert_int_equal(loaded(one_name), -1);
	write_some();
	assert_int_equal(loaded(one_name), 8);
	assert_int_equal(loaded(two_name), 6);
}

static void a_torn_end_is_passed_over(void **state)
{
	AUTO_FINI(buf) text = buf_limit(65536);
	struct error err;

	(void)state;
	write_some();
	assert_true(file_read(path, &text, &err));
	for (size_t cut = 1; cut < 30; cut++) {
		assert_true(file_write_durable(path, str_from(text.at, text.len - cut), 0600, &err));
		assert_int_equal(loaded(one_name), 8);
		assert_int_equal(loaded(two_name), 5);
	}
	/* Pages that never came to the disk. */
	memset(text.at + text.len - 20, '\0', 20);
	assert_true(file_write_durable(path, buf_str(&text), 0600, &err));
	assert_int_equal(loaded(two_name), 5);
}

static void a_damaged_line_with_good_ones_behind_closes_nothing(void **state)
{
	AUTO_FINI(buf) text = buf_limit(65536);
	char boot[CEILINGS_BOOT_SIZE];
	struct ceiling *list = NULL;
	size_t len = 0, lines_end;
	struct error err;

	(void)state;
	write_some();
	assert_true(file_read(path, &text, &err));
	lines_end = text.len - 60; /* within the last line but one, or before it */
	for (size_t i = 0; i < lines_end; i++) {
		text.at[i] ^= 0x01;
		assert_true(file_write_durable(path, buf_str(&text), 0600, &err));
		assert_false(ceilings_load(path, boot, &list, &len, &err));
		assert_null(list);
		assert_non_null(strstr(err.text, "usage.ceilings"));
		text.at[i] ^= 0x01;
	}
}

static void a_file_that_grew_is_written_whole(void **state)
{
	AUTO(ceilings) *ceilings = ceilings_new(path, "b1");
	struct ceiling one = of(one_name, 0);
	struct error err;

	(void)state;
	assert_true(ceilings_write(ceilings, &one, 1, &err));
	while (!ceilings_wants_all(ceilings)) {
		struct ceiling many[2000];

		for (size_t i = 0; i < 2000; i++)
			many[i] = of(one_name, ++one.used);
		assert_true(ceilings_append(ceilings, many, 2000, &err));
	}
	one.used++;
	assert_true(ceilings_write(ceilings, &one, 1, &err));
	assert_false(ceilings_wants_all(ceilings));
	assert_int_equal(loaded(one_name), one.used);
	assert_true(ceilings_remove(ceilings, &err));
	assert_true(ceilings_wants_all(ceilings));
	assert_int_equal(access(path, F_OK), -1);
	assert_true(ceilings_remove(ceilings, &err));
}

static void one_of_a_newer_version_is_refused(void **state)
{
	char boot[CEILINGS_BOOT_SIZE];
	struct ceiling *list = NULL;
	struct error err;
	size_t len = 0;

	(void)state;
	assert_true(file_write_durable(path, STR("zot ceilings 3 b1\nwhatever\n"), 0600, &err));
	assert_false(ceilings_load(path, boot, &list, &len, &err));
	assert_string_equal(err.code, DATA_FILE_NEWER);
	assert_non_null(strstr(
		err.text, "of format 3, written by a newer zot-worker; this one (" ZOT_VERSION ") reads 2"));
	assert_non_null(strstr(err.text, path));
	assert_null(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_last_line_counts, start, stop),
		cmocka_unit_test_setup_teardown(a_torn_end_is_passed_over, start, stop),
		cmocka_unit_test_setup_teardown(
			a_damaged_line_with_good_ones_behind_closes_nothing, start, stop),
		cmocka_unit_test_setup_teardown(a_file_that_grew_is_written_whole, start, stop),
		cmocka_unit_test_setup_teardown(one_of_a_newer_version_is_refused, start, stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
