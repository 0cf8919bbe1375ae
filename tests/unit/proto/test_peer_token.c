/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_peer_token - who signs is believed, and only for the request that was signed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/crypto.h"
#include "proto/base64url.h"
#include "proto/peer_token.h"

#define SECRET STR("s3cret")
#define METHOD STR("PUT")
#define TARGET STR("/v2/a/manifests/x?tag=1")
#define NOW    1000

static const char *const groups[] = { "devs", "", "a:b c/\xc3\xa9" };
static const struct peer_claims sample = {
	.sender = "worker-1",
	.epoch = UINT64_MAX,
	.expires_s = NOW + 30,
	.user = "alice",
	.apikey = "zak_1",
	.admin = true,
	.groups = groups,
	.groups_len = 3,
};

static struct buf token_of(const struct peer_claims *claims)
{
	struct buf b = buf_limit(2 * PEER_TOKEN_MAX);

	peer_token_format(SECRET, METHOD, TARGET, claims, &b);
	return b;
}

static bool parse(struct str header, int64_t now_s, struct peer_claims *ret)
{
	struct error err;

	if (peer_token_parse(SECRET, METHOD, TARGET, header, now_s, ret, &err))
		return true;
	assert_int_equal(err.kind, ERROR_DENIED);
	assert_string_equal(err.code, "UNAUTHORIZED");
	return false;
}

static void carries_the_claims(void **state)
{
	AUTO_FINI(buf) b = token_of(&sample);
	struct peer_claims claims;

	(void)state;
	assert_false(b.failed);
	assert_true(parse(buf_str(&b), NOW, &claims));
	assert_string_equal(claims.sender, "worker-1");
	assert_true(claims.epoch == UINT64_MAX);
	assert_int_equal(claims.expires_s, NOW + 30);
	assert_string_equal(claims.user, "alice");
	assert_string_equal(claims.apikey, "zak_1");
	assert_true(claims.admin && !claims.anonymous);
	assert_int_equal(claims.groups_len, 3);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(claims.groups[i], groups[i]);
	peer_claims_fini(&claims);
	assert_null(claims.memory);
}

static void carries_nobody(void **state)
{
	struct peer_claims nobody = {
		.sender = "w", .expires_s = NOW, .user = "", .apikey = NULL, .anonymous = true
	};
	AUTO_FINI(buf) b = token_of(&nobody);
	struct peer_claims claims;

	(void)state;
	assert_true(parse(buf_str(&b), NOW, &claims));
	assert_true(claims.anonymous && !claims.admin);
	assert_string_equal(claims.user, "");
	assert_string_equal(claims.apikey, "");
	assert_int_equal(claims.groups_len, 0);
	peer_claims_fini(&claims);
}

static void carries_a_call(void **state)
{
	struct peer_claims change = sample, claims;

	(void)state;
	change.has_call = true;
	for (unsigned i = 0; i < PEER_CALL_BYTES; i++)
		change.call[i] = (uint8_t)(i * 17);
	change.call_sent_ms = INT64_MAX;
	change.call_age_ms = 20000;
	change.call_issued_ms = 1763740000000;
	AUTO_FINI(buf) b = token_of(&change);
	assert_true(parse(buf_str(&b), NOW, &claims));
	assert_true(claims.has_call);
	assert_memory_equal(claims.call, change.call, PEER_CALL_BYTES);
	assert_true(claims.call_sent_ms == INT64_MAX);
	assert_int_equal(claims.call_age_ms, 20000);
	assert_int_equal(claims.call_issued_ms, 1763740000000);
	assert_int_equal(claims.groups_len, 3);
	assert_string_equal(claims.groups[2], groups[2]);
	peer_claims_fini(&claims);
	AUTO_FINI(buf) none = token_of(&sample);
	assert_true(parse(buf_str(&none), NOW, &claims));
	assert_false(claims.has_call);
	peer_claims_fini(&claims);
	change.call_age_ms = -1;
	AUTO_FINI(buf) wrong = token_of(&change);
	assert_true(wrong.failed);
}

/* Who may choose the name of a group does not choose the id of a call. */
static void a_group_is_no_call(void **state)
{
	static const char *const odd[] = { "\001call:000102030405060708090a0b0c0d0e0f:0:0:0", "devs" };
	struct peer_claims forged = sample, claims;

	(void)state;
	forged.groups = odd;
	forged.groups_len = 2;
	AUTO_FINI(buf) b = token_of(&forged);
	assert_true(parse(buf_str(&b), NOW, &claims));
	assert_false(claims.has_call);
	assert_int_equal(claims.groups_len, 1);
	assert_string_equal(claims.groups[0], "devs");
	peer_claims_fini(&claims);
}

