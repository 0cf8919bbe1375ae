/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map - open addressing with linear probing; the table's size is a power of two.
 *
 * A deleted entry leaves a gap that lookups step over and that rebuilding removes. Only map_put()
 * rebuilds (to the size that the living entries need, so it also shrinks), which is why deleting
 * while walking is safe. An emptied map gives its table back at once.
 *
 * The hash is SipHash-1-3 under a random key of this process: nobody can choose keys that collide.
 */
#include "common/map.h"

#include <errno.h>
#include <pthread.h>
#include <sys/random.h>

#include "common/check.h"

#define SLOTS_MIN 16

struct entry {
	void *value;
	size_t len;
	char key[];
};

struct slot {
	uint64_t hash;
	struct entry *entry; /* NULL: never used; &gap: deleted */
};

struct map {
	struct slot *slots;
	size_t room; /* slots; 0 before the first put */
	size_t len;  /* entries */
	size_t used; /* entries and gaps */
};

static struct entry gap;

/* ---- hash ---- */

static uint64_t seed[2];
static pthread_once_t seed_once = PTHREAD_ONCE_INIT;

static void seed_fill(void)
{
	ssize_t n;

	do
		n = getrandom(seed, sizeof(seed), 0);
	while (n < 0 && errno == EINTR);
	CHECK(n == (ssize_t)sizeof(seed));
}

static uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

uint64_t map_hash(const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	uint64_t v[4], word;
	size_t left = len;

	(void)pthread_once(&seed_once, seed_fill);
	v[0] = seed[0] ^ 0x736f6d6570736575u;
	v[1] = seed[1] ^ 0x646f72616e646f6du;
	v[2] = seed[0] ^ 0x6c7967656e657261u;
	v[3] = seed[1] ^ 0x7465646279746573u;
	for (; left >= sizeof(word); left -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		sip_word(v, word);
	}
	word = (uint64_t)len << 56;
	for (size_t i = 0; i < left; i++)
		word |= (uint64_t)at[i] << 8 * i;
	sip_word(v, word);
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- table ---- */

struct map *map_new(void)
{
	return xnew(struct map);
}

static bool is_live(const struct slot *slot)
{
	return slot->entry && slot->entry != &gap;
}

void map_free(struct map *map)
{
	if (!map)
		return;
	for (size_t i = 0; i < map->room; i++) {
		if (is_live(&map->slots[i]))
			free(map->slots[i].entry);
	}
	free(map->slots);
	free(map);
}

/* The slot that holds the key, or NULL. There is always a slot that was never used. */
static struct slot *slot_find(const struct map *map, struct str key, uint64_t hash)
{
	if (map->room == 0)
		return NULL;
	for (size_t i = hash & (map->room - 1);; i = (i + 1) & (map->room - 1)) {
		struct slot *slot = &map->slots[i];

		if (!slot->entry)
			return NULL;
		if (slot->entry != &gap && slot->hash == hash &&
			str_equal(str_from(slot->entry->key, slot->entry->len), key))
			return slot;
	}
}

/* The first slot without an entry on the key's way. */
static struct slot *slot_vacant(struct slot *slots, size_t room, uint64_t hash)
{
	size_t i = hash & (room - 1);

	while (is_live(&slots[i]))
		i = (i + 1) & (room - 1);
	return &slots[i];
}

static void rebuild(struct map *map)
{
	size_t room = SLOTS_MIN;
	struct slot *slots;

	while (room / 2 < map->len + 1)
		room *= 2;
	slots = xnew_array(struct slot, room);
	for (size_t i = 0; i < map->room; i++) {
		if (is_live(&map->slots[i]))
			*slot_vacant(slots, room, map->slots[i].hash) = map->slots[i];
	}
	free(map->slots);
	map->slots = slots;
	map->room = room;
	map->used = map->len;
}

void *map_find(const struct map *map, struct str key)
{
	struct slot *slot = slot_find(map, key, map_hash(key.at, key.len));

	return slot ? slot->entry->value : NULL;
}

static struct entry *entry_new(struct str key, void *value)
{
	struct entry *entry;

	CHECK(key.len < SIZE_MAX / 2);
	entry = check_alloc(1, sizeof(*entry) + key.len);
	entry->value = value;
	entry->len = key.len;
	if (key.len)
		memcpy(entry->key, key.at, key.len);
	return entry;
}

void *map_put(struct map *map, struct str key, void *value)
{
	uint64_t hash = map_hash(key.at, key.len);
	struct slot *slot = slot_find(map, key, hash);

	CHECK(value);
	if (slot) {
		void *before = slot->entry->value;

		slot->entry->value = value;
		return before;
	}
	if (map->used + 1 > map->room / 4 * 3)
		rebuild(map);
	slot = slot_vacant(map->slots, map->room, hash);
	map->used += slot->entry == NULL;
	map->len++;
	*slot = (struct slot){ hash, entry_new(key, value) };
	return NULL;
}

void *map_delete(struct map *map, struct str key)
{
	struct slot *slot = slot_find(map, key, map_hash(key.at, key.len));
	void *value;

	if (!slot)
		return NULL;
	value = slot->entry->value;
	free(slot->entry);
	slot->entry = &gap;
	if (--map->len == 0) {
		free(map->slots);
		*map = (struct map){ 0 };
	}
	return value;
}

size_t map_len(const struct map *map)
{
	return map->len;
}

bool map_next(const struct map *map, size_t *at, struct str *ret_key, void **ret_value)
{
	for (; *at < map->room; (*at)++) {
		const struct slot *slot = &map->slots[*at];

		if (!is_live(slot))
			continue;
		(*at)++;
		if (ret_key)
			*ret_key = str_from(slot->entry->key, slot->entry->len);
		*ret_value = slot->entry->value;
		return true;
	}
	return false;
}
