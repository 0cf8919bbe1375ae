/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signing - keys, signatures and certificates for tests, made by OpenSSL while they run. Includes what every test needs.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "common/buf.h"
#include "common/str.h"

struct signing_der { unsigned char at[8192]; size_t len; };

/* "rsa2048", "rsa1024", "rsa3072", "P-256" and so on, "ed25519". */
static inline EVP_PKEY *signing_key(const char *kind)
{
	EVP_PKEY *key;

	if (!strncmp(kind, "rsa", 3))
		key = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)strtoul(kind + 3, NULL, 10));
	else if (!strcmp(kind, "ed25519"))
		key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else
		key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
	assert_non_null(key);
	return key;
}

static inline void signing_pem_of(EVP_PKEY *key, struct buf *into)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *at = NULL;
	long len;

	assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
	len = BIO_get_mem_data(bio, &at);
	buf_append(into, at, (size_t)len);
	BIO_free(bio);
}

/* pss: also ECDSA as two numbers side by side. */
static inline struct signing_der signing_sign(EVP_PKEY *key, const char *digest, bool jose, struct str message)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how = NULL;
	struct signing_der out = { .len = sizeof(out.at) };

	assert_int_equal(EVP_DigestSignInit_ex(ctx, &how, digest, NULL, NULL, key, NULL), 1);
	if (jose && EVP_PKEY_is_a(key, "RSA")) {
		assert_true(EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) > 0);
		assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) > 0);
	}
	assert_int_equal(EVP_DigestSign(ctx, out.at, &out.len, (const unsigned char *)message.at, message.len), 1);
	EVP_MD_CTX_free(ctx);
	if (jose && EVP_PKEY_is_a(key, "EC")) {
		const unsigned char *at = out.at;
		ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)out.len);
		int half = (EVP_PKEY_get_bits(key) + 7) / 8;

		assert_non_null(pair);
		assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), out.at, half), half);
		assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), out.at + half, half), half);
		out.len = 2 * (size_t)half;
		ECDSA_SIG_free(pair);
	}
	return out;
}
static inline struct str signing_str(const struct signing_der *der)
{
	return str_from(der->at, der->len);
}

/* A certificate; texts NULL: the extension is not there. Days from now. */
struct signing_wish {
	const char *subject, *issuer; /* of the common name; issuer NULL: itself */
	EVP_PKEY *key, *by;           /* by NULL: its own */
	int from_days, until_days;    /* 0 and 0: from yesterday to tomorrow */
	const char *constraints, *usage, *purpose, *digest;
};
#define SIGNING_LEAF .constraints = "critical,CA:FALSE", .usage = "critical,digitalSignature", .purpose = "codeSigning"
#define SIGNING_CA   .constraints = "critical,CA:TRUE", .usage = "critical,keyCertSign"

static inline void signing_extend(X509 *x509, int nid, const char *text)
{
	X509_EXTENSION *extension = text ? X509V3_EXT_conf_nid(NULL, NULL, nid, text) : NULL;

	assert_true(!text || (extension && X509_add_ext(x509, extension, -1) == 1));
	X509_EXTENSION_free(extension);
}

static inline void signing_name(X509_NAME *name, const char *text)
{
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"acme", -1, -1, 0), 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)text, -1, -1, 0), 1);
}

static inline struct signing_der signing_certificate(const struct signing_wish *wish)
{
	static long serial = 1;
	X509 *x509 = X509_new();
	bool dated = wish->from_days || wish->until_days;
	struct signing_der out;
	unsigned char *at = out.at;
	int len;

	assert_int_equal(X509_set_version(x509, 2), 1);
	ASN1_INTEGER_set(X509_get_serialNumber(x509), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x509), (dated ? wish->from_days : -1) * 86400L);
	X509_gmtime_adj(X509_getm_notAfter(x509), (dated ? wish->until_days : 1) * 86400L);
	signing_name(X509_get_subject_name(x509), wish->subject);
	signing_name(X509_get_issuer_name(x509), wish->issuer ? wish->issuer : wish->subject);
	assert_int_equal(X509_set_pubkey(x509, wish->key), 1);
	signing_extend(x509, NID_basic_constraints, wish->constraints);
	signing_extend(x509, NID_key_usage, wish->usage);
	signing_extend(x509, NID_ext_key_usage, wish->purpose);
	assert_true(X509_sign(x509, wish->by ? wish->by : wish->key, EVP_get_digestbyname(wish->digest ? wish->digest : "SHA256")) > 0);
	len = i2d_X509(x509, NULL);
	assert_true(len > 0 && (size_t)len <= sizeof(out.at));
	out.len = (size_t)i2d_X509(x509, &at);
	X509_free(x509);
	return out;
}
