/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_peer_token - any header, and any bytes as claims that are signed as they should be.
 */
#include <string.h>

#include "common/check.h"
#include "common/crypto.h"
#include "proto/base64url.h"
#include "proto/peer_token.h"

static void parse(struct str header)
{
	struct peer_claims claims, same;
	AUTO_FINI(buf) again = buf_limit(2 * PEER_TOKEN_MAX);

	if (!peer_token_parse(STR("secret"), STR("GET"), STR("/v2/"), header, 1, &claims, NULL))
		return;
	CHECK(claims.groups_len <= PEER_GROUPS_MAX && claims.expires_s >= 1);
	peer_token_format(STR("secret"), STR("GET"), STR("/v2/"), &claims, &again);
	CHECK(!again.failed);
	CHECK(peer_token_parse(STR("secret"), STR("GET"), STR("/v2/"), buf_str(&again), 1, &same, NULL));
	CHECK(same.groups_len == claims.groups_len && same.has_call == claims.has_call);
	CHECK(!memcmp(same.call, claims.call, PEER_CALL_BYTES));
	CHECK(same.call_sent_ms == claims.call_sent_ms && same.call_age_ms == claims.call_age_ms);
	peer_claims_fini(&same);
	peer_claims_fini(&claims);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[BASE64URL_LEN(PEER_TOKEN_MAX) + 1];
	char hex[65];
	uint8_t signature[32];
	AUTO_FINI(buf) b = buf_limit(4 * PEER_TOKEN_MAX);

	parse(str_from(data, size));
	if (size > PEER_TOKEN_MAX)
		return 0;
	base64url_encode(str_from(data, size), text);
	buf_format(&b, "GET /v2/ %s", text);
	hmac_sha256(STR("secret"), buf_str(&b), signature);
	str_hex(signature, sizeof(signature), hex);
	buf_clear(&b);
	buf_format(&b, "v1 %s %s", text, hex);
	parse(buf_str(&b));
	return 0;
}
