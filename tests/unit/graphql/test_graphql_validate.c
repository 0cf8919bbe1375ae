/* SPDX-License-Identifier: Apache-2.0 */
/* test_graphql_validate - each rule of section 5, and texts that are made to take long. */
#include "tests/unit/graphql/sample_run.h"

static void operations(void **state)
{
	(void)state;
	refuses("query A{dog{name}} query A{dog{name}}", "two operations \"A\"");
	refuses("query A{dog{name}} {dog{name}}", "has to be the only one");
	refuses("query A{dog{name}} query B{dog{name}}", "operationName has to say which");
	refuses_op("query A{dog{name}}", "C", NULL, "no operation \"C\"");
	answers_op("query A{dog{name}} query B{dog{barks}}", "B", NULL, "{\"data\":{\"dog\":{\"barks\":3}}}");
}

static void fields(void **state)
{
	(void)state;
	refuses("{dogz{name}}", "Query has no field \"dogz\" (did you mean \"dog\"?)");
	refuses("{dog{name{x}}}", "\"name\" is of type String, which has no fields");
	refuses("{dog}", "\"dog\" is an object of type Dog");
	refuses("{__typenam}", "no field \"__typenam\"");
	refuses("{dog{__schema{types{name}}}}", "Dog has no field \"__schema\"");
}

/* 5.3.2, as far as there are objects alone. */
static void merging(void **state)
{
	(void)state;
	answers("{dog{name name} dog{barks}}", "{\"dog\":{\"name\":\"Rex\",\"barks\":3}}");
	answers("{dog(name:\"Fifi\"){name} ...F} fragment F on Query{dog(name:\"Fifi\"){barks}}",
		"{\"dog\":{\"name\":\"Fifi\",\"barks\":1}}");
	answers("{dogs(limit:1){dogs(limit:0){name}} dogs(limit:1){dogs(limit:0){barks}}}",
		"{\"dogs\":[{\"dogs\":[]}]}");
	refuses("{dog{name:barks name}}", "\"name\" is there twice, of different fields");
	refuses("{dog{name} dog(name:\"Rex\"){barks}}", "twice, with different arguments");
	refuses("{dog(name:\"a\"){name} dog(name:\"b\"){name}}", "twice, with different arguments");
	refuses("{dog{friend{x:name}} ...F} fragment F on Query{dog{friend{x:barks}}}",
		"\"x\" is there twice");
	refuses("query($a:String,$b:String){dog(name:$a){name} dog(name:$b){name}}",
		"twice, with different arguments");
	answers_op("query($a:String){dog(name:$a){name} dog(name:$a){barks}}", NULL, "{\"a\":\"Fifi\"}",
		"{\"data\":{\"dog\":{\"name\":\"Fifi\",\"barks\":1}}}");
	/* Whether or not it is skipped. */
	refuses("{dog{name:barks @skip(if:true) name}}", "twice");
}

static void arguments(void **state)
{
	(void)state;
	refuses("{dog(nam:\"a\"){name}}", "dog has no \"nam\" (did you mean \"name\"?)");
	refuses("{dog(name:\"a\",name:\"a\"){name}}", "dog has \"name\" twice");
	refuses("{need}", "need has to have \"i\", of type Int!");
	refuses("{need(i:null)}", "null is null, no value of type Int!");
	refuses("{dog(name:1){name}}", "1 is an integer, no value of type String");
}

static void fragments(void **state)
{
	(void)state;
	answers("{dog{...A}} fragment A on Dog{...B barks} fragment B on Dog{name}",
		"{\"dog\":{\"name\":\"Rex\",\"barks\":3}}");
	answers("{dog{...{name} ... on Dog{barks} ...@include(if:false){weight}}}",
		"{\"dog\":{\"name\":\"Rex\",\"barks\":3}}");
	refuses("{dog{...A}} fragment A on Dog{name} fragment A on Dog{barks}", "two fragments \"A\"");
	refuses("{dog{...A}} fragment A on Doc{name}", "no type \"Doc\" (did you mean \"Dog\"?)");
	refuses("{dog{...A}} fragment A on String{name}", "String is none");
	refuses("{dog{... on Filter{name}}}", "Filter is none");
	refuses("{dog{...B}} fragment A on Dog{name}", "no fragment \"B\" (did you mean \"A\"?)");
	refuses("{dog{name}} fragment A on Dog{name}", "fragment \"A\" is not used");
	refuses("{dog{...A}} fragment A on Query{fail}", "never fits here, where Dog is");
	refuses("{dog{... on Query{fail}}}", "never fits here");
	refuses("{dog{...A}} fragment A on Dog{name ...A}", "fragment \"A\" spreads itself");
	refuses("{dog{...A}} fragment A on Dog{...B} fragment B on Dog{friend{...C}} fragment C on Dog{...A}",
		"spreads itself");
}

