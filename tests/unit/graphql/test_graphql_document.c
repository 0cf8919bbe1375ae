/* SPDX-License-Identifier: Apache-2.0 */
/* test_graphql_document - tokens, strings, numbers, the grammar, and the limits of a text. */
#include "tests/unit/graphql/sample_run.h"

static void reads_what_stands_for_nothing(void **state)
{
	(void)state;
	answers("\xef\xbb\xbf#comment\r\n,,,{ # here\n  dog , { name,, }\t}#end",
		"{\"dog\":{\"name\":\"Rex\"}}");
	answers("query{dog{name}}", "{\"dog\":{\"name\":\"Rex\"}}");
	answers("query All { a:dog{b:name} }", "{\"a\":{\"b\":\"Rex\"}}");
}

static void strings(void **state)
{
	(void)state;
	echoes("{echo(s:\"\")}", NULL, "s=\"\" must=7");
	echoes("{echo(s:\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\")}", NULL,
		"s=\"a\\\"\\\\/\\u0008\\u000c\\n\\r\\tA\xc3\xa9\xe2\x82\xac\" must=7");
	echoes("{echo(s:\"\\uD83D\\uDE00 \xf0\x9f\x98\x80\")}", NULL,
		"s=\"\xf0\x9f\x98\x80 \xf0\x9f\x98\x80\" must=7");
	echoes("{echo(s:\"# no comment\")}", NULL, "s=\"# no comment\" must=7");
	refuses("{echo(s:\"\\uD83D\")}", "surrogates come in pairs");
	refuses("{echo(s:\"\\uD83D\\u0041\")}", "no low surrogate");
	refuses("{echo(s:\"\\uDE00\")}", "surrogates come in pairs");
	refuses("{echo(s:\"\\u00g0\")}", "four hexadecimal digits");
	refuses("{echo(s:\"\\x\")}", "no such escape");
	refuses("{echo(s:\"a\nb\")}", "does not end on its line");
	refuses("{echo(s:\"a", "does not end on its line");
	refuses("{echo(s:\"a\\", "no such escape");
	refuses("{echo(s:\"\x01\")}", "control character");
}

/* The example of 2.9.4, and its edges. */
static void block_strings(void **state)
{
	(void)state;
	echoes("{echo(s:\"\"\"\n    Hello,\n      World!\n\n    Yours,\n      GraphQL.\n  \"\"\")}", NULL,
		"s=\"Hello,\\n  World!\\n\\nYours,\\n  GraphQL.\" must=7");
	echoes("{echo(s:\"\"\"\"\"\")}", NULL, "s=\"\" must=7");
	echoes("{echo(s:\"\"\"  first\r\n   a\r    b\n  \"\"\")}", NULL, "s=\"  first\\na\\n b\" must=7");
	echoes("{echo(s:\"\"\"a \\\"\"\" \\n \" \"\" \"\"\")}", NULL,
		"s=\"a \\\"\\\"\\\" \\\\n \\\" \\\"\\\" \" must=7");
	refuses("{echo(s:\"\"\"a\"\"", "\"\"\" is missing");
	refuses("{echo(s:\"\"\"\x02\"\"\")}", "control character");
}

static void numbers(void **state)
{
	(void)state;
	echoes("{echo(i:0)}", NULL, "i=0 must=7");
	echoes("{echo(i:-2147483648, f:-0.5e+3)}", NULL, "i=-2147483648 f=-0.5e+3 must=7");
	echoes("{echo(f:1E2)}", NULL, "f=1E2 must=7");
	refuses("{echo(i:01)}", "does not begin with 0");
	refuses("{echo(i:1.)}", "a digit is missing");
	refuses("{echo(f:1.0.0)}", "a blank is missing");
	refuses("{echo(i:1a)}", "a blank is missing");
	refuses("{echo(i:-)}", "a digit is missing");
	refuses("{echo(f:1e999)}", "too large");
	refuses("{echo(f:.5)}", "no character '.'");
}

static void says_where(void **state)
{
	(void)state;
	refuses("{\n  dog {\r\n    \xc3\xa9", "byte 0xc3");
	answers_op("{\r\n  dog {\n    nome }\r}", NULL, NULL,
		"{\"errors\":[{\"message\":\"Dog has no field \\\"nome\\\" (did you mean \\\"name\\\"?)\","
		"\"locations\":[{\"line\":3,\"column\":5}]}]}");
	answers_op("{ echo(s:\"\xc3\xa9\xc3\xa9\") , nix }", NULL, NULL,
		"{\"errors\":[{\"message\":\"Query has no field "
		"\\\"nix\\\"\",\"locations\":[{\"line\":1,\"column\":18}]}]}");
}

static void grammar(void **state)
{
	(void)state;
	refuses("", "the query ends here");
	refuses("{", "the query ends here");
	refuses("{}", "expected is the name of a field");
	refuses("{dog{}}", "expected is the name of a field");
	refuses("{dog(){name}}", "these brackets are empty");
	refuses("{dog(name){name}}", "expected is \":\"");
	refuses("{dog(name:){name}}", "expected is a value");
	refuses("{dog{name}} }", "\"}\" is here");
	refuses("mutation{a}", "no mutation");
	refuses("subscription{a}", "no subscription");
	refuses("type A{b:Int}", "\"type\" is here; expected is");
	refuses("fragment on on Dog{name} {dog{name}}", "which is not \"on\"");
	refuses("fragment A on Dog{name}", "fragments alone");
	refuses("query($a:Int=$b){dog{name}}", "a value without variables");
	refuses("query(){dog{name}}", "expected is \"$\"");
	refuses("{dog{... on}}", "the name of a type");
	refuses("{dog{name ..}}", "no character '.'");
	refuses("{a\xff}", "not UTF-8");
	refuses("{a \"b\"}", "a string is here");
	refuses("{a}}", "\"}\" is here");
}

static void many(struct buf *text, const char *before, const char *what, unsigned n, const char *after)
{
	buf_clear(text);
	buf_puts(text, before);
	while (n--)
		buf_puts(text, what);
	buf_puts(text, after);
}

static void limits(void **state)
{
	AUTO_FINI(buf) text = buf_limit(1024 * 1024);

	(void)state;
	many(&text, "{dog{name}}", " ", 64 * 1024, "");
	refuses(buf_text(&text), "bytes, over the limit of 65536");
	many(&text, "{dog{name}}", " ", 64 * 1024 - 11, "");
	answers(buf_text(&text), "{\"dog\":{\"name\":\"Rex\"}}");
	many(&text, "{dog{", "name ", 10000, "}}");
	refuses(buf_text(&text), "more than 10000 words");
	many(&text, "{dog{", "name ", 9994, "}}");
	answers(buf_text(&text), "{\"dog\":{\"name\":\"Rex\"}}");
	many(&text, "{echo(deep:", "[", 60000, "");
	refuses(buf_text(&text), "nested more than 64");
	many(&text, "", "{a", 30000, "");
	refuses(buf_text(&text), "nested more than 64");
	many(&text, "", "{...", 10000, "");
	refuses(buf_text(&text), "nested more than 64");
	many(&text, "query($a:", "[", 60000, "");
	refuses(buf_text(&text), "nested more than 64");
	many(&text, "", "query A{dog{name}}", 51, "");
	refuses(buf_text(&text), "more than 50 operations");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_stands_for_nothing),
		cmocka_unit_test(strings),
		cmocka_unit_test(block_strings),
		cmocka_unit_test(numbers),
		cmocka_unit_test(says_where),
		cmocka_unit_test(grammar),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests_name("graphql_document", tests, NULL, NULL);
}
