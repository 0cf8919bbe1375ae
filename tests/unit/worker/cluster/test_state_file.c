/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/state_file.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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
	struct state_file_end end;
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

	if (!state_file_save(rig->path, rig->saved, state, &rig->end, &err))
		fail_msg("%s", err.text);
	state_free(rig->saved);
	rig->saved = state;
}

/* The revision of the file of that place; 0: there is none. */
static uint64_t at(const struct rig *rig, unsigned place)
{
	AUTO_FINI(buf) path = buf_limit(256);
	struct state_file_read read;
	struct error err;
	uint64_t revision;

	state_file_path(rig->path, place, &path);
	if (state_file_read(buf_text(&path), &read, &err)) {
		revision = state_revision(read.chain.state);
		state_free(read.chain.state);
		return revision;
	}
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
	struct state_file_read read;
	struct error err;

	save(rig, ONE, 1, 1);
	assert_true(file_read(rig->path, &file, &err));
	file.at[8] = '3';
	assert_true(file_write_durable(rig->path, buf_str(&file), 0600, &err));
	assert_false(state_file_read(rig->path, &read, &err));
	assert_non_null(strstr(err.text, "format 3"));
	assert_non_null(strstr(err.text, "reads 2"));
}

static void a_file_of_format_1_is_read_and_not_added_to(void **state)
{
	struct rig *rig = *state;
	AUTO(state) *one = make(ONE, 1, 7);
	AUTO_FINI(buf) file = buf_limit(1 << 20);
	struct state_file_read read;
	struct error err;

	state_seal(one, &file);
	assert_true(file_write_durable(rig->path, buf_str(&file), 0600, &err));
	assert_true(state_file_read(rig->path, &read, &err));
	assert_true(state_same(read.chain.state, one));
	assert_int_equal(read.end.chain.bytes, 0);
	state_free(read.chain.state);
}

/* The delta that makes revision + 1 of what was saved last, which is the rig's then. */
static struct state_delta *next_delta(struct rig *rig)
{
	const struct user user = { .enabled = true };
	uint64_t from = state_revision(rig->saved);
	AUTO_FINI(buf) bytes = buf_limit(4096);
	struct entity *entity = entity_new(ENTITY_USER, STR("ben"), from + 1, &user);
	struct state *next = state_change(rig->saved, &entity, 1, from + 1);
	struct state_delta *delta;

	state_encode_delta(from, next, &entity, 1, &bytes);
	delta = check_alloc(1, sizeof(*delta) + bytes.len);
	delta->len = bytes.len;
	memcpy(delta->bytes, bytes.at, bytes.len);
	entity_free(entity);
	state_free(rig->saved);
	rig->saved = next;
	return delta;
}

static bool add(struct rig *rig, struct error *err)
{
	struct state_delta *delta = next_delta(rig);
	bool good = state_file_add(rig->path, &rig->end, delta, err);

	free(delta);
	return good;
}

static off_t size_of(const struct rig *rig)
{
	struct stat st;

	assert_int_equal(stat(rig->path, &st), 0);
	return st.st_size;
}

static void a_change_costs_what_it_weighs(void **state)
{
	struct rig *rig = *state;
	struct state_file_read read;
	struct error err;
	off_t before;

	save(rig, ONE, 1, 1);
	for (int i = 0; i < 5; i++) {
		before = size_of(rig);
		assert_true(add(rig, &err));
		assert_in_range(size_of(rig) - before, 100, 400);
	}
	assert_int_equal(size_of(rig), rig->end.chain.bytes);
	assert_int_equal(at(rig, 0), 6);
	assert_true(state_file_read(rig->path, &read, &err));
	assert_true(state_same(read.chain.state, rig->saved));
	assert_memory_equal(&read.end.chain, &rig->end.chain, sizeof(read.end.chain));
	/* Who starts again goes on behind what is there. */
	rig->end = read.end;
	state_free(read.chain.state);
	assert_true(add(rig, &err));
	assert_int_equal(at(rig, 0), 7);
	/* What is written whole keeps all of it beside. */
	save(rig, ONE, 1, 20);
	assert_int_equal(at(rig, 1), 7);
}

