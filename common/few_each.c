/* SPDX-License-Identifier: Apache-2.0 */
#include "common/few_each.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/crypto.h"
#include "common/few.h"

#define PLACES 4096u

struct few_each {
	struct few_each_terms terms;
	uint8_t key[16];
	pthread_mutex_t lock;
	struct few all;
	struct few places[PLACES];
	uint64_t missed;
	int64_t told_ms; /* when missed was told last; 0: never */
};

struct few_each *few_each_new(const struct few_each_terms *terms)
{
	struct few_each *few = xnew(struct few_each);

	few->terms = *terms;
	random_bytes(few->key, sizeof(few->key));
	pthread_mutex_init(&few->lock, NULL);
	return few;
}

void few_each_free(struct few_each *few)
{
	if (!few)
		return;
	pthread_mutex_destroy(&few->lock);
	free(few);
}

/* One that its place is refused takes nothing of what all have. */
bool few_each_take_name(struct few_each *few, struct str name, int64_t now_ms)
{
	const struct few_each_terms *terms = &few->terms;
	struct few *place = &few->places[siphash24(few->key, name.at, name.len) % PLACES];
	bool taken;

	pthread_mutex_lock(&few->lock);
	taken = few_take(place, terms->each, terms->span_ms, now_ms) &&
		few_take(&few->all, terms->all, terms->span_ms, now_ms);
	few->missed += !taken;
	pthread_mutex_unlock(&few->lock);
	return taken;
}

bool few_each_take(struct few_each *few, const struct ip *from, int64_t now_ms)
{
	struct ip client = ip_client(from);

	return few_each_take_name(few, str_from((const char *)client.at, sizeof(client.at)), now_ms);
}

uint64_t few_each_missed(struct few_each *few, int64_t now_ms)
{
	uint64_t missed = 0;

	pthread_mutex_lock(&few->lock);
	if (few->missed && (!few->told_ms || now_ms - few->told_ms >= few->terms.span_ms)) {
		missed = few->missed;
		few->missed = 0;
		few->told_ms = now_ms;
	}
	pthread_mutex_unlock(&few->lock);
	return missed;
}
