/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64url - three bytes are four digits; what is left at the end goes through a window of bits.
 */
#include "proto/base64url.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* 1 .. 64, or 0 for what is no digit. */
static const uint8_t values[256] = {
	['A'] = 1,
	['B'] = 2,
	['C'] = 3,
	['D'] = 4,
	['E'] = 5,
	['F'] = 6,
	['G'] = 7,
	['H'] = 8,
	['I'] = 9,
	['J'] = 10,
	['K'] = 11,
	['L'] = 12,
	['M'] = 13,
	['N'] = 14,
	['O'] = 15,
	['P'] = 16,
	['Q'] = 17,
	['R'] = 18,
	['S'] = 19,
	['T'] = 20,
	['U'] = 21,
	['V'] = 22,
	['W'] = 23,
	['X'] = 24,
	['Y'] = 25,
	['Z'] = 26,
	['a'] = 27,
	['b'] = 28,
	['c'] = 29,
	['d'] = 30,
	['e'] = 31,
	['f'] = 32,
	['g'] = 33,
	['h'] = 34,
	['i'] = 35,
	['j'] = 36,
	['k'] = 37,
	['l'] = 38,
	['m'] = 39,
	['n'] = 40,
	['o'] = 41,
	['p'] = 42,
	['q'] = 43,
	['r'] = 44,
	['s'] = 45,
	['t'] = 46,
	['u'] = 47,
	['v'] = 48,
	['w'] = 49,
	['x'] = 50,
	['y'] = 51,
	['z'] = 52,
	['0'] = 53,
	['1'] = 54,
	['2'] = 55,
	['3'] = 56,
	['4'] = 57,
	['5'] = 58,
	['6'] = 59,
	['7'] = 60,
	['8'] = 61,
	['9'] = 62,
	['-'] = 63,
	['_'] = 64,
};

void base64url_encode(struct str bytes, char *into)
{
	const uint8_t *at = (const uint8_t *)bytes.at;
	size_t left = bytes.len;
	uint32_t window;

	for (; left >= 3; left -= 3, at += 3, into += 4) {
		window = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
		into[0] = alphabet[window >> 18];
		into[1] = alphabet[window >> 12 & 63];
		into[2] = alphabet[window >> 6 & 63];
		into[3] = alphabet[window & 63];
	}
	if (left) {
		window = (uint32_t)at[0] << 16 | (left > 1 ? (uint32_t)at[1] << 8 : 0);
		*into++ = alphabet[window >> 18];
		*into++ = alphabet[window >> 12 & 63];
		if (left > 1)
			*into++ = alphabet[window >> 6 & 63];
	}
	*into = '\0';
}

/* Four digits at a time while there is room for three bytes. How many of each were used. */
static bool decode_groups(struct str text, uint8_t *into, size_t max, size_t *ret_used, size_t *ret_len)
{
	const uint8_t *at = (const uint8_t *)text.at;
	size_t used = 0, len = 0;

	for (; text.len - used >= 4 && max - len >= 3; used += 4, len += 3, at += 4) {
		uint32_t a = values[at[0]], b = values[at[1]], c = values[at[2]], d = values[at[3]], window;

		if (!a || !b || !c || !d)
			return false;
		window = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);
		into[len] = (uint8_t)(window >> 16);
		into[len + 1] = (uint8_t)(window >> 8);
		into[len + 2] = (uint8_t)window;
	}
	*ret_used = used;
	*ret_len = len;
	return true;
}

bool base64url_decode(struct str text, void *into, size_t max, size_t *ret_len)
{
	uint8_t *at = into;
	uint32_t window = 0;
	unsigned bits = 0;
	size_t len, used;

	if (text.len % 4 == 1 || !decode_groups(text, at, max, &used, &len))
		return false;
	for (size_t i = used; i < text.len; i++) {
		uint32_t value = values[(uint8_t)text.at[i]];

		if (!value)
			return false;
		window = (window << 6 | (value - 1)) & 0xffff;
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
