/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/fold.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/http_client.h"
#include "common/log.h"
#include "common/pool.h"
#include "common/progress.h"
#include "worker/index/index.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

#define CACHE_BYTES (16 * 1024 * 1024)

struct folding {
	struct store *store;
	struct indexes *indexes;
	struct progress progress;
	uint64_t seen, repositories, failed;
};

static void fold(struct folding *folding, struct str name)
{
	struct index_change change = { .op = INDEX_FOLD };
	AUTO(index) *index = NULL;
	struct error err;

	change.name = name.at;
	if (!indexes_get(folding->indexes, name, &index, &err)) {
		/* A crash may leave a name in the catalog before its index. */
		if (err.kind == ERROR_UNKNOWN)
			return;
	} else if (indexes_change_wait(folding->indexes, &change, &err)) {
		folding->repositories++;
		return;
	}
	folding->failed++;
	progress_clear(&folding->progress);
	log_error("fold", "repository=%s error=%s", name.at, log_quote(str_of(err.text)));
}

static bool fold_one(void *arg, struct str name)
{
	struct folding *folding = arg;

	fold(folding, name);
	progress_tell(&folding->progress, ++folding->seen);
	return true;
}

static bool count_one(void *arg, struct str name)
{
	struct folding *folding = arg;

	(void)name;
	folding->progress.total++;
	return true;
}

static bool walk(struct folding *folding, store_catalog_f *fn, struct error *err)
{
	return store_catalog_each(folding->store, fn, folding, err) ||
	       error_add(err, "catalog of %s", store_place(folding->store));
}

static bool fold_all(struct folding *folding, struct error *err)
{
	bool ok;

	progress_begin(&folding->progress, "repositories", 0);
	ok = walk(folding, count_one, err) && walk(folding, fold_one, err);
	progress_end(&folding->progress);
	return ok;
}

static bool fold_store(const struct worker_settings *settings, struct folding *folding, struct error *err)
{
	AUTO(store) *store = NULL;
	AUTO(pool) *pool = NULL;
	AUTO(indexes) *indexes = NULL;

	if (!worker_open_store(settings, &store, err) || !pool_new(&pool, 2, 16, err))
		return false;
	indexes = indexes_new(store, pool, NULL, NULL, CACHE_BYTES);
	folding->store = store;
	folding->indexes = indexes;
	return fold_all(folding, err);
}

int fold_run(const struct worker_settings *settings)
{
	struct folding folding = { 0 };
	struct error err;
	bool ok;

	http_client_init();
	ok = fold_store(settings, &folding, &err);
	http_client_fini();
	if (!ok)
		log_error("fold", "error=%s", log_quote(str_of(err.text)));
	(void)printf("%" PRIu64 " repositories are folded, %" PRIu64 " could not be\n", folding.repositories,
		folding.failed);
	return !ok || folding.failed;
}
