/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reference - what follows manifests/: a tag or a digest, nothing else.
 *
 * Anything with a ':' must be a digest (DIGEST_INVALID), else the tag grammar decides
 * ([A-Za-z0-9_][A-Za-z0-9._-]{0,127}, MANIFEST_INVALID).
 * Thread  any; pure.
 */
#pragma once

#include "proto/digest.h"

#define TAG_MAX_LEN 128

struct reference {
	bool is_digest;
	struct digest digest;
	char tag[TAG_MAX_LEN + 1];
};
bool reference_parse(struct str text, struct reference *ret, struct error *err) MUST_CHECK;
bool tag_is_valid(struct str text);
void reference_format(const struct reference *reference, char into[DIGEST_TEXT_SIZE]); /* also holds a tag */
