/* SPDX-License-Identifier: Apache-2.0 */
/*
 * password - crypt(3) hashes: bcrypt ($2a $2b $2y), sha256-crypt ($5$), sha512-crypt ($6$).
 *
 * Thread  pool: verifying costs tens of milliseconds on purpose.
 */
#pragma once

#include "common/error.h"
#include "common/str.h"

#define PASSWORD_HASH_MAX 256
#define PASSWORD_MAX 512  /* bytes of one that is verified */
#define PASSWORD_NEW_MAX 72 /* of one that is hashed: bcrypt looks at no more */

bool password_is_hash(struct str hash); /* one of the kinds above, plausible form */
/*
 * Time must not tell who exists: a refusal does the work of a bcrypt of `cost` (4 to 16), whatever the hash is. What a
 * cheaper one saved is done with nobody's; STR_NONE as the hash is nobody's alone. One that costs more than `cost`
 * costs what it costs.
 */
bool password_verify(struct str password, struct str hash, unsigned cost);
/* The cost of a bcrypt that is about as much work: exact for bcrypt, rounded up for sha-crypt and a short password; 0
 * for what is no hash. */
unsigned password_cost(struct str hash);
#define PASSWORD_COST 10 /* of those that password_hash() makes */
bool password_hash(struct str password, char into[PASSWORD_HASH_MAX], struct error *err) MUST_CHECK;
