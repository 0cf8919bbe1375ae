/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signers_cosign - signatures by a key of cosign: of a payload ("simple signing"), and of a statement in a bundle of Sigstore's.
 */
#include <string.h>

#include "worker/trust/signers_priv.h"

#define STATEMENT_TYPE  "application/vnd.in-toto+json"
#define SIGN_PREDICATE  "https://sigstore.dev/cosign/sign/v1"
#define SIGNATURES_MOST 16u

/* Who signed it; the verdict has the author. */
static bool find_author(const struct signers *signers, struct str message, struct str signature,
	struct signers_verdict *verdict, struct error *err)
{
	const struct public_key *key = signers_find_signer(signers, message, signature);

	if (!key)
		return signers_refuse(err, "no key that was uploaded has made this signature");
	verdict->author = buf_limit(SIGNERS_AUTHOR_MAX);
	public_key_pem(key, &verdict->author);
	return true;
}

/* ---- a payload ---- */

/* Payloads of other kinds are signed by the same keys. */
static bool is_of_an_image(const struct json *critical)
{
	struct str type = json_str(json_find(critical, "type"));

	return str_is(type, "cosign container image signature") || str_is(type, SIGN_PREDICATE);
}

static bool read_payload(struct str payload, struct digest *ret_target, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	const struct json *critical;
	struct str digest;

	if (!signers_parse(payload, &doc, err))
		return error_add(err, "the payload");
	critical = json_find(json_root(doc), "critical");
	if (!is_of_an_image(critical))
		return signers_refuse(err, "critical.type: is not that of an image's signature");
	if (!json_get_str(json_find(json_find(critical, "image"), "docker-manifest-digest"), &digest))
		return signers_refuse(err, "critical.image.docker-manifest-digest: is not there");
	return digest_parse(digest, ret_target, err) ||
	       error_add(err, "critical.image.docker-manifest-digest");
}

bool signers_cosign(const struct signers *signers, struct str payload, struct str signature_base64,
	struct signers_verdict *ret, struct error *err)
{
	AUTO_FINI(buf) signature = buf_limit(SIGNERS_SIGNATURE_MAX);
	struct signers_verdict verdict = { .from_ms = 0 };

	if (payload.len > SIGNERS_BYTES_MAX)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "the payload is over %zu bytes", SIGNERS_BYTES_MAX);
	if (!buf_unbase64(&signature, signature_base64) || signature.failed)
		return signers_refuse(err, "the signature is no base64, or too long");
	/* Nobody's payload is taken apart before somebody is known to have signed it. */
	if (!find_author(signers, payload, buf_str(&signature), &verdict, err))
		return false;
	if (!read_payload(payload, &verdict.target, err)) {
		signers_verdict_fini(&verdict);
		return false;
	}
	*ret = verdict;
	return true;
}

/* ---- a bundle ---- */

/* What a DSSE envelope's signature is of. */
static void write_signed(struct str type, const struct buf *payload, struct buf *into)
{
	buf_format(into, "DSSEv1 %zu %.*s %zu ", type.len, STR_ARGS(type), payload->len);
	buf_add(into, buf_str(payload));
}

static bool read_statement(struct str statement, struct digest *ret_target, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	const struct json *subjects;
	struct str hex;

	if (!signers_parse(statement, &doc, err))
		return error_add(err, "the statement");
	if (!str_is(json_str(json_find(json_root(doc), "predicateType")), SIGN_PREDICATE))
		return signers_refuse(err, "predicateType: is not that of an image's signature");
	subjects = json_find(json_root(doc), "subject");
	if (json_kind(subjects) != JSON_ARRAY || json_len(subjects) != 1)
		return signers_refuse(err, "subject: is not one");
	hex = json_str(json_find(json_find(json_at(subjects, 0), "digest"), "sha256"));
	*ret_target = (struct digest){ .alg = HASH_SHA256 };
	return str_unhex(hex, ret_target->raw, 32) ||
	       signers_refuse(err, "subject: has no digest by SHA-256");
}

static bool find_envelope_author(const struct signers *signers, const struct json *signatures,
	struct str message, struct signers_verdict *verdict, struct error *err)
{
	size_t len = json_kind(signatures) == JSON_ARRAY ? json_len(signatures) : 0;

	if (!len || len > SIGNATURES_MOST)
		return signers_refuse(err, "signatures: there are none, or more than 16");
	for (size_t i = 0; i < len; i++) {
		AUTO_FINI(buf) signature = buf_limit(SIGNERS_SIGNATURE_MAX);

		if (signers_unbase64(json_at(signatures, i), "sig", &signature, err) &&
			find_author(signers, message, buf_str(&signature), verdict, err))
			return true;
	}
	return false;
}

static bool read_envelope(const struct signers *signers, const struct json *envelope,
	struct signers_verdict *verdict, struct error *err)
{
	AUTO_FINI(buf) payload = buf_limit(SIGNERS_BYTES_MAX);
	AUTO_FINI(buf) message = buf_limit(SIGNERS_BYTES_MAX + 256);
	struct str type = json_str(json_find(envelope, "payloadType"));

	if (!str_is(type, STATEMENT_TYPE))
		return signers_refuse(err, "payloadType: is not \"" STATEMENT_TYPE "\"");
	if (!signers_unbase64(envelope, "payload", &payload, err))
		return false;
	write_signed(type, &payload, &message);
	if (!buf_check(&message, "the statement", err) ||
		!find_envelope_author(
			signers, json_find(envelope, "signatures"), buf_str(&message), verdict, err))
		return false;
	if (read_statement(buf_str(&payload), &verdict->target, err))
		return true;
	signers_verdict_fini(verdict);
	return false;
}

bool signers_bundle(
	const struct signers *signers, struct str bundle, struct signers_verdict *ret, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	struct signers_verdict verdict = { .from_ms = 0 };
	const struct json *envelope;

	if (!signers_parse(bundle, &doc, err))
		return error_add(err, "the bundle");
	envelope = json_find(json_root(doc), "dsseEnvelope");
	if (!envelope)
		return signers_refuse(err, "dsseEnvelope: is not there");
	if (!read_envelope(signers, envelope, &verdict, err))
		return false;
	*ret = verdict;
	return true;
}
