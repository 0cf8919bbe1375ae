/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signers_priv - what the files of this room share: the keys, and how a signature meets them.
 */
#pragma once

#include "common/json.h"
#include "common/public_key.h"
#include "common/signing_chain.h"
#include "proto/trust_key.h"
#include "worker/trust/signers.h"

#define SIGNERS_SIGNATURE_MAX 2048u /* bytes */

struct signers {
	unsigned by;
	int64_t stamp;
	size_t skipped;
	struct public_key *keys[TRUST_KEYS_MOST];
	size_t keys_len;
	/* Of a signing authority, or a CA. */
	struct trusted { enum trust_type type; struct signing_chain *chain; } chains[TRUST_KEYS_MOST];
	size_t chains_len;
};

/* The key that has signed it; NULL: none has. */
const struct public_key *signers_find_signer(const struct signers *signers, struct str message, struct str signature);
/* A JSON document of a signature. */
bool signers_parse(struct str text, struct json_doc **ret, struct error *err) MUST_CHECK;
/* A member that is base64 of something. */
bool signers_unbase64(const struct json *node, const char *member, struct buf *into, struct error *err) MUST_CHECK;
bool signers_refuse(struct error *err, const char *why);
