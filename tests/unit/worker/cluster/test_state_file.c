/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/state_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "proto/entity_table.h"
#include "tests/unit/remove_tree.h"

#define ONE "00112233445566778899aabbccddeeff"
#define TWO "ffeeddccbbaa99887766554433221100"

struct rig {
	char folder[64], path[96];
	struct state *saved;
};

static int setup(void **state)
{
	struct rig *rig = xnew(struct rig);

	(void)snprintf(rig->folder, sizeof(rig->folder), "/tmp/test-state-file-XXXXXX");
	assert_non_null(mkdtemp(rig->folder));
	(void)snprintf(rig->path, sizeof(rig->path), "%s/state.bin", rig->folder);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	state_free(rig->saved);
	assert_true(remove_tree(rig->folder));
	free(rig);
	return 0;
}

static struct state *make(const char *cluster, uint64_t generation, uint64_t revision)
{
	AUTO(state) *empty = state_new();
	struct history history;
	struct user user;
	struct entity *entity;
	struct state *state;

	table_defaults(entity_table(ENTITY_USER), &user);
	entity = entity_new(ENTITY_USER, STR("ann"), revision, &user);
	assert_true(history_set(&history, str_of(cluster), generation));
	state_set_history(empty, &history);
	state = state_change(empty, &entity, 1, revision);
	entity_free(entity);
	return state;
}

static void save(struct rig *rig, const char *cluster, uint64_t generation, uint64_t revision)
{
	struct state *state = make(cluster, generation, revision);
	struct error err;

	if (!state_file_save(rig->path, rig->saved, state, &err))
		fail_msg("%s", err.text);
	state_free(rig->saved);
	rig->saved = state;
}

/* The revision of the file of that place; 0: there is none. */
static uint64_t at(const struct rig *rig, unsigned place)
{
	AUTO_FINI(buf) path = buf_limit(256);
	AUTO(state) *state = NULL;
	struct error err;
	int64_t age;

	state_file_path(rig->path, place, &path);
	if (state_file_load(buf_text(&path), &state, &age, &err))
		return state_revision(state);
	assert_int_equal(err.kind, ERROR_UNKNOWN);
	return 0;
}

/* As if the file had been the newest so long ago. */
static void age(const struct rig *rig, unsigned place, int64_t ms)
{
	AUTO_FINI(buf) path = buf_limit(256);
	int64_t then = (clock_wall_ms() - ms) / 1000;
	struct timespec times[2] = { { .tv_sec = then }, { .tv_sec = then } };

	state_file_path(rig->path, place, &path);
	assert_int_equal(utimensat(AT_FDCWD, buf_text(&path), times, 0), 0);
}

static void quick_changes_do_not_push_out_what_was_good(void **state)
{
	struct rig *rig = *state;

	save(rig, ONE, 1, 1);
	assert_int_equal(at(rig, 1), 0);
	for (uint64_t revision = 2; revision <= 9; revision++)
		save(rig, ONE, 1, revision);
	assert_int_equal(at(rig, 0), 9);
	assert_int_equal(at(rig, 1), 1);
	assert_int_equal(at(rig, 2), 0);
	age(rig, 1, STATE_FILE_APART_MS + 1000);
	save(rig, ONE, 1, 10);
	save(rig, ONE, 1, 11);
	assert_int_equal(at(rig, 0), 11);
	assert_int_equal(at(rig, 1), 9);
	assert_int_equal(at(rig, 2), 1);
}

static void the_last_of_each_history_is_kept(void **state)
{
	struct rig *rig = *state;

	save(rig, ONE, 1, 5);
	save(rig, ONE, 1, 6);
	save(rig, ONE, 2, 3);
	assert_int_equal(at(rig, 0), 3);
	assert_int_equal(at(rig, 1), 6);
	save(rig, ONE, 2, 4);
	save(rig, TWO, 1, 1);
	assert_int_equal(at(rig, 0), 1);
	assert_int_equal(at(rig, 1), 4);
	assert_int_equal(at(rig, 2), 6);
}

static void what_was_damaged_is_not_kept(void **state)
{
	struct rig *rig = *state;
	struct error err;

	save(rig, ONE, 1, 1);
	save(rig, ONE, 1, 2);
	assert_true(file_write_durable(rig->path, STR("junk"), 0600, &err));
	state_free(TAKE(rig->saved));
	save(rig, ONE, 1, 3);
	assert_int_equal(at(rig, 0), 3);
	assert_int_equal(at(rig, 1), 1);
}

/* Each step of a save leaves state.bin whole, and one older at the least where there was one. */
static void a_save_that_is_cut_leaves_what_is_good(void **state)
{
	struct rig *rig = *state;
	char first[128], second[128];

	(void)snprintf(first, sizeof(first), "%s.1", rig->path);
	(void)snprintf(second, sizeof(second), "%s.2", rig->path);
	save(rig, ONE, 1, 1);
	save(rig, ONE, 1, 2);
	/* .1 was moved, and not made anew. */
	assert_int_equal(rename(first, second), 0);
	save(rig, ONE, 1, 3);
	assert_int_equal(at(rig, 0), 3);
	assert_int_equal(at(rig, 1), 2);
	assert_int_equal(at(rig, 2), 1);
	/* .1 was made, and state.bin not replaced. */
	assert_int_equal(unlink(first), 0);
	assert_int_equal(link(rig->path, first), 0);
	save(rig, ONE, 1, 4);
	assert_int_equal(at(rig, 0), 4);
	assert_int_equal(at(rig, 1), 3);
}

static void a_newer_version_is_told_by_its_number(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) file = buf_limit(1 << 20);
	AUTO(state) *read = NULL;
	struct error err;
	int64_t age_ms;

	save(rig, ONE, 1, 1);
	assert_true(file_read(rig->path, &file, &err));
	file.at[8] = '2';
	assert_true(file_write_durable(rig->path, buf_str(&file), 0600, &err));
	assert_false(state_file_load(rig->path, &read, &age_ms, &err));
	assert_non_null(strstr(err.text, "format 2"));
	assert_non_null(strstr(err.text, "reads 1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(quick_changes_do_not_push_out_what_was_good, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_of_each_history_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_damaged_is_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(a_save_that_is_cut_leaves_what_is_good, setup, teardown),
		cmocka_unit_test_setup_teardown(a_newer_version_is_told_by_its_number, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
