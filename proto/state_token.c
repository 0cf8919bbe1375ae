/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/state_token.h"

#include "common/clock.h"
#include "common/crypto.h"

void state_token_key(const char *secret, uint8_t into[PEER_KEY_BYTES])
{
	peer_key_derive(str_of(secret), "the state of the cluster, for its leader", into);
}

struct peer_request state_token_request(void)
{
	return (struct peer_request){
		.method = STR("GET"), .target = STR(STATE_TOKEN_PATH), .length = 0, .headers = STR_NONE
	};
}

void state_token_format(const char *secret, struct buf *into)
{
	const struct peer_request request = state_token_request();
	struct peer_claims claims = { .sender = "leader",
		.receiver = STATE_TOKEN_RECEIVER,
		.sequence = 1,
		.issued_ms = clock_wall_ms(),
		.client = "",
		.user = "",
		.apikey = "",
		.has_digest = false };
	uint8_t key[PEER_KEY_BYTES];

	random_bytes(claims.process, sizeof(claims.process));
	state_token_key(secret, key);
	peer_token_format(str_from((const char *)key, sizeof(key)), &request, &claims, into);
	explicit_bzero(key, sizeof(key));
}
