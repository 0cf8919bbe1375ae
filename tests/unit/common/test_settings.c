/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_settings - a small table with a row of each type, loaded from all sides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/file.h"
#include "common/settings.h"
#include "tests/unit/remove_tree.h"

struct knobs {
	const char *text, *secret;
	int64_t port, every, size;
	bool flag;
	int level;
	struct setting_list list;
	const struct json *node;
	const char *driver;
};

#define ROW(path, env, type, member, fallback, min, max, choices)                                            \
	{                                                                                                    \
		path, env, type, offsetof(struct knobs, member), fallback, min, max, choices,                \
			"Help | of it."                                                                      \
	}
static const struct setting rows[] = {
	ROW("text", "APP_TEXT", SETTING_TEXT, text, "plain", 0, 0, NULL),
	ROW("http.auth.secret", "APP_SECRET", SETTING_SECRET, secret, NULL, 0, 0, NULL),
	ROW("http.port", "APP_PORT|PORT", SETTING_NUMBER, port, "8080", 0, 65535, NULL),
	ROW("poll.every", "APP_EVERY", SETTING_MS, every, "10s", 100, 3600000, NULL),
	ROW("cache.size", "APP_SIZE", SETTING_BYTES, size, "64MiB", 1024, INT64_MAX, NULL),
	ROW("http.flag", "APP_FLAG", SETTING_BOOL, flag, "true", 0, 0, NULL),
	ROW("log.level", "APP_LEVEL", SETTING_ENUM, level, "info", 0, 0, "debug|info|warn"),
	ROW("members", "APP_MEMBERS", SETTING_LIST, list, NULL, 0, 0, NULL),
	ROW("http.accessControl", NULL, SETTING_NODE, node, NULL, 0, 0, NULL),
	ROW(NULL, "APP_DRIVER", SETTING_TEXT, driver, NULL, 0, 0, NULL),
	{ "goVersion", NULL, SETTING_IGNORED, 0, NULL, 0, 0, NULL, NULL },
	{ "scheduler", NULL, SETTING_IGNORED, 0, NULL, 0, 0, NULL, NULL },
	{ "extensions", NULL, SETTING_LATER, 0, NULL, 0, 0, NULL, NULL },
	{ "storage.gcDelay", NULL, SETTING_LATER, 0, NULL, 0, 0, NULL, NULL },
	{ NULL, "APP_OLD", SETTING_LATER, 0, NULL, 0, 0, NULL, NULL },
	{ NULL, "APP_NOTHING", SETTING_IGNORED, 0, NULL, 0, 0, NULL, NULL },
};
static const char *const prefixes[] = { "APP_", NULL };
static const struct settings_table table = { rows, sizeof(rows) / sizeof(*rows), prefixes };

static char folder[256], file_path[300], other_path[300];

struct loaded {
	struct knobs knobs;
	struct settings_memory *memory;
	struct buf warnings, errors;
	bool good;
};

static struct loaded loaded;

static int set_up(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/test_settings.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(file_path, sizeof(file_path), "%s/settings.json", folder);
	(void)snprintf(other_path, sizeof(other_path), "%s/other", folder);
	buf_init(&loaded.warnings, 10000);
	buf_init(&loaded.errors, 10000);
	return 0;
}

static void forget(void)
{
	settings_memory_free(TAKE(loaded.memory));
	buf_clear(&loaded.warnings);
	buf_clear(&loaded.errors);
}

static int tear_down(void **state)
{
	(void)state;
	forget();
	buf_fini(&loaded.warnings);
	buf_fini(&loaded.errors);
	return remove_tree(folder) ? 0 : -1;
}

/* json NULL: no file. What is loaded must not lean on the environment's memory. */
static void load(const char *json, const char *const *environment)
{
	char *copies[16] = { NULL };

	for (size_t i = 0; environment && environment[i]; i++)
		copies[i] = check_strdup(environment[i]);
	forget();
	memset(&loaded.knobs, 0x55, sizeof(loaded.knobs));
	if (json)
		assert_true(file_write_durable(file_path, str_of(json), 0600, NULL));
	loaded.good = settings_load(&table, json ? file_path : NULL, environment ? copies : NULL,
		&loaded.knobs, &loaded.memory, &loaded.warnings, &loaded.errors);
	for (size_t i = 0; copies[i]; i++)
		free(copies[i]);
	assert_int_equal(loaded.good, loaded.memory != NULL);
	assert_int_equal(loaded.good, loaded.errors.len == 0);
}

