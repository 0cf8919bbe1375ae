/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_json - what is refused, what is found, what is written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/json_memory.h"

static struct json_doc *parsed(const char *text)
{
	struct json_doc *doc = NULL;
	struct error err;

	if (!json_parse(str_of(text), &doc, &err))
		fail_msg("%s", err.text);
	return doc;
}

static void expect_refused(struct str text)
{
	struct json_doc *doc = NULL;
	struct error err;

	if (json_parse(text, &doc, &err))
		fail_msg("accepted: %.*s", STR_ARGS(text));
	assert_null(doc);
	assert_int_equal(err.kind, ERROR_INVALID);
}

static void test_refuses(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"1",
		"\"a\"",
		"{",
		"{}x",
		"{} {}",
		"[1,]",
		"{\"a\":1,\"a\":2}",
		"[\"\\u0000\"]",
		"[\"\xff\"]",
		"[99999999999999999999]",
		"[1e999]",
		"[NaN]",
		"{'a':1}",
		"[\"\n\"]",
		"// c\n{}",
		"[\"\\ud800\"]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		expect_refused(str_of(texts[i]));
	expect_refused(STR_NONE);
	expect_refused(STR("[\"a\0b\"]"));
	expect_refused(STR("[]\0"));
}

static void test_error_says_where_but_not_what(void **state)
{
	struct json_doc *doc = NULL;
	struct error err;

	(void)state;
	assert_false(json_parse(STR("{\n  \"k\": hunter2\n}"), &doc, &err));
	assert_non_null(strstr(err.text, "line 2"));
	assert_non_null(strstr(err.text, "column"));
	assert_null(strstr(err.text, "hunter2"));
	assert_false(json_parse(STR("{"), &doc, NULL));
}

static void test_nesting(void **state)
{
	char text[200];
	AUTO(json_doc) *doc = NULL;

	(void)state;
	memset(text, '[', 65);
	memset(text + 65, ']', 65);
	expect_refused(str_from(text, 130));
	assert_true(json_parse(str_from(text + 1, 128), &doc, NULL));
	memset(text, '[', sizeof(text));
	memcpy(text, "[\"\\\"", 4);
	memcpy(text + sizeof(text) - 2, "\"]", 2);
	json_doc_free(TAKE(doc));
	assert_true(json_parse(str_from(text, sizeof(text)), &doc, NULL));
}

static void repeat(struct buf *text, const char *part, size_t times)
{
	buf_putc(text, '[');
	for (size_t i = 0; i < times; i++)
		buf_format(text, "%s%s", i ? "," : "", part);
	buf_putc(text, ']');
	assert_false(text->failed);
}

/* A tree may take 60 times its text: what counts is the tree. */
static void test_a_large_tree_is_refused(void **state)
{
	static const char *const parts[] = { "[]", "{}", "[{}]", "0.1", "{\"a\":{}}" };

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		AUTO_FINI(buf) text = buf_limit(64u << 20);
		struct json_doc *doc = NULL;
		struct error err;

		repeat(&text, parts[i], 2000000);
		assert_false(json_parse(buf_str(&text), &doc, &err));
		assert_int_equal(err.kind, ERROR_TOO_LARGE);
		assert_non_null(strstr(err.text, "32768 KiB"));
		assert_int_equal(json_memory_reserved(), 0);
	}
}

static void test_memory_is_bounded_by_the_caller(void **state)
{
	AUTO_FINI(buf) text = buf_limit(1u << 20);
	AUTO(json_doc) *doc = NULL;

	(void)state;
	repeat(&text, "{\"key\":\"value\"}", 1000);
	assert_false(json_parse_within(buf_str(&text), 100000, &doc, NULL));
	assert_true(json_parse_within(buf_str(&text), 500000, &doc, NULL));
	assert_in_range(json_doc_memory(doc), text.len, 500000);
	assert_int_equal(json_len(json_root(doc)), 1000);
}

