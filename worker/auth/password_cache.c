/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/auth/password_cache.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/map.h"

#define KEPT_MS     60000
#define ENTRIES_MAX 10000

struct password_cache {
	pthread_mutex_t lock;
	uint8_t key[32];
	struct map *until; /* HMAC -> int64_t *monotonic ms */
};

struct password_cache *password_cache_new(void)
{
	struct password_cache *cache = xnew(struct password_cache);

	pthread_mutex_init(&cache->lock, NULL);
	random_bytes(cache->key, sizeof(cache->key));
	cache->until = map_new();
	return cache;
}

static void forget_all(struct password_cache *cache)
{
	void *value;

	for (size_t at = 0; map_next(cache->until, &at, NULL, &value);)
		free(value);
	map_free(cache->until);
	cache->until = NULL;
}

void password_cache_free(struct password_cache *cache)
{
	if (!cache)
		return;
	forget_all(cache);
	pthread_mutex_destroy(&cache->lock);
	free(cache);
}

/* Lengths go in front, so that no two triples make the same message. */
static void fingerprint(const struct password_cache *cache, struct str user, struct str password,
	struct str hash, uint8_t into[32])
{
	AUTO_FINI(buf) message = buf_limit(4096);

	buf_format(&message, "%zu %zu %zu\n", user.len, password.len, hash.len);
	buf_add(&message, user);
	buf_add(&message, password);
	buf_add(&message, hash);
	hmac_sha256(str_from(cache->key, sizeof(cache->key)), buf_str(&message), into);
}

bool password_cache_has(struct password_cache *cache, struct str user, struct str password, struct str hash)
{
	const int64_t *until;
	uint8_t mac[32];
	bool has;

	fingerprint(cache, user, password, hash, mac);
	pthread_mutex_lock(&cache->lock);
	until = map_find(cache->until, str_from(mac, sizeof(mac)));
	has = until && *until > clock_ms();
	pthread_mutex_unlock(&cache->lock);
	return has;
}

void password_cache_put(struct password_cache *cache, struct str user, struct str password, struct str hash)
{
	int64_t *until = xnew(int64_t);
	uint8_t mac[32];

	*until = clock_ms() + KEPT_MS;
	fingerprint(cache, user, password, hash, mac);
	pthread_mutex_lock(&cache->lock);
	if (map_len(cache->until) >= ENTRIES_MAX) {
		forget_all(cache);
		cache->until = map_new();
	}
	free(map_put(cache->until, str_from(mac, sizeof(mac)), until));
	pthread_mutex_unlock(&cache->lock);
}
