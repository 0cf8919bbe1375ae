/* SPDX-License-Identifier: Apache-2.0 */
#include "common/signing_chain.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/certificate.h"
#include "common/check.h"
#include "common/public_key.h"

#define SECURITY_BITS_LEAST 100 /* SHA-1 has 63; SHA-256 with RSA of 2048 bits 112 or more */

struct signing_chain {
	X509 *at[SIGNING_CHAIN_MOST];
	size_t len;
};

struct signing_chain *signing_chain_new(void)
{
	return xnew(struct signing_chain);
}

void signing_chain_free(struct signing_chain *chain)
{
	if (!chain)
		return;
	for (size_t i = 0; i < chain->len; i++)
		X509_free(chain->at[i]);
	free(chain);
}

/* One that stands at the begin of the bytes, which it is taken from. */
static bool take_der(struct signing_chain *chain, struct str *der, struct error *err)
{
	const unsigned char *at = (const unsigned char *)der->at;
	size_t most = der->len < SIGNING_CHAIN_DER_MAX ? der->len : SIGNING_CHAIN_DER_MAX;
	X509 *x509;

	if (chain->len == SIGNING_CHAIN_MOST)
		return error_set(err, ERROR_TOO_LARGE, NULL, "over %u certificates", SIGNING_CHAIN_MOST);
	x509 = most ? d2i_X509(NULL, &at, (long)most) : NULL;
	ERR_clear_error();
	if (!x509)
		return error_set(err, ERROR_INVALID, NULL, "number %zu is no certificate, or over %u bytes",
			chain->len + 1, SIGNING_CHAIN_DER_MAX);
	chain->at[chain->len++] = x509;
	*der = str_from((const char *)at, der->len - (size_t)((const char *)at - der->at));
	return true;
}

bool signing_chain_add(struct signing_chain *chain, struct str der, struct error *err)
{
	return take_der(chain, &der, err) &&
	       (!der.len || error_set(err, ERROR_INVALID, NULL, "something stands behind a certificate"));
}

/* One block. False without an error in *ret_end: there is no further one. */
static bool take_block(struct signing_chain *chain, BIO *bio, bool *ret_end, struct error *err)
{
	char *name = NULL, *header = NULL;
	unsigned char *bytes = NULL;
	long len = 0;
	bool ok = false;

	*ret_end = PEM_read_bio(bio, &name, &header, &bytes, &len) != 1;
	if (*ret_end)
		return false;
	if (strcmp(name, "CERTIFICATE") != 0)
		(void)error_set(
			err, ERROR_INVALID, NULL, "a PEM block \"%.40s\"; needed is \"CERTIFICATE\"", name);
	else
		ok = signing_chain_add(chain, str_from(bytes, (size_t)len), err);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(bytes);
	return ok;
}

static bool parse_pem(struct signing_chain *chain, struct str pem, struct error *err)
{
	BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.len);
	bool ended = false, is_end = true;

	CHECK(bio);
	while (take_block(chain, bio, &ended, err))
		;
	if (ended)
		is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
	BIO_free(bio);
	ERR_clear_error();
	if (!ended)
		return false;
	return is_end || error_set(err, ERROR_INVALID, NULL, "a PEM block is damaged");
}

static bool parse_der(struct signing_chain *chain, struct str der, struct error *err)
{
	while (der.len)
		if (!take_der(chain, &der, err))
			return false;
	return true;
}

bool signing_chain_parse(struct signing_chain **ret_chain, struct str bytes, struct error *err)
{
	AUTO(signing_chain) *chain = signing_chain_new();
	struct str begin = STR("-----BEGIN ");
	bool ok;

	if (bytes.len > 2 * SIGNING_CHAIN_MOST * SIGNING_CHAIN_DER_MAX)
		return error_set(
			err, ERROR_TOO_LARGE, NULL, "too large for %u certificates", SIGNING_CHAIN_MOST);
	ok = memmem(bytes.at ? bytes.at : "", bytes.len, begin.at, begin.len) ? parse_pem(chain, bytes, err)
									      : parse_der(chain, bytes, err);
	if (!ok)
		return false;
	if (!chain->len)
		return error_set(
			err, ERROR_INVALID, NULL, "there is no certificate, neither as PEM nor as DER");
	*ret_chain = TAKE(chain);
	return true;
}

size_t signing_chain_len(const struct signing_chain *chain)
{
	return chain->len;
}

void signing_chain_pem(const struct signing_chain *chain, struct buf *into)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *at = NULL;
	long len;

	CHECK(bio);
	for (size_t i = 0; i < chain->len; i++)
		CHECK(PEM_write_bio_X509(bio, chain->at[i]) == 1);
	len = BIO_get_mem_data(bio, &at);
	buf_append(into, at, len > 0 ? (size_t)len : 0);
	BIO_free(bio);
}

/* ---- what a chain must be ---- */

static bool refuse(struct error *err, size_t at, const char *why)
{
	return error_set(err, ERROR_INVALID, NULL, "certificate %zu of the chain %s", at + 1, why);
}

/* ASN.1's time as ms. */
static bool time_ms(const ASN1_TIME *time, int64_t *ret)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) != 1)
		return false;
	*ret = (int64_t)timegm(&tm) * 1000;
	return true;
}

