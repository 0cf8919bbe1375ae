/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/events/nats_key.h"

#include <string.h>

#include "common/crypto.h"
#include "common/file.h"
#include "proto/base64url.h"

#define SEED_TEXT   58u /* base32 of 36 bytes, without padding */
#define SEED_WHOLE  36u
#define PREFIX_SEED 0x90 /* 'S' */
#define PREFIX_USER 0xa0 /* 'U' */

/* CRC-16/XMODEM. */
static unsigned sum_of(const unsigned char *bytes, size_t len)
{
	unsigned sum = 0;

	for (size_t i = 0; i < len; i++) {
		sum ^= (unsigned)bytes[i] << 8;
		for (unsigned bit = 0; bit < 8; bit++)
			sum = sum & 0x8000 ? (sum << 1 ^ 0x1021) & 0xffff : sum << 1 & 0xffff;
	}
	return sum;
}

static bool unbase32(struct str text, unsigned char into[SEED_WHOLE])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint64_t held = 0;
	size_t bits = 0, len = 0;

	for (size_t i = 0; i < text.len; i++) {
		const char *digit = text.at[i] ? strchr(digits, text.at[i]) : NULL;

		if (!digit)
			return false;
		held = (held << 5 | (uint64_t)(digit - digits)) & 0xffff;
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			into[len++] = (unsigned char)(held >> bits);
		}
	}
	return len == SEED_WHOLE;
}

static bool read_seed(struct str text, unsigned char into[NATS_SEED_BYTES])
{
	unsigned char bytes[SEED_WHOLE + 1];
	bool ok = text.len == SEED_TEXT && unbase32(text, bytes) &&
		  sum_of(bytes, SEED_WHOLE - 2) ==
			  (bytes[SEED_WHOLE - 2] | (unsigned)bytes[SEED_WHOLE - 1] << 8) &&
		  (bytes[0] & 0xf8) == PREFIX_SEED && ((bytes[0] & 7) << 5 | bytes[1] >> 3) == PREFIX_USER;

	if (ok)
		memcpy(into, bytes + 2, NATS_SEED_BYTES);
	explicit_bzero(bytes, sizeof(bytes));
	return ok;
}

/* The first line behind the one that has these words; none: STR_NONE. */
static struct str line_behind(struct str text, const char *words)
{
	struct str line;
	bool found = false;

	while (str_next(&text, '\n', &line)) {
		line = str_trim(line);
		if (found && line.len)
			return str_starts(line, "--") ? STR_NONE : line;
		if (str_starts(line, "-----BEGIN ") && memmem(line.at, line.len, words, strlen(words)))
			found = true;
	}
	return STR_NONE;
}

bool nats_key_parse(struct str text, struct nats_key *ret, struct error *err)
{
	struct str jwt = line_behind(text, "NATS USER JWT"), seed = line_behind(text, "USER NKEY SEED");
	struct nats_key key = { .jwt = buf_limit(NATS_CREDENTIALS_MAX) };

	if (!jwt.len)
		return error_set(err, ERROR_INVALID, NULL,
			"it has no \"-----BEGIN NATS USER JWT-----\" with a JWT behind it");
	if (!read_seed(seed, key.seed))
		return error_set(err, ERROR_INVALID, NULL,
			"it has no \"-----BEGIN USER NKEY SEED-----\" with a user's seed behind it, which "
			"begins with SU");
	buf_add(&key.jwt, jwt);
	*ret = key;
	return true;
}

bool nats_key_read(const char *path, struct nats_key *ret, struct error *err)
{
	struct buf text = buf_limit(NATS_CREDENTIALS_MAX);
	bool ok = file_read(path, &text, err) &&
		  (nats_key_parse(buf_str(&text), ret, err) || error_add(err, "%s", path));

	if (text.at)
		explicit_bzero(text.at, text.room);
	buf_fini(&text);
	return ok;
}

void nats_key_fini(struct nats_key *key)
{
	buf_fini(&key->jwt);
	explicit_bzero(key->seed, sizeof(key->seed));
}

void nats_key_sign(const struct nats_key *key, struct str nonce, char into[NATS_SIGNATURE_SIZE])
{
	uint8_t signature[CRYPTO_SIGNATURE];

	crypto_sign(key->seed, nonce, signature);
	base64url_encode(str_from(signature, sizeof(signature)), into);
}
