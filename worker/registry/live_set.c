/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/live_set.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define ROOM_FIRST 1024u

struct live_set {
	uint64_t *keys; /* open addressing; 0: empty */
	size_t room;    /* a power of two, twice what is in it at least */
	size_t len, most;
};

struct live_set *live_set_new(size_t most)
{
	struct live_set *set = xnew(struct live_set);

	CHECK(most && most <= LIVE_SET_MAX);
	set->most = most;
	set->room = ROOM_FIRST;
	set->keys = xnew_array(uint64_t, set->room);
	return set;
}

void live_set_free(struct live_set *set)
{
	if (!set)
		return;
	free(set->keys);
	free(set);
}

void live_set_clear(struct live_set *set)
{
	memset(set->keys, 0, set->room * sizeof(*set->keys));
	set->len = 0;
}

static uint64_t key_of(const struct digest *digest)
{
	uint64_t key;

	memcpy(&key, digest->raw, sizeof(key));
	return key ? key : 1;
}

/* Where it is, or would be. Digests are even already; those of one part begin alike, so the end of the key counts as well. */
static size_t place_of(const struct live_set *set, uint64_t key)
{
	size_t at = (size_t)((key ^ key >> 32) & (set->room - 1));

	while (set->keys[at] && set->keys[at] != key)
		at = (at + 1) & (set->room - 1);
	return at;
}

static void grow(struct live_set *set)
{
	uint64_t *before = set->keys;
	size_t room = set->room;

	set->room *= 2;
	set->keys = xnew_array(uint64_t, set->room);
	for (size_t i = 0; i < room; i++)
		if (before[i])
			set->keys[place_of(set, before[i])] = before[i];
	free(before);
}

bool live_set_add(struct live_set *set, const struct digest *digest)
{
	uint64_t key = key_of(digest);
	size_t at = place_of(set, key);

	if (set->keys[at])
		return true;
	if (set->len == set->most)
		return false;
	if (2 * (set->len + 1) > set->room) {
		grow(set);
		at = place_of(set, key);
	}
	set->keys[at] = key;
	set->len++;
	return true;
}

bool live_set_has(const struct live_set *set, const struct digest *digest)
{
	return set->keys[place_of(set, key_of(digest))] != 0;
}

size_t live_set_len(const struct live_set *set)
{
	return set->len;
}

size_t live_set_bytes(const struct live_set *set)
{
	return set->room * sizeof(*set->keys) + sizeof(*set);
}

unsigned live_set_part(const struct digest *digest, unsigned parts)
{
	uint32_t at;

	memcpy(&at, digest->raw + 8, sizeof(at));
	return (unsigned)((uint64_t)at * parts >> 32);
}
