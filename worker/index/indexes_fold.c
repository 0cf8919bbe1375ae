/* SPDX-License-Identifier: Apache-2.0 */
/*
 * indexes_fold - which logs rest, so that they are folded without anybody asking.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/name.h"
#include "worker/index/indexes_priv.h"

struct fold {
	struct index_change change; /* first */
	char name[NAME_MAX_LEN + 1];
};

static void on_folded(struct index_change *change)
{
	struct fold *fold = (struct fold *)change;

	if (!change->ok)
		log_warn("index.fold", "repository=%s error=%s trying again later", fold->name,
			log_quote(str_of(change->err.text)));
	free(fold);
}

/* Nobody misses pulls in index.json, but who loads the log reads all of it. */
static bool is_worth_it(const struct repository *repository)
{
	const struct index *view = repository->view;

	return view->log_tells || view->log.bytes > INDEX_PULLS_FOLD_BYTES ||
	       (store_log_goes_on(repository->indexes->store, str_of(repository->name)) &&
		       view->log.at - view->json_at >= INDEX_PULLS_FOLD_RECORDS);
}

static bool needs_fold(const struct repository *repository, int64_t idle_ms, int64_t now_us)
{
	return repository->view && repository->view->log.bytes && !repository->committing &&
	       repository->wrote_us && now_us - repository->wrote_us >= idle_ms * 1000 &&
	       (!idle_ms || is_worth_it(repository));
}

/* Which, first; the changes are made without the lock. */
static struct fold *next_fold(struct indexes *indexes, size_t *at, int64_t idle_ms)
{
	int64_t now_us = clock_us();
	struct fold *fold = NULL;
	void *item;

	indexes_lock(indexes);
	while (!fold && map_next(indexes->repositories, at, NULL, &item)) {
		struct repository *repository = item;

		if (!needs_fold(repository, idle_ms, now_us))
			continue;
		repository->wrote_us = now_us;
		fold = xnew(struct fold);
		(void)snprintf(fold->name, sizeof(fold->name), "%s", repository->name);
	}
	indexes_unlock(indexes);
	return fold;
}

uint64_t indexes_fold(struct indexes *indexes, int64_t idle_ms)
{
	struct fold *fold;
	uint64_t folds = 0;

	indexes_clean_due(indexes);

	for (size_t at = 0; (fold = next_fold(indexes, &at, idle_ms));) {
		fold->change = (struct index_change){
			.op = INDEX_FOLD, .name = fold->name, .done = on_folded, .arg = fold
		};
		indexes_change(indexes, &fold->change);
		folds++;
	}
	return folds;
}

bool indexes_fold_one(struct indexes *indexes, struct str name, struct error *err)
{
	AUTO_STR *text = str_dup(name);
	struct index_change fold = { .op = INDEX_FOLD, .name = text };
	const struct repository *repository;
	bool has_log;

	indexes_lock(indexes);
	repository = map_find(indexes->repositories, name);
	has_log = repository && repository->view && repository->view->log.bytes;
	indexes_unlock(indexes);
	return !has_log || indexes_change_wait(indexes, &fold, err);
}
