/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <string.h>

#include "worker/events/nats.h"
#include "worker/events/nats_key.h"
#include "worker/events/nats_lines.h"

static void test_lines(void **state)
{
	struct str rest = STR("INFO {\"a\": 1} \r\nping\r\nPONG\n+OK\r\n-ERR 'no way'\r\nMSG x\r\nPIN"), text;

	(void)state;
	assert_int_equal(nats_line(&rest, &text), NATS_INFO);
	assert_true(str_is(text, "{\"a\": 1}"));
	assert_int_equal(nats_line(&rest, &text), NATS_PING);
	assert_int_equal(nats_line(&rest, &text), NATS_PONG);
	assert_int_equal(nats_line(&rest, &text), NATS_OK);
	assert_int_equal(nats_line(&rest, &text), NATS_ERR);
	assert_true(str_is(text, "'no way'"));
	assert_int_equal(nats_line(&rest, &text), NATS_WRONG);
	assert_int_equal(nats_line(&rest, &text), NATS_MORE);
	assert_true(str_is(rest, "PIN"));
	rest = STR_NONE;
	assert_int_equal(nats_line(&rest, &text), NATS_MORE);
}

static void test_a_line_without_an_end(void **state)
{
	static char long_line[NATS_LINE_MAX + 2];
	struct str rest = str_from(long_line, NATS_LINE_MAX - 1), text;

	(void)state;
	memset(long_line, 'x', sizeof(long_line));
	assert_int_equal(nats_line(&rest, &text), NATS_MORE);
	rest.len++;
	assert_int_equal(nats_line(&rest, &text), NATS_WRONG);
}

static void test_info(void **state)
{
	struct nats_info info;
	struct error err;
	char text[1024];

	(void)state;
	assert_true(nats_info_read(
		STR("{\"headers\":true,\"max_payload\":99,\"tls_required\":true,\"nonce\":\"abc\"}"), &info,
		&err));
	assert_true(
		info.headers && info.tls_required && info.max_payload == 99 && !strcmp(info.nonce, "abc"));
	assert_true(nats_info_read(STR("{}"), &info, &err));
	assert_true(!info.headers && info.max_payload == 1048576 && !*info.nonce);
	assert_false(nats_info_read(STR("[]"), &info, &err));
	assert_false(nats_info_read(STR("{"), &info, &err));
	(void)snprintf(text, sizeof(text), "{\"nonce\":\"%0500d\"}", 1);
	assert_false(nats_info_read(str_of(text), &info, &err));
}

static void test_addresses_and_subjects(void **state)
{
	static const char *const wrong[] = { "http://h", "nats://", "nats://:1", "nats://h:0",
		"nats://h:70000", "nats://u:p@h", "nats://h/x", "nats://a,nats://b", "h:4222",
		"nats://::1:4222" };
	char host[256], port[6];
	bool tls;

	(void)state;
	assert_true(nats_address("nats://h.example", host, port, &tls) && !tls);
	assert_true(!strcmp(host, "h.example") && !strcmp(port, "4222"));
	assert_true(nats_address("tls://[::1]:5222", host, port, &tls) && tls);
	assert_true(!strcmp(host, "::1") && !strcmp(port, "5222"));
	assert_true(nats_address("nats://[::1]", host, port, &tls) && !strcmp(host, "::1") &&
		    !strcmp(port, "4222"));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (nats_address(wrong[i], host, port, &tls))
			fail_msg("%s is no address", wrong[i]);
	assert_true(nats_subject_is_valid(STR("a.b-c.D")) && nats_subject_is_valid(STR("a")));
	assert_false(nats_subject_is_valid(STR("")) || nats_subject_is_valid(STR("a..b")) ||
		     nats_subject_is_valid(STR("a.")));
	assert_false(nats_subject_is_valid(STR(".a")) || nats_subject_is_valid(STR("a.*")) ||
		     nats_subject_is_valid(STR("a b")) || nats_subject_is_valid(STR("a\r\nPUB")));
}

/* The seed of RFC 8032, 7.1, TEST 1, in the form of a user's NKey; its signature of nothing is there too. */
#define SEED "SUAJ2YNRTXX72WTAXKCEV5ES5QWMIRCJYVUXWMTJDFYDXLADDSXH6YALCA"

static void test_a_key_signs(void **state)
{
	struct nats_key key;
	struct error err;
	char signature[NATS_SIGNATURE_SIZE];

	(void)state;
	if (!nats_key_parse(STR("-----BEGIN NATS USER JWT-----\r\na.b.c\r\n------END NATS USER JWT------\n"
				"-----BEGIN USER NKEY SEED-----\n" SEED "\n------END USER NKEY SEED------\n"),
		    &key, &err))
		fail_msg("%s", err.text);
	assert_string_equal(buf_text(&key.jwt), "a.b.c");
	nats_key_sign(&key, STR_NONE, signature);
	assert_string_equal(signature,
		"5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc-bRr0lv18FlbviRlUUFDjnoQCw");
	nats_key_fini(&key);
}

static void test_what_is_no_key(void **state)
{
	static const char *const wrong[] = { "", "-----BEGIN NATS USER JWT-----\na.b.c\n",
		"-----BEGIN NATS USER JWT-----\n---\n-----BEGIN USER NKEY SEED-----\n" SEED "\n",
		"-----BEGIN NATS USER JWT-----\na\n-----BEGIN USER NKEY SEED-----\nSUA\n",
		"-----BEGIN NATS USER JWT-----\na\n-----BEGIN USER NKEY "
		"SEED-----\nSUAJ2YNRTXX72WTAXKCEV5ES5QWMIRCJYVUXWMTJDFYDXLADDSXH6YALDA\n" };
	struct nats_key key;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (nats_key_parse(str_of(wrong[i]), &key, &err))
			fail_msg("%zu is no key", i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_a_line_without_an_end),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_addresses_and_subjects),
		cmocka_unit_test(test_a_key_signs),
		cmocka_unit_test(test_what_is_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
