/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map - bytes to pointer, hashed with a random seed of this process.
 *
 * The map copies its keys and borrows its values. Order is not defined. Deleting the entry at
 * hand while walking is allowed, inserting is not.
 *
 * Thread  owner's.
 */
#pragma once

#include "common/cleanup.h"
#include "common/str.h"

struct map;

struct map *map_new(void);
void        map_free(struct map *map); /* values are the caller's affair */
AUTO_DEFINE(map)

void  *map_find(const struct map *map, struct str key);
/* Returns the value that was there before, or NULL. value is not NULL. */
void  *map_put(struct map *map, struct str key, void *value);
void  *map_delete(struct map *map, struct str key);
size_t map_len(const struct map *map);

/* for (size_t at = 0; map_next(map, &at, &key, &value);) ... ret_key may be NULL. */
bool map_next(const struct map *map, size_t *at, struct str *ret_key, void **ret_value);

/* The hash itself: seeded, for tables in memory only, never stored or sent. */
uint64_t map_hash(const void *bytes, size_t len);
