/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto - EVP with the algorithms fetched once for the process: fetching costs more than hashing.
 *
 * Digests, HMAC and SipHash keep one context for each thread, which its end frees; setting a key in it allocates
 * nothing, and the HMAC key of before need not be set again. Few random bytes come out of some that each thread has
 * ready: OpenSSL's generator takes a call to the kernel and three locks for each request. What fails in here (a provider that is missing, a kernel without randomness) leaves
 * nothing to go on with, so it ends the process.
 */
#include "common/crypto.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>

#include "common/check.h"
#include "common/gentle.h"
#include "common/least.h"

#define PIECE (64u * 1024) /* between two steps of a gentle thread */

static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_MD *digests[HASH_MD5 + 1];
static EVP_MAC *hmac, *siphash;
static pthread_key_t digest_key, hmac_key, siphash_key;

#define SPARE_BYTES 1024
#define FEW_BYTES   64

/* Of a thread. */
static _Thread_local struct {
	uint8_t key[64]; /* that its HMAC context has */
	size_t key_len;
	bool has_key;
	uint8_t spare[SPARE_BYTES]; /* random; the first spare_len of them were given to nobody */
	size_t spare_len;
} own;

static void mac_end(void *ctx)
{
	EVP_MAC_CTX_free(ctx);
}

static void hmac_end(void *ctx)
{
	EVP_MAC_CTX_free(ctx);
	OPENSSL_cleanse(own.key, sizeof(own.key));
	own.has_key = false;
}

static void digest_end(void *ctx)
{
	EVP_MD_CTX_free(ctx);
}

static void fetch(void)
{
	digests[HASH_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
	digests[HASH_SHA512] = EVP_MD_fetch(NULL, "SHA512", NULL);
	digests[HASH_MD5] = EVP_MD_fetch(NULL, "MD5", NULL);
	hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
	siphash = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_SIPHASH, NULL);
	CHECK(digests[HASH_SHA256] && digests[HASH_SHA512] && hmac && siphash);
	CHECK(pthread_key_create(&digest_key, digest_end) == 0 &&
		pthread_key_create(&hmac_key, hmac_end) == 0 &&
		pthread_key_create(&siphash_key, mac_end) == 0);
}

static const EVP_MD *digest_of(enum hash_kind kind)
{
	(void)pthread_once(&fetch_once, fetch);
	CHECK((unsigned)kind <= HASH_MD5 && digests[kind]);
	return digests[kind];
}

size_t hash_size(enum hash_kind kind)
{
	switch (kind) {
	case HASH_SHA256:
		return 32;
	case HASH_SHA512:
		return 64;
	case HASH_MD5:
		return 16;
	}
	return 0;
}

/* ---- digests ---- */

struct hasher {
	EVP_MD_CTX *ctx;
};

struct hasher *hasher_new(enum hash_kind kind)
{
	struct hasher *hasher = xnew(struct hasher);

	hasher->ctx = EVP_MD_CTX_new();
	CHECK(hasher->ctx && EVP_DigestInit_ex2(hasher->ctx, digest_of(kind), NULL) == 1);
	return hasher;
}

void hasher_free(struct hasher *hasher)
{
	if (!hasher)
		return;
	EVP_MD_CTX_free(hasher->ctx);
	free(hasher);
}

void hasher_add(struct hasher *hasher, const void *bytes, size_t len)
{
	const char *at = bytes;

	for (size_t piece; len; at += piece, len -= piece) {
		piece = least(len, PIECE);
		CHECK(EVP_DigestUpdate(hasher->ctx, at, piece) == 1);
		gentle_step();
	}
}

void hasher_result(const struct hasher *hasher, uint8_t into[HASH_MAX])
{
	EVP_MD_CTX *copy = EVP_MD_CTX_new();

	CHECK(copy && EVP_MD_CTX_copy_ex(copy, hasher->ctx) == 1);
	CHECK(EVP_DigestFinal_ex(copy, into, NULL) == 1);
	EVP_MD_CTX_free(copy);
}

/* Making one takes as long as hashing half a KiB. */
static EVP_MD_CTX *digest_of_thread(void)
{
	EVP_MD_CTX *ctx = pthread_getspecific(digest_key);

	if (ctx)
		return ctx;
	ctx = EVP_MD_CTX_new();
	CHECK(ctx && pthread_setspecific(digest_key, ctx) == 0);
	return ctx;
}

void hash_bytes(enum hash_kind kind, const void *bytes, size_t len, uint8_t into[HASH_MAX])
{
	const EVP_MD *digest = digest_of(kind);
	EVP_MD_CTX *ctx;

	if (len > PIECE) {
		AUTO(hasher) *hasher = hasher_new(kind);

		hasher_add(hasher, bytes, len);
		hasher_result(hasher, into);
		return;
	}
	ctx = digest_of_thread();
	CHECK(EVP_DigestInit_ex2(ctx, digest, NULL) == 1);
	CHECK(len == 0 || EVP_DigestUpdate(ctx, bytes, len) == 1);
	CHECK(EVP_DigestFinal_ex(ctx, into, NULL) == 1);
}

