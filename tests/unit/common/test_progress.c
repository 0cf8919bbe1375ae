/* SPDX-License-Identifier: Apache-2.0 */
/*
 * progress: what the line says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "common/progress.h"

static void expect(uint64_t done, uint64_t total, int64_t ms, const char *wanted)
{
	const struct progress progress = { .what = "blobs", .done = done, .total = total };
	char line[160];

	progress_format(&progress, ms, line, sizeof(line));
	assert_string_equal(line, wanted);
}

static void it_says_how_far_how_fast_and_how_long(void **state)
{
	(void)state;
	expect(0, 100, 0, "0 of 100 blobs, 0 a second");
	expect(50, 100, 5000, "50 of 100 blobs, 10 a second, 5 s left");
	expect(99, 100, 1000, "99 of 100 blobs, 99 a second, 1 s left");
	expect(100, 100, 1000, "100 of 100 blobs, 100 a second");
	expect(30, 0, 3000, "30 blobs, 10 a second");
}

/* Elsewhere than on a terminal: a line each ten seconds. */
static void lines_come_now_and_then(void **state)
{
	int ends[2], kept = dup(STDERR_FILENO);
	struct progress progress;
	char said[256] = "";

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	progress_begin(&progress, "blobs", 100);
	progress_tell(&progress, 1);
	progress.told_ms -= 10000;
	progress_tell(&progress, 50);
	progress_tell(&progress, 51);
	progress_end(&progress);
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	(void)close(kept);
	(void)close(ends[1]);
	assert_true(read(ends[0], said, sizeof(said) - 1) > 0);
	(void)close(ends[0]);
	assert_memory_equal(said, "50 of 100 blobs, ", 17);
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
	assert_null(strchr(said, '\r'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_says_how_far_how_fast_and_how_long),
		cmocka_unit_test(lines_come_now_and_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
