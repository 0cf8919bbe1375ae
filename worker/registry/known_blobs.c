/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/known_blobs.h"

#include <pthread.h>

#include "common/check.h"
#include "common/map.h"

#define PLACES 65536u

struct place {
	uint64_t key; /* of name and digest; 0 = empty */
	uint64_t removals, size;
	int64_t seen_ms;
};

struct known_blobs {
	pthread_mutex_t lock;
	struct place *places;
};

struct known_blobs *known_blobs_new(void)
{
	struct known_blobs *known = xnew(struct known_blobs);

	CHECK(!pthread_mutex_init(&known->lock, NULL));
	known->places = xnew_array(struct place, PLACES);
	return known;
}

void known_blobs_free(struct known_blobs *known)
{
	if (!known)
		return;
	(void)pthread_mutex_destroy(&known->lock);
	free(known->places);
	free(known);
}

static uint64_t key_of(struct str name, const struct digest *digest)
{
	char bytes[256 + 1 + HASH_MAX];
	size_t len = name.len < 256 ? name.len : 256;

	memcpy(bytes, name.at, len);
	bytes[len++] = (char)digest->alg;
	memcpy(bytes + len, digest->raw, hash_size(digest->alg));
	uint64_t key = map_hash(bytes, len + hash_size(digest->alg));
	return key ? key : 1;
}

void known_blobs_add(struct known_blobs *known, struct str name, const struct digest *digest, uint64_t size,
	uint64_t removals, int64_t now_ms)
{
	uint64_t key = key_of(name, digest);

	(void)pthread_mutex_lock(&known->lock);
	known->places[key % PLACES] = (struct place){ key, removals, size, now_ms };
	(void)pthread_mutex_unlock(&known->lock);
}

bool known_blobs_since(struct known_blobs *known, struct str name, const struct digest *digest,
	uint64_t removals, int64_t since_ms, uint64_t *ret_size)
{
	uint64_t key = key_of(name, digest);
	struct place place;

	(void)pthread_mutex_lock(&known->lock);
	place = known->places[key % PLACES];
	(void)pthread_mutex_unlock(&known->lock);
	if (place.key != key || place.removals != removals || place.seen_ms < since_ms)
		return false;
	*ret_size = place.size;
	return true;
}

bool known_blobs_has(struct known_blobs *known, struct str name, const struct digest *digest,
	uint64_t removals, int64_t now_ms, uint64_t *ret_size)
{
	return known_blobs_since(known, name, digest, removals, now_ms - KNOWN_BLOBS_MS + 1, ret_size);
}
