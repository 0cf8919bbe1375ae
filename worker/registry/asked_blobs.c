/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/asked_blobs.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/lock.h"
#include "common/map.h"
#include "proto/name.h"

#define BITS  ((uint64_t)ASKED_BYTES * 8)
#define LOOKS 4

struct asked_blobs {
	struct lock lock;
	uint8_t *now, *before;
	int64_t keep_ms, since_ms; /* when `now` began to be filled; 0: it is empty */
};

struct asked_blobs *asked_blobs_new(int64_t keep_ms)
{
	struct asked_blobs *asked = xnew(struct asked_blobs);

	lock_init(&asked->lock);
	asked->keep_ms = keep_ms > 0 ? keep_ms : 1;
	asked->now = xnew_array(uint8_t, ASKED_BYTES);
	asked->before = xnew_array(uint8_t, ASKED_BYTES);
	return asked;
}

void asked_blobs_free(struct asked_blobs *asked)
{
	if (!asked)
		return;
	lock_fini(&asked->lock);
	free(asked->now);
	free(asked->before);
	free(asked);
}

static uint64_t hash_of(struct str name, const struct digest *digest)
{
	char bytes[NAME_MAX_LEN + 1 + 32];
	size_t len = name.len < NAME_MAX_LEN ? name.len : NAME_MAX_LEN;

	memcpy(bytes, name.at, len);
	bytes[len++] = (char)digest->alg;
	memcpy(bytes + len, digest->raw, 32);
	return map_hash(bytes, len + 32);
}

static void turn_locked(struct asked_blobs *asked, int64_t now_ms)
{
	uint8_t *oldest = asked->before;
	int64_t age_ms = now_ms - asked->since_ms;

	lock_assert(&asked->lock);
	if (age_ms < asked->keep_ms)
		return;
	if (age_ms >= 2 * asked->keep_ms)
		memset(asked->now, 0, ASKED_BYTES);
	asked->before = asked->now;
	asked->now = oldest;
	memset(asked->now, 0, ASKED_BYTES);
	asked->since_ms = now_ms;
}

/* The bits of a hash: two halves, added up. */
static uint64_t bit_at(uint64_t hash, unsigned i)
{
	return ((hash & UINT32_MAX) + i * (hash >> 32 | 1)) % BITS;
}

static bool has(const uint8_t *filter, uint64_t hash)
{
	for (unsigned i = 0; i < LOOKS; i++) {
		uint64_t bit = bit_at(hash, i);

		if (!(filter[bit / 8] >> bit % 8 & 1))
			return false;
	}
	return true;
}

void asked_blobs_add(struct asked_blobs *asked, struct str name, const struct digest *digest, int64_t now_ms)
{
	uint64_t hash = hash_of(name, digest);

	lock_take(&asked->lock);
	turn_locked(asked, now_ms);
	for (unsigned i = 0; i < LOOKS; i++) {
		uint64_t bit = bit_at(hash, i);

		asked->now[bit / 8] = (uint8_t)(asked->now[bit / 8] | 1u << bit % 8);
	}
	lock_drop(&asked->lock);
}

bool asked_blobs_has(struct asked_blobs *asked, struct str name, const struct digest *digest, int64_t now_ms)
{
	uint64_t hash = hash_of(name, digest);
	bool found;

	lock_take(&asked->lock);
	turn_locked(asked, now_ms);
	found = has(asked->now, hash) || has(asked->before, hash);
	lock_drop(&asked->lock);
	return found;
}
