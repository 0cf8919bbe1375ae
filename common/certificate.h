/* SPDX-License-Identifier: Apache-2.0 */
/*
 * certificate - the names in an X.509 certificate. Whether it is to be trusted was decided before.
 *
 * Names that a text cannot hold (with NUL or control characters, not UTF-8, over the buffer's limit) count as
 * absent: they are never shortened or escaped into another name.
 *
 * Source  RFC 5280, 4.1.2.6 and 4.2.1.6; subjects are written as RFC 2253 says ("CN=ann,O=acme,C=DE").
 * Thread  one at a time.
 */
#pragma once

#include "common/buf.h"
#include "common/error.h"

struct certificate;

enum certificate_name {
	CERTIFICATE_COMMON_NAME, /* of the subject; of several the last */
	CERTIFICATE_SUBJECT,     /* the whole of it */
	CERTIFICATE_EMAIL,       /* the rest are subject alternative names, several of each */
	CERTIFICATE_URI,
	CERTIFICATE_DNS,
};

/* ERROR_INVALID unless der is one certificate. */
bool certificate_parse(struct certificate **ret_certificate, struct str der, struct error *err) MUST_CHECK;
void certificate_free(struct certificate *certificate);
AUTO_DEFINE(certificate)
/* Appends the name number `at` (from 0) of this kind; false, and nothing is appended, when there is none. */
bool certificate_name(const struct certificate *certificate, enum certificate_name kind, size_t at, struct buf *into) MUST_CHECK;
