/* SPDX-License-Identifier: Apache-2.0 */
/* settings: zot's JSON, variables, and what is said of wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/file.h"
#include "worker/settings.h"
#include "worker/settings_roots.h"

struct result {
	bool ok;
	struct worker_settings settings;
	struct settings_memory *memory;
	struct buf warnings, errors;
};

static struct result load(const char *json, const char *const *environment)
{
	struct result result = { .warnings = buf_limit(65536), .errors = buf_limit(65536) };
	char path[] = "/tmp/zot-settings-XXXXXX";
	int fd = json ? mkstemp(path) : -1;

	if (json) {
		assert_true(fd >= 0);
		assert_true(file_write_all(fd, json, strlen(json), NULL));
		(void)close(fd);
	}
	result.ok = worker_settings_load(json ? path : NULL, (char *const *)(uintptr_t)environment,
		&result.settings, &result.memory, &result.warnings, &result.errors);
	if (json)
		(void)unlink(path);
	return result;
}

static void result_fini(struct result *result)
{
	settings_memory_free(result->memory);
	buf_fini(&result->warnings);
	buf_fini(&result->errors);
}

static const char *const no_environment[] = { NULL };

static void zots_own_example_of_a_cluster_is_read(void **state)
{
	static const char json[] =
		"{\"distSpecVersion\":\"1.1.0\",\"storage\":{\"rootDirectory\":\"/tmp/zot\",\"dedupe\":false,"
		"\"remoteCache\":true,\"storageDriver\":{\"name\":\"s3\",\"rootdirectory\":\"/"
		"zot\",\"region\":\"us-east-1\","
		"\"regionendpoint\":\"localhost:4566\",\"bucket\":\"zot-storage\",\"accesskey\":\"k\","
		"\"secretkey\":\"s\",\"secure\":false,"
		"\"skipverify\":false},\"cacheDriver\":{\"name\":\"dynamodb\"}},\"http\":{\"address\":\"0.0."
		"0.0\",\"port\":\"9000\","
		"\"auth\":{\"htpasswd\":{\"path\":\"/tmp/"
		"zotpasswd\"}}},\"log\":{\"level\":\"debug\"},\"cluster\":{\"members\":"
		"[\"zot-server1:9000\",\"zot-server2:9000\"],\"hashKey\":\"loremipsumdolors\",\"tls\":{"
		"\"cacert\":\"ca.crt\"}}}";
	static const char *const secret[] = { "ZOT_CLUSTER_SECRET=0123456789abcdef0123456789abcdef", NULL };
	struct result result = load(json, no_environment);

	(void)state;
	/* One line short: hashKey is copied from examples, and is no secret. */
	assert_false(result.ok);
	assert_non_null(strstr(buf_text(&result.errors), "ZOT_CLUSTER_SECRET"));
	assert_non_null(strstr(buf_text(&result.errors), "openssl rand -hex 32"));
	result_fini(&result);
	result = load(json, secret);
	if (!result.ok)
		fail_msg("%s", buf_text(&result.errors));
	assert_int_equal(result.settings.port, 9000);
	assert_string_equal(result.settings.s3_prefix, "zot/tmp/zot");
	assert_string_equal(result.settings.s3_endpoint, "http://localhost:4566");
	assert_true(result.settings.s3_path_style);
	assert_int_equal(result.settings.members.len, 2);
	assert_string_equal(result.settings.htpasswd, "/tmp/zotpasswd");
	assert_false(result.settings.dedupe);
	result_fini(&result);
}

static void a_worker_lives_from_variables_alone(void **state)
{
	static const char *const environment[] = { "CLUSTER_MODE=worker",
		"CLUSTER_LEADER_URL=http://l1:8079,http://l2:8079", "CLUSTER_LEADER_CLIENT_ID=id",
		"CLUSTER_LEADER_CLIENT_SECRET=secret", "PORT=5000", "S3_BUCKET=b",
		"S3_ENDPOINT=http://s3:9000", "AWS_ACCESS_KEY_ID=k", "AWS_SECRET_ACCESS_KEY=s",
		"CLUSTER_COMPRESSION=4", "HOME=/root", NULL };
	struct result result = load(NULL, environment);

	(void)state;
	if (!result.ok)
		fail_msg("%s", buf_text(&result.errors));
	assert_int_equal(result.settings.mode, MODE_WORKER);
	assert_int_equal(result.settings.leader_urls.len, 2);
	assert_string_equal(result.settings.leader_urls.at[1], "http://l2:8079");
	assert_int_equal(result.settings.port, 5000);
	result_fini(&result);
}

