/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing outside of the root is reached, with openat2(2) and without: whatever links lie where.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/check.h"
#include "common/file.h"
#include "tests/unit/in_folder.h"
#include "worker/storage/fs_at.h"
#include "worker/storage/fs_priv.h"

static char top[] = "/tmp/test_fs_at.XXXXXX";
static char root[64];
static struct store store = { .place = root };
static int root_fd = -1;
static bool walks;

int fs_root_fd(const struct store *of)
{
	assert_ptr_equal(of, &store);
	return root_fd;
}

bool fs_walks(const struct store *of)
{
	(void)of;
	return walks;
}

static const char *in(const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned at;

	at = (at + 1) % 4;
	(void)snprintf(paths[at], sizeof(paths[at]), "%s/%s", root, name);
	return paths[at];
}

static const char *outside(const char *name)
{
	static char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/outside/%s", top, name);
	return path;
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0 && file_write_all(fd, text, strlen(text), NULL));
	(void)close(fd);
}

static bool has(const char *path, const char *text)
{
	AUTO_FINI(buf) there = buf_limit(100);

	return file_read(path, &there, NULL) && str_is(buf_str(&there), text);
}

/* top/link -> top/root, which is the store's place; top/root/{a/file, out -> ../outside, a/out -> outside,
 * loop -> loop} */
static int setup_with(bool by_walking)
{
	char real[64];

	(void)snprintf(root, sizeof(root), "%s/link", top);
	(void)snprintf(real, sizeof(real), "%s/root", top);
	walks = by_walking;
	if (mkdir(outside(""), 0700) != 0 || mkdir(real, 0700) != 0 || symlink("root", root) != 0)
		return -1;
	put(outside("secret"), "secret");
	root_fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdir(in("a"), 0700), 0);
	put(in("a/file"), "file");
	assert_int_equal(symlink("../outside", in("out")), 0);
	assert_int_equal(symlink(outside(""), in("a/out")), 0);
	assert_int_equal(symlink("loop", in("loop")), 0);
	assert_int_equal(symlink(outside("secret"), in("a/secret")), 0);
	assert_int_equal(symlink("a", in("b")), 0);
	return root_fd < 0;
}

static int setup_openat2(void **state)
{
	(void)state;
	return setup_with(false);
}

static int setup_walking(void **state)
{
	(void)state;
	return setup_with(true);
}

static int teardown(void **state)
{
	char real[64];

	(void)state;
	(void)close(root_fd);
	assert_true(has(outside("secret"), "secret"));
	(void)unlink(root);
	(void)snprintf(real, sizeof(real), "%s/root", top);
	return remove_tree(real) && remove_tree(outside("")) ? 0 : -1;
}

static const char *const through_links[] = { "out/secret", "a/out/secret", "a/secret", "loop", "loop/x",
	"b/file", "a/../out/secret", "../outside/secret", "a/../../outside/secret" };
#define THROUGH (sizeof(through_links) / sizeof(through_links[0]))

static void what_is_there_is_reached(void **state)
{
	struct stat st;
	int fd = fs_at_open(&store, in("a/file"), O_RDONLY, 0);
	DIR *dir = fs_at_opendir(&store, root);

	(void)state;
	assert_true(fd >= 0 && dir);
	(void)close(fd);
	(void)closedir(dir);
	assert_true(fs_at_stat(&store, in("a/file"), &st) && S_ISREG(st.st_mode));
	assert_true(fs_at_stat(&store, in("out"), &st) && S_ISLNK(st.st_mode));
	assert_true(fs_at_mkdir(&store, in("a/c"), 0700) && fs_at_sync(&store, in("a/c")));
	assert_true(fs_at_rename(&store, in("a/file"), in("a/c/moved"), 0) && has(in("a/c/moved"), "file"));
	assert_true(fs_at_link(&store, in("a/c/moved"), in("linked")) && has(in("linked"), "file"));
	assert_false(fs_at_rename(&store, in("linked"), in("a"), RENAME_NOREPLACE));
	assert_int_equal(errno, EEXIST);
	put(outside("spooled"), "spooled");
	assert_true(fs_at_move_in(&store, outside("spooled"), in("a/c/moved")) &&
		    has(in("a/c/moved"), "spooled"));
	assert_true(fs_at_unlink(&store, in("linked")));
	assert_false(fs_at_unlink(&store, in("linked")));
	assert_int_equal(errno, ENOENT);
	assert_true(fs_at_sync(&store, root));
}

