/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signers - the keys, and what clients upload.
 */
#include "worker/trust/signers_priv.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crypto.h"

static void take_key(struct signers *signers, const char *pem)
{
	struct error ignored;

	if (signers->keys_len < TRUST_KEYS_MOST &&
		public_key_parse_pem(&signers->keys[signers->keys_len], str_of(pem), &ignored))
		signers->keys_len++;
	else
		signers->skipped++;
}

static void take_chain(struct signers *signers, enum trust_type type, const char *pem)
{
	struct trusted *into = &signers->chains[signers->chains_len];
	struct error ignored;

	if (signers->chains_len < TRUST_KEYS_MOST &&
		signing_chain_parse(&into->chain, str_of(pem), &ignored)) {
		into->type = type;
		signers->chains_len++;
	} else {
		signers->skipped++;
	}
}

static unsigned by_of(enum trust_type type)
{
	return type == TRUST_COSIGN ? SIGNERS_BY_COSIGN : SIGNERS_BY_NOTATION;
}

static int64_t stamp_of(const struct hasher *hasher)
{
	uint8_t raw[HASH_MAX];
	uint64_t stamp = 0;

	hasher_result(hasher, raw);
	for (unsigned i = 0; i < 8; i++)
		stamp = stamp << 8 | raw[i];
	stamp &= INT64_MAX;
	return (int64_t)(stamp ? stamp : 1);
}

struct signers *signers_new(const struct state *keys, unsigned by)
{
	struct signers *signers = xnew(struct signers);
	AUTO(hasher) *hasher = hasher_new(HASH_SHA256);
	const uint8_t kinds = (uint8_t)by;

	signers->by = by;
	hasher_add(hasher, &kinds, 1);
	for (size_t i = 0; i < state_count(keys, ENTITY_TRUST); i++) {
		const struct entity *key = state_at(keys, ENTITY_TRUST, i);
		enum trust_type type = trust_key_type(key);

		if (!(by & by_of(type)))
			continue;
		hasher_add(hasher, entity_id(key).at, entity_id(key).len);
		hasher_add(hasher, entity_trust(key)->pem, strlen(entity_trust(key)->pem));
		if (type == TRUST_COSIGN)
			take_key(signers, entity_trust(key)->pem);
		else
			take_chain(signers, type, entity_trust(key)->pem);
	}
	signers->stamp = stamp_of(hasher);
	return signers;
}

void signers_free(struct signers *signers)
{
	if (!signers)
		return;
	for (size_t i = 0; i < signers->keys_len; i++)
		public_key_free(signers->keys[i]);
	for (size_t i = 0; i < signers->chains_len; i++)
		signing_chain_free(signers->chains[i].chain);
	free(signers);
}

int64_t signers_stamp(const struct signers *signers)
{
	return signers->stamp;
}

size_t signers_skipped(const struct signers *signers)
{
	return signers->skipped;
}

bool signers_has(const struct signers *signers, unsigned by)
{
	return ((by & SIGNERS_BY_COSIGN) && signers->keys_len) ||
	       ((by & SIGNERS_BY_NOTATION) && signers->chains_len);
}

void signers_verdict_fini(struct signers_verdict *verdict)
{
	buf_fini(&verdict->author);
}

/* ---- what all signatures need ---- */

bool signers_refuse(struct error *err, const char *why)
{
	return error_set(err, ERROR_INVALID, NULL, "%s", why);
}

const struct public_key *signers_find_signer(
	const struct signers *signers, struct str message, struct str signature)
{
	for (size_t i = 0; i < signers->keys_len; i++)
		if (public_key_verify(signers->keys[i], SIGNATURE_SHA256, message, signature))
			return signers->keys[i];
	return NULL;
}

bool signers_parse(struct str text, struct json_doc **ret, struct error *err)
{
	if (text.len > SIGNERS_BYTES_MAX)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "a signature has at most %zu bytes", SIGNERS_BYTES_MAX);
	return json_parse_within(text, SIGNERS_JSON_MEMORY, ret, err);
}

bool signers_unbase64(const struct json *node, const char *member, struct buf *into, struct error *err)
{
	struct str text;

	return (json_get_str(json_find(node, member), &text) && text.len && buf_unbase64(into, text)) ||
	       error_set(err, ERROR_INVALID, NULL, "%s: is no base64", member);
}

/* ---- uploads ---- */

static bool read_key(struct str bytes, struct buf *into, struct error *err)
{
	AUTO(public_key) *key = NULL;

	if (!public_key_parse_pem(&key, bytes, err))
		return false;
	public_key_pem(key, into);
	return true;
}

static bool read_certificates(struct str bytes, struct buf *into, struct error *err)
{
	AUTO(signing_chain) *chain = NULL;

	if (!signing_chain_parse(&chain, bytes, err))
		return false;
	signing_chain_pem(chain, into);
	return true;
}

bool signers_read_upload(bool is_cosign, struct str bytes, struct buf *into, struct error *err)
{
	return (is_cosign ? read_key(bytes, into, err) : read_certificates(bytes, into, err)) &&
	       buf_check(into, "the PEM", err);
}