#define ROOT "\"storage\":{\"rootDirectory\":\"/tmp/z\"}"

#define DRIVER(keys)                                                                                         \
	"{\"storage\":{\"rootDirectory\":\"/"                                                                \
	"z\",\"storageDriver\":{\"name\":\"s3\",\"bucket\":\"bucket\"," keys "}}}"

static void each_fault_is_named(void **state)
{
	static const char *const wrong[][2] = {
		{ "{\"storage\":{}}", "storage.rootDirectory" },
		{ "{" ROOT ",\"htttp\":{}}", "nearest known one is \"http\"" },
		{ "{" ROOT ",\"http\":{\"prot\":\"1\"}}", "http.prot" },
		{ "{" ROOT ",\"http\":{\"port\":\"70000\"}}", "http.port" },
		{ "{" ROOT ",\"http\":{\"tls\":{\"cert\":\"a\"}}}",
			"http.tls.key (ZOT_TLS_KEY): is missing; it goes with http.tls.cert" },
		{ "{" ROOT ",\"http\":{\"compat\":[\"docker\"]}}", "docker2s2" },
		{ "{" ROOT ",\"cluster\":{\"members\":[\"a:1\"],\"hashKey\":\"short\"}}",
			"exactly 16 bytes" },
		{ "{" ROOT ",\"cluster\":{\"members\":[\"a\"],\"hashKey\":\"loremipsumdolors\"}}",
			"is not host:port" },
		{ "{" ROOT ",\"cluster\":{\"members\":[\"a:1\",\"a:1\"],\"hashKey\":\"loremipsumdolors\"}}",
			"is there twice" },
		{ "{" ROOT ",\"cluster\":{\"members\":[\"a:1\",\"b:1\"],\"hashKey\":\"loremipsumdolors\"}}",
			"cluster.secret (ZOT_CLUSTER_SECRET): a static cluster needs a secret" },
		{ "{" ROOT ",\"cluster\":{\"members\":[\"a:1\",\"b:1\"],\"hashKey\":\"loremipsumdolors\","
		  "\"secret\":\"fifteen bytes..\"}}",
			"has 15 bytes and needs 16 at least" },
		{ "{" ROOT ",\"cluster\":{\"members\":[\"a:1\",\"b:1\"],\"hashKey\":\"loremipsumdolors\","
		  "\"secret\":\"loremipsumdolors\"}}",
			"is cluster.hashKey, which is no secret" },
		{ "{" ROOT
		  ",\"cluster\":{\"members\":[\"a:1\"],\"hashKey\":\"loremipsumdolors\",\"secret\":\"\"}}",
			"has 0 bytes" },
		{ "{\"storage\":{\"rootDirectory\":\"/z\",\"storageDriver\":{\"name\":\"gcs\"}}}",
			"only \"s3\" is" },
		{ "{\"storage\":{\"rootDirectory\":\"/"
		  "z\",\"storageDriver\":{\"name\":\"s3\",\"buckett\":\"b\"}}}",
			"did you mean \"bucket\"" },
		{ DRIVER("\"accesskey\":\"a\""), "they go together" },
		{ DRIVER("\"keyid\":\"a\""), "needs S3_ENCRYPT=true" },
		{ DRIVER("\"storageclass\":\"GLACIER\""), "cannot be read at once" },
		{ DRIVER("\"objectacl\":\"everybody\""), "bucket-owner-full-control" },
		{ DRIVER("\"chunksize\":1000"), "from 5242880 to" },
		{ DRIVER("\"chunksize\":\"many\""), "storage.storageDriver.chunksize" },
		{ DRIVER("\"v4auth\":false"), "AWS takes signatures of version 4 alone" },
		{ DRIVER("\"encrypt\":7"), "encrypt: must be true or false" },
		{ "{\"storage\":{\"rootDirectory\":\"/z\",\"storageDriver\":{\"name\":\"gcs\"}}}",
			"x-goog-if-generation-match" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct result result = load(wrong[i][0], no_environment);
		assert_false(result.ok);
		if (!strstr(buf_text(&result.errors), wrong[i][1]))
			fail_msg("%s: %s", wrong[i][0], buf_text(&result.errors));
		result_fini(&result);
	}
}

static void all_keys_of_the_driver(void **state)
{
	static const char json[] = DRIVER(
		"\"Region\":\"eu-west-3\",\"regionendpoint\":\"s3.example.com\","
		"\"encrypt\":true,\"keyid\":\"k\",\"skipverify\":\"true\",\"v4auth\":false,\"chunksize\":"
		"\"10485760\","
		"\"multipartcopychunksize\":33554432,\"multipartcopymaxconcurrency\":100,"
		"\"multipartcopythresholdsize\":33554432,\"storageclass\":\"STANDARD_IA\",\"useragent\":"
		"\"u\","
		"\"objectacl\":\"private\",\"sessiontoken\":null,\"usedualstack\":true,\"accelerate\":true,"
		"\"usefipsendpoint\":true,\"loglevel\":\"debug\",\"redirectendpoint\":\"s3.public\","
		"\"secure\":false,\"forcepathstyle\":false");
	static const char *const environment[] = { "S3_KMS_KEY=mine", "ZOT_REDIRECT_BLOBS=true", NULL };
	struct result result = load(json, environment);
	const struct worker_settings *s = &result.settings;

	(void)state;
	if (!result.ok)
		fail_msg("%s", buf_text(&result.errors));
	assert_true(s->s3.encrypt && !s->s3.v4auth && s->s3.dual_stack && s->s3.accelerate && s->s3.fips);
	assert_true(s->s3_insecure && !s->s3_path_style && s->redirect);
	assert_string_equal(s->s3.key_id, "mine");
	assert_string_equal(s->s3_endpoint, "http://s3.example.com");
	assert_string_equal(s->s3.redirect_endpoint, "http://s3.public");
	assert_string_equal(s->s3.storage_class, "STANDARD_IA");
	assert_int_equal(s->s3.part_size, 10485760);
	assert_int_equal(s->s3.copy_parallel, 100);
	assert_non_null(strstr(buf_text(&result.warnings), "loglevel has no meaning here"));
	result_fini(&result);
}

static void a_folder_has_no_url(void **state)
{
	static const char *const environment[] = { "ZOT_STORAGE_ROOT=/z", "ZOT_REDIRECT_BLOBS=true", NULL };
	struct result result = load(NULL, environment);

	(void)state;
	assert_true(result.ok);
	assert_non_null(strstr(buf_text(&result.warnings), "a folder has no URL"));
	result_fini(&result);
}

/* zot would ask for a login: here nobody would have to. */
static void a_login_that_is_not_served_does_not_open_the_registry(void **state)
{
	static const char *const keys[] = { "ldap", "bearer", "openid" };
	static const char *const others[] = { ",\"htpasswd\":{\"path\":\"/h\"}}", "},\"accessControl\":{}" };

	(void)state;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char json[300], key[40];

		(void)snprintf(key, sizeof(key), "http.auth.%s", keys[i]);
		(void)snprintf(json, sizeof(json),
			"{\"storage\":{\"rootDirectory\":\"/s\"},\"http\":{\"auth\":{\"%s\":{\"x\":1}}}}",
			keys[i]);
		struct result result = load(json, no_environment);
		assert_false(result.ok);
		assert_non_null(strstr(buf_text(&result.errors), key));
		result_fini(&result);
		for (size_t j = 0; j < sizeof(others) / sizeof(others[0]); j++) {
			(void)snprintf(json, sizeof(json),
				"{\"storage\":{\"rootDirectory\":\"/"
				"s\"},\"http\":{\"auth\":{\"%s\":{\"x\":1}%s}}",
				keys[i], others[j]);
			struct result other = load(json, no_environment);
			if (!other.ok)
				fail_msg("%s", buf_text(&other.errors));
			assert_non_null(strstr(buf_text(&other.warnings), key));
			result_fini(&other);
		}
	}
}

