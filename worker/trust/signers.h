/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signers - what a signature of an image proves: bytes of a signature and keys in, who has signed which digest out.
 *
 *   signers_cosign()    "simple signing" of cosign 1 and 2: the payload that a layer has, and the signature of its annotation
 *   signers_bundle()    Sigstore's bundle v0.3 of cosign 3: an in-toto statement in a DSSE envelope
 *   signers_notation()  the Notary Project's envelope as JWS. COSE is not read: such a signature proves nothing here
 *
 * All of them say true only where a key or certificate that was uploaded (proto/trust_key.h) has made the signature. What it was made for stands in the
 * verdict, and it is the caller's to compare it: a signature of one image proves nothing for another. False: err says why it proves nothing.
 *
 * By keys alone: no certificates of Fulcio, no log (Rekor), no time stamps, no list of revoked certificates; nothing goes to the network.
 *
 * Bounds  SIGNERS_BYTES_MAX bytes of payload, bundle or envelope; JSON within SIGNERS_JSON_MEMORY.
 * Source  cosign: specs/SIGNATURE_SPEC.md; Sigstore: protobuf-specs, bundle; DSSE: protocol.md; Notary Project: signature-specification.md,
 *         signature-envelope-jws.md, trust-store-trust-policy.md (level strict).
 * Thread  any; a set of keys does not change.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"
#include "proto/digest.h"
#include "proto/state.h"

#define SIGNERS_BYTES_MAX   ((size_t)4 * 1024 * 1024)
#define SIGNERS_JSON_MEMORY ((size_t)32 * 1024 * 1024)
#define SIGNERS_AUTHOR_MAX  8192u

/* Which of them count. */
enum { SIGNERS_BY_COSIGN = 1, SIGNERS_BY_NOTATION = 2 };

struct signers;
/* keys: entities of ENTITY_TRUST are taken, what cannot be read among them is left out. */
struct signers *signers_new(const struct state *keys, unsigned by);
void          signers_free(struct signers *signers);
AUTO_DEFINE(signers)
/* Another number where other keys, or other kinds of them, count; never 0. */
int64_t signers_stamp(const struct signers *signers);
size_t  signers_skipped(const struct signers *signers);
bool    signers_has(const struct signers *signers, unsigned by); /* any key of this kind */

struct signers_verdict {
	struct digest target;      /* that was signed */
	struct buf author;         /* as zot tells it: the key's PEM, or the subject of the signer's certificate */
	int64_t from_ms, until_ms; /* ms since 1970: when it counts; 0: since ever, for ever */
};
void signers_verdict_fini(struct signers_verdict *verdict);

/* *ret: whoever gets it ends it, where it is true. */
bool signers_cosign(const struct signers *signers, struct str payload, struct str signature_base64, struct signers_verdict *ret, struct error *err) MUST_CHECK;
bool signers_bundle(const struct signers *signers, struct str bundle, struct signers_verdict *ret, struct error *err) MUST_CHECK;
bool signers_notation(const struct signers *signers, struct str media_type, struct str envelope, struct signers_verdict *ret, struct error *err) MUST_CHECK;

/*
 * What a client uploads, as the PEM that is kept of it: one public key, or certificates. ERROR_INVALID, ERROR_TOO_LARGE.
 */
bool signers_read_upload(bool is_cosign, struct str bytes, struct buf *into, struct error *err) MUST_CHECK;
