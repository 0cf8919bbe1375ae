/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/storage/frames.h"

static void test_plain(void **state)
{
	AUTO_FINI(buf) bytes = buf_limit(1000);
	struct str rest, payload;

	(void)state;
	frame_add(&bytes, STR("one"));
	frame_add(&bytes, STR("two"));
	rest = buf_str(&bytes);
	assert_true(frame_next(&rest, &payload) && str_is(payload, "one"));
	assert_true(frame_next(&rest, &payload) && str_is(payload, "two"));
	assert_false(frame_next(&rest, &payload));
	for (size_t len = 0; len < bytes.len; len++)
		assert_int_equal(frames_len(str_from(bytes.at, len)), len < 15 ? 0 : 15);
}

static void test_chain(void **state)
{
	AUTO_FINI(buf) bytes = buf_limit(1000);
	struct frame_chain start = frame_chain_begin(STR("name")), chain = start,
			   other = frame_chain_begin(STR("x"));
	struct str rest, payload = STR_NONE;

	(void)state;
	frame_chain_add(&bytes, &chain, STR("one"));
	frame_chain_mark(&bytes, &chain);
	assert_true(frame_chain_is_at(&chain, bytes.at + bytes.len - FRAME_HEAD));
	assert_false(frame_chain_is_at(&start, bytes.at + bytes.len - FRAME_HEAD));
	frame_chain_add(&bytes, &chain, STR("two"));
	rest = buf_str(&bytes);
	chain = start;
	assert_int_equal(frame_chain_next(&rest, &chain, &payload), FRAME_ENTRY);
	assert_true(str_is(payload, "one"));
	assert_int_equal(frame_chain_next(&rest, &chain, &payload), FRAME_MARK);
	assert_int_equal(frame_chain_next(&rest, &chain, &payload), FRAME_ENTRY);
	assert_true(str_is(payload, "two"));
	assert_int_equal(frame_chain_next(&rest, &chain, &payload), FRAME_NONE);
	/* Neither behind something else, nor without what was before. */
	rest = buf_str(&bytes);
	assert_int_equal(frame_chain_next(&rest, &other, &payload), FRAME_NONE);
	rest = str_from(bytes.at + 15, bytes.len - 15);
	chain = start;
	assert_int_equal(frame_chain_next(&rest, &chain, &payload), FRAME_NONE);
	for (size_t i = 0; i < 15; i++) {
		bytes.at[i] ^= 1;
		rest = buf_str(&bytes);
		chain = start;
		assert_int_equal(frame_chain_next(&rest, &chain, &payload), FRAME_NONE);
		bytes.at[i] ^= 1;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_plain), cmocka_unit_test(test_chain) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