static void expect_good(void)
{
	if (!loaded.good)
		fail_msg("%s", buf_text(&loaded.errors));
}

static void expect_errors(const char *text)
{
	assert_string_equal(buf_text(&loaded.errors), text);
	assert_false(loaded.good);
	assert_null(loaded.knobs.text);
	assert_int_equal(loaded.knobs.port, 0);
}

static const char *const no_env[] = { NULL };

static void test_defaults(void **state)
{
	(void)state;
	load(NULL, NULL);
	expect_good();
	assert_string_equal(loaded.knobs.text, "plain");
	assert_null(loaded.knobs.secret);
	assert_int_equal(loaded.knobs.port, 8080);
	assert_int_equal(loaded.knobs.every, 10000);
	assert_int_equal(loaded.knobs.size, 64 << 20);
	assert_true(loaded.knobs.flag);
	assert_int_equal(loaded.knobs.level, 1);
	assert_int_equal(loaded.knobs.list.len, 0);
	assert_null(loaded.knobs.node);
	load("{}", no_env);
	expect_good();
	assert_string_equal(loaded.knobs.text, "plain");
}

static void test_file(void **state)
{
	(void)state;
	load("{\"text\":\"t\",\"http\":{\"auth\":{\"secret\":\"s\"},\"port\":\"9090\",\"flag\":false},"
	     "\"poll\":{\"every\":\"1m30s\"},"
	     "\"cache\":{\"size\":4096},\"log\":{\"level\":\"WARN\"},\"members\":[\"a:1\",\"b,2\"]}",
		no_env);
	expect_good();
	assert_string_equal(loaded.knobs.text, "t");
	assert_string_equal(loaded.knobs.secret, "s");
	assert_int_equal(loaded.knobs.port, 9090);
	assert_int_equal(loaded.knobs.every, 90000);
	assert_int_equal(loaded.knobs.size, 4096);
	assert_false(loaded.knobs.flag);
	assert_int_equal(loaded.knobs.level, 2);
	assert_int_equal(loaded.knobs.list.len, 2);
	assert_string_equal(loaded.knobs.list.at[1], "b,2");
	load("{\"http\":{\"port\":0,\"flag\":\"no\"},\"poll\":{\"every\":250},\"members\":\"a, b,\"}",
		no_env);
	expect_good();
	assert_int_equal(loaded.knobs.port, 0);
	assert_int_equal(loaded.knobs.every, 250);
	assert_false(loaded.knobs.flag);
	assert_int_equal(loaded.knobs.list.len, 2);
	assert_string_equal(loaded.knobs.list.at[1], "b");
}

static void test_environment(void **state)
{
	const char *env[] = { "HOME=/root", "APP_TEXT=t", "APP_SECRET=s", "PORT=81", "APP_EVERY=500ms",
		"APP_SIZE=1GiB", "APP_FLAG=0", "APP_LEVEL=debug", "APP_MEMBERS= x:1 ,y:2,,", "APP_DRIVER=d",
		NULL };

	(void)state;
	load(NULL, env);
	expect_good();
	assert_string_equal(loaded.knobs.text, "t");
	assert_string_equal(loaded.knobs.secret, "s");
	assert_int_equal(loaded.knobs.port, 81);
	assert_int_equal(loaded.knobs.every, 500);
	assert_int_equal(loaded.knobs.size, 1 << 30);
	assert_false(loaded.knobs.flag);
	assert_int_equal(loaded.knobs.level, 0);
	assert_int_equal(loaded.knobs.list.len, 2);
	assert_string_equal(loaded.knobs.list.at[0], "x:1");
	assert_string_equal(loaded.knobs.driver, "d");
}

