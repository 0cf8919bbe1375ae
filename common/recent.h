/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recent - at most N things by a key of 16 bytes; of more, the one that was longest not used goes.
 *
 * Keys are hashes under a key of this process (siphash24()), so nobody can choose some that collide. Things are of one
 * fixed size and begin as zeros; one stays at its place until it goes. Memory is taken as they come.
 * Thread  owner's.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "common/cleanup.h"

struct recent;
struct recent_key { uint64_t half[2]; };

struct recent *recent_new(size_t max, size_t size);
void recent_free(struct recent *recent);
AUTO_DEFINE(recent)
void  *recent_find(struct recent *recent, struct recent_key key); /* it is the newest then; or NULL */
void  *recent_put(struct recent *recent, struct recent_key key);  /* the same, but made where there is none */
void   recent_remove(struct recent *recent, struct recent_key key);
size_t recent_len(const struct recent *recent);
