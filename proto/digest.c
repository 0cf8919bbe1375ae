/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest - one table of algorithms; everything else walks it.
 */
#include "proto/digest.h"

#include "common/check.h"

static const struct {
	enum hash_kind alg;
	const char *name;
} algorithms[] = {
	{ HASH_SHA256, "sha256" },
	{ HASH_SHA512, "sha512" },
};
#define ALGORITHMS (sizeof(algorithms) / sizeof(algorithms[0]))

static bool invalid(struct error *err, const char *why)
{
	return error_set(err, ERROR_INVALID, "DIGEST_INVALID", "the digest %s", why);
}

bool digest_parse(struct str text, struct digest *ret, struct error *err)
{
	struct digest digest = { 0 };
	struct str name;

	if (!str_until(&text, ':', &name))
		return invalid(err, "is not <algorithm>:<hex>");
	if (!digest_algorithm_parse(name, &digest.alg))
		return invalid(err, "has an algorithm other than sha256 and sha512");
	if (!str_unhex(text, digest.raw, hash_size(digest.alg)))
		return invalid(err, digest.alg == HASH_SHA256
					    ? "needs 64 lower case hex digits after sha256:"
					    : "needs 128 lower case hex digits after sha512:");
	*ret = digest;
	return true;
}

void digest_encoded(const struct digest *digest, char into[129])
{
	str_hex(digest->raw, hash_size(digest->alg), into);
}

void digest_format(const struct digest *digest, char into[DIGEST_TEXT_SIZE])
{
	const char *name = digest_algorithm(digest);
	size_t len = strlen(name);

	memcpy(into, name, len);
	into[len] = ':';
	str_hex(digest->raw, hash_size(digest->alg), into + len + 1);
}

const char *digest_algorithm(const struct digest *digest)
{
	for (size_t i = 0; i < ALGORITHMS; i++) {
		if (algorithms[i].alg == digest->alg)
			return algorithms[i].name;
	}
	CHECK(false && "a digest has one of the algorithms");
	return NULL;
}

bool digest_algorithm_parse(struct str name, enum hash_kind *ret)
{
	for (size_t i = 0; i < ALGORITHMS; i++) {
		if (str_is(name, algorithms[i].name)) {
			*ret = algorithms[i].alg;
			return true;
		}
	}
	return false;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
	return a->alg == b->alg && memcmp(a->raw, b->raw, hash_size(a->alg)) == 0;
}

struct digest digest_of(enum hash_kind alg, struct str bytes)
{
	struct digest digest = { .alg = alg };

	hash_bytes(alg, bytes.at, bytes.len, digest.raw);
	return digest;
}

struct digest digest_sha256(const uint8_t raw[32])
{
	struct digest digest = { .alg = HASH_SHA256 };

	memcpy(digest.raw, raw, 32);
	return digest;
}

struct digest digest_of_hasher(enum hash_kind alg, const struct hasher *hasher)
{
	struct digest digest = { .alg = alg };

	hasher_result(hasher, digest.raw);
	return digest;
}
