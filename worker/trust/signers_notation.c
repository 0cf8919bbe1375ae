/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signers_notation - an envelope of the Notary Project, as JWS in its flattened form.
 *
 *     {"payload": P, "protected": H, "header": {"x5c": [...]}, "signature": S}     S is of "H.P", texts as they came
 *
 * Who signed it is known first: the key of the first certificate must have made S by the one algorithm that fits it. Then the certificates are a chain
 * (common/signing_chain.h) of which one is trusted, in the trust store that the signing scheme names; what H demands is known here; what P says is taken.
 */
#include <string.h>

#include "common/check.h"
#include "proto/base64url.h"
#include "proto/timestamp.h"
#include "worker/trust/signers_priv.h"

#define JWS_TYPE     "application/jose+json"
#define COSE_TYPE    "application/cose"
#define PAYLOAD_TYPE "application/vnd.cncf.notary.payload.v1+json"
#define SCHEME       "io.cncf.notary.signingScheme"
#define EXPIRY       "io.cncf.notary.expiry"
#define SIGNED_AT    "io.cncf.notary.authenticSigningTime"
#define HEADER_MAX   ((size_t)64 * 1024)

/* All of it that counts. */
struct jws {
	struct str payload, header, signature; /* as they came */
	const struct json *chain;
};

static bool text_of(const struct json *node, const char *member, struct str *ret, struct error *err)
{
	return (json_get_str(json_find(node, member), ret) && ret->len) ||
	       error_set(err, ERROR_INVALID, NULL, "%s: is not there", member);
}

static bool read_jws(const struct json *root, struct jws *ret, struct error *err)
{
	if (!text_of(root, "payload", &ret->payload, err) || !text_of(root, "protected", &ret->header, err) ||
		!text_of(root, "signature", &ret->signature, err))
		return false;
	ret->chain = json_find(json_find(root, "header"), "x5c");
	return json_kind(ret->chain) == JSON_ARRAY || signers_refuse(err, "header.x5c: is not there");
}

static bool decode(struct str text, size_t max, struct buf *into, const char *what, struct error *err)
{
	size_t len = 0;
	char *room;

	if (text.len > BASE64URL_LEN(max))
		return error_set(err, ERROR_TOO_LARGE, NULL, "%s: is too long", what);
	room = buf_reserve(into, text.len);
	if (!room || !base64url_decode(text, room, text.len, &len))
		return error_set(err, ERROR_INVALID, NULL, "%s: is no base64url", what);
	buf_grew(into, len);
	return true;
}

/* ---- who ---- */

static bool read_chain(const struct json *list, struct signing_chain *chain, struct error *err)
{
	for (size_t i = 0; i < json_len(list); i++) {
		AUTO_FINI(buf) der = buf_limit(SIGNING_CHAIN_DER_MAX + 3);
		struct str text;

		if (!json_get_str(json_at(list, i), &text) || !buf_unbase64(&der, text) || der.failed)
			return signers_refuse(err, "x5c: is no list of base64");
		if (!signing_chain_add(chain, buf_str(&der), err))
			return error_add(err, "x5c");
	}
	return signing_chain_len(chain) || signers_refuse(err, "x5c: is empty");
}

static bool check_signature(
	const struct jws *jws, const struct signing_chain *chain, struct str alg, struct error *err)
{
	AUTO_FINI(buf) message = buf_limit(2 * SIGNERS_BYTES_MAX);
	AUTO_FINI(buf) signature = buf_limit(SIGNERS_SIGNATURE_MAX + 4);
	AUTO(public_key) *key = NULL;

	if (!signing_chain_key(chain, &key, err) ||
		!decode(jws->signature, SIGNERS_SIGNATURE_MAX, &signature, "signature", err))
		return false;
	if (!public_key_jose(key) || !str_is(alg, public_key_jose(key)))
		return error_set(err, ERROR_INVALID, NULL,
			"alg: the certificate's key makes signatures by %s",
			public_key_jose(key) ? public_key_jose(key) : "none that counts here");
	buf_add(&message, jws->header);
	buf_putc(&message, '.');
	buf_add(&message, jws->payload);
	return buf_check(&message, "the envelope", err) &&
	       (public_key_verify(key, SIGNATURE_JOSE, buf_str(&message), buf_str(&signature)) ||
		       signers_refuse(err, "the signature is not by the certificate's key"));
}

static bool is_trusted(const struct signers *signers, enum trust_type type, const struct signing_chain *chain)
{
	for (size_t i = 0; i < signers->chains_len; i++)
		if (signers->chains[i].type == type && signing_chain_meets(chain, signers->chains[i].chain))
			return true;
	return false;
}

/* ---- what the header demands ---- */

