/* SPDX-License-Identifier: Apache-2.0 */
/* sqlite: statements that are bound, run and read; what fails says why; one process has the file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/sqlite.h"
#include "tests/unit/remove_tree.h"

struct rig {
	char folder[32], path[64];
	struct sqlite *db;
};

static int setup(void **state)
{
	struct rig *rig = xnew(struct rig);
	struct error err;

	(void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/test-sqlite-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	(void)snprintf(rig->path, sizeof(rig->path), "%s/a.db", rig->folder);
	assert_true(sqlite_open(&rig->db, rig->path, &err));
	assert_true(sqlite_exec(
		rig->db, "CREATE TABLE one (name TEXT PRIMARY KEY, number INTEGER, bytes BLOB)", &err));
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	sqlite_free(rig->db);
	assert_true(remove_tree(rig->folder));
	free(rig);
	return 0;
}

static bool put(struct rig *rig, const char *name, uint64_t number, struct str bytes, struct error *err)
{
	struct sql q = sql_of(rig->db, "INSERT INTO one VALUES (?, ?, ?)");

	sql_text(&q, name);
	sql_count(&q, number);
	sql_bytes(&q, bytes);
	return sql_run(&q, err);
}

static unsigned count(struct rig *rig)
{
	struct sql q = sql_of(rig->db, "SELECT name FROM one");
	unsigned rows = 0;

	while (sql_next(&q))
		rows++;
	assert_true(sql_end(&q, NULL));
	return rows;
}

static void what_is_bound_is_read(void **state)
{
	struct rig *rig = *state;
	struct sql q;

	assert_true(put(rig, "a", UINT64_MAX, STR("x\0y"), NULL));
	q = sql_of(rig->db, "SELECT name, number, bytes, NULL, -1 FROM one WHERE name = ?");
	sql_str(&q, str_from("ab", 1));
	assert_true(sql_next(&q));
	assert_string_equal(sql_column_text(&q, 0), "a");
	assert_int_equal(sql_column_int(&q, 1), INT64_MAX);
	assert_true(str_equal(sql_column_bytes(&q, 2), STR("x\0y")));
	assert_string_equal(sql_column_text(&q, 3), "");
	assert_int_equal(sql_column_count(&q, 4), 0);
	assert_false(sql_next(&q));
	assert_true(sql_end(&q, NULL));
}

static void what_fails_says_why(void **state)
{
	struct rig *rig = *state;
	struct sql q = sql_of(rig->db, "SELECT name FROM nowhere");
	struct error err;

	sql_int(&q, 1);
	assert_false(sql_next(&q));
	assert_false(sql_end(&q, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "nowhere"));
	assert_true(put(rig, "a", 1, STR_NONE, &err));
	assert_false(put(rig, "a", 2, STR_NONE, &err));
	assert_true(put(rig, "b", 2, STR_NONE, &err));
	assert_int_equal(count(rig), 2);
}

static void a_transaction_is_whole_or_nothing(void **state)
{
	struct rig *rig = *state;
	struct error err;

	assert_true(sqlite_begin(rig->db, &err));
	assert_true(put(rig, "a", 1, STR_NONE, &err));
	sqlite_rollback(rig->db);
	assert_int_equal(count(rig), 0);
	assert_true(sqlite_begin(rig->db, &err));
	assert_true(put(rig, "a", 1, STR_NONE, &err));
	assert_true(sqlite_commit(rig->db, &err));
	assert_int_equal(count(rig), 1);
}

static void one_process_has_it(void **state)
{
	struct rig *rig = *state;
	struct sqlite *second = NULL;
	struct error err;
	int status;

	if (!fork())
		_exit(sqlite_open(&second, rig->path, &err) ? 0 : err.kind == ERROR_UNAVAILABLE ? 1 : 2);
	(void)wait(&status);
	assert_int_equal(WEXITSTATUS(status), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_bound_is_read, setup, teardown),
		cmocka_unit_test_setup_teardown(what_fails_says_why, setup, teardown),
		cmocka_unit_test_setup_teardown(a_transaction_is_whole_or_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(one_process_has_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