static void is_bound_to_the_request(void **state)
{
	AUTO_FINI(buf) b = token_of(&sample);
	struct peer_claims claims;

	(void)state;
	assert_false(peer_token_parse(STR("s3creT"), METHOD, TARGET, buf_str(&b), NOW, &claims, NULL));
	assert_false(peer_token_parse(STR(""), METHOD, TARGET, buf_str(&b), NOW, &claims, NULL));
	assert_false(peer_token_parse(SECRET, STR("GET"), TARGET, buf_str(&b), NOW, &claims, NULL));
	assert_false(
		peer_token_parse(SECRET, METHOD, STR("/v2/a/manifests/x"), buf_str(&b), NOW, &claims, NULL));
	assert_false(parse(buf_str(&b), NOW + 31, &claims));
	assert_true(parse(buf_str(&b), NOW + 30, &claims));
	peer_claims_fini(&claims);
}

/* A change of any one character is noticed. */
static void cannot_be_twisted(void **state)
{
	AUTO_FINI(buf) b = token_of(&sample);
	struct peer_claims claims;

	(void)state;
	for (size_t i = 0; i < b.len; i++) {
		b.at[i] ^= 1;
		assert_false(parse(buf_str(&b), NOW, &claims));
		b.at[i] ^= 1;
		assert_false(parse(str_from(b.at, i), NOW, &claims));
	}
	buf_putc(&b, '0');
	assert_false(parse(buf_str(&b), NOW, &claims));
	assert_false(parse(STR_NONE, NOW, &claims));
	assert_false(parse(STR("v1  "), NOW, &claims));
}

/* Signed rightly, but not what peer_token_format() writes. */
static bool parse_signed(struct str plain)
{
	AUTO_FINI(buf) message = buf_limit(4 * PEER_TOKEN_MAX);
	AUTO_FINI(buf) header = buf_limit(4 * PEER_TOKEN_MAX);
	char *text = malloc(BASE64URL_LEN(plain.len) + 1);
	struct peer_claims claims;
	uint8_t signature[32];
	char hex[65];
	bool ok;

	base64url_encode(plain, text);
	buf_format(&message, "PUT %.*s %s", STR_ARGS(TARGET), text);
	hmac_sha256(SECRET, buf_str(&message), signature);
	str_hex(signature, sizeof(signature), hex);
	buf_format(&header, "v1 %s %s", text, hex);
	free(text);
	ok = parse(buf_str(&header), NOW, &claims);
	if (ok)
		peer_claims_fini(&claims);
	return ok;
}

static void refuses_odd_claims(void **state)
{
	static const char *const odd[] = {
		"",
		"1:w",
		"1:w1:14:1000",
		"1:w1:14:10000:0:1:",
		"1:w1:14:10000:0:1:4",
		"1:w1:x4:10000:0:1:0",
		"1:w1:15:-10000:0:1:0",
		"1:w1:120:999999999999999999990:0:1:0",
		"1:w1:14:10000:0:1:02:x",
		"1:w1:14:10000:0:1:0x",
		"1:w1:14:10000:0:1:0256:",
		"1:w1:14:10000:0:0:",
	};
	char many[256] = "1:w1:14:10000:0:1:0";
	size_t start = strlen(many);

	(void)state;
	assert_true(parse_signed(STR("1:w1:14:10000:0:1:0")));
	assert_true(parse_signed(STR("1:w1:14:10000:0:1:01:x")));
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		if (parse_signed(str_of(odd[i])))
			fail_msg("%s are no claims", odd[i]);
	}
	assert_false(parse_signed(str_from("1:\0"
					   "1:14:10000:0:1:0",
		18)));
	for (size_t i = 0; i <= PEER_GROUPS_MAX; i++)
		memcpy(many + start + 2 * i, "0:", 2);
	assert_true(parse_signed(str_from(many, start + 2 * PEER_GROUPS_MAX)));
	assert_false(parse_signed(str_from(many, start + 2 * PEER_GROUPS_MAX + 2)));
}

static bool parse_more(const char *more)
{
	AUTO_FINI(buf) plain = buf_limit(1024);

	buf_format(&plain, "1:w1:14:10000:0:1:0%zu:%s", strlen(more), more);
	return parse_signed(buf_str(&plain));
}

