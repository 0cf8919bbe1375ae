/* SPDX-License-Identifier: Apache-2.0 */
/* standing: what a leader's answers say about a worker is complained of for as long as it is so, and no sooner. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/log.h"
#include "worker/cluster/complaints.h"
#include "worker/cluster/standing.h"

#define NOW   INT64_C(1763740000000) /* the leader's */
#define LEASE 6000

static struct complaints *complaints;
static struct standing standing;

static int begin(void **state)
{
	(void)state;
	complaints = complaints_new();
	standing_init(&standing, complaints, true);
	return 0;
}

static int end(void **state)
{
	(void)state;
	complaints_free(complaints);
	return 0;
}

/* Our wall clock is so far ahead, and the answer was so long on its way. */
static int64_t hear(int64_t ahead_ms, int64_t way_ms, bool other_secret)
{
	const struct usage_answer answer = { .now_ms = NOW, .other_secret = other_secret };
	const struct report_result result = { .end = REPORT_TAKEN,
		.answer = &answer,
		.trust = { .asked_ms = 1000,
			.asked_wall_ms = NOW + ahead_ms - way_ms / 2,
			.answered_ms = 1000 + way_ms } };

	return standing_heard(&standing, &result);
}

static const char *said(void)
{
	static char text[COMPLAINTS_BYTES];
	AUTO_FINI(buf) into = buf_limit(sizeof(text));

	(void)complaints_write(complaints, &into);
	assert_true(str_copy(buf_str(&into), text, sizeof(text)));
	return text;
}

static void a_right_clock_is_not_complained_of(void **state)
{
	(void)state;
	assert_int_equal(hear(0, 10, false), 0);
	assert_int_equal(hear(-4990, 10, false), -4990);
	assert_int_equal(hear(4990, 10, false), 4990);
	assert_string_equal(said(), "");
}

static void a_wrong_clock_is_told_until_it_is_right(void **state)
{
	(void)state;
	assert_int_equal(hear(61500, 10, false), 61500);
	assert_non_null(strstr(said(), "clock: this worker's clock is 61 s ahead of the leader's"));
	/* Not each millisecond is news. */
	(void)hear(60500, 10, false);
	assert_non_null(strstr(said(), "61 s ahead of"));
	(void)hear(-86400000, 10, false);
	assert_non_null(strstr(said(), "86400 s behind the leader's"));
	(void)hear(4900, 10, false);
	assert_string_equal(said(), "");
}

/* What may be the way's is not the clock's. */
static void a_slow_answer_proves_nothing(void **state)
{
	(void)state;
	(void)hear(6000, 3000, false);
	assert_string_equal(said(), "");
	(void)hear(7000, 3000, false);
	assert_non_null(strstr(said(), "7 s ahead"));
	(void)hear(4000, 3000, false);
	assert_non_null(strstr(said(), "7 s ahead"));
	(void)hear(3000, 3000, false);
	assert_string_equal(said(), "");
}

static void a_leader_that_tells_no_time_says_nothing(void **state)
{
	const struct usage_answer answer = { 0 };
	const struct report_result result = { .answer = &answer, .trust = { .asked_wall_ms = NOW } };

	(void)state;
	assert_int_equal(standing_heard(&standing, &result), 0);
	assert_string_equal(said(), "");
}

/* The process before us has it until its lease is over. */
static void a_name_is_taken_when_the_lease_is_over(void **state)
{
	(void)state;
	standing_taken(&standing, STR("w1 is at http://x"), LEASE, 1000);
	standing_taken(&standing, STR("w1 is at http://x"), LEASE, 1000 + LEASE - 1);
	assert_string_equal(said(), "");
	standing_taken(&standing, STR("w1 is at http://x"), LEASE, 1000 + LEASE);
	assert_string_equal(said(), "name: w1 is at http://x\n");
	(void)hear(0, 10, false);
	assert_string_equal(said(), "");
	standing_taken(&standing, STR("w1 is at http://x"), LEASE, 2000 + LEASE);
	assert_string_equal(said(), "");
}

/* Who else says that the name is taken goes on saying so. */
static void what_others_say_stays(void **state)
{
	(void)state;
	complaint_say(complaints, COMPLAINT_NAME, "at our address");
	(void)hear(0, 10, false);
	assert_string_equal(said(), "name: at our address\n");
}

static void another_secret_is_told_until_it_is_the_same(void **state)
{
	(void)state;
	(void)hear(0, 10, true);
	assert_non_null(strstr(said(), "secret: ZOT_CLUSTER_SECRET of this worker is another"));
	(void)hear(0, 10, false);
	assert_string_equal(said(), "");
	standing_init(&standing, complaints, false);
	(void)hear(0, 10, true);
	assert_non_null(strstr(said(), "this one has none"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_right_clock_is_not_complained_of, begin, end),
		cmocka_unit_test_setup_teardown(a_wrong_clock_is_told_until_it_is_right, begin, end),
		cmocka_unit_test_setup_teardown(a_slow_answer_proves_nothing, begin, end),
		cmocka_unit_test_setup_teardown(a_leader_that_tells_no_time_says_nothing, begin, end),
		cmocka_unit_test_setup_teardown(a_name_is_taken_when_the_lease_is_over, begin, end),
		cmocka_unit_test_setup_teardown(what_others_say_stays, begin, end),
		cmocka_unit_test_setup_teardown(another_secret_is_told_until_it_is_the_same, begin, end),
	};

	log_init(LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