void hash_sha256_hex(struct str bytes, char into[65])
{
	uint8_t raw[HASH_MAX];

	hash_bytes(HASH_SHA256, bytes.at, bytes.len, raw);
	str_hex(raw, 32, into);
}

/* ---- MACs ---- */

/* One for each thread: making one, and looking up its digest by name, costs more than a short message. */
static EVP_MAC_CTX *mac_of_thread(pthread_key_t key, EVP_MAC *mac, const OSSL_PARAM *params)
{
	EVP_MAC_CTX *ctx = pthread_getspecific(key);

	if (ctx)
		return ctx;
	ctx = EVP_MAC_CTX_new(mac);
	CHECK(ctx && EVP_MAC_CTX_set_params(ctx, params) == 1);
	CHECK(pthread_setspecific(key, ctx) == 0);
	return ctx;
}

static EVP_MAC_CTX *hmac_of_thread(void)
{
	char name[] = "SHA256";
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
		OSSL_PARAM_construct_end() };

	(void)pthread_once(&fetch_once, fetch);
	return mac_of_thread(hmac_key, hmac, params);
}

static bool has_key(struct str key)
{
	return own.has_key && own.key_len == key.len && equal_secret(own.key, key.at, key.len);
}

/* A NULL key means "the key of before" to EVP, so an empty one points somewhere. */
static void begin_hmac(EVP_MAC_CTX *ctx, struct str key)
{
	if (has_key(key)) {
		CHECK(EVP_MAC_init(ctx, NULL, 0, NULL) == 1);
		return;
	}
	CHECK(EVP_MAC_init(ctx, (const uint8_t *)(key.len ? key.at : ""), key.len, NULL) == 1);
	own.has_key = key.len > 0 && key.len <= sizeof(own.key);
	own.key_len = key.len;
	if (own.has_key)
		memcpy(own.key, key.at, key.len);
}

void hmac_sha256(struct str key, struct str message, uint8_t into[32])
{
	EVP_MAC_CTX *ctx = hmac_of_thread();
	size_t len;

	begin_hmac(ctx, key);
	if (message.len)
		CHECK(EVP_MAC_update(ctx, (const uint8_t *)message.at, message.len) == 1);
	CHECK(EVP_MAC_final(ctx, into, &len, 32) == 1 && len == 32);
}

void hmac_sha1(struct str key, struct str message, uint8_t into[20])
{
	char name[] = "SHA1";
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
		OSSL_PARAM_construct_end() };
	EVP_MAC_CTX *ctx;
	size_t len;

	CHECK(!pthread_once(&fetch_once, fetch));
	ctx = EVP_MAC_CTX_new(hmac);
	CHECK(ctx && EVP_MAC_init(ctx, (const uint8_t *)(key.len ? key.at : ""), key.len, params) == 1);
	CHECK(EVP_MAC_update(ctx, (const uint8_t *)message.at, message.len) == 1);
	CHECK(EVP_MAC_final(ctx, into, &len, 20) == 1 && len == 20);
	EVP_MAC_CTX_free(ctx);
}

static EVP_MAC_CTX *siphash_of_thread(void)
{
	unsigned size = sizeof(uint64_t);
	OSSL_PARAM params[] = { OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_end() };

	(void)pthread_once(&fetch_once, fetch);
	return mac_of_thread(siphash_key, siphash, params);
}

uint64_t siphash24(const uint8_t key[16], const void *bytes, size_t len)
{
	EVP_MAC_CTX *ctx = siphash_of_thread();
	uint8_t out[sizeof(uint64_t)];
	uint64_t hash = 0;
	size_t n;

	CHECK(EVP_MAC_init(ctx, key, 16, NULL) == 1);
	if (len)
		CHECK(EVP_MAC_update(ctx, bytes, len) == 1);
	CHECK(EVP_MAC_final(ctx, out, &n, sizeof(out)) == 1 && n == sizeof(out));
	for (unsigned i = 0; i < sizeof(out); i++)
		hash |= (uint64_t)out[i] << 8 * i;
	return hash;
}

/* ---- sealing ---- */

/* EVP counts in int. */
#define PIECE_MAX ((size_t)1 << 30)

static EVP_CIPHER_CTX *cipher_new(
	const uint8_t key[CRYPTO_KEY], const uint8_t nonce[CRYPTO_NONCE], struct str open, bool seals)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	CHECK(ctx && EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce, seals) == 1);
	CHECK(open.len <= PIECE_MAX &&
		EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)open.at, (int)open.len) == 1);
	return ctx;
}

