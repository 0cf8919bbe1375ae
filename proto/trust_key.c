/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/trust_key.h"

#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/crypto.h"

#define ID_MAX 128

static const struct {
	const char *name, *begin, *end;
} types[TRUST_TYPES] = {
	[TRUST_COSIGN] = { "cosign", "-----BEGIN PUBLIC KEY-----\n", "-----END PUBLIC KEY-----\n" },
	[TRUST_CA] = { "ca", "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n" },
	[TRUST_SIGNING_AUTHORITY] = { "signingAuthority", "-----BEGIN CERTIFICATE-----\n",
		"-----END CERTIFICATE-----\n" },
};

const char *trust_type_name(enum trust_type type)
{
	CHECK(type < TRUST_TYPES);
	return types[type].name;
}

bool trust_type_parse(struct str name, enum trust_type *ret)
{
	for (unsigned i = 0; i < TRUST_TYPES; i++)
		if (str_is(name, types[i].name)) {
			*ret = (enum trust_type)i;
			return true;
		}
	return false;
}

bool trust_key_check_id(struct str id, struct error *err)
{
	uint8_t digest[32];

	for (unsigned i = 0; i < TRUST_TYPES; i++) {
		struct str rest = id;

		if (str_skip(&rest, types[i].name) && str_skip(&rest, "-") &&
			str_unhex(rest, digest, sizeof(digest)))
			return true;
	}
	return error_set(err, ERROR_INVALID, NULL,
		"the id of a key is cosign-, ca- or signingAuthority- and the 64 hex digits of a SHA-256");
}

bool trust_key_check(const void *body, struct error *err)
{
	const struct trust_key *key = body;
	enum trust_type type;

	if (!trust_type_parse(str_of(key->type), &type))
		return error_set(err, ERROR_INVALID, NULL, "type: is cosign, ca or signingAuthority");
	return (str_starts(str_of(key->pem), types[type].begin) &&
		       str_ends(str_of(key->pem), types[type].end)) ||
	       error_set(err, ERROR_INVALID, NULL, "pem: of type %s it begins with \"%.*s\"",
		       types[type].name, (int)strlen(types[type].begin) - 1, types[type].begin);
}

bool trust_key_new(enum trust_type type, struct str pem, struct entity **ret, struct error *err)
{
	char id[ID_MAX], hex[65];
	AUTO_STR *text = NULL;
	struct trust_key body;

	if (pem.len > TRUST_PEM_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL, "%zu bytes of PEM; at most %u are allowed",
			pem.len, TRUST_PEM_MAX);
	if (!pem.len || memchr(pem.at, '\0', pem.len))
		return error_set(err, ERROR_INVALID, NULL, "pem: is no text");
	text = str_dup(pem);
	body = (struct trust_key){ .type = trust_type_name(type), .pem = text };
	if (!trust_key_check(&body, err))
		return false;
	hash_sha256_hex(pem, hex);
	(void)snprintf(id, sizeof(id), "%s-%s", body.type, hex);
	*ret = entity_new(ENTITY_TRUST, str_of(id), 0, &body);
	return true;
}

enum trust_type trust_key_type(const struct entity *key)
{
	enum trust_type type = TRUST_COSIGN;

	CHECK(trust_type_parse(str_of(entity_trust(key)->type), &type));
	return type;
}

bool trust_keys_check_room(size_t keys, struct error *err)
{
	return keys < TRUST_KEYS_MOST ||
	       error_set(err, ERROR_CONFLICT, NULL,
		       "there are %u keys and certificates, which is the most: delete one first",
		       TRUST_KEYS_MOST);
}
