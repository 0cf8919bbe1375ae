/* SPDX-License-Identifier: Apache-2.0 */
/* peer_guard: who signs for us, for now and for the first time is believed, and nobody else; each refusal
 * says why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "worker/auth/peer_guard.h"

#define KEY   STR("0123456789abcdef0123456789abcdef")
#define START INT64_C(1763740000000)
#define BOOT  5000 /* the boot clock at the start */

static const uint8_t process[PEER_PROCESS_BYTES] = { 1, 2, 3 };
static const struct peer_request request = { .method = { "GET", 3 }, .target = { "/v2/", 4 } };

static struct peer_claims call_of(uint64_t sequence, int64_t issued_ms)
{
	return (struct peer_claims){ .sender = "a",
		.receiver = "b",
		.process = { 9 },
		.sequence = sequence,
		.issued_ms = issued_ms,
		.client = "192.0.2.1" };
}

/* NULL: it was believed. */
static const char *refusal_at(
	struct peer_guard *guard, struct peer_claims claims, struct peer_now now, enum error_kind kind)
{
	static char why[sizeof(((struct error *)NULL)->text)];
	AUTO_FINI(buf) header = buf_limit(PEER_TOKEN_MAX);
	struct peer_claims read;
	struct error err;

	peer_token_format(KEY, &request, &claims, &header);
	assert_false(header.failed);
	const struct peer_came asked = { .request = &request, .header = buf_str(&header), .now = now };
	if (peer_guard_admit(guard, &asked, &read, &err)) {
		assert_string_equal(read.sender, "a");
		peer_claims_fini(&read);
		return NULL;
	}
	assert_int_equal(err.kind, kind);
	assert_string_equal(err.code, "UNAUTHORIZED");
	memcpy(why, err.text, sizeof(why));
	return why;
}

/* The clocks agree. */
static const char *refusal(
	struct peer_guard *guard, struct peer_claims claims, int64_t now_ms, enum error_kind kind)
{
	return refusal_at(guard, claims, (struct peer_now){ now_ms, BOOT + now_ms - START }, kind);
}

static void expect_refusal(
	struct peer_guard *guard, struct peer_claims claims, int64_t now_ms, const char *words)
{
	const char *why = refusal(guard, claims, now_ms, ERROR_DENIED);

	if (!why || !strstr(why, words))
		fail_msg("\"%s\" is not in \"%s\"", words, why ? why : "(believed)");
}

static void a_call_is_good_once(void **state)
{
	AUTO(peer_guard) *guard = peer_guard_new(KEY, "b", process, BOOT);
	const char *why;

	(void)state;
	assert_null(refusal(guard, call_of(1, START), START, ERROR_DENIED));
	why = refusal(guard, call_of(1, START), START, ERROR_CONFLICT);
	assert_non_null(why);
	assert_non_null(strstr(why, "second time"));
	assert_null(refusal(guard, call_of(0, START), START, ERROR_DENIED));
	assert_null(refusal(guard, call_of(2, START), START, ERROR_DENIED));
}

static void who_is_meant_is_told(void **state)
{
	AUTO(peer_guard) *guard = peer_guard_new(KEY, "c", process, BOOT);

	(void)state;
	expect_refusal(guard, call_of(1, START), START, "meant for b, and this is c");
}

static void time_has_bounds(void **state)
{
	AUTO(peer_guard) *guard = peer_guard_new(KEY, "b", process, BOOT);
	const int64_t late = START + 1 + PEER_LIFE_MS + PEER_SKEW_MS;

	(void)state;
	assert_null(refusal(guard, call_of(1, START + PEER_SKEW_MS), START, ERROR_DENIED));
	expect_refusal(guard, call_of(2, START + PEER_SKEW_MS + 1), START, "from now");
	expect_refusal(guard, call_of(2, INT64_MAX), START, "from now");
	assert_null(refusal(guard, call_of(2, START + 1), late, ERROR_DENIED));
	expect_refusal(guard, call_of(3, START + 1), late + 1, "ago");
	expect_refusal(guard, call_of(3, 0), INT64_MAX / 2, "ago");
	/* What was refused for its time was not used up. */
	assert_null(refusal(guard, call_of(3, START + 1), late, ERROR_DENIED));
}

static void a_restart_believes_nothing_of_before(void **state)
{
	AUTO(peer_guard) *guard = peer_guard_new(KEY, "b", process, BOOT);

	(void)state;
	expect_refusal(guard, call_of(1, START - 1), START, "before this worker was started");
	assert_null(refusal(guard, call_of(2, START), START, ERROR_DENIED));
	expect_refusal(guard, call_of(1, START - 1), START, "before this worker was started");
}

/* Ours was an hour ahead at the start, or behind, and is right now. */
static void a_clock_may_be_set(void **state)
{
	AUTO(peer_guard) *guard = peer_guard_new(KEY, "b", process, BOOT);
	struct peer_now now = { START - 3600 * 1000, BOOT + 10 };
	const char *why;

	(void)state;
	assert_null(refusal_at(guard, call_of(1, now.wall_ms), now, ERROR_DENIED));
	now = (struct peer_now){ START + 3600 * 1000, BOOT + 20 };
	assert_null(refusal_at(guard, call_of(2, now.wall_ms), now, ERROR_DENIED));
	why = refusal_at(guard, call_of(3, now.wall_ms - 21), now, ERROR_DENIED);
	assert_non_null(why);
	assert_non_null(strstr(why, "before this worker was started"));
}

static void without_a_key_nobody_is_believed(void **state)
{
	AUTO(peer_guard) *guard = peer_guard_new(STR_NONE, "b", process, BOOT);
	AUTO(peer_guard) *other = peer_guard_new(STR("0123456789abcdef0123456789abcdeg"), "b", process, BOOT);

	(void)state;
	expect_refusal(guard, call_of(1, START), START, "not signed with our secret");
	expect_refusal(other, call_of(1, START), START, "not signed with our secret");
}

/* Who signs with our key is told that it is we who answer, also where we do not take the call; nobody else is told anything. */
static void who_signs_is_told_who_answers(void **state)
{
	AUTO(peer_guard) *guard = peer_guard_new(KEY, "c", process, BOOT);
	AUTO(peer_guard) *stranger = peer_guard_new(STR("another key"), "b", process, BOOT);
	AUTO_FINI(buf) header = buf_limit(PEER_TOKEN_MAX);
	AUTO_FINI(buf) answer = buf_limit(PEER_ANSWER_MAX);
	struct peer_claims claims = call_of(1, START), read;
	struct peer_answer who;
	struct error err;

	(void)state;
	peer_token_format(KEY, &request, &claims, &header);
	const struct peer_came asked = {
		.request = &request, .header = buf_str(&header), .now = { START, BOOT }, .answer = &answer
	};
	assert_false(peer_guard_admit(stranger, &asked, &read, &err));
	assert_int_equal(answer.len, 0);
	assert_false(peer_guard_admit(guard, &asked, &read, &err));
	assert_true(peer_answer_parse(KEY, buf_str(&header), buf_text(&answer), &who));
	assert_string_equal(who.name, "c");
	assert_memory_equal(who.process, process, sizeof(process));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_is_good_once),
		cmocka_unit_test(who_is_meant_is_told),
		cmocka_unit_test(time_has_bounds),
		cmocka_unit_test(a_restart_believes_nothing_of_before),
		cmocka_unit_test(a_clock_may_be_set),
		cmocka_unit_test(without_a_key_nobody_is_believed),
		cmocka_unit_test(who_signs_is_told_who_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
