/* SPDX-License-Identifier: Apache-2.0 */
/* file_lock: one has it, until its descriptor is closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/file_lock.h"
#include "tests/unit/remove_tree.h"

static void a_folder_is_one_holders(void **state)
{
	char folder[] = "/tmp/zot-lock-XXXXXX";
	int one = -1, two = -1;
	struct error err;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_true(file_lock_folder(folder, "worker.lock", 0, &one, &err));
	assert_false(file_lock_folder(folder, "worker.lock", 10, &two, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_non_null(strstr(err.text, folder));
	assert_int_equal(two, -1);
	(void)close(one);
	assert_true(file_lock_folder(folder, "worker.lock", 0, &two, &err));
	(void)close(two);
	assert_true(remove_tree(folder));
	assert_false(file_lock_folder(folder, "worker.lock", 0, &one, &err));
	assert_int_not_equal(err.kind, ERROR_CONFLICT);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_folder_is_one_holders) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
