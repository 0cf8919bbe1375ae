/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reference - a ':' decides: a digest has one, a tag cannot.
 */
#include "proto/reference.h"

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool tag_is_valid(struct str text)
{
	if (text.len == 0 || text.len > TAG_MAX_LEN || !is_word(text.at[0]))
		return false;
	for (size_t i = 1; i < text.len; i++) {
		if (!is_word(text.at[i]) && text.at[i] != '.' && text.at[i] != '-')
			return false;
	}
	return true;
}

bool reference_parse(struct str text, struct reference *ret, struct error *err)
{
	struct reference reference = { 0 };

	if (text.len && memchr(text.at, ':', text.len)) {
		reference.is_digest = true;
		if (!digest_parse(text, &reference.digest, err))
			return false;
	} else if (!tag_is_valid(text) || !str_copy(text, reference.tag, sizeof(reference.tag))) {
		return error_set(err, ERROR_INVALID, "MANIFEST_INVALID",
			"a tag is 1 to 128 of A-Z a-z 0-9 _ . - and does not begin with . or -");
	}
	*ret = reference;
	return true;
}

void reference_format(const struct reference *reference, char into[DIGEST_TEXT_SIZE])
{
	if (reference->is_digest)
		digest_format(&reference->digest, into);
	else
		memcpy(into, reference->tag, strlen(reference->tag) + 1);
}