static void directives(void **state)
{
	(void)state;
	answers("{dog{name @skip(if:true) barks @include(if:true) weight @include(if:false)}}",
		"{\"dog\":{\"barks\":3}}");
	answers("{dog{name @skip(if:false) @include(if:false) barks}}", "{\"dog\":{\"barks\":3}}");
	answers("{dog{...A @skip(if:true) barks}} fragment A on Dog{name}", "{\"dog\":{\"barks\":3}}");
	answers("{dog{...A @skip(if:true) ...A barks}} fragment A on Dog{name}",
		"{\"dog\":{\"name\":\"Rex\",\"barks\":3}}");
	answers("{dog @skip(if:true){name}}", "{}");
	refuses("{dog{name @skp(if:true)}}", "no directive \"@skp\" (did you mean \"skip\"?)");
	refuses("{dog{name @skip}}", "skip has to have \"if\"");
	refuses("{dog{name @skip(if:1)}}", "1 is an integer, no value of type Boolean");
	refuses("{dog{name @skip(if:true)@skip(if:true)}}", "\"@skip\" is there twice");
	refuses("query @skip(if:true){dog{name}}", "may not stand at an operation");
	refuses("{dog{name @deprecated}}", "may not stand at a field");
	refuses("{dog{...A}} fragment A on Dog @include(if:true){name}",
		"may not stand at the definition of a fragment");
	refuses("query($a:Int @skip(if:true)){echo(i:$a)}", "may not stand at a variable");
}

static void variables(void **state)
{
	(void)state;
	refuses("query($a:Int,$a:Int){echo(i:$a)}", "two variables $a");
	refuses("query($a:Dog){dog{name}}", "cannot be of type Dog");
	refuses("query($a:Dogg){dog{name}}", "no type \"Dogg\" (did you mean \"Dog\"?)");
	refuses("{echo(i:$a)}", "the operation has no variable $a");
	refuses("query A{...F} query B($a:Int){...F} fragment F on Query{echo(i:$a)}",
		"the operation has no variable $a");
	refuses("query($a:Int){dog{name}}", "variable $a is not used");
	refuses("query($a:String){echo(i:$a)}", "variable $a is of type String, where Int is wanted");
	refuses("query($a:Int){need(i:$a)}", "variable $a is of type Int, where Int! is wanted");
	refuses("query($a:Int=null){need(i:$a)}", "variable $a is of type Int, where Int! is wanted");
	refuses("query($a:String){echo(ss:$a)}", "variable $a is of type String, where [String] is wanted");
	refuses("query($a:[Size]){echo(sizes:$a)}", "variable $a is of type [Size], where [Size!] is wanted");
	refuses("query($a:Int){echo(sizes:[$a])}", "where Size! is wanted");
	refuses("query($a:Int=\"x\"){echo(i:$a)}", "\"x\" is a string, no value of type Int");
	echoes("query($a:Int=5){echo(i:$a)}", NULL, "i=5 must=7");
	echoes("query($a:Int){echo(must:$a)}", NULL, "must=7");
	echoes("query($a:[Size!]!){echo(sizes:$a)}", "{\"a\":[\"BIG\"]}", "sizes=[BIG] must=7");
	echoes("query($a:Boolean!){echo @skip(if:$a)}", "{\"a\":false}", "must=7");
}

static void values(void **state)
{
	(void)state;
	refuses("{echo(filter:{must:true,limi:1})}", "Filter has no \"limi\" (did you mean \"limit\"?)");
	refuses("{echo(filter:{limit:1})}", "Filter has to have \"must\", of type Boolean!");
	refuses("{echo(filter:{must:true,must:true})}", "Filter has \"must\" twice");
	refuses("{echo(filter:[1])}", "[1] is a list, no value of type Filter");
	refuses("{echo(size:\"BIG\")}", "an enum's value has no quotes");
	refuses("{echo(size:BIGG)}", "BIGG is no value of Size (did you mean \"BIG\"?)");
	refuses("{echo(i:2147483648)}", "it has more than 32 bits");
	refuses("{echo(i:1.0)}", "1.0 is a number, no value of type Int");
	refuses("{echo(i:99999999999999999999)}", "no value of type Int");
	refuses("{echo(b:TRUE)}", "TRUE is a name, no value of type Boolean");
	refuses("{echo(sizes:[BIG,null])}", "null is null, no value of type Size!");
	refuses("{echo(deep:[[1],[x]])}", "x is a name, no value of type Int");
}

/* ---- made to take long: that they end is the test; what bounds them is counted, not timed ---- */

