/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_upload_id - it names its worker, and cannot be guessed or twisted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proto/upload_id.h"

#define RANDOM "0123456789abcdef0123456789abcdef"

static void finds_its_worker(void **state)
{
	static const char *const workers[] = { "", "w", "zot-worker-7", "http://10.0.0.7:8080", "\xc3\xa9" };

	(void)state;
	for (size_t i = 0; i < sizeof(workers) / sizeof(workers[0]); i++) {
		struct upload_id id;
		struct upload_id again;

		upload_id_new(workers[i], HASH_SHA256, &id);
		assert_string_equal(id.worker, workers[i]);
		assert_true(strspn(id.text, "0123456789abcdef") >= 32 && id.text[32] == '-');
		assert_int_equal(
			strspn(id.text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"),
			strlen(id.text));
		assert_true(upload_id_parse(str_of(id.text), &again, NULL));
		assert_string_equal(again.worker, workers[i]);
		assert_string_equal(again.text, id.text);
	}
}

static void says_how_it_stands(void **state)
{
	struct upload_id id, told, there;

	(void)state;
	upload_id_new("w", HASH_SHA256, &id);
	assert_false(upload_id_is_begun(&id));
	assert_int_equal(upload_id_alg(&id), HASH_SHA256);
	told = id;
	upload_id_begun(&told);
	upload_id_begun(&told);
	assert_true(upload_id_is_begun(&told));
	assert_string_not_equal(told.text, id.text);
	assert_true(str_equal(upload_id_session(&told), upload_id_session(&id)));
	assert_true(upload_id_parse(str_of(told.text), &there, NULL));
	assert_true(upload_id_is_begun(&there));
	upload_id_at(&told, "another", &there);
	assert_true(upload_id_is_begun(&there));
	assert_string_equal(there.worker, "another");
	upload_id_new("w", HASH_SHA512, &id);
	upload_id_begun(&id);
	assert_int_equal(upload_id_alg(&id), HASH_SHA512);
	/* Of a worker of before: any digit. */
	assert_true(upload_id_parse(STR("0123456789abcdef0123456789abcdef-dw"), &id, NULL));
	assert_true(upload_id_is_begun(&id) && upload_id_alg(&id) == HASH_SHA512);
}

static void is_never_the_same(void **state)
{
	struct upload_id a;
	struct upload_id b;

	(void)state;
	upload_id_new("w", HASH_SHA256, &a);
	upload_id_new("w", HASH_SHA256, &b);
	assert_string_not_equal(a.text, b.text);
}

static void takes_the_longest_name(void **state)
{
	char name[MEMBER_NAME_MAX + 1];
	struct upload_id id;
	struct upload_id again;

	(void)state;
	memset(name, 'n', MEMBER_NAME_MAX);
	name[MEMBER_NAME_MAX] = '\0';
	upload_id_new(name, HASH_SHA256, &id);
	assert_true(upload_id_parse(str_of(id.text), &again, NULL));
	assert_string_equal(again.worker, name);
}

static void refuses(void **state)
{
	static const char *const texts[] = {
		"",
		"-",
		RANDOM,
		"0123456789ABCDEF0123456789abcdef-",
		"0123456789abcdef0123456789abcde-",
		"g123456789abcdef0123456789abcdef-",
		RANDOM "_dw",
		RANDOM "-dw==",
		RANDOM "-d",
		RANDOM "-dx",
		RANDOM "-d/",
		RANDOM "-../..",
		RANDOM "-AA",
		RANDOM "-Cg",
		"/" RANDOM "-dw",
		RANDOM "-dw\n",
	};
	struct upload_id id = { .worker = "untouched" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct error err;

		if (upload_id_parse(str_of(texts[i]), &id, &err))
			fail_msg("\"%s\" is no upload id", texts[i]);
		assert_int_equal(err.kind, ERROR_UNKNOWN);
		assert_string_equal(err.code, "BLOB_UPLOAD_UNKNOWN");
	}
	assert_string_equal(id.worker, "untouched");
}

static void is_bounded(void **state)
{
	char text[UPLOAD_ID_SIZE + 8];
	struct upload_id id;

	(void)state;
	memset(text, 'A', sizeof(text));
	memcpy(text, RANDOM "-", 33);
	/* 172 characters are 129 bytes. */
	memset(text + 33, 'b', 172);
	assert_false(upload_id_parse(str_from(text, 33 + 172), &id, NULL));
	assert_false(upload_id_parse(str_from(text, sizeof(text)), &id, NULL));
	assert_false(upload_id_parse(STR_NONE, &id, NULL));
}

static void keeps_its_session_at_another_worker(void **state)
{
	struct upload_id id, there, read;
	struct error err;

	(void)state;
	upload_id_new("a long name of a worker", HASH_SHA256, &id);
	upload_id_at(&id, "b", &there);
	assert_string_equal(there.worker, "b");
	assert_true(str_equal(upload_id_session(&id), upload_id_session(&there)));
	assert_int_equal(upload_id_session(&id).len, 31);
	assert_true(upload_id_parse(str_of(there.text), &read, &err));
	assert_memory_equal(&read, &there, sizeof(read));
	upload_id_at(&there, "a long name of a worker", &there);
	assert_memory_equal(&there, &id, sizeof(id));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_its_worker),
		cmocka_unit_test(says_how_it_stands),
		cmocka_unit_test(is_never_the_same),
		cmocka_unit_test(takes_the_longest_name),
		cmocka_unit_test(refuses),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(keeps_its_session_at_another_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
