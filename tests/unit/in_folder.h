/* SPDX-License-Identifier: Apache-2.0 */
/*
 * in_folder - the main() of tests that want a folder: it is made before them and removed after them.
 *
 * After cmocka.h.
 */
#pragma once

#include <stdlib.h>

#include "tests/unit/remove_tree.h"

/* top: "/tmp/test_x.XXXXXX", which becomes its name. What main() returns. */
#define RUN_IN_FOLDER(top, tests) (!mkdtemp(top) ? 1 : in_folder_end(top, cmocka_run_group_tests(tests, NULL, NULL)))

static inline int in_folder_end(const char *top, int failed)
{
	return remove_tree(top) ? failed : 1;
}