static void a_part(struct buf *text, const char *format, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const char *at = format;

		for (; *at; at++)
			if (*at == '#')
				buf_decimal(text, i);
			else if (*at == '+')
				buf_decimal(text, i + 1);
			else
				buf_putc(text, *at);
	}
}

static void bombs(void **state)
{
	AUTO_FINI(buf) text = buf_limit(1024 * 1024);
	AUTO_FINI(buf) into = buf_limit(1024 * 1024);

	(void)state;
	/* Twice as many at each step. */
	buf_puts(&text, "{dog{...F0}}");
	a_part(&text, "fragment F# on Dog{a:friend{...F+}b:friend{...F+}}", 12);
	buf_puts(&text, "fragment F12 on Dog{name}");
	refuses(buf_text(&text), "too many fields");
	/* The same without aliases is one field at each step, and right. */
	buf_clear(&text);
	buf_puts(&text, "{...F}fragment F on Query{dog{...F0}}");
	a_part(&text, "fragment F# on Dog{friend{...F+}friend{...F+}}", 12);
	buf_puts(&text, "fragment F12 on Dog{nope}");
	run(buf_text(&text), NULL, NULL, &into);
	assert_non_null(strstr(buf_text(&into), "{\"friend\":{\"friend\":null}}"));
	assert_non_null(strstr(buf_text(&into), "\"friend\",\"friend\",\"nope\"]}]}"));
	/* One fragment, large, spread in many places. */
	buf_clear(&text);
	buf_puts(&text, "{");
	a_part(&text, "a#:dog{...F b:friend{...F}}", 300);
	buf_puts(&text, "} fragment F on Dog{");
	for (unsigned i = 0; i < 4000; i++)
		buf_puts(&text, "name ");
	buf_puts(&text, "}");
	refuses(buf_text(&text), "spread too often");
	/* Deep through fragments. */
	buf_clear(&text);
	buf_puts(&text, "{dog{...F0}}");
	a_part(&text, "fragment F# on Dog{friend{...F+}}", 15);
	buf_puts(&text, "fragment F15 on Dog{name}");
	refuses(buf_text(&text), "nested more than 15");
	/* A chain of fragments, in both orders. */
	buf_clear(&text);
	buf_puts(&text, "{dog{...F0}}");
	a_part(&text, "fragment F# on Dog{...F+}", 1000);
	buf_puts(&text, "fragment F1000 on Dog{name}");
	refuses(buf_text(&text), "spread in each other more than 64");
	buf_clear(&text);
	buf_puts(&text, "fragment F0 on Dog{name}");
	a_part(&text, "fragment F+ on Dog{...F#}", 1000);
	buf_puts(&text, "{dog{...F1000}}");
	refuses(buf_text(&text), "spread in each other more than 64");
	/* A ring of them. */
	buf_clear(&text);
	buf_puts(&text, "{dog{...F0}}");
	a_part(&text, "fragment F# on Dog{...F+}", 40);
	buf_puts(&text, "fragment F40 on Dog{...F0}");
	refuses(buf_text(&text), "spreads itself");
}

static void wide(void **state)
{
	AUTO_FINI(buf) text = buf_limit(1024 * 1024);

	(void)state;
	buf_puts(&text, "{");
	a_part(&text, "a#:fail ", 2001);
	buf_puts(&text, "}");
	refuses(buf_text(&text), "too many fields");
	/* Arguments, directives, variables without number: 20 errors are told, and no more is looked at. */
	buf_clear(&text);
	buf_puts(&text, "{echo(");
	a_part(&text, "a#:1 ", 3000);
	buf_puts(&text, ")}");
	refuses(buf_text(&text), "echo has no \"a19\"");
	buf_clear(&text);
	buf_puts(&text, "query(");
	a_part(&text, "$a#:Int ", 2400);
	buf_puts(&text, "){dog{name}}");
	refuses(buf_text(&text), "variable $a19 is not used");
	/* Every operation looks at all variables of the fragment. */
	buf_clear(&text);
	a_part(&text, "query Q#($v:Int){...F} ", 50);
	buf_puts(&text, "fragment F on Query{");
	a_part(&text, "a#:echo(i:$v) ", 900);
	buf_puts(&text, "}");
	refuses(buf_text(&text), "too many fields");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(operations),
		cmocka_unit_test(fields),
		cmocka_unit_test(merging),
		cmocka_unit_test(arguments),
		cmocka_unit_test(fragments),
		cmocka_unit_test(directives),
		cmocka_unit_test(variables),
		cmocka_unit_test(values),
		cmocka_unit_test(bombs),
		cmocka_unit_test(wide),
	};

	return cmocka_run_group_tests_name("graphql_validate", tests, NULL, NULL);
}
