/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/storage/cache_queue.h"

#include <stdlib.h>

#include "common/check.h"

#define USES_MOST   3
#define SMALL_SHARE 10   /* one part in so many */
#define GHOSTS_MIN  1024 /* are remembered though main is short */

void cache_queue_init(struct cache_queue *queue, uint64_t most)
{
	*queue = (struct cache_queue){ .most = most };
	list_init(&queue->small);
	list_init(&queue->main);
	queue->ghosts = xnew_array(struct cache_ghost, CACHE_GHOSTS);
}

void cache_queue_fini(struct cache_queue *queue)
{
	free(queue->ghosts);
	queue->ghosts = NULL;
}

/* Ghosts. */

static void ghost_add(struct cache_queue *queue, uint64_t hash)
{
	queue->ghosts[hash % CACHE_GHOSTS] = (struct cache_ghost){ hash, ++queue->ghosts_at };
}

/* It is one no more. */
static bool ghost_take(struct cache_queue *queue, uint64_t hash)
{
	struct cache_ghost *ghost = &queue->ghosts[hash % CACHE_GHOSTS];
	uint64_t kept = queue->main_len > GHOSTS_MIN ? queue->main_len : GHOSTS_MIN;
	bool found = ghost->at && ghost->hash == hash && queue->ghosts_at - ghost->at < kept;

	if (found)
		*ghost = (struct cache_ghost){ 0 };
	return found;
}

/* Queues. */

static void push(struct cache_queue *queue, struct cache_item *item, bool to_main)
{
	CHECK(!list_has(&item->in_queue));
	item->is_main = to_main;
	item->uses = 0;
	list_push(to_main ? &queue->main : &queue->small, &item->in_queue);
	*(to_main ? &queue->main_bytes : &queue->small_bytes) += item->size;
	*(to_main ? &queue->main_len : &queue->small_len) += 1;
}

void cache_queue_add(struct cache_queue *queue, struct cache_item *item)
{
	push(queue, item, ghost_take(queue, item->hash));
}

void cache_queue_add_main(struct cache_queue *queue, struct cache_item *item)
{
	push(queue, item, true);
}

void cache_queue_use(struct cache_item *item)
{
	if (item->uses < USES_MOST)
		item->uses++;
}

void cache_queue_drop(struct cache_queue *queue, struct cache_item *item)
{
	if (!list_has(&item->in_queue))
		return;
	list_drop(&item->in_queue);
	*(item->is_main ? &queue->main_bytes : &queue->small_bytes) -= item->size;
	*(item->is_main ? &queue->main_len : &queue->small_len) -= 1;
}

/* NULL: it went to main, or round in it. */
static struct cache_item *take_small(struct cache_queue *queue)
{
	struct cache_item *item = LIST_OF(struct cache_item, in_queue, list_first(&queue->small));
	bool stays = item->uses > 1;

	cache_queue_drop(queue, item);
	if (!stays) {
		ghost_add(queue, item->hash);
		return item;
	}
	push(queue, item, true);
	return NULL;
}

static struct cache_item *take_main(struct cache_queue *queue)
{
	struct cache_item *item = LIST_OF(struct cache_item, in_queue, list_first(&queue->main));
	uint8_t uses = item->uses;

	cache_queue_drop(queue, item);
	if (!uses)
		return item;
	push(queue, item, true);
	item->uses = (uint8_t)(uses - 1);
	return NULL;
}

/* Each round takes a use from somebody, or moves somebody to main, or ends. */
struct cache_item *cache_queue_victim(struct cache_queue *queue)
{
	struct cache_item *victim = NULL;

	while (!victim && queue->small_len + queue->main_len > 0) {
		bool of_small = queue->small_len > 0 &&
				(queue->small_bytes > queue->most / SMALL_SHARE || queue->main_len == 0);
		victim = of_small ? take_small(queue) : take_main(queue);
	}
	return victim;
}