static bool check_times(X509 *x509, size_t at, int64_t *from_ms, int64_t *until_ms, struct error *err)
{
	int64_t from, until;

	if (!time_ms(X509_get0_notBefore(x509), &from) || !time_ms(X509_get0_notAfter(x509), &until))
		return refuse(err, at, "has no times that can be read");
	if (from > *from_ms)
		*from_ms = from;
	if (until < *until_ms)
		*until_ms = until;
	return true;
}

static bool check_strength(X509 *x509, size_t at, struct error *err)
{
	int bits = 0;

	return (X509_get_signature_info(x509, NULL, NULL, &bits, NULL) == 1 && bits >= SECURITY_BITS_LEAST) ||
	       refuse(err, at, "is signed in a way that is too weak, or not known");
}

static bool key_of(X509 *x509, struct public_key **ret_key, struct error *err)
{
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);
	bool ok = public_key_parse(ret_key, str_from(der, len > 0 ? (size_t)len : 0), err);

	OPENSSL_free(der);
	return ok;
}

static bool check_key(X509 *x509, size_t at, struct error *err)
{
	AUTO(public_key) *key = NULL;

	return key_of(x509, &key, err) || error_add(err, "certificate %zu of the chain", at + 1);
}

static bool check_link(X509 *x509, X509 *issuer, size_t at, struct error *err)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	bool ok = key && X509_NAME_cmp(X509_get_issuer_name(x509), X509_get_subject_name(issuer)) == 0 &&
		  X509_verify(x509, key) == 1;

	ERR_clear_error();
	return ok || refuse(err, at,
			     x509 == issuer ? "is the last, and not signed by itself"
					    : "is not signed by the next one");
}

static bool check_signer(X509 *x509, struct error *err)
{
	uint32_t flags = X509_get_extension_flags(x509), usage = X509_get_key_usage(x509);
	uint32_t purposes = X509_get_extended_key_usage(x509);

	if (flags & EXFLAG_INVALID)
		return refuse(err, 0, "has extensions that cannot be read");
	if (flags & EXFLAG_CA)
		return refuse(err, 0, "is a CA's; a signer's is none");
	if (!(flags & EXFLAG_KUSAGE) || !(usage & KU_DIGITAL_SIGNATURE) || (usage & KU_KEY_CERT_SIGN))
		return refuse(
			err, 0, "may not sign: its keyUsage must have digitalSignature, and not keyCertSign");
	return !(flags & EXFLAG_XKUSAGE) || (purposes & XKU_CODE_SIGN) ||
	       refuse(err, 0, "may not sign code: its extendedKeyUsage has no codeSigning");
}

static bool check_ca(X509 *x509, size_t at, struct error *err)
{
	uint32_t flags = X509_get_extension_flags(x509);
	long below = X509_get_pathlen(x509);

	if ((flags & EXFLAG_INVALID) || !(flags & EXFLAG_CA))
		return refuse(err, at, "is no CA's");
	if (!(flags & EXFLAG_KUSAGE) || !(X509_get_key_usage(x509) & KU_KEY_CERT_SIGN))
		return refuse(err, at, "may not sign certificates: its keyUsage has no keyCertSign");
	return below < 0 || (size_t)below >= at - 1 || refuse(err, at, "allows fewer CAs below it");
}

bool signing_chain_check(
	const struct signing_chain *chain, int64_t *ret_from_ms, int64_t *ret_until_ms, struct error *err)
{
	int64_t from = INT64_MIN, until = INT64_MAX;

	if (!chain->len)
		return error_set(err, ERROR_INVALID, NULL, "there is no certificate");
	for (size_t i = 0; i < chain->len; i++)
		if (!check_key(chain->at[i], i, err))
			return false;
	for (size_t i = 0; i < chain->len; i++) {
		X509 *issuer = chain->at[i + 1 < chain->len ? i + 1 : i];

		if (!check_times(chain->at[i], i, &from, &until, err) ||
			!check_strength(chain->at[i], i, err) ||
			!(i ? check_ca(chain->at[i], i, err) : check_signer(chain->at[i], err)) ||
			!check_link(chain->at[i], issuer, i, err))
			return false;
	}
	*ret_from_ms = from;
	*ret_until_ms = until;
	return true;
}

bool signing_chain_meets(const struct signing_chain *chain, const struct signing_chain *trusted)
{
	for (size_t i = 0; i < chain->len; i++)
		for (size_t j = 0; j < trusted->len; j++)
			if (X509_cmp(chain->at[i], trusted->at[j]) == 0)
				return true;
	return false;
}

bool signing_chain_key(const struct signing_chain *chain, struct public_key **ret_key, struct error *err)
{
	if (!chain->len)
		return error_set(err, ERROR_INVALID, NULL, "there is no certificate");
	return key_of(chain->at[0], ret_key, err);
}

void signing_chain_subject(const struct signing_chain *chain, struct buf *into)
{
	AUTO(certificate) *certificate = NULL;
	unsigned char *der = NULL;
	int len = chain->len ? i2d_X509(chain->at[0], &der) : 0;
	struct error ignored;

	if (len > 0 && certificate_parse(&certificate, str_from(der, (size_t)len), &ignored))
		(void)!certificate_name(certificate, CERTIFICATE_SUBJECT, 0, into);
	OPENSSL_free(der);
}