static void nothing_is_read_through_a_link(void **state)
{
	(void)state;
	for (size_t i = 0; i < THROUGH; i++) {
		int fd = fs_at_open(&store, in(through_links[i]), O_RDONLY, 0);

		if (fd >= 0)
			fail_msg("%s was opened", through_links[i]);
		assert_true(errno == ELOOP || errno == EXDEV);
	}
	assert_null(fs_at_opendir(&store, in("out")));
	assert_int_equal(errno, ELOOP);
	assert_null(fs_at_opendir(&store, in("a/out")));
}

static void nothing_is_written_or_removed_through_a_link(void **state)
{
	static const char *const folders[] = { "out", "a/out", "loop", "b" };

	(void)state;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		char path[40], secret[40];
		struct stat st;

		(void)snprintf(path, sizeof(path), "%s/new", folders[i]);
		(void)snprintf(secret, sizeof(secret), "%s/secret", folders[i]);
		assert_int_equal(fs_at_open(&store, in(path), O_WRONLY | O_CREAT | O_EXCL, 0600), -1);
		assert_int_equal(errno, ELOOP);
		assert_false(fs_at_mkdir(&store, in(path), 0700) || fs_at_unlink(&store, in(secret)) ||
			     fs_at_rename(&store, in("a/file"), in(secret), 0) ||
			     fs_at_rename(&store, in(secret), in("a/file"), 0) ||
			     fs_at_link(&store, in(secret), in("a/stolen")) ||
			     fs_at_link(&store, in("a/file"), in(path)) ||
			     fs_at_stat(&store, in(secret), &st) ||
			     fs_at_move_in(&store, in("a/file"), in(secret)) ||
			     fs_at_sync(&store, in(folders[i])));
	}
	assert_true(has(in("a/file"), "file"));
	assert_int_equal(fs_at_open(&store, in("a/secret"), O_WRONLY | O_TRUNC, 0), -1);
	/* The link itself is one more name: it is replaced and removed, what it names is not. */
	assert_true(fs_at_rename(&store, in("a/file"), in("a/secret"), 0) && has(in("a/secret"), "file"));
	assert_true(fs_at_unlink(&store, in("out")));
}

static void a_pipe_holds_nobody(void **state)
{
	struct stat st;
	int fd;

	(void)state;
	assert_int_equal(mkfifo(in("a/pipe"), 0600), 0);
	fd = fs_at_open(&store, in("a/pipe"), O_RDONLY, 0);
	assert_true(fd >= 0 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode));
	(void)close(fd);
	assert_int_equal(fs_at_open(&store, in("a/pipe"), O_WRONLY, 0), -1);
	assert_int_equal(errno, ENXIO);
}

static void this_kernel_has_openat2(void **state)
{
	(void)state;
	if (!fs_at_has_openat2(root_fd))
		skip();
	assert_false(fs_at_has_openat2(-1));
}

int main(void)
{
#define BOTH(test)                                                                                           \
	cmocka_unit_test_setup_teardown(test, setup_openat2, teardown),                                      \
		cmocka_unit_test_setup_teardown(test, setup_walking, teardown)
	const struct CMUnitTest tests[] = {
		BOTH(what_is_there_is_reached),
		BOTH(nothing_is_read_through_a_link),
		BOTH(nothing_is_written_or_removed_through_a_link),
		BOTH(a_pipe_holds_nobody),
		BOTH(this_kernel_has_openat2),
	};

	return RUN_IN_FOLDER(top, tests);
}