/* Wherever it happens to run out: inside of a string, a word, a number, a list. */
static void test_every_bound_is_told(void **state)
{
	static const char *const parts[] = { "RRRR", "[[],", "{\"", "\"\\u00e9", "{\"k\":", "123",
		"[1,2.5,null,\"s\"," };

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		AUTO_FINI(buf) text = buf_limit(4096);

		buf_putc(&text, '[');
		for (unsigned n = 0; n < 60; n++)
			buf_puts(&text, parts[i]);
		for (size_t max = 16; max < 8192; max += 16) {
			struct json_doc *doc = NULL;
			struct error err;

			assert_false(json_parse_within(buf_str(&text), max, &doc, &err));
			assert_true(err.kind == ERROR_TOO_LARGE || err.kind == ERROR_INVALID);
			assert_null(doc);
		}
	}
}

/* 10,000 members of ten values each, as no image has. */
static void test_a_large_honest_index_passes(void **state)
{
	static const char part[] =
		"{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"size\":1234,"
		"\"digest\":\"sha256:0123456789012345678901234567890123456789012345678901234567890123\","
		"\"artifactType\":\"a/b\",\"data\":\"e30=\",\"annotations\":{\"a.b\":\"c\",\"d.e\":\"f\"},"
		"\"platform\":{\"architecture\":\"arm\",\"os\":\"linux\",\"variant\":\"v7\"}}";
	AUTO_FINI(buf) text = buf_limit(4u << 20);
	AUTO(json_doc) *doc = NULL;

	(void)state;
	repeat(&text, part, 10000);
	assert_true(json_parse(buf_str(&text), &doc, NULL));
	assert_true(json_doc_memory(doc) < JSON_MEMORY_MAX);
	json_doc_free(TAKE(doc));
	assert_int_equal(json_memory_reserved(), 0);
	assert_true(json_parse_own(buf_str(&text), &doc, NULL));
	assert_int_equal(json_memory_reserved(), 0);
}

static void test_looks(void **state)
{
	AUTO(json_doc) *doc = parsed(
		"{\"s\":\"x\",\"n\":-5,\"b\":true,\"z\":null,\"r\":1.5,\"a\":[1,2],\"o\":{\"k\":\"v\"}}");
	const struct json *root = json_root(doc);
	struct str s = STR("before");
	int64_t n = 7;
	bool b = false;

	(void)state;
	assert_int_equal(json_kind(root), JSON_OBJECT);
	assert_int_equal(json_len(root), 7);
	assert_true(json_get_str(json_find(root, "s"), &s) && str_is(s, "x"));
	assert_true(json_get_int(json_find(root, "n"), &n) && n == -5);
	assert_true(json_get_bool(json_find(root, "b"), &b) && b);
	assert_int_equal(json_kind(json_find(root, "z")), JSON_NULL);
	assert_int_equal(json_kind(json_find(root, "r")), JSON_REAL);
	assert_true(json_get_int(json_at(json_find(root, "a"), 1), &n) && n == 2);
	assert_true(str_is(json_str(json_find(json_find(root, "o"), "k")), "v"));
	assert_false(json_get_int(json_find(root, "s"), &n));
	assert_false(json_get_str(json_find(root, "n"), &s));
	assert_false(json_get_bool(json_find(root, "n"), &b));
	assert_true(n == 2 && b && str_is(s, "x"));
	assert_null(json_find(json_find(json_find(root, "no"), "no"), "no"));
	assert_null(json_find(json_find(root, "a"), "k"));
	assert_null(json_at(json_find(root, "a"), 2));
	assert_null(json_at(root, 0));
	assert_int_equal(json_kind(NULL), JSON_NONE);
	assert_int_equal(json_len(NULL), 0);
	assert_null(json_str(NULL).at);
}

