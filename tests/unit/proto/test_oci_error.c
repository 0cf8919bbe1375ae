/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_oci_error - every kind and code has its status, and bodies tell no secrets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "common/json.h"
#include "proto/oci_error.h"

static struct error error_of(enum error_kind kind, const char *code)
{
	struct error err;

	(void)error_set(&err, kind, code, "some text");
	return err;
}

static void status_by_code(void **state)
{
	static const struct {
		const char *code;
		unsigned status;
	} cases[] = {
		{ "BLOB_UNKNOWN", 404 },
		{ "DIGEST_INVALID", 400 },
		{ "MANIFEST_INVALID", 400 },
		{ "NAME_UNKNOWN", 404 },
		{ "UNAUTHORIZED", 401 },
		{ "DENIED", 403 },
		{ "UNSUPPORTED", 405 },
		{ "TOOMANYREQUESTS", 429 },
		{ "MANIFEST_BLOB_UNKNOWN", 404 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error err = error_of(ERROR_INVALID, cases[i].code);

		assert_int_equal(oci_error_status(&err), cases[i].status);
	}
}

static void status_by_kind(void **state)
{
	static const struct {
		enum error_kind kind;
		unsigned alone, with_code;
	} cases[] = {
		{ ERROR_INTERNAL, 500, 404 },
		{ ERROR_INVALID, 400, 404 },
		{ ERROR_DENIED, 403, 404 },
		{ ERROR_UNKNOWN, 404, 404 },
		{ ERROR_CONFLICT, 409, 404 },
		{ ERROR_TOO_LARGE, 413, 413 },
		{ ERROR_BUSY, 503, 503 },
		{ ERROR_TIMEOUT, 503, 503 },
		{ ERROR_UNAVAILABLE, 503, 503 },
		{ ERROR_FULL, 507, 507 },
	};
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		err = error_of(cases[i].kind, NULL);
		assert_int_equal(oci_error_status(&err), cases[i].alone);
		err = error_of(cases[i].kind, "RING_STALE");
		assert_int_equal(oci_error_status(&err), cases[i].alone);
		err = error_of(cases[i].kind, "BLOB_UNKNOWN");
		assert_int_equal(oci_error_status(&err), cases[i].with_code);
	}
	err = error_of(ERROR_BUSY, "TOOMANYREQUESTS");
	assert_int_equal(oci_error_status(&err), 429);
	err = error_of(ERROR_FULL, "TOOMANYREQUESTS");
	assert_int_equal(oci_error_status(&err), 507);
}

static const char *text_of(const char *code)
{
	static const char *const texts[][2] = {
#define OCI_ERROR(name, status, text) { #name, text },
#include "proto/oci_error.def"
#undef OCI_ERROR
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (strcmp(texts[i][0], code) == 0)
			return texts[i][1];
	}
	return NULL;
}

static void expect_one(const struct buf *body, const char *code, const char *message, const char *reason)
{
	AUTO(json_doc) *doc = NULL;
	const struct json *errors;
	const struct json *first;

	assert_false(body->failed);
	assert_true(json_parse(buf_str(body), &doc, NULL));
	errors = json_find(json_root(doc), "errors");
	assert_int_equal(json_len(errors), 1);
	first = json_at(errors, 0);
	assert_true(str_is(json_str(json_find(first, "code")), code));
	assert_true(str_is(json_str(json_find(first, "message")), message));
	if (!str_is(json_str(json_find(json_find(first, "detail"), "reason")), reason))
		fail_msg("%s", buf_text(body));
}

/* Checks that the body is one error with this code and reason, and the other form too. */
static void expect_body(const struct error *err, const char *code, const char *reason)
{
	AUTO_FINI(buf) body = buf_limit(4096);
	AUTO_FINI(buf) saying = buf_limit(4096);

	oci_error_body(err, &body);
	expect_one(&body, code, text_of(code), reason);
	oci_error_body_saying(err, &saying);
	expect_one(&saying, code, reason, reason);
}

static void bodies(void **state)
{
	static const struct {
		enum error_kind kind;
		const char *code;
	} nearest[] = {
		{ ERROR_INVALID, "UNSUPPORTED" },
		{ ERROR_DENIED, "DENIED" },
		{ ERROR_UNKNOWN, "NAME_UNKNOWN" },
		{ ERROR_CONFLICT, "TOOMANYREQUESTS" },
		{ ERROR_TOO_LARGE, "SIZE_INVALID" },
		{ ERROR_BUSY, "UNAVAILABLE" },
		{ ERROR_TIMEOUT, "UNAVAILABLE" },
		{ ERROR_UNAVAILABLE, "UNAVAILABLE" },
		{ ERROR_FULL, "BLOB_UPLOAD_INVALID" },
	};
	struct error err = error_of(ERROR_UNKNOWN, "BLOB_UNKNOWN");

	(void)state;
	expect_body(&err, "BLOB_UNKNOWN", "some text");
	for (size_t i = 0; i < sizeof(nearest) / sizeof(nearest[0]); i++) {
		err = error_of(nearest[i].kind, NULL);
		expect_body(&err, nearest[i].code, "some text");
		err = error_of(nearest[i].kind, "NO_SUCH_CODE");
		expect_body(&err, nearest[i].code, "some text");
	}
	err.text[0] = '\0';
	expect_body(&err, "BLOB_UPLOAD_INVALID", "the registry has no room left");
}

static void tells_no_secrets(void **state)
{
	struct error err = error_of(ERROR_INTERNAL, NULL);

	(void)state;
	expect_body(&err, "UNSUPPORTED", "internal error of the registry");
	err = error_of(ERROR_FULL, NULL);
	err.sys = 28;
	expect_body(&err, "BLOB_UPLOAD_INVALID", "the registry has no room left");
	err = error_of(ERROR_UNKNOWN, "BLOB_UNKNOWN");
	err.sys = 2;
	expect_body(&err, "BLOB_UNKNOWN", "no such thing");
}

static void bodies_are_utf8(void **state)
{
	struct error err = error_of(ERROR_INVALID, "NAME_INVALID");

	(void)state;
	(void)error_set(
		&err, ERROR_INVALID, "NAME_INVALID", "\"a\\b\"\n\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
	expect_body(&err, "NAME_INVALID", "\"a\\b\"\n\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
	(void)error_set(&err, ERROR_INVALID, "NAME_INVALID",
		"\xff \xc3 \xc0\x80 \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82");
	expect_body(&err, "NAME_INVALID", "? ? ?? ??? ???? ??");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_by_code),
		cmocka_unit_test(status_by_kind),
		cmocka_unit_test(bodies),
		cmocka_unit_test(tells_no_secrets),
		cmocka_unit_test(bodies_are_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
