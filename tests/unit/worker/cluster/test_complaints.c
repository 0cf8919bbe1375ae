/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_complaints - what is wrong with a worker is said while it lasts, as lines, and some of it takes it out of the balancer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/loop.h"
#include "worker/cluster/complaints.h"

static struct complaints *complaints;

static int begin(void **state)
{
	(void)state;
	complaints = complaints_new();
	return 0;
}

static int end(void **state)
{
	(void)state;
	complaints_free(complaints);
	return 0;
}

static void expect(const char *text, bool ready)
{
	AUTO_FINI(buf) page = buf_limit(COMPLAINTS_BYTES);

	assert_int_equal(complaints_write(complaints, &page), ready);
	assert_string_equal(buf_text(&page), text);
}

static void lasts_until_it_is_over(void **state)
{
	(void)state;
	expect("", true);
	complaint_end(complaints, COMPLAINT_CLOCK);
	complaint_say(complaints, COMPLAINT_CLOCK, "%d s behind", 7);
	assert_true(complaint_lasts(complaints, COMPLAINT_CLOCK));
	expect("clock: 7 s behind\n", true);
	complaint_say(complaints, COMPLAINT_CLOCK, "%d s behind", 8);
	expect("clock: 8 s behind\n", true);
	complaint_end(complaints, COMPLAINT_CLOCK);
	assert_false(complaint_lasts(complaints, COMPLAINT_CLOCK));
	expect("", true);
}

static void some_take_the_worker_out(void **state)
{
	static const enum complaint out[] = { COMPLAINT_STATE, COMPLAINT_SECRET, COMPLAINT_NAME,
		COMPLAINT_ADDRESS };
	static const enum complaint in[] = { COMPLAINT_HISTORY, COMPLAINT_CLOCK };
	AUTO_FINI(buf) page = buf_limit(COMPLAINTS_BYTES);

	(void)state;
	for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
		complaint_say(complaints, in[i], "wrong");
	expect("history: wrong\nclock: wrong\n", true);
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
		complaint_say(complaints, out[i], "wrong");
		assert_false(complaints_write(complaints, &page));
		complaint_end(complaints, out[i]);
	}
	expect("history: wrong\nclock: wrong\n", true);
}

static void one_is_a_line_of_a_bounded_length(void **state)
{
	AUTO_FINI(buf) page = buf_limit(COMPLAINTS_BYTES);
	char text[4000];

	(void)state;
	complaint_say(complaints, COMPLAINT_NAME, "a\nname: b\tc\x7f");
	expect("name: a name: b c \n", false);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (enum complaint kind = 0; kind < COMPLAINTS; kind++)
		complaint_say(complaints, kind, "%s", text);
	(void)complaints_write(complaints, &page);
	assert_true(buf_check(&page, "page", NULL));
	assert_int_equal(strcspn(buf_text(&page), "\n"), strlen("state: ") + COMPLAINT_TEXT_MAX);
}

static void ends_with_its_loop(void **state)
{
	AUTO(loop) *loop = NULL;

	(void)state;
	assert_true(loop_new(&loop, "test", NULL));
	complaints_start(complaints, loop);
	complaint_say(complaints, COMPLAINT_CLOCK, "late");
	complaints_stop(complaints);
	complaints_stop(complaints);
	loop_turn(loop, 0);
	expect("clock: late\n", true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lasts_until_it_is_over, begin, end),
		cmocka_unit_test_setup_teardown(some_take_the_worker_out, begin, end),
		cmocka_unit_test_setup_teardown(one_is_a_line_of_a_bounded_length, begin, end),
		cmocka_unit_test_setup_teardown(ends_with_its_loop, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
