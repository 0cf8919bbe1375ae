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
#define TYPE   STR("Content-Type: a/b\n")
#define NOW_MS 1763740000000

static const struct peer_request request = {
	.method = { "PUT", 3 },
	.target = { "/v2/a/manifests/x?tag=1", 23 },
	.length = 4,
	.headers = { "Content-Type: a/b\n", 18 },
};

static const char *const groups[] = { "devs", "", "a:b c/\xc3\xa9" };
static const struct peer_claims sample = {
	.sender = "worker-1",
	.receiver = "worker-2",
	.process = { 1, 2, 3, 4, 5, 6, 7, 255 },
	.sequence = PEER_SEQUENCE_MAX,
	.issued_ms = NOW_MS,
	.ring = UINT64_MAX,
	.client = "2001:db8::1",
	.has_digest = true,
	.digest = { 9, 8, 7 },
	.user = "alice",
	.apikey = "zak_1",
	.admin = true,
	.groups = groups,
	.groups_len = 3,
};

static struct buf token_of(const struct peer_claims *claims)
{
	struct buf b = buf_limit(2 * PEER_TOKEN_MAX);

	peer_token_format(SECRET, &request, claims, &b);
	return b;
}

static bool parse(struct str header, struct peer_claims *ret)
{
	struct error err;

	if (peer_token_parse(SECRET, &request, header, ret, &err))
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
	assert_true(parse(buf_str(&b), &claims));
	assert_string_equal(claims.sender, "worker-1");
	assert_string_equal(claims.receiver, "worker-2");
	assert_memory_equal(claims.process, sample.process, PEER_PROCESS_BYTES);
	assert_true(claims.sequence == PEER_SEQUENCE_MAX);
	assert_true(claims.issued_ms == NOW_MS);
	assert_true(claims.ring == UINT64_MAX);
	assert_string_equal(claims.client, "2001:db8::1");
	assert_true(claims.has_digest);
	assert_memory_equal(claims.digest, sample.digest, PEER_DIGEST_BYTES);
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
	struct peer_claims nobody = { .sender = "w", .user = "", .apikey = NULL, .anonymous = true };
	AUTO_FINI(buf) b = token_of(&nobody);
	struct peer_claims claims;

	(void)state;
	assert_true(parse(buf_str(&b), &claims));
	assert_true(claims.anonymous && !claims.admin && !claims.has_digest);
	assert_string_equal(claims.client, "");
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
	assert_true(parse(buf_str(&b), &claims));
	assert_true(claims.has_call);
	assert_memory_equal(claims.call, change.call, PEER_CALL_BYTES);
	assert_true(claims.call_sent_ms == INT64_MAX);
	assert_int_equal(claims.call_age_ms, 20000);
	assert_int_equal(claims.call_issued_ms, 1763740000000);
	assert_int_equal(claims.groups_len, 3);
	assert_string_equal(claims.groups[2], groups[2]);
	peer_claims_fini(&claims);
	AUTO_FINI(buf) none = token_of(&sample);
	assert_true(parse(buf_str(&none), &claims));
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
	assert_true(parse(buf_str(&b), &claims));
	assert_false(claims.has_call);
	assert_int_equal(claims.groups_len, 1);
	assert_string_equal(claims.groups[0], "devs");
	peer_claims_fini(&claims);
}

static bool parse_for(struct str secret, struct peer_request asked, struct str header)
{
	struct peer_claims claims;

	if (!peer_token_parse(secret, &asked, header, &claims, NULL))
		return false;
	peer_claims_fini(&claims);
	return true;
}

static void is_bound_to_the_request(void **state)
{
	AUTO_FINI(buf) b = token_of(&sample);
	struct str header = buf_str(&b);

	(void)state;
	assert_true(parse_for(SECRET, request, header));
	assert_false(parse_for(STR("s3creT"), request, header));
	assert_false(parse_for(STR(""), request, header));
	assert_false(parse_for(SECRET, (struct peer_request){ STR("GET"), TARGET, 4, TYPE }, header));
	assert_false(parse_for(
		SECRET, (struct peer_request){ METHOD, STR("/v2/a/manifests/x"), 4, TYPE }, header));
	assert_false(parse_for(SECRET, (struct peer_request){ METHOD, TARGET, 5, TYPE }, header));
	assert_false(parse_for(SECRET, (struct peer_request){ METHOD, TARGET, 0, TYPE }, header));
	assert_false(parse_for(SECRET, (struct peer_request){ METHOD, TARGET, -1, TYPE }, header));
	assert_false(parse_for(SECRET, (struct peer_request){ METHOD, TARGET, 4, STR_NONE }, header));
	assert_false(parse_for(
		SECRET, (struct peer_request){ METHOD, TARGET, 4, STR("Content-Type: a/c\n") }, header));
}

