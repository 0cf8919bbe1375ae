/* SPDX-License-Identifier: Apache-2.0 */
/*
 * password_cache - passwords that were verified in the last minute, so that bcrypt is not paid on
 * every request.
 *
 * What is kept is 128 bits of SipHash-2-4 under two random keys of this process, over user, password and the
 * stored hash: a changed or removed password is not found any more. At most 10,000 are kept; when full the
 * cache starts anew.
 * Thread  any.
 */
#pragma once

#include <stdbool.h>

#include "common/cleanup.h"
#include "common/str.h"

struct password_cache;
struct password_cache *password_cache_new(void);
void password_cache_free(struct password_cache *cache);
AUTO_DEFINE(password_cache)
bool password_cache_has(struct password_cache *cache, struct str user, struct str password, struct str hash);
void password_cache_put(struct password_cache *cache, struct str user, struct str password, struct str hash);