static void wrong_variables_are_named(void **state)
{
	static const char *const lists[][5] = {
		{ "ZOT_STORAGE_ROOT=/z", "CLUSTER_MOD=worker", NULL, "CLUSTER_MODE" },
		{ "ZOT_STORAGE_ROOT=/z", "CLUSTER_MODE=boss", NULL, "worker" },
		{ "ZOT_STORAGE_ROOT=/z", "CLUSTER_MODE=leader", NULL, "zot-leader" },
		{ "ZOT_STORAGE_ROOT=/z", "CLUSTER_MODE=worker", NULL, "CLUSTER_LEADER_URL" },
		{ "ZOT_STORAGE_ROOT=/z", "PORT=http", NULL, "PORT" },
		{ "ZOT_STORAGE_ROOT=/z", "ZOT_CLUSTER_SECRET=short", NULL, "needs 16 at least" },
		{ "ZOT_STORAGE_ROOT=/z", "ZOT_CLUSTER_MEMBERS=a:1,b:1", NULL,
			"a static cluster needs a secret" },
		{ "ZOT_STORAGE_ROOT=/z", "ZOT_CLUSTER_LEAVING=a:1", NULL,
			"\"a:1\" is not among cluster.members" },
		{ "ZOT_CLUSTER_MEMBERS=a:1,b:1", "ZOT_CLUSTER_LEAVING=b:1,a:1", NULL, "all members are" },
		{ "CLUSTER_MODE=worker", "ZOT_CLUSTER_LEAVING=a:1", NULL, "zot-worker evacuate" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct result result = load(NULL, lists[i]);
		assert_false(result.ok);
		if (!strstr(buf_text(&result.errors), lists[i][3]))
			fail_msg("%s: %s", lists[i][1], buf_text(&result.errors));
		result_fini(&result);
	}
}

#define SUBS(text) "{\"storage\":{\"rootDirectory\":\"/tmp/z\",\"subPaths\":{" text "}}}"
#define S3(root)                                                                                             \
	"\"storageDriver\":{\"name\":\"s3\",\"bucket\":\"b\",\"rootdirectory\":\"" root                      \
	"\",\"accesskey\":\"k\","                                                                            \
	"\"secretkey\":\"s\"}"

static void sub_paths_are_stores_of_their_own(void **state)
{
	static const char json[] =
		"{\"storage\":{\"rootDirectory\":\"/tmp/zot\",\"dedupe\":false,\"subPaths\":{"
		"\"/a\":{\"rootDirectory\":\"/tmp/zot1\"},"
		"\"/Infra\":{\"rootDirectory\":\"/tmp/"
		"zot2\",\"dedupe\":false,\"gcInterval\":\"1h\",\"gcDelay\":\"2h\",\"gc\":false},"
		"\"/c\":{\"rootDirectory\":\"/tmp/z\",\"remoteCache\":true,\"cacheDriver\":{}," S3(
			"/zot-c") "},"
				  "\"/d\":{\"rootDirectory\":\"/tmp/"
				  "z\",\"storageDriver\":{\"name\":\"s3\",\"bucket\":\"d\"}}}}}";
	static const char *const environment[] = { "AWS_ACCESS_KEY_ID=env", "AWS_SECRET_ACCESS_KEY=secret",
		NULL };
	struct result result = load(json, environment);
	const struct worker_settings *s = &result.settings;

	(void)state;
	if (!result.ok)
		fail_msg("%s", buf_text(&result.errors));
	assert_int_equal(s->subs_len, 4);
	assert_string_equal(s->subs[0].sub_path, "a");
	assert_string_equal(s->subs[0].root, "/tmp/zot1");
	assert_true(s->subs[0].dedupe);
	assert_null(s->subs[0].s3_bucket);
	assert_string_equal(s->subs[1].sub_path, "infra");
	assert_false(s->subs[1].dedupe);
	assert_true(s->subs[0].gc && !s->subs[1].gc);
	assert_int_equal(s->subs[0].gc_delay_ms, 3600000);
	assert_int_equal(s->subs[1].gc_delay_ms, 7200000);
	assert_ptr_equal(settings_of(s, STR("infra/app")), &s->subs[1]);
	assert_ptr_equal(settings_of(s, STR("infra")), s);
	assert_non_null(strstr(buf_text(&result.warnings), "storage.subPaths./Infra.gcInterval"));
	assert_string_equal(s->subs[2].s3_prefix, "zot-c/tmp/z");
	assert_string_equal(s->subs[2].aws.access_key, "k");
	assert_string_equal(s->subs[3].aws.access_key, "env");
	assert_string_equal(s->subs[3].aws.secret_key, "secret");
	result_fini(&result);
}

static void sub_paths_come_from_a_variable(void **state)
{
	static const char *const right[] = { "ZOT_STORAGE_ROOT=/tmp/z",
		"ZOT_SUBPATHS={\"/a\":{\"rootDirectory\":\"/tmp/a\",\"retention\":{\"dryRun\":true}}}",
		"ZOT_RETENTION={\"delay\":\"2h\"}", NULL };
	static const char *const for_none[] = { "ZOT_STORAGE_ROOT=/tmp/z",
		"ZOT_RETENTION={\"policies\":[{\"repositories\":[\"a\"]},{}]}", NULL };
	static const char *const wrong[] = { "ZOT_STORAGE_ROOT=/tmp/z", "ZOT_SUBPATHS={\"/a\"", NULL };
	static const char *const list[] = { "ZOT_STORAGE_ROOT=/tmp/z", "ZOT_SUBPATHS=[]", NULL };
	struct result result = load(NULL, right);

	(void)state;
	assert_true(result.ok);
	assert_int_equal(result.settings.subs_len, 1);
	assert_string_equal(result.settings.subs[0].root, "/tmp/a");
	assert_string_equal(result.settings.subs[0].retention_text, "{\"dryRun\":true}");
	assert_string_equal(result.settings.retention_text, "{\"delay\":\"2h\"}");
	assert_int_equal(result.warnings.len, 0);
	result_fini(&result);
	result = load(NULL, for_none);
	assert_true(result.ok);
	assert_string_equal(buf_text(&result.warnings),
		"storage.retention (ZOT_RETENTION): policies[1] names no "
		"repositories, so it is for none; \"**\" is every repository\n");
	result_fini(&result);
	result = load(NULL, wrong);
	assert_false(result.ok);
	assert_non_null(strstr(buf_text(&result.errors), "storage.subPaths (ZOT_SUBPATHS): "));
	result_fini(&result);
	result = load(NULL, list);
	assert_false(result.ok);
	assert_non_null(strstr(buf_text(&result.errors), "must be an object"));
	result_fini(&result);
}

static void each_fault_of_a_sub_path_is_named(void **state)
{
	static const char *const wrong[][2] = {
		{ SUBS("\"a\":{\"rootDirectory\":\"/tmp/a\"}"), "subPaths.a: must be \"/\"" },
		{ SUBS("\"/\":{\"rootDirectory\":\"/tmp/a\"}"), "must be \"/\"" },
		{ SUBS("\"/_x\":{\"rootDirectory\":\"/tmp/a\"}"), "must be \"/\"" },
		{ SUBS("\"/a\":7"), "must be an object, is" },
		{ SUBS("\"/a\":{}"), "subPaths./a.rootDirectory: needed" },
		{ SUBS("\"/a\":{\"rootDirectory\":\"/tmp/a\",\"retention\":{\"policies\":[3]}}"),
			"subPaths./a.retention: policies: [0]: must be an object" },
		{ SUBS("\"/a\":{\"rootDirectory\":\"/tmp/a\",\"retention\":3}"),
			"subPaths./a.retention: must be an object" },
		{ SUBS("\"/a\":{\"rootDirectory\":7}"), "rootDirectory: must be a text" },
		{ SUBS("\"/a\":{\"rootDirectory\":\"/tmp/a\",\"dedupe\":\"x\"}"),
			"dedupe: must be true or false" },
		{ SUBS("\"/a\":{\"rootDirectory\":\"/tmp/a\",\"subPaths\":{}}"),
			"subPaths./a.subPaths: unknown key" },
		{ SUBS("\"/a\":{\"rootDirectori\":\"/tmp/a\"}"), "did you mean \"rootDirectory\"" },
		{ SUBS("\"/a\":{\"rootDirectory\":\"/tmp/a\",\"storageDriver\":{\"name\":\"gcs\"}}"),
			"subPaths./a: storage.storageDriver.name" },
		{ SUBS("\"/a\":{\"storageDriver\":{\"name\":\"s3\",\"bucket\":\"b\",\"accesskey\":\"k\"}}"),
			"they go together" },
		{ SUBS("\"/a\":{\"rootDirectory\":\"/tmp/a\"},\"/A\":{\"rootDirectory\":\"/tmp/b\"}"),
			"is there twice" },
		{ SUBS("\"/a\":{\"rootDirectory\":\"/tmp/z\"}"),
			"subPaths./a: its place is that of storage itself" },
		{ SUBS("\"/a\":{\"rootDirectory\":\"/tmp/z/in\"}"), "one lies in the other" },
		{ SUBS("\"/a\":{\"rootDirectory\":\"/tmp/../tmp/./z\"}"),
			"its place is that of storage itself" },
		{ SUBS("\"/a\":{\"rootDirectory\":\"/tmp\"}"), "one lies in the other" },
		{ SUBS("\"/a\":{\"rootDirectory\":\"/tmp/q\"},\"/b\":{\"rootDirectory\":\"/tmp/q/\"}"),
			"subPaths./b: its place is that of \"/a\"" },
		{ SUBS("\"/a\":{" S3("/x") "},\"/b\":{" S3("/x/y") "}"), "its place is that of \"/a\"" },
	};
	static const char *const right[] = {
		SUBS("\"/a\":{" S3("/x") "},\"/b\":{" S3("/xy") "}"),
		SUBS("\"/a\":{\"rootDirectory\":\"/tmp/zz\"}"),
		SUBS("\"/a/b\":{\"rootDirectory\":\"/tmp/zz\"}"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct result result = load(wrong[i][0], no_environment);
		assert_false(result.ok);
		if (!strstr(buf_text(&result.errors), wrong[i][1]))
			fail_msg("%s: %s", wrong[i][0], buf_text(&result.errors));
		result_fini(&result);
	}
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
		struct result result = load(right[i], no_environment);
		if (!result.ok)
			fail_msg("%s", buf_text(&result.errors));
		if (i == 2)
			assert_non_null(strstr(buf_text(&result.warnings), "nothing will lie there"));
		result_fini(&result);
	}
}

static void too_many_sub_paths_are_refused(void **state)
{
	AUTO_FINI(buf) json = buf_limit(65536);
	struct result result;

	(void)state;
	for (int n = 64; n <= 65; n++) {
		buf_clear(&json);
		buf_puts(&json, "{\"storage\":{\"rootDirectory\":\"/tmp/z\",\"subPaths\":{");
		for (int i = 0; i < n; i++)
			buf_format(
				&json, "%s\"/p%d\":{\"rootDirectory\":\"/tmp/zot-p%d\"}", i ? "," : "", i, i);
		buf_puts(&json, "}}}");
		result = load(buf_text(&json), no_environment);
		assert_int_equal(result.ok, n == 64);
		if (n == 65)
			assert_non_null(strstr(buf_text(&result.errors), "65 are too many, at most 64"));
		result_fini(&result);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zots_own_example_of_a_cluster_is_read),
		cmocka_unit_test(a_worker_lives_from_variables_alone),
		cmocka_unit_test(each_fault_is_named),
		cmocka_unit_test(all_keys_of_the_driver),
		cmocka_unit_test(a_folder_has_no_url),
		cmocka_unit_test(a_login_that_is_not_served_does_not_open_the_registry),
		cmocka_unit_test(wrong_variables_are_named),
		cmocka_unit_test(sub_paths_are_stores_of_their_own),
		cmocka_unit_test(sub_paths_come_from_a_variable),
		cmocka_unit_test(each_fault_of_a_sub_path_is_named),
		cmocka_unit_test(too_many_sub_paths_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