/* A change of any one character is noticed. */
static void cannot_be_twisted(void **state)
{
	AUTO_FINI(buf) b = token_of(&sample);
	struct peer_claims claims;

	(void)state;
	for (size_t i = 0; i < b.len; i++) {
		b.at[i] ^= 1;
		assert_false(parse(buf_str(&b), &claims));
		b.at[i] ^= 1;
		assert_false(parse(str_from(b.at, i), &claims));
	}
	buf_putc(&b, '0');
	assert_false(parse(buf_str(&b), &claims));
	b.at[1] = '1'; /* the form of before */
	assert_false(parse(str_from(b.at, b.len - 1), &claims));
	assert_false(parse(STR_NONE, &claims));
	assert_false(parse(STR("v2  "), &claims));
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
	buf_format(&message, "PUT %.*s 4\nContent-Type: a/b\n%s", STR_ARGS(TARGET), text);
	hmac_sha256(SECRET, buf_str(&message), signature);
	str_hex(signature, sizeof(signature), hex);
	buf_format(&header, "v2 %s %s", text, hex);
	free(text);
	ok = parse(buf_str(&header), &claims);
	if (ok)
		peer_claims_fini(&claims);
	return ok;
}

#define WHO    "1:w1:v"
#define ONCE   "16:0123456789abcdef1:5" /* process and sequence */
#define ISSUED "4:1000"
#define CLIENT "1:10:0:0:" /* ring, client, user, key */
#define RIGHT  WHO ONCE ISSUED CLIENT "1:00:"

static void refuses_odd_claims(void **state)
{
	static const char *const odd[] = {
		"",
		"1:w",
		"1:w1:v",
		WHO "16:0123456789abcdef",
		WHO ONCE,
		WHO ONCE ISSUED,
		WHO ONCE ISSUED CLIENT,
		WHO ONCE ISSUED CLIENT "1:0",
		WHO ONCE ISSUED CLIENT "1:40:",
		WHO ONCE ISSUED CLIENT "1:04:abcd",
		WHO "16:0123456789ABCDEF1:5" ISSUED CLIENT "1:00:",
		WHO "14:0123456789abcd1:5" ISSUED CLIENT "1:00:",
		WHO "16:0123456789abcdef15:281474976710656" ISSUED CLIENT "1:00:",
		WHO "16:0123456789abcdef2:-1" ISSUED CLIENT "1:00:",
		WHO ONCE "5:-1000" CLIENT "1:00:",
		WHO ONCE "20:99999999999999999999" CLIENT "1:00:",
		WHO ONCE ISSUED "1:x0:0:0:1:00:",
		RIGHT "x",
		RIGHT "2:x",
		RIGHT "256:",
	};
	AUTO_FINI(buf) many = buf_limit(4096);
	char digest[65];

	(void)state;
	assert_true(parse_signed(STR(RIGHT)));
	assert_true(parse_signed(STR(RIGHT "1:x")));
	memset(digest, 'a', 64);
	digest[64] = '\0';
	buf_format(&many, WHO ONCE ISSUED CLIENT "1:064:%s", digest);
	assert_true(parse_signed(buf_str(&many)));
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		if (parse_signed(str_of(odd[i])))
			fail_msg("%s are no claims", odd[i]);
	}
	buf_clear(&many);
	buf_append(&many, "1:\0", 3);
	buf_puts(&many, "1:v" ONCE ISSUED CLIENT "1:00:");
	assert_false(parse_signed(buf_str(&many)));
	buf_clear(&many);
	buf_puts(&many, RIGHT);
	for (size_t i = 0; i < PEER_GROUPS_MAX; i++)
		buf_puts(&many, "0:");
	assert_true(parse_signed(buf_str(&many)));
	buf_puts(&many, "0:");
	assert_false(parse_signed(buf_str(&many)));
}

