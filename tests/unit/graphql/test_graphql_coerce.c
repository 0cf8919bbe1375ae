/* SPDX-License-Identifier: Apache-2.0 */
/* test_graphql_coerce - which value an argument has after all. */
#include "tests/unit/graphql/sample_run.h"

static void literals(void **state)
{
	(void)state;
	echoes("{echo}", NULL, "must=7");
	echoes("{echo(i:1,f:2,s:\"x\",b:false,id:3,t:\"then\",size:BIG)}", NULL,
		"i=1 f=2 s=\"x\" b=false id=\"3\" t=\"then\" size=BIG must=7");
	echoes("{echo(i:null,ss:null)}", NULL, "i=null ss=null must=7");
	echoes("{echo(id:\"a\",f:1.5)}", NULL, "f=1.5 id=\"a\" must=7");
}

/* One value is a list of it: Os:"" and Os:"linux" are what clients send. */
static void lists(void **state)
{
	(void)state;
	echoes("{echo(ss:\"linux\")}", NULL, "ss=[\"linux\"] must=7");
	echoes("{echo(filter:{must:true,Os:\"\"})}", NULL, "must=7 filter={Os:[\"\"] limit:10 must:true}");
	echoes("{echo(ss:[\"a\",null])}", NULL, "ss=[\"a\" null] must=7");
	echoes("{echo(ss:[])}", NULL, "ss=[] must=7");
	echoes("{echo(sizes:SMALL)}", NULL, "sizes=[SMALL] must=7");
	echoes("{echo(deep:1)}", NULL, "must=7 deep=[[1]]");
	echoes("{echo(deep:[1,[2,3],null])}", NULL, "must=7 deep=[[1] [2 3] null]");
}

static void objects(void **state)
{
	(void)state;
	echoes("{echo(filter:{inner:{must:false,limit:null},must:true})}", NULL,
		"must=7 filter={limit:10 must:true inner:{limit:null must:false}}");
}

static void variables(void **state)
{
	(void)state;
	echoes("query($a:Int){echo(i:$a)}", NULL, "must=7");
	echoes("query($a:Int){echo(i:$a)}", "{}", "must=7");
	echoes("query($a:Int){echo(i:$a)}", "{\"a\":null}", "i=null must=7");
	echoes("query($a:Int=4){echo(i:$a)}", "{\"a\":null}", "i=null must=7");
	echoes("query($a:Int=4){echo(i:$a)}", "{\"other\":1}", "i=4 must=7");
}

static void json(void **state)
{
	(void)state;
	echoes("query($a:Size){echo(size:$a)}", "{\"a\":\"BIG\"}", "size=BIG must=7");
	echoes("query($a:[String]){echo(ss:$a)}", "{\"a\":\"x\"}", "ss=[\"x\"] must=7");
	echoes("query($a:ID){echo(id:$a)}", "{\"a\":12}", "id=\"12\" must=7");
	echoes("query($a:Float){echo(f:$a)}", "{\"a\":12}", "f=12 must=7");
	echoes("query($a:Float){echo(f:$a)}", "{\"a\":0.5}", "f=0.5 must=7");
	echoes("query($a:Filter){echo(filter:$a)}", "{\"a\":{\"must\":true,\"Os\":\"linux\"}}",
		"must=7 filter={Os:[\"linux\"] limit:10 must:true}");
	echoes("query($a:String,$m:Boolean!){echo(ss:[$a \"b\"],filter:{must:$m,Os:[$a]})}", "{\"m\":false}",
		"ss=[null \"b\"] must=7 filter={Os:[null] limit:10 must:false}");
	echoes("query($a:Int){echo(filter:{must:true,limit:$a})}", NULL,
		"must=7 filter={limit:10 must:true}");
	refuses_op("query($a:Int!){echo(i:$a)}", NULL, NULL, "variable $a is not given");
	refuses_op("query($a:Int!){echo(i:$a)}", NULL, "{\"a\":null}",
		"variable $a: null is null, no value of type Int!");
	refuses_op("query($a:Int){echo(i:$a)}", NULL, "{\"a\":\"1\"}",
		"variable $a: \"1\" is a string, no value of type Int");
	refuses_op("query($a:Int){echo(i:$a)}", NULL, "{\"a\":1.5}", "variable $a: 1.5 is a number");
	refuses_op("query($a:Int){echo(i:$a)}", NULL, "{\"a\":3000000000}", "more than 32 bits");
	refuses_op("query($a:Size){echo(size:$a)}", NULL, "{\"a\":\"HUGE\"}",
		"variable $a: HUGE is no value of Size");
	refuses_op("query($a:Filter){echo(filter:$a)}", NULL, "{\"a\":{\"must\":true,\"limt\":1}}",
		"variable $a: Filter has no \"limt\" (did you mean \"limit\"?)");
	refuses_op("query($a:Filter){echo(filter:$a)}", NULL, "{\"a\":{}}",
		"variable $a: Filter has to have \"must\"");
	refuses_op("{dog{name}}", NULL, "[1]", "have to be an object");
	/* A default lets it be of another type, and then it is null all the same. */
	answers_op("query($a:Int=1){need(i:$a)}", NULL, "{\"a\":null}",
		"{\"data\":{\"need\":null},\"errors\":[{\"message\":\"variable $a is null, where that is no "
		"value\","
		"\"locations\":[{\"line\":1,\"column\":24}]}]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(literals),
		cmocka_unit_test(lists),
		cmocka_unit_test(objects),
		cmocka_unit_test(variables),
		cmocka_unit_test(json),
	};

	return cmocka_run_group_tests_name("graphql_coerce", tests, NULL, NULL);
}
