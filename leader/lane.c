/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/lane.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/lock.h"
#include "common/map.h"
#include "common/pool.h"

/* It is in the circle while any of its places waits. */
struct lane_key {
	struct list in_circle, waiting;
	unsigned taken;
	char *name;
};

struct lane {
	struct pool *pool;
	struct lock lock;
	struct map *keys;
	struct list circle;
	unsigned taken;
	bool running;
};

struct lane *lane_new(struct pool *pool)
{
	struct lane *lane = xnew(struct lane);

	lane->pool = pool;
	lock_init(&lane->lock);
	lane->keys = map_new();
	list_init(&lane->circle);
	return lane;
}

void lane_free(struct lane *lane)
{
	if (!lane)
		return;
	CHECK(!lane->taken);
	map_free(lane->keys);
	lock_fini(&lane->lock);
	free(lane);
}

/* Places. */

static struct lane_key *key_of(struct lane *lane, struct str name)
{
	struct lane_key *key = map_find(lane->keys, name);

	if (key)
		return key;
	key = xnew(struct lane_key);
	list_init(&key->waiting);
	key->name = check_strndup(name.at, name.len);
	(void)map_put(lane->keys, name, key);
	return key;
}

static bool has_room(const struct lane *lane, struct str name, unsigned each)
{
	const struct lane_key *key = map_find(lane->keys, name);

	return lane->taken < LANE_MOST && (!key || key->taken < each);
}

bool lane_take(struct lane *lane, struct str key, unsigned each, struct lane_place *place)
{
	bool has;

	lock_take(&lane->lock);
	has = has_room(lane, key, each);
	if (has) {
		*place = (struct lane_place){ .lane = lane, .key = key_of(lane, key) };
		place->key->taken++;
		lane->taken++;
	}
	lock_drop(&lane->lock);
	return has;
}

static void drop_key(struct lane *lane, struct lane_key *key)
{
	(void)map_delete(lane->keys, str_of(key->name));
	free(key->name);
	free(key);
}

void lane_leave(struct lane_place *place)
{
	struct lane *lane = place->lane;

	if (!lane)
		return;
	lock_take(&lane->lock);
	CHECK(!list_has(&place->waiting));
	lane->taken--;
	if (!--place->key->taken)
		drop_key(lane, place->key);
	lock_drop(&lane->lock);
	*place = (struct lane_place){ 0 };
}

/* Turns. */

static struct lane_place *next_locked(struct lane *lane)
{
	struct lane_key *key = LIST_OF(struct lane_key, in_circle, list_first(&lane->circle));
	struct lane_place *place;

	lock_assert(&lane->lock);
	if (!key)
		return NULL;
	place = LIST_OF(struct lane_place, waiting, list_first(&key->waiting));
	list_drop(&place->waiting);
	list_drop(&key->in_circle);
	if (list_first(&key->waiting))
		list_push(&lane->circle, &key->in_circle);
	return place;
}

static void run_next(void *arg)
{
	struct lane *lane = arg;
	struct lane_place *place;
	bool more;

	lock_take(&lane->lock);
	place = next_locked(lane);
	lock_drop(&lane->lock);
	place->run(place->arg);
	lock_take(&lane->lock);
	more = lane->running = list_first(&lane->circle);
	lock_drop(&lane->lock);
	if (more)
		pool_push(lane->pool, run_next, lane);
}

void lane_do(struct lane_place *place, lane_run_f *run, void *arg)
{
	struct lane *lane = place->lane;
	bool start;

	lock_take(&lane->lock);
	place->run = run;
	place->arg = arg;
	list_push(&place->key->waiting, &place->waiting);
	if (!list_has(&place->key->in_circle))
		list_push(&lane->circle, &place->key->in_circle);
	start = !lane->running;
	lane->running = true;
	lock_drop(&lane->lock);
	if (start)
		pool_push(lane->pool, run_next, lane);
}