static void cipher_add(EVP_CIPHER_CTX *ctx, struct str bytes, uint8_t *into)
{
	while (bytes.len) {
		size_t len = bytes.len < PIECE_MAX ? bytes.len : PIECE_MAX;
		int n;

		CHECK(EVP_CipherUpdate(ctx, into, &n, (const uint8_t *)bytes.at, (int)len) == 1);
		bytes = str_from(bytes.at + len, bytes.len - len);
		into += n;
	}
}

void crypto_seal(const uint8_t key[CRYPTO_KEY], const uint8_t nonce[CRYPTO_NONCE], struct str open,
	struct str plain, struct buf *into)
{
	uint8_t *at = (uint8_t *)buf_reserve(into, plain.len + CRYPTO_TAG);
	EVP_CIPHER_CTX *ctx;
	int n;

	if (!at)
		return;
	ctx = cipher_new(key, nonce, open, true);
	cipher_add(ctx, plain, at);
	CHECK(EVP_CipherFinal_ex(ctx, at + plain.len, &n) == 1 && n == 0);
	CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, CRYPTO_TAG, at + plain.len) == 1);
	EVP_CIPHER_CTX_free(ctx);
	buf_grew(into, plain.len + CRYPTO_TAG);
}

bool crypto_unseal(const uint8_t key[CRYPTO_KEY], const uint8_t nonce[CRYPTO_NONCE], struct str open,
	struct str sealed, struct buf *into)
{
	size_t len = sealed.len < CRYPTO_TAG ? 0 : sealed.len - CRYPTO_TAG;
	uint8_t tag[CRYPTO_TAG], *at = (uint8_t *)buf_reserve(into, len + 1);
	EVP_CIPHER_CTX *ctx;
	bool ok;
	int n;

	if (!at || sealed.len < CRYPTO_TAG)
		return false;
	memcpy(tag, sealed.at + len, CRYPTO_TAG);
	ctx = cipher_new(key, nonce, open, false);
	cipher_add(ctx, str_from(sealed.at, len), at);
	ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, CRYPTO_TAG, tag) == 1 &&
	     EVP_CipherFinal_ex(ctx, at + len, &n) == 1;
	EVP_CIPHER_CTX_free(ctx);
	if (ok)
		buf_grew(into, len);
	else
		OPENSSL_cleanse(at, len);
	return ok;
}

void crypto_key_of(struct str passphrase, const uint8_t salt[CRYPTO_SALT], uint8_t into[CRYPTO_KEY])
{
	CHECK(EVP_PBE_scrypt(passphrase.at, passphrase.len, salt, CRYPTO_SALT, 1 << 15, 8, 1, 64 << 20, into,
		      CRYPTO_KEY) == 1);
}

/* ---- randomness ---- */

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

/* In the one thread that a child has. */
static void forget_spare(void)
{
	OPENSSL_cleanse(own.spare, sizeof(own.spare));
	own.spare_len = 0;
}

static void mind_forks(void)
{
	CHECK(pthread_atfork(NULL, NULL, forget_spare) == 0);
}

static void take_spare(void *into, size_t len)
{
	(void)pthread_once(&fork_once, mind_forks);
	if (own.spare_len < len) {
		CHECK(RAND_bytes(own.spare, sizeof(own.spare)) == 1);
		own.spare_len = sizeof(own.spare);
	}
	own.spare_len -= len;
	memcpy(into, own.spare + own.spare_len, len);
	OPENSSL_cleanse(own.spare + own.spare_len, len);
}

void random_bytes(void *into, size_t len)
{
	unsigned char *at = into;

	if (len <= FEW_BYTES) {
		take_spare(into, len);
		return;
	}
	while (len) {
		int n = len < 65536 ? (int)len : 65536;

		CHECK(RAND_bytes(at, n) == 1);
		at += n;
		len -= (size_t)n;
	}
}

void random_hex(char *into, size_t bytes)
{
	uint8_t some[32];

	into[0] = '\0';
	for (size_t n; bytes; bytes -= n, into += 2 * n) {
		n = bytes < sizeof(some) ? bytes : sizeof(some);
		random_bytes(some, n);
		str_hex(some, n, into);
	}
}

/* Numbers of the incomplete last run of `bound` are drawn again, so that each result is as likely. */
uint64_t random_below(uint64_t bound)
{
	uint64_t n, odd;

	CHECK(bound);
	odd = (UINT64_MAX % bound + 1) % bound;
	do
		random_bytes(&n, sizeof(n));
	while (n > UINT64_MAX - odd);
	return n % bound;
}

void crypto_sign(const uint8_t seed[32], struct str message, uint8_t into[CRYPTO_SIGNATURE])
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, 32);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t len = CRYPTO_SIGNATURE;

	CHECK(key && context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1);
	CHECK(EVP_DigestSign(context, into, &len, (const unsigned char *)message.at, message.len) == 1);
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
}

bool equal_secret(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

const char *crypto_library(void)
{
	return OpenSSL_version(OPENSSL_VERSION_STRING);
}
