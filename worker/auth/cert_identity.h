/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cert_identity - which user a client certificate stands for: zot's http.auth.mtls.
 *
 * The attributes are tried in their order; the first that the certificate has and that is at most 255
 * bytes long is the user. Without attributes it is the common name.
 *
 *   CommonName CN        the subject's common name
 *   Subject DN           the whole subject, "CN=ann,O=acme"
 *   Email rfc822name     subject alternative name number emailSanIndex of its kind
 *   URI URL              number uriSanIndex; with uriSanPattern what its first group holds (without a group: what it matches)
 *   DNSName DNS          number dnsSanIndex
 *
 * Names of attributes are compared without case. The pattern is a POSIX extended regular expression; what zot's
 * dialect would read otherwise (\d, (?:...), lazy repetition, a backslash in brackets) is refused, and so are
 * patterns over 512 bytes and repetitions {n} whose product is over 1000.
 * Thread  any; immutable.
 */
#pragma once

#include "common/error.h"
#include "common/str.h"

#define CERT_IDENTITY_MAX   255 /* bytes of a user's name */
#define CERT_ATTRIBUTES_MAX 16
#define CERT_PATTERN_MAX    512

struct cert_identity_rules {
	const char *const *attributes;
	size_t attributes_len;
	const char *uri_pattern; /* or NULL */
	int64_t uri_index, dns_index, email_index;
};

struct cert_identity;
bool cert_identity_new(struct cert_identity **ret_identity, const struct cert_identity_rules *rules, struct error *err) MUST_CHECK;
void cert_identity_free(struct cert_identity *identity);
AUTO_DEFINE(cert_identity)
/* The user, a text; false when the certificate names nobody. */
bool cert_identity_find(const struct cert_identity *identity, struct str der, char into[CERT_IDENTITY_MAX + 1]) MUST_CHECK;