static void test_precedence(void **state)
{
	const char *both[] = { "PORT=1", "APP_PORT=2", NULL };
	const char *empty[] = { "PORT=4", "APP_PORT=", "APP_TEXT=", NULL };

	(void)state;
	load("{\"http\":{\"port\":3},\"text\":\"file\"}", both);
	expect_good();
	assert_int_equal(loaded.knobs.port, 2);
	assert_string_equal(loaded.knobs.text, "file");
	load("{\"http\":{\"port\":3},\"text\":\"file\"}", empty);
	expect_good();
	assert_int_equal(loaded.knobs.port, 4);
	assert_string_equal(loaded.knobs.text, "file");
}

static void test_keys_without_case(void **state)
{
	(void)state;
	load("{\"HTTP\":{\"Port\":7,\"ACCESScontrol\":null},\"Text\":null,\"poll\":null}", no_env);
	expect_good();
	assert_int_equal(loaded.knobs.port, 7);
	assert_string_equal(loaded.knobs.text, "plain");
	load("{\"text\":\"a\",\"Text\":\"b\"}", no_env);
	expect_errors("\"Text\" is there twice: keys are compared without case\n");
}

static void test_bounds(void **state)
{
	const char *env[] = { "APP_PORT=-1", "APP_EVERY=99ms", "APP_SIZE=1kB", NULL };
	const char *large[] = { "APP_PORT=99999999999999999999", "APP_EVERY=2h", NULL };

	(void)state;
	load("{\"http\":{\"port\":65536}}", no_env);
	expect_errors("\"http.port\" is 65536; allowed is a number, 0 to 65535\n");
	load(NULL, env);
	expect_errors("APP_PORT is -1; allowed is a number, 0 to 65535\n"
		      "APP_EVERY is 99; allowed is a duration (\"1h30m\", \"500ms\", or a number of ms), 100 "
		      "to 3600000 ms\n"
		      "APP_SIZE is 1000; allowed is a size (\"64MB\", \"1GiB\", or a number of bytes), at "
		      "least 1024 bytes\n");
	load(NULL, large);
	assert_non_null(strstr(buf_text(&loaded.errors), "APP_PORT is \"99999999999999999999\"; allowed"));
	assert_non_null(strstr(buf_text(&loaded.errors), "APP_EVERY is 7200000; allowed"));
}

static void test_unknown_keys(void **state)
{
	(void)state;
	load("{\"txet\":1}", no_env);
	expect_errors("\"txet\" is an unknown setting; the nearest known one is \"text\"\n");
	load("{\"http\":{\"Auth\":{\"secrett\":1}}}", no_env);
	expect_errors("\"http.Auth.secrett\" is an unknown setting; the nearest known one is "
		      "\"http.auth.secret\"\n");
	load("{\"htp\":{\"port\":1}}", no_env);
	expect_errors("\"htp\" is an unknown setting; the nearest known one is \"http\"\n");
	load("{\"something else\":{}}", no_env);
	expect_errors("\"something else\" is an unknown setting\n");
	load("{\"http.port\":1}", no_env);
	assert_false(loaded.good);
	load("{\"\":1}", no_env);
	assert_false(loaded.good);
	load("{\"a\\nb\":1}", no_env);
	assert_non_null(strstr(buf_text(&loaded.errors), "\"a\\nb\" is an unknown"));
}

static void test_very_long_keys(void **state)
{
	AUTO_FINI(buf) json = buf_limit(10000);

	(void)state;
	buf_puts(&json, "{\"http\":{\"");
	for (int i = 0; i < 1000; i++)
		buf_putc(&json, 'x');
	buf_puts(&json, "\":1,\"port\":5,\"prt\":1}}");
	load(buf_text(&json), no_env);
	assert_false(loaded.good);
	assert_non_null(strstr(buf_text(&loaded.errors), "in \"http\" is an unknown setting"));
	assert_non_null(strstr(buf_text(&loaded.errors),
		"\"http.prt\" is an unknown setting; the nearest known one is \"http.port\""));
}

