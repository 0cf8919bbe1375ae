/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_peer_token - any header; any bytes as claims that are signed as they should be; and any order of
 * numbers of any processes.
 */
#include <string.h>

#include "common/check.h"
#include "common/crypto.h"
#include "proto/base64url.h"
#include "proto/peer_token.h"
#include "worker/auth/peer_guard.h"
#include "worker/auth/peer_seen.h"

#define KEY STR("secret")
#define NOW INT64_C(1763740000000)
#define UP  1000 /* since the guard was made */

static const struct peer_request request = { { "GET", 3 }, { "/v2/", 4 }, 0, { NULL, 0 } };

static void same_again(const struct peer_claims *claims)
{
	AUTO_FINI(buf) again = buf_limit(2 * PEER_TOKEN_MAX);
	struct peer_claims same;

	peer_token_format(KEY, &request, claims, &again);
	CHECK(!again.failed);
	CHECK(peer_token_parse(KEY, &request, buf_str(&again), &same, NULL));
	CHECK(same.groups_len == claims->groups_len && same.has_call == claims->has_call);
	CHECK(!memcmp(same.call, claims->call, PEER_CALL_BYTES));
	CHECK(same.call_sent_ms == claims->call_sent_ms && same.call_age_ms == claims->call_age_ms);
	CHECK(same.sequence == claims->sequence && same.issued_ms == claims->issued_ms);
	CHECK(!memcmp(same.process, claims->process, PEER_PROCESS_BYTES));
	CHECK(same.has_digest == claims->has_digest &&
		!memcmp(same.digest, claims->digest, PEER_DIGEST_BYTES));
	CHECK(!strcmp(same.receiver, claims->receiver) && !strcmp(same.client, claims->client));
	peer_claims_fini(&same);
}

/* Whatever it says: believed once, if at all, and then only for us and for now. */
static void admit(struct str header)
{
	static const uint8_t process[PEER_PROCESS_BYTES];
	AUTO(peer_guard) *guard = peer_guard_new(KEY, "b", process, 0);
	AUTO_FINI(buf) answer = buf_limit(PEER_ANSWER_MAX);
	const struct peer_came asked = {
		.request = &request, .header = header, .now = { NOW, UP }, .answer = &answer
	};
	struct peer_answer who;
	struct peer_claims claims;
	struct error err;

	if (!peer_guard_admit(guard, &asked, &claims, &err)) {
		CHECK(err.kind == ERROR_DENIED);
		return;
	}
	CHECK(!strcmp(claims.receiver, "b"));
	CHECK(peer_answer_parse(KEY, header, buf_text(&answer), &who) && !strcmp(who.name, "b"));
	CHECK(claims.issued_ms >= NOW - UP && claims.issued_ms <= NOW + PEER_SKEW_MS);
	peer_claims_fini(&claims);
	CHECK(!peer_guard_admit(guard, &asked, &claims, &err) && err.kind == ERROR_CONFLICT);
}

static void parse(struct str header)
{
	struct peer_claims claims;

	admit(header);
	if (!peer_token_parse(KEY, &request, header, &claims, NULL))
		return;
	CHECK(claims.groups_len <= PEER_GROUPS_MAX && claims.issued_ms >= 0 &&
		claims.sequence <= PEER_SEQUENCE_MAX);
	same_again(&claims);
	peer_claims_fini(&claims);
}

static void sign(const uint8_t *data, size_t size, struct buf *into)
{
	char text[BASE64URL_LEN(PEER_TOKEN_MAX) + 1];
	AUTO_FINI(buf) message = buf_limit(4 * PEER_TOKEN_MAX);
	uint8_t signature[32];
	char hex[65];

	base64url_encode(str_from(data, size), text);
	buf_format(&message, "GET /v2/ 0\n%s", text);
	hmac_sha256(KEY, buf_str(&message), signature);
	str_hex(signature, sizeof(signature), hex);
	buf_format(into, "v2 %s %s", text, hex);
}

/* Each byte is a step: three bits of a process, two of how far its number moves, three of the time. What was
 * new is remembered here in full, and must never be new again. */
#define STEPS 256

static void take(const uint8_t *data, size_t size)
{
	static const uint64_t far[] = { 0, 1, PEER_SEEN_WINDOW - 1, PEER_SEEN_WINDOW };
	AUTO(peer_seen) *seen = peer_seen_new();
	uint64_t numbers[8] = { 0 }, taken[STEPS][2];
	size_t n = 0;

	for (size_t i = 0; i < size && i < STEPS; i++) {
		uint8_t process[PEER_PROCESS_BYTES] = { 0, data[i] & 7 };
		uint64_t number = numbers[data[i] & 7] += far[data[i] >> 3 & 3];
		int64_t issued = NOW + (data[i] >> 5) - 1;
		enum peer_seen_answer answer = peer_seen_take(seen, process, number, issued);

		for (size_t at = 0; at < n; at++)
			CHECK(answer != PEER_SEEN_NEW || taken[at][0] != process[1] ||
				taken[at][1] != number);
		taken[n][0] = process[1];
		taken[n][1] = number;
		n += answer == PEER_SEEN_NEW;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) header = buf_limit(4 * PEER_TOKEN_MAX);

	parse(str_from(data, size));
	take(data, size);
	if (size > PEER_TOKEN_MAX)
		return 0;
	sign(data, size, &header);
	parse(buf_str(&header));
	return 0;
}
