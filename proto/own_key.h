/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_key - API keys that users make for themselves, in the form of zot's /zot/auth/apikey: the same at a leader and at a worker
 * that has none.
 *
 *     what is asked   {"label": "ci", "scopes": ["team/app:read"], "expirationDate": "2027-01-01T00:00:00Z"}, each may be left out;
 *                     no date, "" or the year 1: for ever
 *     a key           {"createdAt", "expirationDate", "isExpired", "creatorUa", "generatedBy", "lastUsed", "label", "scopes", "uuid"}
 *                     and, once, "apiKey"
 *
 * zot's uuid is the key's id. Scopes are this registry's (proto/access.h), and enforced. When a key was used last is not kept: the
 * year 1. Who made it with which program lies in the key's metadata ("createdAt", "creatorUa").
 *
 * Thread  any; pure, but for the random secret.
 */
#pragma once

#include "common/json.h"
#include "proto/entity.h"

#define OWN_KEY_BODY_MAX 8192u
#define OWN_KEYS_MAX     100u /* of a user */
/* Changes (made and ended, also what was refused) of one user and of all in a minute, at each program that keeps keys. */
#define OWN_KEYS_CHANGES     120u
#define OWN_KEYS_CHANGES_ALL 6000u
#define OWN_KEYS_CHANGES_MS  60000
#define OWN_KEY_AGENT    255u /* bytes of creatorUa; the rest is cut off */

struct own_key_maker {
	const char *owner, *agent; /* agent NULL or "": not known */
	int64_t now_s;
};
#define OWN_KEY_SECRET_BYTES 32
#define OWN_KEY_SECRET_SIZE  (2 * OWN_KEY_SECRET_BYTES + 1)
/* A new key, of revision 0, and its secret, without APIKEY_PREFIX. ERROR_INVALID names what is wrong in the body. */
bool own_key_make(struct str body, const struct own_key_maker *maker, struct entity **ret_key,
		  char ret_secret[OWN_KEY_SECRET_SIZE], struct error *err) MUST_CHECK;
/* As a member of the array, or the value to be written next. secret NULL: it is not told. */
void own_key_write(struct json_writer *w, const struct entity *key, const char *secret, int64_t now_s);
