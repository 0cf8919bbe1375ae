/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   shard   [ heads: hash -> first entry ]   entries chained by `next`, in use order by newer/older
 *
 * Entries are numbers into the shard's part of one array, 0 is none. The array is made when there is a first
 * rate, and is large enough to be mapped: a part of it that no client has used costs no memory.
 */
#include "worker/auth/rate_limit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/map.h"

#define SHARDS    64u
#define ENTRIES   1024u /* in each shard */
#define HEADS     2048u
#define SECOND_NS INT64_C(1000000000)

enum bucket { BUCKET_ALL, BUCKET_METHOD, BUCKETS = BUCKET_METHOD + RATE_LIMIT_METHODS };

struct entry {
	struct ip client;
	uint16_t next, newer, older;
	int64_t full_ns[BUCKETS]; /* when the bucket is full again */
};

struct shard {
	pthread_mutex_t lock;
	uint16_t *heads; /* HEADS of them */
	uint16_t newest, oldest, used;
	struct entry *entries; /* [1] to [ENTRIES] */
} __attribute__((aligned(64)));

struct rate_limit {
	struct shard shards[SHARDS];
	struct entry *entries; /* of all shards; NULL: there never was a rate */
	uint16_t *heads;
	_Atomic uint32_t rates[BUCKETS];
	atomic_bool any;
};

struct rate_limit *rate_limit_new(void)
{
	struct rate_limit *limit = check_aligned(64, sizeof(*limit));

	memset(limit, 0, sizeof(*limit));
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&limit->shards[i].lock, NULL);
	}
	return limit;
}

void rate_limit_free(struct rate_limit *limit)
{
	if (!limit)
		return;
	for (unsigned i = 0; i < SHARDS; i++) {
		pthread_mutex_destroy(&limit->shards[i].lock);
	}
	free(limit->entries);
	free(limit->heads);
	free(limit);
}

static void make_table(struct rate_limit *limit)
{
	limit->entries = xnew_array(struct entry, (size_t)SHARDS * (ENTRIES + 1));
	limit->heads = xnew_array(uint16_t, (size_t)SHARDS * HEADS);
	for (unsigned i = 0; i < SHARDS; i++) {
		limit->shards[i].entries = limit->entries + (size_t)i * (ENTRIES + 1);
		limit->shards[i].heads = limit->heads + (size_t)i * HEADS;
	}
}

static void set_rate(struct rate_limit *limit, unsigned bucket, uint32_t rate)
{
	CHECK(rate <= RATE_LIMIT_MAX);
	atomic_store_explicit(&limit->rates[bucket], rate, memory_order_relaxed);
}

void rate_limit_set(struct rate_limit *limit, const struct rate_rules *rules)
{
	bool any = rules->all > 0;

	set_rate(limit, BUCKET_ALL, rules->all);
	for (unsigned i = 0; i < RATE_LIMIT_METHODS; i++) {
		set_rate(limit, BUCKET_METHOD + i, rules->method[i]);
		any = any || rules->method[i] > 0;
	}
	if (any && !limit->entries)
		make_table(limit);
	atomic_store_explicit(&limit->any, any, memory_order_release);
}

/* The table. */

static void unlink_use(struct shard *shard, uint16_t at)
{
	struct entry *entry = &shard->entries[at];

	if (entry->newer)
		shard->entries[entry->newer].older = entry->older;
	else
		shard->newest = entry->older;
	if (entry->older)
		shard->entries[entry->older].newer = entry->newer;
	else
		shard->oldest = entry->newer;
}

static void link_newest(struct shard *shard, uint16_t at)
{
	struct entry *entry = &shard->entries[at];

	entry->newer = 0;
	entry->older = shard->newest;
	if (shard->newest)
		shard->entries[shard->newest].newer = at;
	else
		shard->oldest = at;
	shard->newest = at;
}

static uint16_t *head_of(struct shard *shard, uint64_t hash)
{
	return &shard->heads[(hash / SHARDS) % HEADS];
}

static uint16_t forget_oldest(struct shard *shard)
{
	uint16_t at = shard->oldest;
	struct entry *entry = &shard->entries[at];
	uint16_t *link = head_of(shard, map_hash(entry->client.at, sizeof(entry->client.at)));

	while (*link != at)
		link = &shard->entries[*link].next;
	*link = entry->next;
	unlink_use(shard, at);
	return at;
}

static struct entry *find(struct shard *shard, const struct ip *client, uint64_t hash)
{
	uint16_t *head = head_of(shard, hash);
	uint16_t at = *head;

	while (at && !ip_equal(&shard->entries[at].client, client))
		at = shard->entries[at].next;
	if (at && at == shard->newest)
		return &shard->entries[at];
	if (at) {
		unlink_use(shard, at);
	} else {
		at = shard->used < ENTRIES ? ++shard->used : forget_oldest(shard);
		shard->entries[at] = (struct entry){ .client = *client, .next = *head };
		*head = at;
	}
	link_newest(shard, at);
	return &shard->entries[at];
}

/* Buckets. */

static int64_t seconds_up(int64_t ns)
{
	return ns > 0 ? (ns + SECOND_NS - 1) / SECOND_NS : 0;
}

/* How long until there is a token: 0 is now. */
static int64_t wait_ns(int64_t full_ns, uint32_t rate, int64_t now_ns)
{
	int64_t token = SECOND_NS / rate;
	int64_t wait = full_ns - token * (rate - 1) - now_ns;

	return wait > 0 ? wait : 0;
}

static void take(int64_t *full_ns, uint32_t rate, int64_t now_ns)
{
	if (rate)
		*full_ns = (*full_ns > now_ns ? *full_ns : now_ns) + SECOND_NS / rate;
}

static bool refuse(int64_t full_ns, uint32_t rate, int64_t now_ns, struct rate_refusal *ret)
{
	int64_t wait = rate ? wait_ns(full_ns, rate, now_ns) : 0;

	if (!wait)
		return false;
	*ret = (struct rate_refusal){
		.limit = rate, .retry_after_s = seconds_up(wait), .reset_s = seconds_up(full_ns - now_ns)
	};
	return true;
}

bool rate_limit_take(struct rate_limit *limit, const struct ip *client, enum http_method method,
	int64_t now_us, struct rate_refusal *ret)
{
	unsigned own = BUCKET_METHOD + (unsigned)method;
	int64_t now_ns = now_us * 1000;
	uint32_t all_rate, own_rate;
	struct shard *shard;
	struct entry *entry;
	struct ip network;
	uint64_t hash;
	bool refused;

	if (!limit || !atomic_load_explicit(&limit->any, memory_order_acquire))
		return true;
	all_rate = atomic_load_explicit(&limit->rates[BUCKET_ALL], memory_order_relaxed);
	own_rate = atomic_load_explicit(&limit->rates[own], memory_order_relaxed);
	if (!all_rate && !own_rate)
		return true;
	network = ip_client(client);
	hash = map_hash(network.at, sizeof(network.at));
	shard = &limit->shards[hash % SHARDS];
	pthread_mutex_lock(&shard->lock);
	entry = find(shard, &network, hash);
	refused = refuse(entry->full_ns[BUCKET_ALL], all_rate, now_ns, ret) ||
		  refuse(entry->full_ns[own], own_rate, now_ns, ret);
	if (!refused) {
		take(&entry->full_ns[BUCKET_ALL], all_rate, now_ns);
		take(&entry->full_ns[own], own_rate, now_ns);
	}
	pthread_mutex_unlock(&shard->lock);
	return !refused;
}
