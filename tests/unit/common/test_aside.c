/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_aside - in a folder of its own under $TMPDIR.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

#include "common/aside.h"
#include "common/clock.h"
#include "common/file.h"
#include "tests/unit/remove_tree.h"

static char root[200], path[256];

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	(void)snprintf(root, sizeof(root), "%s/test_aside.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(root))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/journal", root);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return remove_tree(root) ? 0 : -1;
}

static void write_text(const char *text)
{
	struct error err;

	assert_true(file_write_durable(path, str_of(text), 0600, &err));
}

static void assert_holds(const char *file, const char *text)
{
	AUTO_FINI(buf) found = buf_limit(4096);
	struct error err;

	assert_true(file_read(file, &found, &err));
	assert_string_equal(buf_text(&found), text);
}

static unsigned count_files(void)
{
	DIR *folder = opendir(root);
	unsigned n = 0;

	assert_non_null(folder);
	for (const struct dirent *entry; (entry = readdir(folder));)
		n += entry->d_name[0] != '.';
	(void)closedir(folder);
	return n;
}

static void what_is_kept_stays_when_the_file_is_written_anew(void **state)
{
	AUTO_FINI(buf) name = buf_limit(1024);
	struct error err;

	(void)state;
	write_text("of before");
	assert_true(aside_keep(path, "damaged", &name, &err));
	assert_non_null(strstr(buf_text(&name), "/journal.damaged-2"));
	assert_holds(path, "of before");
	write_text("new");
	assert_holds(path, "new");
	assert_holds(buf_text(&name), "of before");
}

/* The clock's next millisecond, so that each has a name of its own. */
static void wait_a_moment(void)
{
	for (int64_t begun = clock_wall_ms(); clock_wall_ms() == begun;)
		;
}

static void the_newest_few_of_a_word_are_kept(void **state)
{
	struct error err;
	char text[16];

	(void)state;
	write_text("of another word");
	AUTO_FINI(buf) other = buf_limit(1024);
	assert_true(aside_keep(path, "newer", &other, &err));
	AUTO_FINI(buf) last = buf_limit(1024);
	for (unsigned i = 0; i < ASIDE_MOST + 2; i++) {
		(void)snprintf(text, sizeof(text), "number %u", i);
		write_text(text);
		buf_clear(&last);
		assert_true(aside_keep(path, "damaged", &last, &err));
		wait_a_moment();
	}
	assert_int_equal(count_files(), 1 + 1 + ASIDE_MOST);
	assert_holds(buf_text(&last), text);
	assert_holds(buf_text(&other), "of another word");
}

static void what_is_not_there_is_told(void **state)
{
	AUTO_FINI(buf) name = buf_limit(1024);
	struct error err;

	(void)state;
	assert_false(aside_keep(path, "damaged", &name, &err));
	assert_non_null(strstr(err.text, path));
}

static void a_folder_stays_where_it_is(void **state)
{
	AUTO_FINI(buf) name = buf_limit(1024);
	struct error err;

	(void)state;
	assert_true(file_make_folders(path, 0700, &err));
	assert_false(aside_keep(path, "damaged", &name, &err));
	assert_non_null(strstr(err.text, "is no file"));
	assert_int_equal(count_files(), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_is_kept_stays_when_the_file_is_written_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_newest_few_of_a_word_are_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_there_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_folder_stays_where_it_is, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
