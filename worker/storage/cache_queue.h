/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cache_queue - which entry of a cache goes when there is no room: S3-FIFO, counted in bytes.
 *
 *   new ----> [ small, a tenth of the bytes ] --used twice meanwhile--> [ main ] --used meanwhile--> [ main, at its end again ]
 *                          |                                               |
 *                          `--> gone, remembered as a ghost                `--> gone
 *   new, and a ghost --------------------------------------------------> [ main ]
 *
 * So what is read once, however much of it, passes through the tenth and pushes nothing of main out. Using an entry is one store: no
 * list is moved. Ghosts are hashes in a table of a fixed size: one that is forgotten too early costs an entry its shorter way, nothing else.
 *
 * Memory  a constant, and what the owner has for each item. Thread  owner's.
 * Source  Yang, Zhang, Qiu, Yue, Rashmi: FIFO queues are all you need for cache eviction (SOSP 2023).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/list.h"

#define CACHE_GHOSTS 65536u

/* Embedded in an entry. */
struct cache_item {
	struct list in_queue;
	uint64_t size, hash; /* set by the owner; hash: of what it is known by */
	uint8_t uses;        /* 0 to 3 since it came to its place */
	bool is_main;
};
struct cache_ghost {
	uint64_t hash, at;
};
struct cache_queue {
	struct list small, main; /* the oldest first */
	uint64_t most;           /* bytes */
	uint64_t small_bytes, main_bytes;
	uint64_t small_len, main_len;
	uint64_t ghosts_at; /* how many there were so far */
	struct cache_ghost *ghosts;
};
void cache_queue_init(struct cache_queue *queue, uint64_t most);
void cache_queue_fini(struct cache_queue *queue);
void cache_queue_add(struct cache_queue *queue, struct cache_item *item);
/* One that survived a restart is no newcomer. */
void cache_queue_add_main(struct cache_queue *queue, struct cache_item *item);
void cache_queue_use(struct cache_item *item);
void cache_queue_drop(struct cache_queue *queue, struct cache_item *item);
/* Who is to go, out of its queue already; NULL: nobody is there. */
struct cache_item *cache_queue_victim(struct cache_queue *queue);
