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
#define PASSWORD_MAX 512

bool password_is_hash(struct str hash); /* one of the kinds above, plausible form */
bool password_verify(struct str password, struct str hash);
/* bcrypt, cost 10. */
bool password_hash(struct str password, char into[PASSWORD_HASH_MAX], struct error *err) MUST_CHECK;
