/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/blob_places.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/map.h"

#define BUCKETS 4096u

struct place {
	uint64_t key; /* of the digest */
	char *name;   /* NULL: none */
};

struct bucket {
	struct place at[BLOB_PLACES_OF_ONE];
	unsigned next; /* the one that is replaced when all are taken */
};

struct blob_places {
	pthread_mutex_t lock;
	struct bucket buckets[BUCKETS];
};

struct blob_places *blob_places_new(void)
{
	struct blob_places *places = xnew(struct blob_places);

	CHECK(!pthread_mutex_init(&places->lock, NULL));
	return places;
}

void blob_places_free(struct blob_places *places)
{
	if (!places)
		return;
	for (unsigned b = 0; b < BUCKETS; b++)
		for (unsigned i = 0; i < BLOB_PLACES_OF_ONE; i++)
			free(places->buckets[b].at[i].name);
	(void)pthread_mutex_destroy(&places->lock);
	free(places);
}

static uint64_t key_of(const struct digest *digest)
{
	return map_hash((const char *)digest->raw, hash_size(digest->alg)) ^ (uint64_t)digest->alg;
}

static bool is_it(const struct place *place, uint64_t key, struct str name)
{
	return place->name && place->key == key && str_is(name, place->name);
}

void blob_places_add(struct blob_places *places, const struct digest *digest, struct str name)
{
	uint64_t key = key_of(digest);
	struct bucket *bucket = &places->buckets[key % BUCKETS];
	struct place *into = NULL;

	(void)pthread_mutex_lock(&places->lock);
	for (unsigned i = 0; i < BLOB_PLACES_OF_ONE; i++) {
		if (is_it(&bucket->at[i], key, name)) {
			(void)pthread_mutex_unlock(&places->lock);
			return;
		}
		if (!into && !bucket->at[i].name)
			into = &bucket->at[i];
	}
	if (!into)
		into = &bucket->at[bucket->next++ % BLOB_PLACES_OF_ONE];
	free(into->name);
	*into = (struct place){ key, check_strndup(name.at, name.len) };
	(void)pthread_mutex_unlock(&places->lock);
}

bool blob_places_at(struct blob_places *places, const struct digest *digest, unsigned at, struct name *ret)
{
	uint64_t key = key_of(digest);
	const struct place *place = &places->buckets[key % BUCKETS].at[at];
	bool found;

	CHECK(at < BLOB_PLACES_OF_ONE);
	(void)pthread_mutex_lock(&places->lock);
	found = place->name && place->key == key && name_parse(str_of(place->name), ret, NULL);
	(void)pthread_mutex_unlock(&places->lock);
	return found;
}

void blob_places_forget(struct blob_places *places, const struct digest *digest, struct str name)
{
	uint64_t key = key_of(digest);
	struct bucket *bucket = &places->buckets[key % BUCKETS];

	(void)pthread_mutex_lock(&places->lock);
	for (unsigned i = 0; i < BLOB_PLACES_OF_ONE; i++) {
		if (!is_it(&bucket->at[i], key, name))
			continue;
		free(bucket->at[i].name);
		bucket->at[i] = (struct place){ 0 };
	}
	(void)pthread_mutex_unlock(&places->lock);
}