static void test_next_keeps_the_order(void **state)
{
	AUTO(json_doc) *doc = parsed("{\"z\":1,\"a\":2,\"m\":3,\"b\":4}");
	AUTO_FINI(buf) keys = buf_limit(100);
	const struct json *value;
	int64_t n, sum = 0;
	void *it = NULL;
	struct str key;

	(void)state;
	while (json_next(json_root(doc), &it, &key, &value)) {
		buf_add(&keys, key);
		assert_true(json_get_int(value, &n));
		sum += n;
	}
	assert_string_equal(buf_text(&keys), "zamb");
	assert_int_equal(sum, 10);
	it = NULL;
	assert_false(json_next(NULL, &it, &key, &value));
}

static void test_writes(void **state)
{
	AUTO_FINI(buf) b = buf_limit(1000);
	struct json_writer w = json_writer(&b);

	(void)state;
	json_open_object(&w);
	json_put_str(&w, "s", STR("a\"\\\n\x01\x7f\xc3\xa9\xe2\x82\xac"));
	json_put_text(&w, "left out", NULL);
	json_put_int(&w, "n", INT64_MIN);
	json_put_bool(&w, "b", false);
	json_key(&w, STR("l"));
	json_open_array(&w);
	json_value_int(&w, 1);
	json_value_node(&w, NULL);
	json_open_object(&w);
	json_close_object(&w);
	json_value_bool(&w, true);
	json_close_array(&w);
	json_put_text(&w, "t", "");
	json_close_object(&w);
	assert_string_equal(buf_text(&b),
		"{\"s\":\"a\\\"\\\\\\n\\u0001\\u007f\xc3\xa9\xe2\x82\xac\","
		"\"n\":-9223372036854775808,\"b\":false,\"l\":[1,null,{},true],\"t\":\"\"}");
}

static void test_writes_only_utf8(void **state)
{
	AUTO_FINI(buf) b = buf_limit(1000);
	struct json_writer w = json_writer(&b);
	AUTO(json_doc) *doc = NULL;

	(void)state;
	json_open_array(&w);
	json_value_str(&w, STR("\xff"
			       "a\xc3"));
	json_value_str(&w, STR("\xed\xa0\x80\xc0\xaf\xf5\x80\x80\x80\xf0\x80\x80\x80\xe0\x80\x80"));
	json_value_str(&w, STR("\xf0\x9f\x98\x80"));
	json_close_array(&w);
	assert_true(json_parse(buf_str(&b), &doc, NULL));
	assert_true(str_is(json_str(json_at(json_root(doc), 0)), "\xef\xbf\xbd"
								 "a\xef\xbf\xbd"));
	assert_true(str_is(json_str(json_at(json_root(doc), 2)), "\xf0\x9f\x98\x80"));
}

static void test_round_trip(void **state)
{
	static const char text[] = "{\"z\":[1,-2,1.5,1.0,1e+300,\"\\u00e9\",true,null,{}],\"a\":{\"b\":[]}}";
	AUTO(json_doc) *doc = parsed(text);
	AUTO_FINI(buf) b = buf_limit(1000);
	struct json_writer w = json_writer(&b);

	(void)state;
	json_value_node(&w, json_root(doc));
	assert_string_equal(buf_text(&b),
		"{\"z\":[1,-2,1.5,1.0,1.0000000000000001e+300,\"\xc3\xa9\",true,null,{}],"
		"\"a\":{\"b\":[]}}");
}

static void test_writer_refuses_to_nest_too_deep(void **state)
{
	AUTO_FINI(buf) b = buf_limit(1000);
	struct json_writer w = json_writer(&b);
	AUTO(json_doc) *doc = parsed("[[[]]]");

	(void)state;
	for (int i = 0; i < 62; i++)
		json_open_array(&w);
	json_value_node(&w, json_root(doc));
	assert_true(b.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refuses),
		cmocka_unit_test(test_error_says_where_but_not_what),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_a_large_tree_is_refused),
		cmocka_unit_test(test_memory_is_bounded_by_the_caller),
		cmocka_unit_test(test_every_bound_is_told),
		cmocka_unit_test(test_a_large_honest_index_passes),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_next_keeps_the_order),
		cmocka_unit_test(test_writes),
		cmocka_unit_test(test_writes_only_utf8),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_writer_refuses_to_nest_too_deep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
