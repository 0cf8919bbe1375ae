/* SPDX-License-Identifier: Apache-2.0 */
#include "common/public_key.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "common/check.h"

#define RSA_BITS_LEAST     2048
#define RSA_BITS_MOST      8192
#define EXPONENT_BITS_MOST 64
#define DER_MAX            PUBLIC_KEY_PEM_MAX
#define SIGNATURE_MAX      (RSA_BITS_MOST / 8)

struct public_key {
	EVP_PKEY *pkey;
	const char *jose;   /* NULL: none */
	const char *digest; /* of `jose` */
	size_t number;      /* ECDSA: bytes of each of the two */
};

/* What a key may be, and what JOSE calls its signatures. */
struct kind {
	const char *type, *group;
	int bits;
	const char *jose, *digest;
	size_t number;
};
static const struct kind kinds[] = {
	{ "EC", "prime256v1", 256, "ES256", "SHA256", 32 },
	{ "EC", "secp384r1", 384, "ES384", "SHA384", 48 },
	{ "EC", "secp521r1", 521, "ES512", "SHA512", 66 },
	{ "RSA", NULL, 2048, "PS256", "SHA256", 0 },
	{ "RSA", NULL, 3072, "PS384", "SHA384", 0 },
	{ "RSA", NULL, 4096, "PS512", "SHA512", 0 },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const struct kind *kind_of(const EVP_PKEY *pkey)
{
	char group[64] = "";

	(void)EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL);
	for (size_t i = 0; i < KINDS; i++)
		if (EVP_PKEY_is_a(pkey, kinds[i].type) && EVP_PKEY_get_bits(pkey) == kinds[i].bits &&
			(!kinds[i].group || !strcmp(kinds[i].group, group)))
			return &kinds[i];
	return NULL;
}

/* A verification takes as long as the exponent is; others than short ones are made to cost. */
static bool has_short_exponent(const EVP_PKEY *pkey)
{
	BIGNUM *exponent = NULL;
	bool is_short = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 &&
			BN_num_bits(exponent) <= EXPONENT_BITS_MOST;

	BN_free(exponent);
	return is_short;
}

static bool is_of_use(const EVP_PKEY *pkey, struct error *err)
{
	int bits = EVP_PKEY_get_bits(pkey);
	const char *type = EVP_PKEY_get0_type_name(pkey);

	if (EVP_PKEY_is_a(pkey, "RSA") && !has_short_exponent(pkey))
		return error_set(err, ERROR_INVALID, NULL, "an RSA key whose exponent has over %d bits",
			EXPONENT_BITS_MOST);
	if (EVP_PKEY_is_a(pkey, "RSA"))
		return (bits >= RSA_BITS_LEAST && bits <= RSA_BITS_MOST) ||
		       error_set(err, ERROR_INVALID, NULL, "an RSA key of %d bits; %d to %d are allowed",
			       bits, RSA_BITS_LEAST, RSA_BITS_MOST);
	if (EVP_PKEY_is_a(pkey, "ED25519") || kind_of(pkey))
		return true;
	return error_set(err, ERROR_INVALID, NULL,
		"a key of type %.40s with %d bits; allowed are RSA, ECDSA on P-256, P-384 and P-521, Ed25519",
		type ? type : "unknown", bits);
}

static bool make(struct public_key **ret_key, EVP_PKEY *pkey, struct error *err)
{
	const struct kind *kind;
	struct public_key *key;

	if (!is_of_use(pkey, err)) {
		EVP_PKEY_free(pkey);
		return false;
	}
	kind = kind_of(pkey);
	key = xnew(struct public_key);
	*key = (struct public_key){ .pkey = pkey };
	if (kind) {
		key->jose = kind->jose;
		key->digest = kind->digest;
		key->number = kind->number;
	}
	*ret_key = key;
	return true;
}

bool public_key_parse(struct public_key **ret_key, struct str der, struct error *err)
{
	const unsigned char *at = (const unsigned char *)der.at;
	EVP_PKEY *pkey = der.len && der.len <= DER_MAX ? d2i_PUBKEY(NULL, &at, (long)der.len) : NULL;

	ERR_clear_error();
	if (!pkey || (const char *)at != der.at + der.len) {
		EVP_PKEY_free(pkey);
		return error_set(err, ERROR_INVALID, NULL, "this is no public key");
	}
	return make(ret_key, pkey, err);
}

