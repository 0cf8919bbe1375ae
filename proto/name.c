/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name - a scanner by hand: one pass, no tables, every byte looked at once.
 */
#include "proto/name.h"

#include <string.h>

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Length of the separator at the front of s: ".", "_", "__" or any number of "-"; 0 when there is none. */
static size_t separator_len(struct str s)
{
	size_t len = 0;

	if (s.at[0] == '.')
		return 1;
	if (s.at[0] == '_')
		return s.len > 1 && s.at[1] == '_' ? 2 : 1;
	while (len < s.len && s.at[len] == '-')
		len++;
	return len;
}

/* Length of the component at the front of s, which ends before '/' or with s; 0 when it is not legal. */
static size_t component_len(struct str s)
{
	size_t at = 0;

	for (;;) {
		size_t start = at;
		size_t separator;

		while (at < s.len && is_alphanumeric(s.at[at]))
			at++;
		if (at == start)
			return 0;
		if (at == s.len || s.at[at] == '/')
			return at;
		separator = separator_len(str_from(s.at + at, s.len - at));
		if (separator == 0)
			return 0;
		at += separator;
	}
}

static bool invalid(struct error *err, const char *why)
{
	return error_set(err, ERROR_INVALID, "NAME_INVALID", "the repository name %s", why);
}

/* What the layout keeps in the folder of the repository that the components before this one name. */
static bool is_layout_file(struct str component)
{
	return str_is(component, "index.json") || str_is(component, "index.log") ||
	       str_is(component, "oci-layout");
}

static bool is_hex(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!((s.at[i] >= '0' && s.at[i] <= '9') || (s.at[i] >= 'a' && s.at[i] <= 'f')))
			return false;
	}
	return true;
}

/* `a/blobs/sha256/<hex>` is the path of a blob of `a`. */
static bool is_blob_path(const struct str last[3])
{
	if (!str_is(last[0], "blobs"))
		return false;
	return ((str_is(last[1], "sha256") && last[2].len == 64) ||
		       (str_is(last[1], "sha512") && last[2].len == 128)) &&
	       is_hex(last[2]);
}

static bool check_component(struct str component, size_t place, struct str last[3], struct error *err)
{
	last[0] = last[1];
	last[1] = last[2];
	last[2] = component;
	if (place > 0 && is_layout_file(component))
		return invalid(err, "has a component that is the name of a file of the image layout");
	if (place > 2 && is_blob_path(last))
		return invalid(err, "is the path of another repository's blob");
	return true;
}

bool name_parse(struct str text, struct name *ret, struct error *err)
{
	struct str rest = text;
	struct str last[3] = { STR_NONE, STR_NONE, STR_NONE };

	if (text.len == 0)
		return invalid(err, "is empty");
	if (text.len > NAME_MAX_LEN)
		return invalid(err, "is longer than 255 characters");
	for (size_t place = 0;; place++) {
		size_t len = component_len(rest);

		if (len == 0)
			return invalid(err,
				"is not made of components of a-z and 0-9, joined inside by one of . _ __ or "
				"dashes, with / between them");
		if (!check_component(str_from(rest.at, len), place, last, err))
			return false;
		if (len == rest.len)
			break;
		rest = str_from(rest.at + len + 1, rest.len - len - 1);
	}
	memcpy(ret->text, text.at, text.len);
	ret->text[text.len] = '\0';
	return true;
}