static void refuses_odd_calls(void **state)
{
#define ID "000102030405060708090a0b0c0d0e0f"
	static const char *const odd[] = {
		"\001call:",
		"\001call:" ID,
		"\001call:" ID ":",
		"\001call:" ID ":0",
		"\001call:" ID ":0:",
		"\001call:" ID ":0:x",
		"\001call:" ID ":0:0",
		"\001call:" ID ":0:0:",
		"\001call:" ID ":0:0:x",
		"\001call:" ID ":0:0:0:0",
		"\001call:" ID ":-1:0:0",
		"\001call:" ID ":9223372036854775808:0:0",
		"\001call:" ID "00:0:0:0",
		"\001call:000102030405060708090A0B0C0D0E0F:0:0:0",
		"\001call::0:0:0",
	};
	AUTO_FINI(buf) many = buf_limit(4096);

	(void)state;
	assert_true(parse_more("\001call:" ID ":0:0:0"));
	assert_true(parse_more("\001call:" ID ":1700000000000:0:5"));
	assert_true(parse_more("\001callx"));
	assert_true(parse_more("\001"));
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		if (parse_more(odd[i]))
			fail_msg("%s is no call", odd[i] + 1);
	assert_false(parse_more("\001call:" ID ":0:0:044:\001call:" ID ":0:0:0"));
	/* Beside all the groups that there may be; one of tomorrow too. */
	buf_puts(&many, "1:w1:14:10000:0:1:0");
	for (size_t i = 0; i < PEER_GROUPS_MAX; i++)
		buf_puts(&many, "1:g");
	buf_puts(&many, "44:\001call:" ID ":0:0:06:\001later");
	assert_true(parse_signed(buf_str(&many)));
	buf_puts(&many, "1:g");
	assert_false(parse_signed(buf_str(&many)));
#undef ID
}

static void is_bounded(void **state)
{
	static char name[PEER_NAME_MAX + 2];
	const char *many[PEER_GROUPS_MAX + 1];
	struct peer_claims claims = sample;
	struct buf b;

	(void)state;
	memset(name, 'n', PEER_NAME_MAX + 1);
	claims.user = name;
	b = token_of(&claims);
	assert_true(b.failed);
	buf_fini(&b);
	claims.user = name + 1;
	b = token_of(&claims);
	assert_true(!b.failed && parse(buf_str(&b), NOW, &claims));
	peer_claims_fini(&claims);
	buf_fini(&b);
	for (size_t i = 0; i <= PEER_GROUPS_MAX; i++)
		many[i] = i < PEER_GROUPS_MAX ? "some-group" : "";
	claims = sample;
	claims.groups = many;
	for (claims.groups_len = PEER_GROUPS_MAX; claims.groups_len <= PEER_GROUPS_MAX + 1;
		claims.groups_len++) {
		b = token_of(&claims);
		assert_int_equal(b.failed, claims.groups_len > PEER_GROUPS_MAX);
		buf_fini(&b);
	}
	for (size_t i = 0; i < PEER_GROUPS_MAX; i++)
		many[i] = name + 1;
	claims.groups_len = PEER_GROUPS_MAX;
	b = token_of(&claims); /* 16 KiB */
	assert_true(b.failed);
	buf_fini(&b);
}

static void nothing_is_signed_without_a_secret(void **state)
{
	AUTO_FINI(buf) b = buf_limit(PEER_TOKEN_MAX);

	(void)state;
	peer_token_format(STR(""), METHOD, TARGET, &sample, &b);
	assert_true(b.failed);
}

static void large_headers_are_refused(void **state)
{
	static char text[PEER_TOKEN_MAX + 1];
	struct peer_claims claims;

	(void)state;
	memset(text, 'A', sizeof(text));
	memcpy(text, "v1 ", 3);
	text[sizeof(text) - 65] = ' ';
	assert_false(parse(str_from(text, sizeof(text)), NOW, &claims));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_the_claims),
		cmocka_unit_test(carries_nobody),
		cmocka_unit_test(carries_a_call),
		cmocka_unit_test(a_group_is_no_call),
		cmocka_unit_test(is_bound_to_the_request),
		cmocka_unit_test(cannot_be_twisted),
		cmocka_unit_test(refuses_odd_claims),
		cmocka_unit_test(refuses_odd_calls),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(nothing_is_signed_without_a_secret),
		cmocka_unit_test(large_headers_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
