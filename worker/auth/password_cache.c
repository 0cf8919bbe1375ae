/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/auth/password_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/map.h"

#define KEPT_MS     60000
#define ENTRIES_MAX 10000

struct fingerprint {
	uint64_t half[2];
};

struct password_cache {
	pthread_mutex_t lock;
	uint8_t keys[2][16];
	struct map *until; /* fingerprint -> int64_t *monotonic ms */
};

struct password_cache *password_cache_new(void)
{
	struct password_cache *cache = xnew(struct password_cache);

	pthread_mutex_init(&cache->lock, NULL);
	random_bytes(cache->keys, sizeof(cache->keys));
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
static struct fingerprint fingerprint(
	const struct password_cache *cache, struct str user, struct str password, struct str hash)
{
	const size_t lens[3] = { user.len, password.len, hash.len };
	AUTO_FINI(buf) message = buf_limit(64 * 1024);
	struct fingerprint print = { 0 };

	buf_add(&message, str_from((const char *)lens, sizeof(lens)));
	buf_add(&message, user);
	buf_add(&message, password);
	buf_add(&message, hash);
	CHECK(!message.failed);
	for (unsigned i = 0; i < 2; i++)
		print.half[i] = siphash24(cache->keys[i], message.at, message.len);
	explicit_bzero(message.at, message.len);
	return print;
}

bool password_cache_has(struct password_cache *cache, struct str user, struct str password, struct str hash)
{
	const int64_t *until;
	struct fingerprint print = fingerprint(cache, user, password, hash);
	bool has;

	pthread_mutex_lock(&cache->lock);
	until = map_find(cache->until, str_from((const char *)&print, sizeof(print)));
	has = until && *until > clock_ms();
	pthread_mutex_unlock(&cache->lock);
	return has;
}

void password_cache_put(struct password_cache *cache, struct str user, struct str password, struct str hash)
{
	int64_t *until = xnew(int64_t);
	struct fingerprint print = fingerprint(cache, user, password, hash);

	*until = clock_ms() + KEPT_MS;
	pthread_mutex_lock(&cache->lock);
	if (map_len(cache->until) >= ENTRIES_MAX) {
		forget_all(cache);
		cache->until = map_new();
	}
	free(map_put(cache->until, str_from((const char *)&print, sizeof(print)), until));
	pthread_mutex_unlock(&cache->lock);
}