static void a_whole_one_is_due_by_weight_and_by_age(void **state)
{
	struct state_file_end end = { .chain = { .whole = 100, .bytes = 100 }, .whole_ms = 1000 };

	(void)state;
	end.chain.bytes = end.chain.whole + STATE_FILE_DELTAS_LEAST;
	assert_false(state_file_is_due(&end, 1000));
	end.chain.bytes++;
	assert_true(state_file_is_due(&end, 1000));
	end.chain.whole = 10 * STATE_FILE_DELTAS_LEAST;
	end.chain.bytes = 15 * STATE_FILE_DELTAS_LEAST;
	assert_false(state_file_is_due(&end, 999 + STATE_FILE_WHOLE_MS));
	assert_true(state_file_is_due(&end, 1000 + STATE_FILE_WHOLE_MS));
	end.chain.bytes++;
	assert_true(state_file_is_due(&end, 1000));
}

/* Each length that a power cut may leave: the last delta that is whole counts, and nothing is added behind what is cut. */
static void a_file_that_is_cut_anywhere_ends_with_its_last_good_delta(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) file = buf_limit(1 << 20);
	size_t ends[3];
	struct error err;

	save(rig, ONE, 1, 1);
	ends[0] = (size_t)size_of(rig);
	for (int i = 1; i < 3; i++) {
		assert_true(add(rig, &err));
		ends[i] = (size_t)size_of(rig);
	}
	assert_true(file_read(rig->path, &file, &err));
	for (size_t len = ends[0]; len <= ends[2]; len++) {
		struct state_file_read read;

		assert_int_equal(truncate(rig->path, 0), 0);
		assert_true(file_write_durable(rig->path, str_from(file.at, len), 0600, &err));
		assert_true(state_file_read(rig->path, &read, &err));
		assert_int_equal(state_revision(read.chain.state), len < ends[1] ? 1 : len < ends[2] ? 2 : 3);
		assert_int_equal(read.chain.left != 0, len != ends[0] && len != ends[1] && len != ends[2]);
		assert_int_equal(read.end.chain.bytes, read.chain.left ? 0 : len);
		assert_false(read.chain.damaged);
		state_free(read.chain.state);
	}
}

static void nothing_is_added_to_what_somebody_else_wrote(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) file = buf_limit(1 << 20);
	struct error err;

	save(rig, ONE, 1, 1);
	assert_true(file_read(rig->path, &file, &err));
	assert_true(file_write_durable(rig->path, buf_str(&file), 0600, &err)); /* another file */
	assert_false(add(rig, &err));
	assert_non_null(strstr(err.text, "not as it was left"));
	assert_int_equal(rig->end.chain.bytes, 0);
	save(rig, ONE, 1, 5);
	assert_int_equal(truncate(rig->path, size_of(rig) - 1), 0); /* another length */
	assert_false(add(rig, &err));
	save(rig, ONE, 1, 8);
	assert_int_equal(unlink(rig->path), 0);
	assert_false(add(rig, &err));
	assert_int_equal(at(rig, 0), 0);
}

/* The limit of a file's size stands for a disk that is full in the middle of a delta. */
static void a_full_disk_leaves_what_was_good(void **state)
{
	struct rig *rig = *state;
	struct rlimit was, few;
	struct error err;
	off_t size;

	save(rig, ONE, 1, 1);
	assert_true(add(rig, &err));
	size = size_of(rig);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	few = was;
	few.rlim_cur = (rlim_t)size + 50;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
	assert_false(add(rig, &err));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	assert_int_equal(size_of(rig), size);
	assert_int_equal(rig->end.chain.bytes, 0);
	assert_int_equal(at(rig, 0), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(quick_changes_do_not_push_out_what_was_good, setup, teardown),
		cmocka_unit_test_setup_teardown(the_last_of_each_history_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_damaged_is_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(a_save_that_is_cut_leaves_what_is_good, setup, teardown),
		cmocka_unit_test_setup_teardown(a_newer_version_is_told_by_its_number, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_of_format_1_is_read_and_not_added_to, setup, teardown),
		cmocka_unit_test_setup_teardown(a_change_costs_what_it_weighs, setup, teardown),
		cmocka_unit_test_setup_teardown(a_whole_one_is_due_by_weight_and_by_age, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_file_that_is_cut_anywhere_ends_with_its_last_good_delta, setup, teardown),
		cmocka_unit_test_setup_teardown(
			nothing_is_added_to_what_somebody_else_wrote, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_leaves_what_was_good, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
