/* SPDX-License-Identifier: Apache-2.0 */
/*
 * indexes_clean - records of logs that index.json holds go, once nobody can be on the way to them any more.
 *
 * What is not removed (this process ended first, the store did not answer) goes with the next fold's: each
 * removes all records up to its place.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/pool.h"
#include "proto/name.h"
#include "worker/index/indexes_priv.h"

#define CLEAN_MAX 100000

struct clean {
	struct clean *next;
	int64_t due_us;
	struct store_log_place upto;
	char name[NAME_MAX_LEN + 1];
};

void indexes_clean_later(struct indexes *indexes, const char *name, const struct store_log_place *upto)
{
	struct clean *clean = xnew(struct clean);
	bool full;

	(void)snprintf(clean->name, sizeof(clean->name), "%s", name);
	clean->upto = *upto;
	indexes_lock(indexes);
	clean->due_us = clock_us() + indexes->clean_after_us;
	full = indexes->clean_len >= CLEAN_MAX;
	if (!full) {
		*indexes->clean_last = clean;
		indexes->clean_last = &clean->next;
		indexes->clean_len++;
	}
	indexes_unlock(indexes);
	if (full)
		free(clean);
}

static struct clean *take_due_locked(struct indexes *indexes, int64_t now_us)
{
	struct clean *clean = indexes->clean_first;

	lock_assert(&indexes->lock);
	if (!clean || clean->due_us > now_us)
		return NULL;
	indexes->clean_first = clean->next;
	if (!clean->next)
		indexes->clean_last = &indexes->clean_first;
	indexes->clean_len--;
	return clean;
}

static void clean_one(struct indexes *indexes, const struct clean *clean)
{
	struct error err;

	if (!store_log_remove(indexes->store, str_of(clean->name), &clean->upto, &err))
		log_warn("index.clean", "repository=%s error=%s its next fold tries again", clean->name,
			log_quote(str_of(err.text)));
}

static void run_clean(void *arg)
{
	struct indexes *indexes = arg;
	int64_t now_us = clock_us();
	struct clean *clean;

	indexes_lock(indexes);
	while (!indexes->stopping && (clean = take_due_locked(indexes, now_us))) {
		indexes_unlock(indexes);
		clean_one(indexes, clean);
		free(clean);
		indexes_lock(indexes);
	}
	indexes->cleaning = false;
	if (--indexes->committers == 0)
		CHECK(pthread_cond_broadcast(&indexes->idle) == 0);
	indexes_unlock(indexes);
}

void indexes_clean_due(struct indexes *indexes)
{
	int64_t now_us = clock_us();
	bool start;

	indexes_lock(indexes);
	start = !indexes->cleaning && !indexes->stopping && indexes->clean_first &&
		indexes->clean_first->due_us <= now_us;
	if (start) {
		indexes->cleaning = true;
		indexes->committers++;
	}
	indexes_unlock(indexes);
	if (start)
		pool_push(indexes->pool, run_clean, indexes);
}

void indexes_clean_fini(struct indexes *indexes)
{
	while (indexes->clean_first) {
		struct clean *clean = indexes->clean_first;

		indexes->clean_first = clean->next;
		free(clean);
	}
}