/* A signer may demand what we do not know, and then nothing is proven. */
static bool check_critical(const struct json *header, struct error *err)
{
	const struct json *list = json_find(header, "crit");
	bool scheme = false, expiry = false, signed_at = false;

	if (json_kind(list) != JSON_ARRAY)
		return signers_refuse(err, "crit: is not there");
	for (size_t i = 0; i < json_len(list); i++) {
		struct str name = json_str(json_at(list, i));

		scheme |= str_is(name, SCHEME);
		expiry |= str_is(name, EXPIRY);
		signed_at |= str_is(name, SIGNED_AT);
		if (!str_is(name, SCHEME) && !str_is(name, EXPIRY) && !str_is(name, SIGNED_AT))
			return error_set(err, ERROR_INVALID, NULL, "crit: \"%.*s\" is not known here",
				(int)(name.len < 80 ? name.len : 80), name.at);
	}
	return (scheme && expiry == (json_find(header, EXPIRY) != NULL) &&
		       signed_at == (json_find(header, SIGNED_AT) != NULL)) ||
	       signers_refuse(err, "crit: does not name what is critical");
}

static bool read_scheme(const struct json *header, enum trust_type *ret, struct error *err)
{
	struct str scheme = json_str(json_find(header, SCHEME));

	if (str_is(scheme, "notary.x509"))
		*ret = TRUST_CA;
	else if (str_is(scheme, "notary.x509.signingAuthority"))
		*ret = TRUST_SIGNING_AUTHORITY;
	else
		return signers_refuse(err, "the signing scheme is not known here");
	return true;
}

static bool read_time(const struct json *header, const char *name, int64_t *ret_ms, struct error *err)
{
	int64_t seconds;

	if (!timestamp_parse(json_str(json_find(header, name)), &seconds, err))
		return error_add(err, "%s", name);
	*ret_ms = seconds * 1000;
	return true;
}

static bool check_times(
	const struct json *header, enum trust_type type, struct signers_verdict *verdict, struct error *err)
{
	int64_t at;

	if (json_find(header, EXPIRY)) {
		if (!read_time(header, EXPIRY, &at, err))
			return false;
		verdict->until_ms = at < verdict->until_ms ? at : verdict->until_ms;
	}
	if (type != TRUST_SIGNING_AUTHORITY)
		return true;
	if (!read_time(header, SIGNED_AT, &at, err))
		return false;
	return (at >= verdict->from_ms && at <= verdict->until_ms) ||
	       signers_refuse(err, "it was signed when the certificates were not valid");
}

/* ---- all of it ---- */

static bool read_target(struct str payload, struct digest *ret, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	struct str digest;

	if (!signers_parse(payload, &doc, err))
		return error_add(err, "the payload");
	if (!json_get_str(json_find(json_find(json_root(doc), "targetArtifact"), "digest"), &digest))
		return signers_refuse(err, "targetArtifact.digest: is not there");
	return digest_parse(digest, ret, err) || error_add(err, "targetArtifact.digest");
}

static bool check_header(const struct signers *signers, const struct json *header,
	const struct signing_chain *chain, struct signers_verdict *verdict, struct error *err)
{
	enum trust_type type = TRUST_CA;

	if (!str_is(json_str(json_find(header, "cty")), PAYLOAD_TYPE))
		return signers_refuse(err, "cty: is not \"" PAYLOAD_TYPE "\"");
	if (!check_critical(header, err) || !read_scheme(header, &type, err) ||
		!signing_chain_check(chain, &verdict->from_ms, &verdict->until_ms, err))
		return false;
	if (!is_trusted(signers, type, chain))
		return error_set(err, ERROR_INVALID, NULL, "no certificate of the chain was uploaded as %s",
			trust_type_name(type));
	return check_times(header, type, verdict, err);
}

static bool read_envelope(const struct signers *signers, const struct json *root,
	struct signers_verdict *verdict, struct error *err)
{
	AUTO_FINI(buf) header_text = buf_limit(HEADER_MAX + 4);
	AUTO_FINI(buf) payload = buf_limit(SIGNERS_BYTES_MAX + 4);
	AUTO(signing_chain) *chain = signing_chain_new();
	AUTO(json_doc) *header = NULL;
	struct jws jws;

	if (!read_jws(root, &jws, err) || !read_chain(jws.chain, chain, err) ||
		!decode(jws.header, HEADER_MAX, &header_text, "protected", err) ||
		!signers_parse(buf_str(&header_text), &header, err) ||
		!check_signature(&jws, chain, json_str(json_find(json_root(header), "alg")), err) ||
		!check_header(signers, json_root(header), chain, verdict, err) ||
		!decode(jws.payload, SIGNERS_BYTES_MAX, &payload, "payload", err) ||
		!read_target(buf_str(&payload), &verdict->target, err))
		return false;
	verdict->author = buf_limit(SIGNERS_AUTHOR_MAX);
	signing_chain_subject(chain, &verdict->author);
	return true;
}

bool signers_notation(const struct signers *signers, struct str media_type, struct str envelope,
	struct signers_verdict *ret, struct error *err)
{
	AUTO(json_doc) *doc = NULL;
	struct signers_verdict verdict = { .from_ms = 0 };

	if (str_is(media_type, COSE_TYPE))
		return signers_refuse(err, "envelopes as COSE are not read, only those as JWS");
	if (!str_is(media_type, JWS_TYPE))
		return signers_refuse(err, "the envelope's media type is not \"" JWS_TYPE "\"");
	if (!signers_parse(envelope, &doc, err))
		return error_add(err, "the envelope");
	if (!read_envelope(signers, json_root(doc), &verdict, err))
		return false;
	*ret = verdict;
	return true;
}
