/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/auth/peer_keys.h"

#include "proto/entity.h"

#define MARK_BYTES 6
#define PURPOSE    "calls between workers v2, secret of the leaders"

struct peer_keys peer_keys_of(const struct ring_body *ring)
{
	struct peer_keys keys = { .has = *ring->peer_secret,
		.has_before = *ring->peer_secret && *ring->peer_secret_before,
		.since_s = ring->peer_secret_since };

	if (keys.has)
		peer_key_derive(str_of(ring->peer_secret), PURPOSE, keys.key);
	if (keys.has_before)
		peer_key_derive(str_of(ring->peer_secret_before), PURPOSE, keys.before);
	return keys;
}

/* The change was so long ago, or is so far ahead, at most. */
static bool is_within(const struct peer_keys *keys, int64_t wall_s, int64_t seconds)
{
	int64_t ago = wall_s - keys->since_s;

	return keys->has_before && ago < seconds && ago > -seconds;
}

struct str peer_keys_sign(const struct peer_keys *keys, struct str otherwise, int64_t wall_s)
{
	if (!keys->has)
		return otherwise;
	return str_from(is_within(keys, wall_s, PEER_SETTLE_S) ? keys->before : keys->key, sizeof(keys->key));
}

unsigned peer_keys_believed(const struct peer_keys *keys, int64_t wall_s, struct str ret_keys[PEER_KEYS_MAX])
{
	unsigned len = 0;

	if (keys->has)
		ret_keys[len++] = str_from(keys->key, sizeof(keys->key));
	if (is_within(keys, wall_s, PEER_BEFORE_S))
		ret_keys[len++] = str_from(keys->before, sizeof(keys->before));
	return len;
}

uint64_t peer_key_mark(struct str secret)
{
	uint8_t derived[PEER_KEY_BYTES];
	uint64_t mark = 0;

	peer_key_derive(secret, "mark of the cluster secret", derived);
	for (size_t i = 0; i < MARK_BYTES; i++)
		mark = mark << 8 | derived[i];
	return mark | 2;
}
