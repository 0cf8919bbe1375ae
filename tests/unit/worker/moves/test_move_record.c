/* SPDX-License-Identifier: Apache-2.0 */
/* test_move_record - what is written down about a move is read again; what is damaged, or of a newer version, is no record. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buf.h"
#include "worker/moves/move_record.h"

static void all_of_it_comes_back(void **state)
{
	struct move_record record = {
		.state = MOVE_GIVEN, .to = "b", .frozen = 7, .taken = true, .done_s = 1790000000
	};
	struct digest gone = digest_of(HASH_SHA512, STR("gone"));
	AUTO_FINI(buf) text = buf_limit(4096);
	AUTO(move_record) *copy = NULL, *read = NULL;
	struct error err;

	(void)state;
	assert_true(move_record_add_from(&record, "a"));
	assert_true(move_record_add_from(&record, "c/with\"quotes"));
	assert_true(move_record_add_from(&record, "a"));
	assert_int_equal(record.from_len, 2);
	copy = move_record_dup(&record);
	assert_true(move_record_add_gone(copy, &gone, &err));
	move_record_format(copy, &text);
	assert_true(move_record_parse(buf_str(&text), &read, &err));
	assert_int_equal(read->state, MOVE_GIVEN);
	assert_string_equal(read->to, "b");
	assert_int_equal(read->frozen, 7);
	assert_true(read->taken);
	assert_int_equal(read->done_s, 1790000000);
	assert_string_equal(read->from[1], "c/with\"quotes");
	assert_true(move_record_is_gone(read, &gone));
	assert_false(move_record_is_gone(&record, &gone));
}

static void bounds(void **state)
{
	AUTO(move_record) *record = move_record_dup(&(struct move_record){ .state = MOVE_MOVING });
	struct error err;
	char text[24];

	(void)state;
	for (unsigned i = 0; i < MOVE_SOURCES_MAX; i++) {
		(void)snprintf(text, sizeof(text), "m%u", i);
		assert_true(move_record_add_from(record, text));
	}
	assert_false(move_record_add_from(record, "one more"));
	assert_true(move_record_add_from(record, "m3"));
	for (unsigned i = 0; i < MOVE_GONE_MAX; i++) {
		struct digest digest = digest_of(HASH_SHA256, str_from(&i, sizeof(i)));
		assert_true(move_record_add_gone(record, &digest, &err));
	}
	struct digest more = digest_of(HASH_SHA256, STR("more"));
	assert_false(move_record_add_gone(record, &more, &err));
	assert_int_equal(err.kind, ERROR_BUSY);
}

static void what_is_none(void **state)
{
	static const char *const texts[] = { "", "{}", "[]", "{\"format\":2,\"state\":\"moving\"}",
		"{\"format\":1}", "{\"format\":1,\"state\":\"lost\"}", "{\"format\":1,\"state\":\"given\"}",
		"{\"format\":1,\"state\":\"moving\",\"from\":[1]}",
		"{\"format\":1,\"state\":\"moving\",\"gone\":[\"sha256:x\"]}",
		"{\"format\":1,\"state\":\"moving\",\"taken\":1}",
		"{\"format\":1,\"state\":\"moving\",\"done\":\"x\"}" };
	struct move_record *read = NULL;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_false(move_record_parse(str_of(texts[i]), &read, &err));
		assert_null(read);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_comes_back),
		cmocka_unit_test(bounds),
		cmocka_unit_test(what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