static void test_wrong_types(void **state)
{
	(void)state;
	load("{\"text\":1,\"http\":{\"port\":true,\"flag\":1,\"auth\":[]},\"poll\":{\"every\":1.5},\"log\":{"
	     "\"level\":2},"
	     "\"members\":[\"a\",1]}",
		no_env);
	expect_errors("\"text\" is an integer; allowed is a text\n"
		      "\"http.port\" is a boolean; allowed is a number, 0 to 65535\n"
		      "\"http.flag\" is an integer; allowed is true or false\n"
		      "\"http.auth\" is an array; allowed is an object\n"
		      "\"poll.every\" is a real number; allowed is a duration (\"1h30m\", \"500ms\", or a "
		      "number of ms), 100 to 3600000 ms\n"
		      "\"log.level\" is an integer; allowed is one of debug, info, warn\n"
		      "\"members\"[1] is an integer; allowed is a text\n");
	load("{\"http\":{\"port\":\"80x\"},\"log\":{\"level\":\"loud\"}}", no_env);
	expect_errors("\"http.port\" is \"80x\"; allowed is a number, 0 to 65535\n"
		      "\"log.level\" is \"loud\"; allowed is one of debug, info, warn\n");
}

static void test_unknown_variables(void **state)
{
	const char *env[] = { "APP_PROT=1", "APPLE=1", "APP_OLD=1", "APP_NOTHING=1", NULL };
	const char *links[] = { "APP_WEB_SERVICE_HOST=10.0.0.1", "APP_WEB_SERVICE_PORT_HTTP=80",
		"APP_WEB_PORT=tcp://10.0.0.1:80", "APP_WEB_PORT_80_TCP_ADDR=10.0.0.1", NULL };

	(void)state;
	load(NULL, env);
	expect_errors("\"APP_PROT\" is an unknown variable; the nearest known one is \"APP_PORT\"\n");
	assert_string_equal(buf_text(&loaded.warnings),
		"\"APP_OLD\" is a zot setting that this version does not serve, ignoring it\n");
	load(NULL, links);
	expect_good();
}

static void test_expansion(void **state)
{
	const char *env[] = { "NAME=world", "P=70", NULL };

	(void)state;
	load("{\"text\":\"hello ${NAME} $5 $\",\"http\":{\"port\":\"${P}7\"},\"members\":[\"${NAME}:1\"]}",
		env);
	expect_good();
	assert_string_equal(loaded.knobs.text, "hello world $5 $");
	assert_int_equal(loaded.knobs.port, 707);
	assert_string_equal(loaded.knobs.list.at[0], "world:1");
	load("{\"text\":\"${NONE}\",\"members\":[\"x\",\"${NONE}\"]}", env);
	expect_errors("\"text\" wants the variable \"NONE\", which is not set\n"
		      "\"members\"[1] wants the variable \"NONE\", which is not set\n");
	load("{\"text\":\"${NAME\"}", env);
	expect_errors("\"text\" has a \"${\" without a variable's name and \"}\" after it\n");
}

static void test_node_is_untouched(void **state)
{
	(void)state;
	load("{\"http\":{\"accessControl\":{\"any key\":{\"**\":\"${NONE}\"}}}}", no_env);
	expect_good();
	assert_true(str_is(json_str(json_find(json_find(loaded.knobs.node, "any key"), "**")), "${NONE}"));
}

static void test_ignored_and_later(void **state)
{
	(void)state;
	load("{\"goVersion\":1,\"scheduler\":{\"a\":{\"b\":1}},\"extensions\":{\"sync\":{\"x\":1},\"search\":"
	     "{}},"
	     "\"storage\":{\"gcDelay\":\"1h\"}}",
		no_env);
	expect_good();
	assert_string_equal(buf_text(&loaded.warnings),
		"\"extensions.sync\" is a zot setting that this version does not serve, ignoring it\n"
		"\"extensions.search\" is a zot setting that this version does not serve, ignoring it\n"
		"\"storage.gcDelay\" is a zot setting that this version does not serve, ignoring it\n");
	load("{\"extensions\":{\"sync\":{},\"enable\":true}}", no_env);
	expect_good();
	assert_string_equal(buf_text(&loaded.warnings),
		"\"extensions\" is a zot setting that this version does not serve, ignoring it\n");
}