static bool parse_more(const char *more)
{
	AUTO_FINI(buf) plain = buf_limit(1024);

	buf_format(&plain, RIGHT "%zu:%s", strlen(more), more);
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
	buf_puts(&many, RIGHT);
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
	assert_true(!b.failed && parse(buf_str(&b), &claims));
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

static void numbers_have_bounds(void **state)
{
	struct peer_claims claims = sample;

	(void)state;
	claims.sequence = PEER_SEQUENCE_MAX + 1;
	AUTO_FINI(buf) far = token_of(&claims);
	assert_true(far.failed);
	claims = sample;
	claims.issued_ms = -1;
	AUTO_FINI(buf) early = token_of(&claims);
	assert_true(early.failed);
}

static void nothing_is_signed_without_a_secret(void **state)
{
	AUTO_FINI(buf) b = buf_limit(PEER_TOKEN_MAX);

	(void)state;
	peer_token_format(STR(""), &request, &sample, &b);
	assert_true(b.failed);
}

static void large_headers_are_refused(void **state)
{
	static char text[PEER_TOKEN_MAX + 1];
	struct peer_claims claims;

	(void)state;
	memset(text, 'A', sizeof(text));
	memcpy(text, "v2 ", 3);
	text[sizeof(text) - 65] = ' ';
	assert_false(parse(str_from(text, sizeof(text)), &claims));
}

/* Answers. */

static struct buf answer_to(struct str key, const struct buf *token, const char *name)
{
	struct buf b = buf_limit(PEER_ANSWER_MAX);
	struct peer_answer answer = { .process = { 1, 255 } };

	assert_true(str_copy(str_of(name), answer.name, sizeof(answer.name)));
	peer_answer_format(key, buf_str(token), &answer, &b);
	return b;
}

static void an_answer_says_who(void **state)
{
	AUTO_FINI(buf) token = token_of(&sample);
	struct peer_answer who;
	char longest[PEER_NAME_MAX + 1];

	(void)state;
	memset(longest, 'n', PEER_NAME_MAX);
	longest[PEER_NAME_MAX] = '\0';
	const char *const names[] = { "worker-2", "", "a b\xc3\xa9\n", longest };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		AUTO_FINI(buf) text = answer_to(SECRET, &token, names[i]);
		assert_false(text.failed);
		assert_true(peer_answer_parse(SECRET, buf_str(&token), buf_text(&text), &who));
		assert_string_equal(who.name, names[i]);
		assert_int_equal(who.process[1], 255);
		assert_true(peer_answer_is_of(SECRET, buf_str(&token), buf_text(&text), names[i]));
		assert_false(peer_answer_is_of(SECRET, buf_str(&token), buf_text(&text), "worker-22"));
		assert_false(peer_answer_is_of(STR("another"), buf_str(&token), buf_text(&text), names[i]));
	}
}

static void an_answer_is_to_one_call(void **state)
{
	struct peer_claims claims = sample;
	AUTO_FINI(buf) token = token_of(&claims);
	AUTO_FINI(buf) text = answer_to(SECRET, &token, "worker-2");
	AUTO_FINI(buf) strange = answer_to(STR("another"), &token, "worker-2");
	struct peer_answer who;

	(void)state;
	claims.sequence--;
	AUTO_FINI(buf) other = token_of(&claims);
	assert_false(peer_answer_parse(SECRET, buf_str(&other), buf_text(&text), &who));
	assert_false(peer_answer_parse(SECRET, buf_str(&token), buf_text(&strange), &who));
	assert_false(peer_answer_parse(STR(""), buf_str(&token), buf_text(&text), &who));
	assert_false(peer_answer_parse(SECRET, buf_str(&token), NULL, &who));
	assert_false(peer_answer_parse(SECRET, buf_str(&token), "", &who));
	/* Each byte of it counts. */
	for (size_t i = 0; i < text.len; i++) {
		AUTO_STR *twisted = str_dup(buf_str(&text));
		twisted[i] ^= 1;
		assert_false(peer_answer_parse(SECRET, buf_str(&token), twisted, &who));
		twisted[i] = '\0';
		assert_false(peer_answer_parse(SECRET, buf_str(&token), twisted, &who));
	}
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
		cmocka_unit_test(numbers_have_bounds),
		cmocka_unit_test(nothing_is_signed_without_a_secret),
		cmocka_unit_test(large_headers_are_refused),
		cmocka_unit_test(an_answer_says_who),
		cmocka_unit_test(an_answer_is_to_one_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
