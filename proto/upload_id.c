/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_id - what was parsed is what would have been written: one text for one id.
 */
#include "proto/upload_id.h"

#include "common/check.h"
#include "common/crypto.h"
#include "proto/base64url.h"

#define RANDOM_BYTES 16
#define RANDOM_LEN   (2 * RANDOM_BYTES)
/* The last digit. */
#define STANDS_AT (RANDOM_LEN - 1)
#define BEGUN     1u
#define SHA512    2u

_Static_assert(RANDOM_LEN + 1 + BASE64URL_LEN(MEMBER_NAME_MAX) < UPLOAD_ID_SIZE, "an id fits");

/* Behind the random half. */
static void put_worker(struct upload_id *id, const char *worker)
{
	struct str name = str_of(worker);

	CHECK(name.len <= MEMBER_NAME_MAX);
	id->text[RANDOM_LEN] = '-';
	base64url_encode(name, id->text + RANDOM_LEN + 1);
	memcpy(id->worker, name.at ? name.at : "", name.len);
}

static unsigned stands(const struct upload_id *id)
{
	char digit = id->text[STANDS_AT];

	return (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

void upload_id_new(const char *worker, enum hash_kind alg, struct upload_id *ret)
{
	*ret = (struct upload_id){ 0 };
	random_hex(ret->text, RANDOM_BYTES);
	ret->text[STANDS_AT] = alg == HASH_SHA512 ? '0' + SHA512 : '0';
	put_worker(ret, worker);
}

void upload_id_begun(struct upload_id *id)
{
	id->text[STANDS_AT] = "0123456789abcdef"[stands(id) | BEGUN];
}

bool upload_id_is_begun(const struct upload_id *id)
{
	return stands(id) & BEGUN;
}

enum hash_kind upload_id_alg(const struct upload_id *id)
{
	return stands(id) & SHA512 ? HASH_SHA512 : HASH_SHA256;
}

void upload_id_at(const struct upload_id *id, const char *worker, struct upload_id *ret)
{
	struct upload_id moved = { 0 };

	memcpy(moved.text, id->text, RANDOM_LEN);
	put_worker(&moved, worker);
	*ret = moved;
}

struct str upload_id_session(const struct upload_id *id)
{
	return str_from(id->text, STANDS_AT);
}

static bool is_printable(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if ((uint8_t)s.at[i] < 0x20 || s.at[i] == 0x7f)
			return false;
	}
	return true;
}

static bool parse(struct str text, struct upload_id *ret)
{
	struct upload_id id = { 0 };
	uint8_t random[RANDOM_BYTES];
	struct str name = STR_NONE;
	size_t len;

	if (text.len <= RANDOM_LEN || text.at[RANDOM_LEN] != '-' || !str_copy(text, id.text, sizeof(id.text)))
		return false;
	if (!str_unhex(str_from(text.at, RANDOM_LEN), random, sizeof(random)))
		return false;
	name = str_from(text.at + RANDOM_LEN + 1, text.len - RANDOM_LEN - 1);
	if (!base64url_decode(name, id.worker, MEMBER_NAME_MAX, &len) ||
		!is_printable(str_from(id.worker, len)))
		return false;
	*ret = id;
	return true;
}

bool upload_id_parse(struct str text, struct upload_id *ret, struct error *err)
{
	return parse(text, ret) || error_set(err, ERROR_UNKNOWN, "BLOB_UPLOAD_UNKNOWN",
					   "this is not the id of an upload session");
}
