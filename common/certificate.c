/* SPDX-License-Identifier: Apache-2.0 */
#include "common/certificate.h"

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/check.h"

#define DER_MAX ((size_t)64 * 1024)

struct certificate {
	X509 *x509;
	GENERAL_NAMES *alternatives; /* or NULL */
};

bool certificate_parse(struct certificate **ret_certificate, struct str der, struct error *err)
{
	const unsigned char *at = (const unsigned char *)der.at;
	X509 *x509 = der.len <= DER_MAX ? d2i_X509(NULL, &at, (long)der.len) : NULL;
	struct certificate *certificate;

	if (!x509 || (const char *)at != der.at + der.len) {
		X509_free(x509);
		return error_set(err, ERROR_INVALID, NULL, "this is no certificate");
	}
	certificate = xnew(struct certificate);
	certificate->x509 = x509;
	certificate->alternatives = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	*ret_certificate = certificate;
	return true;
}

void certificate_free(struct certificate *certificate)
{
	if (!certificate)
		return;
	GENERAL_NAMES_free(certificate->alternatives);
	X509_free(certificate->x509);
	free(certificate);
}

static bool append_text(struct str text, struct buf *into)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f)
			return false;
	if (!text.len || into->failed || text.len > into->max - into->len)
		return false;
	buf_add(into, text);
	return !into->failed;
}

static bool append_asn1(const ASN1_STRING *string, struct buf *into)
{
	unsigned char *utf8 = NULL;
	int len = ASN1_STRING_to_UTF8(&utf8, string);
	bool done = len > 0 && append_text(str_from(utf8, (size_t)len), into);

	OPENSSL_free(utf8);
	return done;
}

static bool append_common_name(const struct certificate *certificate, struct buf *into)
{
	X509_NAME *subject = X509_get_subject_name(certificate->x509);
	int last = -1, next;

	while ((next = X509_NAME_get_index_by_NID(subject, NID_commonName, last)) >= 0)
		last = next;
	return last >= 0 && append_asn1(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)), into);
}

static bool append_subject(const struct certificate *certificate, struct buf *into)
{
	unsigned long how = XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB;
	BIO *bio = BIO_new(BIO_s_mem());
	char *at = NULL;
	long len;
	bool done;

	CHECK(bio);
	done = X509_NAME_print_ex(bio, X509_get_subject_name(certificate->x509), 0, how) >= 0;
	len = BIO_get_mem_data(bio, &at);
	done = done && len > 0 && append_text(str_from(at, (size_t)len), into);
	BIO_free(bio);
	return done;
}

static int type_of(enum certificate_name kind)
{
	return kind == CERTIFICATE_EMAIL ? GEN_EMAIL : kind == CERTIFICATE_URI ? GEN_URI : GEN_DNS;
}

/* They are ASCII (IA5String), all three of them. */
static bool append_alternative(const struct certificate *certificate, int type, size_t at, struct buf *into)
{
	int len = certificate->alternatives ? sk_GENERAL_NAME_num(certificate->alternatives) : 0;

	for (int i = 0; i < len; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(certificate->alternatives, i);

		if (name->type == type && at-- == 0)
			return append_asn1(name->d.ia5, into);
	}
	return false;
}

bool certificate_name(
	const struct certificate *certificate, enum certificate_name kind, size_t at, struct buf *into)
{
	switch (kind) {
	case CERTIFICATE_COMMON_NAME:
		return at == 0 && append_common_name(certificate, into);
	case CERTIFICATE_SUBJECT:
		return at == 0 && append_subject(certificate, into);
	case CERTIFICATE_EMAIL:
	case CERTIFICATE_URI:
	case CERTIFICATE_DNS:
		break;
	}
	return append_alternative(certificate, type_of(kind), at, into);
}