static void test_all_errors_are_collected(void **state)
{
	const char *env[] = { "APP_FLAG=maybe", "APP_TXT=1", NULL };

	(void)state;
	load("{\"http\":{\"port\":-1,\"prot\":1},\"log\":{\"level\":\"x\"}}", env);
	expect_errors("\"http.port\" is -1; allowed is a number, 0 to 65535\n"
		      "\"http.prot\" is an unknown setting; the nearest known one is \"http.port\"\n"
		      "\"log.level\" is \"x\"; allowed is one of debug, info, warn\n"
		      "APP_FLAG is \"maybe\"; allowed is true or false\n"
		      "\"APP_TXT\" is an unknown variable; the nearest known one is \"APP_TEXT\"\n");
}

static void test_secrets_stay_secret(void **state)
{
	const char *env[] = { "APP_SECRET=file:///nonexistent/path", NULL };

	(void)state;
	load("{\"http\":{\"auth\":{\"secret\":8675309}}}", no_env);
	expect_errors("\"http.auth.secret\" is no text; allowed is a secret text\n");
	load("{\"http\":{\"auth\":{\"secret\":\"x${hunter2}\"}}}", no_env);
	assert_false(loaded.good);
	assert_null(strstr(buf_text(&loaded.errors), "hunter2"));
	load("{\"http\":{\"auth\":{\"secret\":\"hunter2}}}", no_env);
	assert_false(loaded.good);
	assert_null(strstr(buf_text(&loaded.errors), "hunter2"));
	load(NULL, env);
	assert_non_null(strstr(buf_text(&loaded.errors), "APP_SECRET: open /nonexistent/path: No such file"));
}

static void expect_from_file(struct str content, const char *text)
{
	char secret[400], plain[400];
	const char *env[] = { secret, plain, NULL };

	assert_true(file_write_durable(other_path, content, 0600, NULL));
	(void)snprintf(secret, sizeof(secret), "APP_SECRET=file://%s", other_path);
	(void)snprintf(plain, sizeof(plain), "APP_TEXT=file://%s", other_path);
	load(NULL, env);
	if (!text) {
		assert_false(loaded.good);
		return;
	}
	expect_good();
	assert_string_equal(loaded.knobs.secret, text);
	assert_string_equal(loaded.knobs.text, text);
}

static void test_values_from_files(void **state)
{
	(void)state;
	expect_from_file(STR("s3cret\n"), "s3cret");
	expect_from_file(STR("s3cret\r\n"), "s3cret");
	expect_from_file(STR("s3cret\n\n"), "s3cret\n");
	expect_from_file(STR("s3cret"), "s3cret");
	expect_from_file(STR(""), "");
	expect_from_file(STR("a\0b"), NULL);
}

static void test_broken_files(void **state)
{
	(void)state;
	load("{\n\"text\":}", no_env);
	assert_non_null(strstr(buf_text(&loaded.errors), "settings.json: JSON line 2"));
	load("[]", no_env);
	assert_non_null(
		strstr(buf_text(&loaded.errors), "settings.json is an array; allowed is an object\n"));
	assert_false(settings_load(&table, "/nonexistent/x.json", NULL, &loaded.knobs, &loaded.memory,
		&loaded.warnings, &loaded.errors));
	assert_non_null(strstr(buf_text(&loaded.errors), "open /nonexistent/x.json: No such file"));
	loaded.memory = NULL;
}

static void expect_ms(const char *text, int64_t wanted)
{
	int64_t ms = -1;

	assert_int_equal(setting_parse_ms(str_of(text), &ms), wanted >= 0);
	assert_int_equal(ms, wanted);
}

static void test_durations(void **state)
{
	(void)state;
	expect_ms("0", 0);
	expect_ms("1500", 1500);
	expect_ms("1h30m", 5400000);
	expect_ms("1.5h", 5400000);
	expect_ms("0.1234567s", 123);
	expect_ms("500ms", 500);
	expect_ms("2s5ms", 2005);
	expect_ms("1500us", 1);
	expect_ms("1500\xc2\xb5s", 1);
	expect_ms("", -1);
	expect_ms("-1s", -1);
	expect_ms("1", 1);
	expect_ms("1d", -1);
	expect_ms("1s1", -1);
	expect_ms("1.s", -1);
	expect_ms("s", -1);
	expect_ms("9223372036854775807", INT64_MAX);
	expect_ms("9223372036854775808", -1);
	expect_ms("2562048h", -1);
	expect_ms("2562047h2562047h", -1);
}

