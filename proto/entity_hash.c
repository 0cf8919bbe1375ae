/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_hash - hashes as four numbers of 64 bits each, which are added and subtracted lane by lane, modulo
 * 2^64.
 */
#include "common/crypto.h"
#include "proto/entity.h"

struct entity_hash entity_hash_bytes(struct str encoded)
{
	struct entity_hash hash = { 0 };
	uint8_t raw[HASH_MAX];

	hash_bytes(HASH_SHA256, encoded.at, encoded.len, raw);
	for (unsigned i = 0; i < ENTITY_HASH_BYTES; i++)
		hash.lanes[i / 8] |= (uint64_t)raw[i] << i % 8 * 8;
	return hash;
}

void entity_hash_add(struct entity_hash *sum, struct entity_hash hash)
{
	for (unsigned i = 0; i < ENTITY_HASH_LANES; i++)
		sum->lanes[i] += hash.lanes[i];
}

void entity_hash_subtract(struct entity_hash *sum, struct entity_hash hash)
{
	for (unsigned i = 0; i < ENTITY_HASH_LANES; i++)
		sum->lanes[i] -= hash.lanes[i];
}

void entity_hash_put(struct entity_hash hash, uint8_t into[ENTITY_HASH_BYTES])
{
	for (unsigned i = 0; i < ENTITY_HASH_BYTES; i++)
		into[i] = (uint8_t)(hash.lanes[i / 8] >> i % 8 * 8);
}
