/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_s3_xml - answers of S3 servers as they are, and as nobody should send them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "s3/s3_xml.h"

#define PROLOG "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

static const char failure[] = PROLOG "<Error><Code>NoSuchKey</Code><Message>The specified key "
				     "&quot;a&amp;b&quot; does not exist.</Message>"
				     "<Resource>/bucket/a</Resource><RequestId>1</RequestId></Error>";

static const char list[] = PROLOG
	"<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name><Prefix/>"
	"<IsTruncated>true</IsTruncated>\n<Contents><Key>a&lt;1&gt;</Key><Size>0</Size></Contents>"
	"<Contents>\n  <Key>b&#x2F;&#233;</Key><ETag>&quot;e&quot;</ETag></Contents>"
	"<NextContinuationToken>1/abc+=</NextContinuationToken></ListBucketResult>";

static void expect_text(const char *xml, const char *name, const char *wanted)
{
	AUTO_FINI(buf) text = buf_limit(256);

	assert_true(s3_xml_find(str_of(xml), name, &text));
	assert_string_equal(buf_text(&text), wanted);
}

static void expect_none(const char *xml, const char *name)
{
	AUTO_FINI(buf) text = buf_limit(256);

	assert_false(s3_xml_find(str_of(xml), name, &text));
}

static void code_and_message(void **state)
{
	(void)state;
	expect_text(failure, "Code", "NoSuchKey");
	expect_text(failure, "Message", "The specified key \"a&b\" does not exist.");
	expect_none(failure, "HostId");
	expect_none(failure, "Error");
}

static void keys_in_turn(void **state)
{
	AUTO_FINI(buf) key = buf_limit(64);
	struct str xml = str_of(list);
	struct str raw;

	(void)state;
	assert_true(s3_xml_next(&xml, "Key", &raw));
	assert_true(s3_xml_unescape(raw, &key));
	assert_string_equal(buf_text(&key), "a<1>");
	buf_clear(&key);
	assert_true(s3_xml_next(&xml, "Key", &raw));
	assert_true(s3_xml_unescape(raw, &key));
	assert_string_equal(buf_text(&key), "b/\xc3\xa9");
	assert_false(s3_xml_next(&xml, "Key", &raw));
	expect_text(list, "IsTruncated", "true");
	expect_text(list, "NextContinuationToken", "1/abc+=");
	expect_text(list, "Prefix", "");
}

static void outermost_element(void **state)
{
	(void)state;
	assert_true(s3_xml_is(str_of(failure), "Error"));
	assert_true(s3_xml_is(STR("\n\n  <Error><Code>x</Code></Error>"), "Error"));
	assert_true(s3_xml_is(str_of(list), "ListBucketResult"));
	assert_true(s3_xml_is(STR("<!-- <Error> --><CopyObjectResult/>"), "CopyObjectResult"));
	assert_false(s3_xml_is(str_of(list), "Error"));
	assert_false(s3_xml_is(STR("<Errors></Errors>"), "Error"));
	assert_false(s3_xml_is(STR_NONE, "Error"));
	assert_false(s3_xml_is(STR("Error"), "Error"));
}

static void what_only_looks_like_it(void **state)
{
	(void)state;
	expect_text("<a><!-- <Code>no</Code> --><Code>yes</Code></a>", "Code", "yes");
	expect_text("<a><![CDATA[<Code>no</Code>]]><Code>yes</Code></a>", "Code", "yes");
	expect_text("<a><Codes>no</Codes><Code >yes</Code ></a>", "Code", "yes");
	expect_text("<a><Code><b>no</b></Code><Code x=\"1\">yes</Code></a>", "Code", "yes");
}

static void broken_text(void **state)
{
	static const char *const texts[] = {
		"",
		"<",
		"<Code",
		"<Code>",
		"<Code>x",
		"<Code>x<",
		"<Code>x</",
		"<Code>x</Code",
		"<Code>x</Coda>",
		"<!--",
		"<?",
		"<![CDATA[",
		"<Code>&amp</Code>",
		"<Code>&unknown;</Code>",
		"<Code>&#0;</Code>",
		"<Code>&#xD800;</Code>",
		"<Code>&#x110000;</Code>",
		"<Code>&#;</Code>",
		"<Code>&#x;</Code>",
		"<Code>&#xFFFFFFFFF;</Code>",
		"<Code>&#-1;</Code>",
		"<Code>&;</Code>",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		expect_none(texts[i], "Code");
	AUTO_FINI(buf) nul = buf_limit(16);
	assert_false(s3_xml_unescape(str_from("a\0b", 3), &nul));
}

/* Every beginning of an answer is a cut answer: nothing is invented from it. */
static void cut_anywhere(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof list; len++) {
		AUTO_STR *copy = malloc(len ? len : 1);
		AUTO_FINI(buf) text = buf_limit(256);
		struct str xml = str_from(copy, len), raw;
		size_t n = 0;

		memcpy(copy, list, len);
		while (s3_xml_next(&xml, "Key", &raw))
			n++;
		assert_true(n <= 2);
		if (s3_xml_find(str_from(copy, len), "NextContinuationToken", &text))
			assert_string_equal(buf_text(&text), "1/abc+=");
	}
}

static void limit_of_the_text(void **state)
{
	AUTO_FINI(buf) text = buf_limit(3);

	(void)state;
	assert_false(s3_xml_find(str_of(failure), "Code", &text));
}

static void escaped_and_back(void **state)
{
	AUTO_FINI(buf) escaped = buf_limit(256);
	AUTO_FINI(buf) back = buf_limit(256);
	const char *text = "a<b>&\"c\"'";

	(void)state;
	s3_xml_escape(&escaped, str_of(text));
	assert_null(strpbrk(buf_text(&escaped), "<>\""));
	assert_true(s3_xml_unescape(buf_str(&escaped), &back));
	assert_string_equal(buf_text(&back), text);
}

static const char uploads[] = PROLOG
	"<ListMultipartUploadsResult><KeyMarker/><Upload><!-- </Upload> "
	"--><Key>a</Key><Owner><ID>1</ID></Owner>"
	"<Initiated>2026-11-20T12:00:00.000Z</Initiated></Upload>\n<Upload/><Upload >\n<Key>b</Key></Upload>"
	"<Uploads><Upload>";

static void blocks(void **state)
{
	struct str rest = STR(uploads), one;
	AUTO_FINI(buf) text = buf_limit(64);

	(void)state;
	assert_true(s3_xml_next_block(&rest, "Upload", &one));
	assert_true(s3_xml_find(one, "Key", &text) && str_is(buf_str(&text), "a"));
	buf_clear(&text);
	assert_true(s3_xml_find(one, "ID", &text) && str_is(buf_str(&text), "1"));
	buf_clear(&text);
	assert_true(s3_xml_next_block(&rest, "Upload", &one));
	assert_true(s3_xml_find(one, "Key", &text) && str_is(buf_str(&text), "b"));
	assert_false(s3_xml_find(one, "Initiated", &text));
	/* The last is not whole. */
	assert_false(s3_xml_next_block(&rest, "Upload", &one));
	rest = STR("<Upload><Key>a</Key>");
	assert_false(s3_xml_next_block(&rest, "Upload", &one));
	assert_int_equal(rest.len, strlen("<Upload><Key>a</Key>"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_and_message),
		cmocka_unit_test(blocks),
		cmocka_unit_test(keys_in_turn),
		cmocka_unit_test(outermost_element),
		cmocka_unit_test(what_only_looks_like_it),
		cmocka_unit_test(broken_text),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(limit_of_the_text),
		cmocka_unit_test(escaped_and_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
