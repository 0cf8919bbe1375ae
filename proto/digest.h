/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest - `algorithm:encoded`, parsed once at the border: sha256 (64 hex) and sha512 (128 hex).
 *
 * A plain value. Any other algorithm, upper case hex or wrong length is DIGEST_INVALID.
 * Source  OCI image-spec, descriptor.md "Digests".   Thread  any; pure.
 */
#pragma once

#include <stdint.h>

#include "common/crypto.h"
#include "common/error.h"
#include "common/str.h"

#define DIGEST_TEXT_SIZE (7 + 128 + 1) /* "sha512:" and hex, terminated */

struct digest {
	enum hash_kind alg; /* HASH_SHA256 or HASH_SHA512 */
	uint8_t raw[HASH_MAX];
};

bool digest_parse(struct str text, struct digest *ret, struct error *err) MUST_CHECK;
void digest_format(const struct digest *digest, char into[DIGEST_TEXT_SIZE]);
void digest_encoded(const struct digest *digest, char into[129]); /* the part after the colon */
const char *digest_algorithm(const struct digest *digest);        /* "sha256" */
bool digest_algorithm_parse(struct str name, enum hash_kind *ret) MUST_CHECK;
bool digest_equal(const struct digest *a, const struct digest *b);
struct digest digest_sha256(const uint8_t raw[32]); /* that was computed already */
/* Of these bytes, with this algorithm. */
struct digest digest_of(enum hash_kind alg, struct str bytes);
struct digest digest_of_hasher(enum hash_kind alg, const struct hasher *hasher);
