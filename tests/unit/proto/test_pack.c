/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_pack - what is written is read again; what is not well formed or over a bound is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/pack.h"

/* Nothing of ours writes one. */
static void put_nil(struct buf *into)
{
	buf_putc(into, '\xc0');
}

static bool parses(const void *bytes, size_t len)
{
	AUTO(pack_doc) *doc = NULL;
	struct error err;

	return pack_parse(str_from(bytes, len), &doc, &err);
}

/* The bytes lie in a block of just their size, so that a sanitizer sees any read behind them. */
static bool parses_exactly(const char *bytes, size_t len)
{
	char *copy = malloc(len ? len : 1);
	bool good;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	good = parses(copy, len);
	free(copy);
	return good;
}

static void write_sample(struct buf *into)
{
	pack_map(into, 8);
	pack_str(into, STR("text"));
	pack_str(into, STR("hello"));
	pack_str(into, STR("big"));
	pack_uint(into, UINT64_MAX);
	pack_str(into, STR("small"));
	pack_int(into, INT64_MIN);
	pack_str(into, STR("yes"));
	pack_bool(into, true);
	pack_str(into, STR("no"));
	pack_bool(into, false);
	pack_str(into, STR("nil"));
	put_nil(into);
	pack_str(into, STR("bin"));
	pack_bin(into, str_from("\0\1", 2));
	pack_str(into, STR("list"));
	pack_array(into, 2);
	pack_int(into, 7);
	pack_uint(into, 8);
}

static void scalars_survive(void **state)
{
	AUTO_FINI(buf) b = buf_limit(4096);
	AUTO(pack_doc) *doc = NULL;
	const struct pack_node *root;
	struct str s;
	uint64_t u = 0;
	int64_t i = 0;
	bool yes = false;
	bool no = true;

	(void)state;
	write_sample(&b);
	assert_false(b.failed);
	assert_true(pack_parse(buf_str(&b), &doc, NULL));
	root = pack_root(doc);
	assert_true(pack_is_map(root));
	assert_int_equal(pack_len(root), 8);
	assert_true(pack_get_str(pack_find(root, "text"), &s) && str_is(s, "hello"));
	assert_true(pack_get_uint(pack_find(root, "big"), &u) && u == UINT64_MAX);
	assert_false(pack_get_int(pack_find(root, "big"), &i));
	assert_true(pack_get_int(pack_find(root, "small"), &i) && i == INT64_MIN);
	assert_false(pack_get_uint(pack_find(root, "small"), &u));
	assert_true(pack_get_bool(pack_find(root, "yes"), &yes) && yes);
	assert_true(pack_get_bool(pack_find(root, "no"), &no) && !no);
	assert_non_null(pack_find(root, "nil"));
	assert_true(pack_get_str(pack_find(root, "bin"), &s) && s.len == 2 && s.at[1] == 1);
	assert_null(pack_find(root, "absent"));
}

static void lists_and_pairs_are_walked(void **state)
{
	AUTO_FINI(buf) b = buf_limit(4096);
	AUTO(pack_doc) *doc = NULL;
	const struct pack_node *list;
	const struct pack_node *key;
	const struct pack_node *value;
	struct str s;
	int64_t i = 0;

	(void)state;
	write_sample(&b);
	assert_true(pack_parse(buf_str(&b), &doc, NULL));
	list = pack_find(pack_root(doc), "list");
	assert_true(pack_is_array(list));
	assert_int_equal(pack_len(list), 2);
	assert_true(pack_get_int(pack_at(list, 1), &i) && i == 8);
	assert_null(pack_at(list, 2));
	pack_pair(pack_root(doc), 0, &key, &value);
	assert_true(pack_get_str(key, &s) && str_is(s, "text"));
	assert_true(pack_get_str(value, &s) && str_is(s, "hello"));
}

static void null_nodes_are_nothing(void **state)
{
	struct str s;
	uint64_t u;
	int64_t i;
	bool b;

	(void)state;
	assert_null(pack_find(NULL, "x"));
	assert_null(pack_at(NULL, 0));
	assert_int_equal(pack_len(NULL), 0);
	assert_false(pack_get_str(NULL, &s));
	assert_false(pack_get_uint(NULL, &u));
	assert_false(pack_get_int(NULL, &i));
	assert_false(pack_get_bool(NULL, &b));
	assert_false(pack_is_array(NULL) || pack_is_map(NULL));
	pack_doc_free(NULL);
}

static void every_truncation_is_refused(void **state)
{
	AUTO_FINI(buf) b = buf_limit(4096);

	(void)state;
	write_sample(&b);
	for (size_t len = 0; len < b.len; len++)
		assert_false(parses_exactly(b.at, len));
	assert_true(parses_exactly(b.at, b.len));
	put_nil(&b);
	assert_false(parses_exactly(b.at, b.len)); /* something follows */
}

static bool nested_parses(size_t depth)
{
	AUTO_FINI(buf) b = buf_limit(4096);

	for (size_t i = 0; i < depth; i++)
		pack_array(&b, 1);
	put_nil(&b);
	return parses(b.at, b.len);
}

static void nesting_is_bounded(void **state)
{
	(void)state;
	assert_true(nested_parses(16));
	assert_false(nested_parses(17));
	assert_false(nested_parses(2000));
}

