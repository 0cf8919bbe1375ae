/* SPDX-License-Identifier: Apache-2.0 */
/*
 * public_key - a key that verifies signatures: RSA of 2048 to 8192 bits with an exponent of 64 at most, ECDSA on P-256, P-384 or P-521, Ed25519.
 *
 * Others are refused when they are parsed, with what they are: nobody keeps a key that verifies nothing.
 *
 * Source  RFC 5280, 4.1.2.7 (SubjectPublicKeyInfo); RFC 7468, section 13 (its PEM); RFC 7518, section 3 (JOSE's algorithms).
 * Thread  any; a key does not change.
 */
#pragma once

#include "common/buf.h"
#include "common/error.h"

#define PUBLIC_KEY_PEM_MAX 4096u

struct public_key;
/* One block "PUBLIC KEY", with white space around it and nothing else. ERROR_INVALID says what it is instead. */
bool public_key_parse_pem(struct public_key **ret_key, struct str pem, struct error *err) MUST_CHECK;
/* A SubjectPublicKeyInfo, and nothing behind it. */
bool public_key_parse(struct public_key **ret_key, struct str der, struct error *err) MUST_CHECK;
void public_key_free(struct public_key *key);
AUTO_DEFINE(public_key)
/* Appends its PEM: the same for the same key, however it was written. */
void public_key_pem(const struct public_key *key, struct buf *into);

enum signature_scheme {
	SIGNATURE_SHA256, /* over SHA-256 of the message: RSA PKCS #1 1.5, ECDSA as DER; Ed25519 of the message itself */
	SIGNATURE_JOSE,   /* as public_key_jose() says: RSA-PSS with a salt of the hash's size, ECDSA as both numbers side by side */
};
/* JOSE's name for signatures of this key, whose size decides the hash ("PS256" of 2048 bits, "PS384" of 3072, "PS512" of 4096, "ES256", "ES384",
 * "ES512"); NULL: there is none for it. */
const char *public_key_jose(const struct public_key *key);
/* False too for a signature that is none of this scheme. */
bool public_key_verify(const struct public_key *key, enum signature_scheme scheme, struct str message, struct str signature) MUST_CHECK;
