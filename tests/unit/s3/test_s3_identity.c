/* SPDX-License-Identifier: Apache-2.0 */
/* test_s3_identity - which source of keys counts, and what of a profile is not served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "common/file.h"
#include "s3/s3_identity.h"
#include "s3/s3_metadata.h"
#include "s3/s3_sts.h"

static char home[] = "/tmp/zot-identity-XXXXXX";
static char config[128], credentials[128];

static void write_files(const char *of_credentials, const char *of_config)
{
	struct error err;

	if (!file_write_durable(credentials, str_of(of_credentials ? of_credentials : ""), 0600, &err) ||
		!file_write_durable(config, str_of(of_config ? of_config : ""), 0600, &err))
		fail_msg("%s", err.text);
}

static struct s3_plan plan_of(struct s3_identity identity)
{
	struct s3_plan plan;
	struct error err;

	if (!s3_identity_plan(&identity, &plan, &err))
		fail_msg("%s", err.text);
	return plan;
}

static void refuse(struct s3_identity identity, const char *word)
{
	struct s3_plan plan;
	struct error err = { 0 };

	assert_false(s3_identity_plan(&identity, &plan, &err));
	if (err.kind == ERROR_INTERNAL || !strstr(err.text, word))
		fail_msg("%s: %s", error_kind_name(err.kind), err.text);
}

static void the_order(void **state)
{
	struct s3_identity all = { .access_key = "a",
		.secret_key = "s",
		.token_file = "/t",
		.role = "arn:aws:iam::1:role/r",
		.home = home,
		.container_path = "/x" };

	(void)state;
	write_files("[default]\naws_access_key_id=f\naws_secret_access_key=g\n", NULL);
	assert_int_equal(plan_of(all).source, S3_SOURCE_KEYS);
	assert_false(plan_of(all).renews);
	assert_string_equal(plan_of(all).keys.access_key, "a");
	all.access_key = all.secret_key = NULL;
	assert_int_equal(plan_of(all).source, S3_SOURCE_TOKEN);
	assert_string_equal(plan_of(all).token_file, "/t");
	assert_string_equal(plan_of(all).token_role.session, "zot");
	all.token_file = NULL;
	assert_string_equal(plan_of(all).keys.access_key, "f");
	assert_string_equal(plan_of(all).name, "profile \"default\"");
	assert_true(plan_of(all).renews);
	write_files(NULL, NULL);
	assert_int_equal(plan_of(all).source, S3_SOURCE_CONTAINER);
	all.container_path = NULL;
	assert_int_equal(plan_of(all).source, S3_SOURCE_METADATA);
	all.metadata_off = true;
	refuse(all, "no keys for S3: set AWS_ACCESS_KEY_ID");
}

static void one_of_a_pair(void **state)
{
	(void)state;
	refuse((struct s3_identity){ .access_key = "a" }, "secret key is missing");
	refuse((struct s3_identity){ .secret_key = "s" }, "access key is missing");
	refuse((struct s3_identity){ .token_file = "/t" }, "needs AWS_ROLE_ARN");
	refuse((struct s3_identity){ .token_file = "/t", .role = "r" }, "no ARN");
	refuse(
		(struct s3_identity){
			.token_file = "/t", .role = "arn:aws:iam::1:role/r", .role_session = "a b" },
		"session needs");
}

static void a_chain_of_roles(void **state)
{
	struct s3_identity identity = { .home = home, .profile = "top" };
	struct s3_plan plan;

	(void)state;
	write_files("[base]\naws_access_key_id=f\naws_secret_access_key=g\naws_session_token=h\n",
		"[profile top]\nrole_arn=arn:aws:iam::1:role/top\nsource_profile=mid\nexternal_id=x\n"
		"duration_seconds=3600\n"
		"[profile "
		"mid]\nrole_arn=arn:aws:iam::1:role/mid\nsource_profile=base\nrole_session_name=me\n");
	plan = plan_of(identity);
	assert_int_equal(plan.source, S3_SOURCE_KEYS);
	assert_string_equal(plan.keys.session_token, "h");
	assert_int_equal(plan.n, 2);
	assert_string_equal(plan.roles[0].arn, "arn:aws:iam::1:role/mid");
	assert_string_equal(plan.roles[0].session, "me");
	assert_string_equal(plan.roles[1].arn, "arn:aws:iam::1:role/top");
	assert_string_equal(plan.roles[1].external_id, "x");
	assert_int_equal(plan.roles[1].seconds, 3600);
}

static void roles_by_other_sources(void **state)
{
	struct s3_identity identity = { .home = home, .profile = "p" };

	(void)state;
	write_files(NULL, "[profile p]\nrole_arn=arn:aws:iam::1:role/p\nweb_identity_token_file=/token\n");
	assert_int_equal(plan_of(identity).source, S3_SOURCE_TOKEN);
	assert_string_equal(plan_of(identity).token_role.arn, "arn:aws:iam::1:role/p");
	assert_int_equal(plan_of(identity).n, 0);
	write_files(
		NULL, "[profile p]\nrole_arn=arn:aws:iam::1:role/p\ncredential_source=Ec2InstanceMetadata\n");
	assert_int_equal(plan_of(identity).source, S3_SOURCE_METADATA);
	assert_int_equal(plan_of(identity).n, 1);
	write_files("[p]\naws_access_key_id=f\naws_secret_access_key=g\n",
		"[profile p]\nrole_arn=arn:aws:iam::1:role/p\nsource_profile=p\n");
	assert_string_equal(plan_of(identity).keys.access_key, "f");
	assert_int_equal(plan_of(identity).n, 1);
}

static void what_is_not_served(void **state)
{
	static const char *const wrong[][2] = {
		{ "[profile p]\nsso_session=x\n", "sso_session is not served" },
		{ "[profile p]\ncredential_process=/bin/x\n", "credential_process is not served" },
		{ "[profile p]\nrole_arn=arn:aws:iam::1:role/p\nsource_profile=p\nmfa_serial=1\n",
			"mfa_serial" },
		{ "[profile p]\nregion=x\n", "has neither aws_access_key_id" },
		{ "[profile p]\nrole_arn=arn:aws:iam::1:role/p\nsource_profile=q\n",
			"\"q\", which no file has" },
		{ "[profile p]\nrole_arn=arn:aws:iam::1:role/p\ncredential_source=Moon\n",
			"credential_source" },
		{ "[profile p]\nrole_arn=arn:a\nsource_profile=q\n[profile "
		  "q]\nrole_arn=arn:b\nsource_profile=p\n",
			"in a circle" },
		{ "[profile p]\nrole_arn=arn:a\nsource_profile=p\nduration_seconds=10\n", "900 to 43200" },
		{ "[profile q]\nregion=x\n", "AWS_PROFILE: neither" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		write_files(NULL, wrong[i][0]);
		refuse((struct s3_identity){ .home = home, .profile = "p" }, wrong[i][1]);
	}
}

static void files_by_name(void **state)
{
	struct s3_identity identity = { .credentials_file = "/nowhere/at/all", .home = home };

	(void)state;
	refuse(identity, "AWS_SHARED_CREDENTIALS_FILE");
	identity.credentials_file = NULL;
	identity.home = "/nowhere/at/all";
	assert_int_equal(plan_of(identity).source, S3_SOURCE_METADATA);
	identity.credentials_file = credentials;
	write_files("[default]\naws_access_key_id=f\naws_secret_access_key=g\n", NULL);
	assert_string_equal(plan_of(identity).keys.secret_key, "g");
}

static void expect_url(const char *path, const char *url, const char *wanted)
{
	AUTO_FINI(buf) found = buf_limit(512);
	struct s3_identity identity = { .container_path = path, .container_url = url };
	struct error err;
	bool ok = s3_metadata_container_url(&identity, &found, &err);

	if (ok != (wanted != NULL) || (ok && strcmp(buf_text(&found), wanted) != 0))
		fail_msg("%s %s: %s", path ? path : "", url ? url : "", ok ? buf_text(&found) : err.text);
}

static void hosts_of_containers(void **state)
{
	static const char *const good[] = { "http://127.0.0.1:1/x?y=z", "http://localhost/x",
		"http://localhost:80/x", "http://[::1]:80/", "http://169.254.170.2/v2",
		"http://169.254.170.23/v1/credentials", "http://[fd00:ec2::23]/v1",
		"https://keys.example.com/x" };
	static const char *const bad[] = { "http://169.254.170.3/", "http://keys.example.com/",
		"ftp://localhost/", "http://localhost.example.com/", "http://127.0.0.1@example.com/",
		"http://128.0.0.1/", "", "http://localhost\r\nX: y", "localhost", "http:///x" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		expect_url(NULL, good[i], good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_url(NULL, bad[i], NULL);
	expect_url("/v2/credentials/1", "http://localhost/", "http://169.254.170.2/v2/credentials/1");
	expect_url("v2", NULL, NULL);
	expect_url("/a b", NULL, NULL);
}

static void expect_sts(struct s3_identity identity, const char *region, const char *wanted)
{
	AUTO_FINI(buf) found = buf_limit(512);
	struct error err;

	if (!s3_sts_endpoint(&identity, region, &found, &err))
		assert_null(wanted);
	else
		assert_string_equal(buf_text(&found), wanted);
}

static void endpoints_of_sts(void **state)
{
	(void)state;
	expect_sts((struct s3_identity){ 0 }, "eu-west-3", "https://sts.eu-west-3.amazonaws.com");
	expect_sts((struct s3_identity){ 0 }, "cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn");
	expect_sts((struct s3_identity){ .sts_endpoints = S3_STS_LEGACY }, "eu-west-3",
		"https://sts.amazonaws.com");
	expect_sts((struct s3_identity){ .sts_endpoint = "http://h:1/" }, "eu-west-3", "http://h:1");
	expect_sts((struct s3_identity){ .sts_endpoint = "h:1" }, "eu-west-3", NULL);
}

static int make_home(void **state)
{
	char folder[64];

	(void)state;
	if (!mkdtemp(home))
		return 1;
	snprintf(folder, sizeof folder, "%s/.aws", home);
	snprintf(config, sizeof config, "%s/config", folder);
	snprintf(credentials, sizeof credentials, "%s/credentials", folder);
	return mkdir(folder, 0700);
}

static int remove_home(void **state)
{
	char folder[64];

	(void)state;
	snprintf(folder, sizeof folder, "%s/.aws", home);
	return unlink(config) | unlink(credentials) | rmdir(folder) | rmdir(home);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_order),
		cmocka_unit_test(one_of_a_pair),
		cmocka_unit_test(a_chain_of_roles),
		cmocka_unit_test(roles_by_other_sources),
		cmocka_unit_test(what_is_not_served),
		cmocka_unit_test(files_by_name),
		cmocka_unit_test(hosts_of_containers),
		cmocka_unit_test(endpoints_of_sts),
	};

	return cmocka_run_group_tests_name("s3_identity", tests, make_home, remove_home);
}
