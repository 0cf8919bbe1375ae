/* SPDX-License-Identifier: Apache-2.0 */
/*
 * live_set - digests that are needed, in 8 bytes each.
 *
 * A set may have a digest that was never added (where another one begins with the same 8 bytes), and never lacks one that was: so what is
 * not in it may go, and somebody who makes digests that begin alike keeps what he pushed himself. LIVE_SET_MAX of them, 32 MiB; whoever has more
 * takes them in parts (live_set_part()).
 *
 * Thread  one at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "proto/digest.h"

#define LIVE_SET_MAX (2u * 1024 * 1024)

struct live_set;
struct live_set *live_set_new(size_t most); /* at most LIVE_SET_MAX */
void live_set_free(struct live_set *set);
AUTO_DEFINE(live_set)
void live_set_clear(struct live_set *set);
/* False: it is full, and this one is not in it. */
bool live_set_add(struct live_set *set, const struct digest *digest) MUST_CHECK;
bool live_set_has(const struct live_set *set, const struct digest *digest);
size_t live_set_len(const struct live_set *set);
size_t live_set_bytes(const struct live_set *set); /* of memory */
/* Which of so many parts, of about one size, a digest belongs to. */
unsigned live_set_part(const struct digest *digest, unsigned parts);