static void expect_bytes(const char *text, int64_t wanted)
{
	int64_t n = -1;

	assert_int_equal(setting_parse_bytes(str_of(text), &n), wanted >= 0);
	assert_int_equal(n, wanted);
}

static void test_sizes(void **state)
{
	(void)state;
	expect_bytes("0", 0);
	expect_bytes("64MB", 64000000);
	expect_bytes("64 mib", 64 << 20);
	expect_bytes("1Ki", 1024);
	expect_bytes("1k", 1000);
	expect_bytes("7B", 7);
	expect_bytes("1TiB", INT64_C(1) << 40);
	expect_bytes("", -1);
	expect_bytes("1X", -1);
	expect_bytes("1kX", -1);
	expect_bytes("-1", -1);
	expect_bytes("9223372036854775807k", -1);
}

static void test_texts_for_people(void **state)
{
	AUTO_FINI(buf) help = buf_limit(10000), page = buf_limit(10000);

	(void)state;
	settings_help(&table, &help);
	assert_non_null(strstr(buf_text(&help), "  http.port, APP_PORT or PORT\n      Help | of it.\n      a "
						"number, 0 to 65535; default 8080\n"));
	assert_null(strstr(buf_text(&help), "goVersion"));
	settings_markdown(&table, &page);
	assert_non_null(strstr(buf_text(&page), "| `http.port` | `APP_PORT` or `PORT` | a number, 0 to 65535 "
						"| `8080` | Help \\| of it. |\n"));
	assert_non_null(strstr(buf_text(&page), "Not served by this version, accepted with a warning: "
						"`extensions`, `storage.gcDelay`, `APP_OLD`.\n"));
	assert_non_null(
		strstr(buf_text(&page), "without meaning here: `goVersion`, `scheduler`, `APP_NOTHING`.\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
static void note_row(void *arg, const struct setting *row)
{
	struct buf *names = arg;

	buf_format(names, "%s ", row->path ? row->path : row->env);
}

static void test_rows_that_differ(void **state)
{
	AUTO_FINI(buf) names = buf_limit(1024);
	AUTO(json_doc) *doc = NULL;
	AUTO(json_doc) *other = NULL;
	const char *two[] = { "x", "y" }, *again[] = { "x", "y" };
	struct knobs a = { .text = "t", .port = 1, .list = { two, 2 } }, b = a;

	(void)state;
	assert_true(json_parse(STR("{\"a\":[1,2]}"), &doc, NULL) &&
		    json_parse(STR("{\"a\":[1,3]}"), &other, NULL));
	b.text = check_strdup("t");
	b.list.at = again;
	a.node = b.node = json_root(doc);
	settings_compare(&table, &a, &b, note_row, &names);
	assert_string_equal(buf_text(&names), "");
	free((void *)(uintptr_t)b.text);
	again[1] = "z";
	b = (struct knobs){ .secret = "s",
		.port = 2,
		.every = 1,
		.size = 1,
		.flag = true,
		.level = 1,
		.list = { again, 2 },
		.node = json_root(other),
		.driver = "d" };
	settings_compare(&table, &a, &b, note_row, &names);
	assert_string_equal(buf_text(&names),
		"text http.auth.secret http.port poll.every cache.size http.flag "
		"log.level members http.accessControl APP_DRIVER ");
	buf_clear(&names);
	again[1] = "y";
	b = a;
	b.list = (struct setting_list){ again, 1 };
	b.node = NULL;
	settings_compare(&table, &a, &b, note_row, &names);
	assert_string_equal(buf_text(&names), "members http.accessControl ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_file),
		TEST(test_environment),
		TEST(test_precedence),
		TEST(test_keys_without_case),
		TEST(test_bounds),
		TEST(test_unknown_keys),
		TEST(test_very_long_keys),
		TEST(test_wrong_types),
		TEST(test_unknown_variables),
		TEST(test_expansion),
		TEST(test_node_is_untouched),
		TEST(test_ignored_and_later),
		TEST(test_all_errors_are_collected),
		TEST(test_secrets_stay_secret),
		TEST(test_values_from_files),
		TEST(test_broken_files),
		TEST(test_durations),
		TEST(test_sizes),
		TEST(test_texts_for_people),
		cmocka_unit_test(test_rows_that_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
