/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64url - a window of bits that slides over the text: 8 in and 6 out, or 6 in and 8 out.
 */
#include "proto/base64url.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void base64url_encode(struct str bytes, char *into)
{
	uint32_t window = 0;
	unsigned bits = 0;

	for (size_t i = 0; i < bytes.len; i++) {
		window = (window << 8 | (uint8_t)bytes.at[i]) & 0xffff;
		for (bits += 8; bits >= 6; bits -= 6)
			*into++ = alphabet[window >> (bits - 6) & 63];
	}
	if (bits)
		*into++ = alphabet[window << (6 - bits) & 63];
	*into = '\0';
}

/* 0..63, or -1. */
static int digit_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool base64url_decode(struct str text, void *into, size_t max, size_t *ret_len)
{
	uint8_t *at = into;
	uint32_t window = 0;
	unsigned bits = 0;
	size_t len = 0;

	if (text.len % 4 == 1)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		int digit = digit_of(text.at[i]);

		if (digit < 0)
			return false;
		window = (window << 6 | (uint32_t)digit) & 0xffff;
		bits += 6;
		if (bits < 8)
			continue;
		bits -= 8;
		if (len == max)
			return false;
		at[len++] = (uint8_t)(window >> bits);
	}
	if (window & ((1u << bits) - 1))
		return false;
	*ret_len = len;
	return true;
}
