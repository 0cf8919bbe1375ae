/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_file - in a folder of its own under $TMPDIR.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "common/file.h"
#include "tests/unit/remove_tree.h"

static char root[256];
static char path_text[512];

static const char *path(const char *name)
{
	(void)snprintf(path_text, sizeof(path_text), "%s/%s", root, name);
	return path_text;
}

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	(void)snprintf(root, sizeof(root), "%s/test_file.XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	return remove_tree(root) && access(root, F_OK) != 0 ? 0 : -1;
}

static unsigned entries(void)
{
	DIR *dir = opendir(root);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static void test_write_then_read(void **state)
{
	AUTO_FINI(buf) b = buf_limit(100);
	struct stat st;

	(void)state;
	assert_true(file_write_durable(path("a"), STR("first"), 0600, NULL));
	assert_true(file_write_durable(path("a"), STR("second"), 0644, NULL));
	assert_true(file_read(path("a"), &b, NULL));
	assert_string_equal(buf_text(&b), "second");
	assert_int_equal(stat(path("a"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(entries(), 1);
	buf_clear(&b);
	assert_true(file_write_durable(path("a"), STR_NONE, 0600, NULL));
	assert_true(file_read(path("a"), &b, NULL));
	assert_int_equal(b.len, 0);
}

static void test_read_bounds(void **state)
{
	AUTO_FINI(buf) fits = buf_limit(6), small = buf_limit(5);
	struct error err;

	(void)state;
	assert_true(file_write_durable(path("a"), STR("123456"), 0600, NULL));
	assert_true(file_read(path("a"), &fits, &err));
	assert_string_equal(buf_text(&fits), "123456");
	assert_false(file_read(path("a"), &small, &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
	assert_string_equal(buf_text(&small), "");
	assert_false(file_read(path("none"), &small, &err));
	assert_int_equal(err.kind, ERROR_UNKNOWN);
	assert_int_equal(err.sys, ENOENT);
}

static void test_reads_large_files(void **state)
{
	AUTO_FINI(buf) b = buf_limit(1 << 20), back = buf_limit(1 << 20);

	(void)state;
	for (int i = 0; b.len < 300000; i++)
		buf_format(&b, "%d,", i);
	assert_true(file_write_durable(path("a"), buf_str(&b), 0600, NULL));
	assert_true(file_read(path("a"), &back, NULL));
	assert_true(str_equal(buf_str(&b), buf_str(&back)));
}

static void test_equal(void **state)
{
	AUTO_FINI(buf) b = buf_limit(300000);
	AUTO_FD first = -1;
	AUTO_FD second = -1;

	(void)state;
	while (b.len < 200000)
		buf_putc(&b, (char)(b.len / 7));
	assert_true(file_write_durable(path("a"), buf_str(&b), 0600, NULL));
	first = open(path("a"), O_RDONLY);
	b.at[199999] ^= 1;
	assert_true(file_write_durable(path("b"), buf_str(&b), 0600, NULL));
	second = open(path("b"), O_RDONLY);
	assert_true(file_equal(first, second, 199999));
	assert_false(file_equal(first, second, 200000));
	assert_false(file_equal(first, first, 200001));
	assert_false(file_equal(first, -1, 1));
}

static void test_failed_write_leaves_the_old(void **state)
{
	struct error err;

	(void)state;
	assert_int_equal(mkdir(path("folder"), 0700), 0);
	assert_false(file_write_durable(path("folder"), STR("x"), 0600, &err));
	assert_non_null(strstr(err.text, "rename to"));
	assert_int_equal(entries(), 1);
	assert_false(file_write_durable(path("none/a"), STR("x"), 0600, &err));
	assert_int_equal(err.kind, ERROR_UNKNOWN);
}

static void test_write_all_names_a_full_disk(void **state)
{
	AUTO_FD fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct error err;

	(void)state;
	if (fd < 0)
		skip();
	assert_false(file_write_all(fd, "x", 1, &err));
	assert_int_equal(err.kind, ERROR_FULL);
}

static void test_folders(void **state)
{
	struct error err;
	struct stat st;

	(void)state;
	assert_true(file_make_folders(path("a/b//c/"), 0750, &err));
	assert_true(file_make_folders(path("a/b/c"), 0750, &err));
	assert_int_equal(stat(path("a/b/c"), &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_true(file_write_durable(path("a/f"), STR("x"), 0600, NULL));
	assert_false(file_make_folders(path("a/f/g"), 0750, &err));
	assert_false(file_make_folders(path("a/f"), 0750, &err));
	assert_int_equal(err.sys, ENOTDIR);
	assert_false(file_make_folders("", 0750, &err));
	assert_true(file_sync_folder(path("a"), &err));
	assert_false(file_sync_folder(path("a/f"), &err));
}

static void test_wait_readable(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_false(file_wait_readable(ends[0], 0));
	assert_false(file_wait_readable(ends[0], 5));
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_true(file_wait_readable(ends[0], -1));
	close(ends[0]);
	close(ends[1]);
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(stat(path(name), &st), 0);
	return st.st_mode & 07777;
}

static void test_private_files_have_one_mode(void **state)
{
	static const mode_t masks[] = { 0, 022, 077, 0277, 0777 };
	mode_t before = umask(0);

	(void)state;
	for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		(void)umask(masks[i]);
		assert_true(file_keep_private(path("made"), NULL));
		assert_int_equal(mode_of("made"), 0600);
		assert_int_equal(unlink(path("made")), 0);
	}
	(void)umask(before);
}

static void test_files_that_others_may_read_are_tightened(void **state)
{
	static const mode_t modes[] = { 0644, 0660, 0604, 0400, 04755, 0600 };

	(void)state;
	assert_true(file_write_durable(path("a"), STR("a secret"), 0600, NULL));
	for (size_t i = 0; i < 2 * sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(chmod(path("a"), modes[i / 2]), 0);
		if (i % 2)
			file_tighten(path("a"));
		else
			assert_true(file_keep_private(path("a"), NULL));
		assert_int_equal(mode_of("a"), 0600);
	}
	AUTO_FINI(buf) bytes = buf_limit(100);
	assert_true(file_read(path("a"), &bytes, NULL));
	assert_string_equal(buf_text(&bytes), "a secret");
	/* What is no file is left alone, and what is not there too. */
	assert_int_equal(mkdir(path("folder"), 0755), 0);
	file_tighten(path("folder"));
	assert_int_equal(mode_of("folder"), 0755);
	file_tighten(path("none"));
	assert_int_equal(access(path("none"), F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_write_then_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_read_bounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reads_large_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_equal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed_write_leaves_the_old, set_up, tear_down),
		cmocka_unit_test(test_write_all_names_a_full_disk),
		cmocka_unit_test_setup_teardown(test_folders, set_up, tear_down),
		cmocka_unit_test(test_wait_readable),
		cmocka_unit_test_setup_teardown(test_private_files_have_one_mode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_files_that_others_may_read_are_tightened, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