static void claims_are_checked_against_what_is_left(void **state)
{
	static const char array32[] = "\xdd\xff\xff\xff\xff\xc0";
	static const char map32[] = "\xdf\x7f\xff\xff\xff\xc0\xc0";
	static const char map_odd[] = "\x82\xc0\xc0\xc0";
	static const char str32[] = "\xdb\xff\xff\xff\xff"
				    "abc";
	static const char bin32[] = "\xc6\x00\x00\x00\x04"
				    "abc";
	static const char ext32[] = "\xc9\xff\xff\xff\xff\x01"
				    "abc";
	static const char never[] = "\xc1";

	(void)state;
	assert_false(parses_exactly(array32, sizeof(array32) - 1));
	assert_false(parses_exactly(map32, sizeof(map32) - 1));
	assert_false(parses_exactly(map_odd, sizeof(map_odd) - 1));
	assert_false(parses_exactly(str32, sizeof(str32) - 1));
	assert_false(parses_exactly(bin32, sizeof(bin32) - 1));
	assert_false(parses_exactly(ext32, sizeof(ext32) - 1));
	assert_false(parses_exactly(never, 1));
	assert_false(parses_exactly("", 0));
}

/* For each type byte: with payload enough of zeros there is one right length, and only that parses. */
static void each_type_has_one_length(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		char bytes[64] = { (char)type };
		unsigned good = 0;

		for (size_t len = 1; len <= sizeof(bytes); len++)
			good += parses_exactly(bytes, len);
		assert_int_equal(good, type == 0xc1 ? 0 : 1);
	}
}

static void noise_does_no_harm(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		char bytes[48];
		size_t len;

		for (size_t i = 0; i < sizeof(bytes); i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = (char)(seed >> 24);
		}
		len = (seed >> 8) % sizeof(bytes);
		(void)parses_exactly(bytes, len);
	}
}

static void long_texts_survive(void **state)
{
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	AUTO(pack_doc) *doc = NULL;
	static char text[70000];
	struct str s;

	(void)state;
	memset(text, 'x', sizeof(text));
	pack_array(&b, 3);
	pack_str(&b, str_from(text, 31));
	pack_str(&b, str_from(text, 300));
	pack_str(&b, str_from(text, sizeof(text)));
	assert_true(pack_parse(buf_str(&b), &doc, NULL));
	assert_true(pack_get_str(pack_at(pack_root(doc), 2), &s));
	assert_int_equal(s.len, sizeof(text));
	assert_memory_equal(s.at, text, sizeof(text));
}

/* The same bytes, where they are the shortest. */
static void what_was_read_is_written_again(void **unused)
{
	AUTO_FINI(buf) b = buf_limit(1000), again = buf_limit(1000);
	AUTO(pack_doc) *doc = NULL;

	(void)unused;
	pack_map(&b, 2);
	pack_str(&b, STR("list"));
	pack_array(&b, 8);
	pack_uint(&b, UINT64_MAX);
	pack_uint(&b, 200);
	pack_int(&b, 70000);
	pack_int(&b, -40000);
	pack_bool(&b, true);
	put_nil(&b);
	pack_bin(&b, STR("\x01\x02"));
	pack_map(&b, 0);
	pack_str(&b, STR("a name of more than thirty-one bytes, so that its length has a byte"));
	pack_str(&b, STR(""));
	assert_true(pack_parse(buf_str(&b), &doc, NULL));
	pack_again(&again, pack_root(doc));
	assert_true(str_equal(buf_str(&b), buf_str(&again)));
}

static void nodes_are_taken_one_by_one(void **unused)
{
	AUTO_FINI(buf) b = buf_limit(1000);
	struct str rest, node, inside, text;
	AUTO(pack_doc) *doc = NULL;
	size_t len;

	(void)unused;
	pack_map(&b, 2);
	pack_str(&b, STR("list"));
	pack_array(&b, 3);
	pack_str(&b, STR("first"));
	pack_map(&b, 1);
	pack_str(&b, STR("second"));
	pack_array(&b, 0);
	pack_uint(&b, 3);
	pack_str(&b, STR("more"));
	pack_bool(&b, true);
	assert_true(pack_check_within(buf_str(&b), 10, NULL));
	assert_false(pack_check_within(buf_str(&b), 9, NULL));
	assert_false(pack_open_array(buf_str(&b), &len, &rest));
	assert_true(pack_open_map(buf_str(&b), &len, &rest));
	assert_int_equal(len, 2);
	assert_true(pack_next(&rest, &node) && str_is(node, "\xa4list"));
	assert_true(pack_next(&rest, &node));
	assert_false(pack_open_map(node, &len, &inside));
	assert_true(pack_open_array(node, &len, &inside));
	assert_int_equal(len, 3);
	assert_true(pack_next(&inside, &node));
	assert_true(pack_parse(node, &doc, NULL));
	assert_true(pack_get_str(pack_root(doc), &text) && str_is(text, "first"));
	assert_true(pack_next(&inside, &node) && node.len == 9);
	assert_true(pack_next(&inside, &node) && str_is(node, "\x03"));
	assert_false(pack_next(&inside, &node));
	assert_true(pack_next(&rest, &node) && pack_next(&rest, &node));
	assert_false(pack_next(&rest, &node));
	assert_false(pack_open_map(STR_NONE, &len, &rest));
	assert_false(pack_open_map(STR("\x93\x01"), &len, &rest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_survive),
		cmocka_unit_test(lists_and_pairs_are_walked),
		cmocka_unit_test(null_nodes_are_nothing),
		cmocka_unit_test(every_truncation_is_refused),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(claims_are_checked_against_what_is_left),
		cmocka_unit_test(each_type_has_one_length),
		cmocka_unit_test(noise_does_no_harm),
		cmocka_unit_test(long_texts_survive),
		cmocka_unit_test(what_was_read_is_written_again),
		cmocka_unit_test(nodes_are_taken_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