static bool parse_block(struct public_key **ret_key, BIO *bio, struct error *err)
{
	char *name = NULL, *header = NULL;
	unsigned char *bytes = NULL;
	long len = 0;
	bool ok = PEM_read_bio(bio, &name, &header, &bytes, &len) == 1;

	if (!ok)
		(void)error_set(err, ERROR_INVALID, NULL,
			"this is no PEM: it needs a block \"-----BEGIN PUBLIC KEY-----\"");
	else if (strcmp(name, "PUBLIC KEY") != 0 || *header)
		ok = error_set(
			err, ERROR_INVALID, NULL, "a PEM block \"%.40s\"; needed is \"PUBLIC KEY\"", name);
	else
		ok = public_key_parse(ret_key, str_from(bytes, (size_t)len), err);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(bytes);
	return ok;
}

static bool is_one_block(struct str pem)
{
	struct str text = str_trim(pem), end = STR("-----END PUBLIC KEY-----");

	return str_starts(text, "-----BEGIN ") && str_ends(text, "-----") &&
	       memmem(text.at, text.len, end.at, end.len) == text.at + text.len - end.len;
}

bool public_key_parse_pem(struct public_key **ret_key, struct str pem, struct error *err)
{
	AUTO(public_key) *key = NULL;
	BIO *bio;
	bool ok;

	if (pem.len > PUBLIC_KEY_PEM_MAX)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "a public key has at most %u bytes", PUBLIC_KEY_PEM_MAX);
	bio = BIO_new_mem_buf(pem.at, (int)pem.len);
	CHECK(bio);
	ok = parse_block(&key, bio, err);
	BIO_free(bio);
	ERR_clear_error();
	if (!ok)
		return false;
	if (!is_one_block(pem))
		return error_set(err, ERROR_INVALID, NULL, "there is more than one PEM block \"PUBLIC KEY\"");
	*ret_key = TAKE(key);
	return true;
}

void public_key_free(struct public_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

void public_key_pem(const struct public_key *key, struct buf *into)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *at = NULL;
	long len;

	CHECK(bio && PEM_write_bio_PUBKEY(bio, key->pkey) == 1);
	len = BIO_get_mem_data(bio, &at);
	CHECK(len > 0);
	buf_append(into, at, (size_t)len);
	BIO_free(bio);
}

const char *public_key_jose(const struct public_key *key)
{
	return key->jose;
}

/* ---- verifying ---- */

/* Two numbers of equal size become DER. */
static bool pack_numbers(const struct public_key *key, struct str numbers, unsigned char **ret, int *ret_len)
{
	const unsigned char *at = (const unsigned char *)numbers.at;
	ECDSA_SIG *pair;

	if (numbers.len != 2 * key->number)
		return false;
	pair = ECDSA_SIG_new();
	CHECK(pair && ECDSA_SIG_set0(pair, BN_bin2bn(at, (int)key->number, NULL),
			      BN_bin2bn(at + key->number, (int)key->number, NULL)));
	*ret = NULL;
	*ret_len = i2d_ECDSA_SIG(pair, ret);
	ECDSA_SIG_free(pair);
	return *ret_len > 0;
}

static bool set_padding(const struct public_key *key, EVP_PKEY_CTX *how, enum signature_scheme scheme)
{
	if (!EVP_PKEY_is_a(key->pkey, "RSA"))
		return true;
	if (scheme == SIGNATURE_SHA256)
		return EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PADDING) > 0;
	return EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) > 0 &&
	       EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) > 0;
}

static bool verify(
	const struct public_key *key, enum signature_scheme scheme, struct str message, struct str signature)
{
	bool is_whole = EVP_PKEY_is_a(key->pkey, "ED25519");
	const char *digest = is_whole ? NULL : scheme == SIGNATURE_SHA256 ? "SHA256" : key->digest;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how = NULL;
	bool ok;

	CHECK(ctx);
	ok = EVP_DigestVerifyInit_ex(ctx, &how, digest, NULL, NULL, key->pkey, NULL) == 1 &&
	     set_padding(key, how, scheme) &&
	     EVP_DigestVerify(ctx, (const unsigned char *)signature.at, signature.len,
		     (const unsigned char *)message.at, message.len) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

bool public_key_verify(
	const struct public_key *key, enum signature_scheme scheme, struct str message, struct str signature)
{
	unsigned char *der;
	int len;
	bool ok;

	if (!signature.len || signature.len > SIGNATURE_MAX || (scheme == SIGNATURE_JOSE && !key->jose))
		return false;
	if (scheme != SIGNATURE_JOSE || !key->number)
		return verify(key, scheme, message, signature);
	if (!pack_numbers(key, signature, &der, &len))
		return false;
	ok = verify(key, scheme, message, str_from(der, (size_t)len));
	OPENSSL_free(der);
	return ok;
}
