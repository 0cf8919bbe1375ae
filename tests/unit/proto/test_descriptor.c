/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_descriptor - the JSON of it, there and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proto/descriptor.h"

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define PLAIN  "\"mediaType\":\"a/b\",\"digest\":\"" DIGEST "\",\"size\":7"

static bool parse(const char *text, struct descriptor *ret, struct error *err)
{
	AUTO(json_doc) *doc = NULL;

	assert_true(json_parse(str_of(text), &doc, NULL));
	return descriptor_parse(json_root(doc), ret, err);
}

static void writes_what_it_read(void **state)
{
	static const char *const texts[] = {
		"{" PLAIN "}",
		"{" PLAIN
		",\"annotations\":{\"z\":\"1\",\"a\":\"\",\"\":\"\xc3\xa9\\n\"},\"artifactType\":\"x/y\"}",
	};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		AUTO_FINI(buf) b = buf_limit(4096);
		struct json_writer writer = json_writer(&b);
		AUTO_FINI(descriptor) descriptor = { 0 };

		assert_true(parse(texts[i], &descriptor, NULL));
		assert_string_equal(descriptor.media_type, "a/b");
		assert_int_equal(descriptor.size, 7);
		assert_false(descriptor.has_subject);
		descriptor_write(&writer, &descriptor);
		assert_string_equal(buf_text(&b), texts[i]);
	}
}

static void drops_what_it_does_not_know(void **state)
{
	AUTO_FINI(descriptor) descriptor = { 0 };

	(void)state;
	assert_true(parse("{" PLAIN ",\"data\":\"e30=\",\"urls\":[\"x\"],\"platform\":{\"os\":1},\"x\":null,"
			  "\"annotations\":null,\"artifactType\":null}",
		&descriptor, NULL));
	assert_null(descriptor.artifact_type);
	assert_int_equal(descriptor.annotations_len, 0);
	assert_null(descriptor_annotation(&descriptor, "x"));
}

static void copies_deeply(void **state)
{
	struct descriptor descriptor;
	struct descriptor copy;
	struct descriptor empty;

	(void)state;
	assert_true(parse("{" PLAIN ",\"annotations\":{\"k\":\"v\",\"l\":\"w\"},\"artifactType\":\"x/y\"}",
		&descriptor, NULL));
	descriptor.has_subject = true;
	descriptor.subject = digest_of(HASH_SHA256, STR("s"));
	descriptor_copy(&copy, &descriptor);
	descriptor_fini(&descriptor);
	assert_null(descriptor.media_type);
	assert_string_equal(copy.media_type, "a/b");
	assert_string_equal(copy.artifact_type, "x/y");
	assert_string_equal(descriptor_annotation(&copy, "l"), "w");
	assert_null(descriptor_annotation(&copy, "v"));
	assert_true(copy.has_subject);
	descriptor_copy(&empty, &descriptor);
	descriptor_fini(&empty);
	descriptor_fini(&copy);
	descriptor_fini(&copy);
}

static void refuses(void **state)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"{\"mediaType\":\"a/b\",\"size\":7}",
		"{\"mediaType\":\"a/b\",\"digest\":\"" DIGEST "\"}",
		"{\"digest\":\"" DIGEST "\",\"size\":7}",
		"{\"mediaType\":\"\",\"digest\":\"" DIGEST "\",\"size\":7}",
		"{\"mediaType\":7,\"digest\":\"" DIGEST "\",\"size\":7}",
		"{\"mediaType\":\"a/b\\r\\nX: y\",\"digest\":\"" DIGEST "\",\"size\":7}",
		"{\"mediaType\":\"a/b\",\"digest\":7,\"size\":7}",
		"{\"mediaType\":\"a/b\",\"digest\":\"sha256:00\",\"size\":7}",
		"{\"mediaType\":\"a/b\",\"digest\":\"" DIGEST "\",\"size\":-1}",
		"{\"mediaType\":\"a/b\",\"digest\":\"" DIGEST "\",\"size\":7.5}",
		"{\"mediaType\":\"a/b\",\"digest\":\"" DIGEST "\",\"size\":\"7\"}",
		"{" PLAIN ",\"artifactType\":7}",
		"{" PLAIN ",\"annotations\":[]}",
		"{" PLAIN ",\"annotations\":{\"a\":1}}",
		"{" PLAIN ",\"annotations\":{\"a\":\"b\",\"c\":null}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct descriptor descriptor = { .size = 99 };
		struct error err;

		if (parse(texts[i], &descriptor, &err))
			fail_msg("%s is no descriptor", texts[i]);
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_string_equal(err.code, "MANIFEST_INVALID");
		assert_int_equal(descriptor.size, 99);
	}
}

static bool parse_with_annotations(size_t n)
{
	AUTO_FINI(buf) b = buf_limit(1024 * 1024);
	struct descriptor descriptor;
	bool ok;

	buf_puts(&b, "{" PLAIN ",\"annotations\":{");
	for (size_t i = 0; i < n; i++)
		buf_format(&b, "%s\"%zu\":\"\"", i ? "," : "", i);
	buf_puts(&b, "}}");
	ok = parse(buf_text(&b), &descriptor, NULL);
	if (ok)
		descriptor_fini(&descriptor);
	return ok;
}

static void is_bounded(void **state)
{
	AUTO_FINI(buf) b = buf_limit(4096);
	struct descriptor descriptor;
	char type[MEDIA_TYPE_MAX + 2];

	(void)state;
	assert_true(parse_with_annotations(ANNOTATIONS_MAX));
	assert_false(parse_with_annotations(ANNOTATIONS_MAX + 1));
	memset(type, 'a', sizeof(type));
	type[MEDIA_TYPE_MAX + 1] = '\0';
	buf_format(&b, "{" PLAIN ",\"artifactType\":\"%s\"}", type);
	assert_false(parse(buf_text(&b), &descriptor, NULL));
	buf_clear(&b);
	buf_format(&b, "{" PLAIN ",\"artifactType\":\"%s\"}", type + 1);
	assert_true(parse(buf_text(&b), &descriptor, NULL));
	descriptor_fini(&descriptor);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_what_it_read),
		cmocka_unit_test(drops_what_it_does_not_know),
		cmocka_unit_test(copies_deeply),
		cmocka_unit_test(refuses),
		cmocka_unit_test(is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
