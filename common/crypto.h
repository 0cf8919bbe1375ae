/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto - digests, HMAC, SipHash, sealing, random bytes: OpenSSL's EVP behind names of ours.
 *
 * Source  FIPS 180-4 (SHA-2), RFC 2104 (HMAC), "SipHash: a fast short-input PRF" (2-4, 64 bit), NIST SP 800-38D (AES-GCM),
 *         RFC 7914 (scrypt), RFC 8032 (Ed25519).
 * Thread  any; a hasher belongs to one thread at a time.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/error.h"
#include "common/str.h"

enum hash_kind { HASH_SHA256, HASH_SHA512, HASH_MD5 };
#define HASH_MAX 64
size_t hash_size(enum hash_kind kind); /* bytes of a result */

struct hasher;
struct hasher *hasher_new(enum hash_kind kind);
void           hasher_free(struct hasher *hasher);
AUTO_DEFINE(hasher)
void           hasher_add(struct hasher *hasher, const void *bytes, size_t len);
/* The result so far; the hasher goes on and may be added to and asked again. */
void           hasher_result(const struct hasher *hasher, uint8_t into[HASH_MAX]);

void hash_bytes(enum hash_kind kind, const void *bytes, size_t len, uint8_t into[HASH_MAX]);
/* 64 lower case digits and NUL. */
void hash_sha256_hex(struct str bytes, char into[65]);
void hmac_sha256(struct str key, struct str message, uint8_t into[32]);
void hmac_sha1(struct str key, struct str message, uint8_t into[20]); /* for what is old and asks for it */
/* SipHash-2-4 with a 16 byte key. Millions a second: no allocation in steady state. */
uint64_t siphash24(const uint8_t key[16], const void *bytes, size_t len);

/* AES-256-GCM. A nonce is used once with a key. `open` is read by all and cannot be changed without being noticed. */
#define CRYPTO_KEY   32
#define CRYPTO_NONCE 12
#define CRYPTO_TAG   16
void crypto_seal(const uint8_t key[CRYPTO_KEY], const uint8_t nonce[CRYPTO_NONCE], struct str open, struct str plain,
		 struct buf *into); /* appends the sealed bytes, CRYPTO_TAG more */
/* Appends the plain bytes. False: another key, or it was changed; nothing is appended. */
bool crypto_unseal(const uint8_t key[CRYPTO_KEY], const uint8_t nonce[CRYPTO_NONCE], struct str open, struct str sealed,
		   struct buf *into) MUST_CHECK;
/* scrypt with N 32768, r 8, p 1: a tenth of a second and 32 MiB. */
#define CRYPTO_SALT 16
void crypto_key_of(struct str passphrase, const uint8_t salt[CRYPTO_SALT], uint8_t into[CRYPTO_KEY]);

/* Ed25519, of a private key as it is kept: its seed. */
#define CRYPTO_SIGNATURE 64
void crypto_sign(const uint8_t seed[32], struct str message, uint8_t into[CRYPTO_SIGNATURE]);

/* Each byte is given once, to one thread of one process: a child that was forked has others. */
void random_bytes(void *into, size_t len);
void random_hex(char *into, size_t bytes); /* 2*bytes + 1 characters */
uint64_t random_below(uint64_t bound);     /* 0 .. bound-1; not for secrets: jitter */
bool equal_secret(const void *a, const void *b, size_t len); /* constant time */
const char *crypto_library(void); /* the version of OpenSSL */
