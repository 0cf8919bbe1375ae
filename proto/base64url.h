/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64url - bytes as text that may stand in a URL, a file name and a header: RFC 4648, section 5, without padding.
 *
 * Only the one canonical text of some bytes is decoded: the bits that no byte needs must be zero,
 * so two different texts never mean the same.
 * Thread  any; pure.
 */
#pragma once

#include "common/str.h"

#define BASE64URL_LEN(bytes) (((bytes) * 4 + 2) / 3)

/* BASE64URL_LEN(len) characters and a NUL. */
void base64url_encode(struct str bytes, char *into);
/* At most `max` bytes; false when the text is not canonical base64url or is longer. */
bool base64url_decode(struct str text, void *into, size_t max, size_t *ret_len) MUST_CHECK;
