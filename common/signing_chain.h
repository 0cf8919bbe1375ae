/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signing_chain - certificates of who signs: a list from the signer's own to a root, or some that are trusted.
 *
 * What a chain of a signer must be, all of it (signing_chain_check()):
 *
 *   each has a key that common/public_key.h takes
 *   each certificate is signed by the next one, whose subject is its issuer; the last one by itself; no signature is by SHA-1 or weaker
 *   the first is no CA, may sign (keyUsage digitalSignature, and it does not say that it signs certificates) and, if it says for what, for code
 *   the others are CAs that may sign certificates, with as many CAs below them as they allow
 *   a chain of one is a certificate that signed itself, and is still no CA
 *
 * Revocation is not asked for: nothing here goes to the network.
 *
 * Bounds  SIGNING_CHAIN_MOST certificates of SIGNING_CHAIN_DER_MAX bytes.
 * Source  RFC 5280; the Notary Project's signature specification, "Certificate requirements".
 * Thread  one at a time; one that nobody changes: any.
 */
#pragma once

#include "common/buf.h"
#include "common/error.h"

#define SIGNING_CHAIN_MOST    16u
#define SIGNING_CHAIN_DER_MAX 8192u

struct public_key;
struct signing_chain;
struct signing_chain *signing_chain_new(void);
void                  signing_chain_free(struct signing_chain *chain);
AUTO_DEFINE(signing_chain)
/* One more, behind the others. */
bool signing_chain_add(struct signing_chain *chain, struct str der, struct error *err) MUST_CHECK;
/* One or more blocks "CERTIFICATE" of PEM, with what stands around them, or certificates as DER, one behind the other. */
bool signing_chain_parse(struct signing_chain **ret_chain, struct str bytes, struct error *err) MUST_CHECK;
size_t signing_chain_len(const struct signing_chain *chain);
/* Appends PEM of all: the same for the same certificates in the same order. */
void signing_chain_pem(const struct signing_chain *chain, struct buf *into);

/* Times are ms since 1970: from when until when all of its certificates are valid. */
bool signing_chain_check(const struct signing_chain *chain, int64_t *ret_from_ms, int64_t *ret_until_ms, struct error *err) MUST_CHECK;
/* Is one of these in it, byte for byte? */
bool signing_chain_meets(const struct signing_chain *chain, const struct signing_chain *trusted);
/* Of the first; the caller's. */
bool signing_chain_key(const struct signing_chain *chain, struct public_key **ret_key, struct error *err) MUST_CHECK;
/* Its subject (common/certificate.h); appends nothing where no text can hold it. */
void signing_chain_subject(const struct signing_chain *chain, struct buf *into);
