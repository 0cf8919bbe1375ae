/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/fold.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/http_client.h"
#include "common/log.h"
#include "common/pool.h"
#include "proto/name.h"
#include "worker/index/index.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

#define PAGE        1000
#define CACHE_BYTES (16 * 1024 * 1024)

struct folding {
	struct store *store;
	struct indexes *indexes;
	struct buf last; /* name, of this page */
	uint64_t repositories, failed;
};

static int64_t trust_nothing(void *arg, struct str name)
{
	(void)arg;
	(void)name;
	return 0;
}

static bool fold_one(void *arg, struct str name)
{
	struct folding *folding = arg;
	struct index_change change = { .op = INDEX_FOLD };
	AUTO(index) *index = NULL;
	struct error err;

	buf_clear(&folding->last);
	buf_add(&folding->last, name);
	change.name = buf_text(&folding->last);
	if (!indexes_get(folding->indexes, name, &index, &err)) {
		/* A crash may leave a name in the catalog before its index. */
		if (err.kind == ERROR_UNKNOWN)
			return true;
	} else if (indexes_change_wait(folding->indexes, &change, &err)) {
		folding->repositories++;
		return true;
	}
	folding->failed++;
	log_error("fold", "repository=%s error=%s", buf_text(&folding->last), log_quote(str_of(err.text)));
	return true;
}

static bool fold_all(struct folding *folding, struct error *err)
{
	AUTO_FINI(buf) after = buf_limit(NAME_MAX_LEN + 1);
	bool more = true;

	while (more) {
		if (!store_catalog(folding->store, buf_str(&after), PAGE, fold_one, folding, &more, err))
			return error_add(err, "catalog of %s", store_place(folding->store));
		buf_clear(&after);
		buf_add(&after, buf_str(&folding->last));
	}
	return true;
}

static bool fold_store(const struct worker_settings *settings, struct folding *folding, struct error *err)
{
	AUTO(store) *store = NULL;
	AUTO(pool) *pool = NULL;
	AUTO(indexes) *indexes = NULL;

	if (!worker_open_store(settings, &store, err) || !pool_new(&pool, 2, 16, err))
		return false;
	indexes = indexes_new(store, pool, trust_nothing, NULL, CACHE_BYTES);
	folding->store = store;
	folding->indexes = indexes;
	return fold_all(folding, err);
}

int fold_run(const struct worker_settings *settings)
{
	struct folding folding = { .last = buf_limit(NAME_MAX_LEN + 1) };
	struct error err;
	bool ok;

	http_client_init();
	ok = fold_store(settings, &folding, &err);
	http_client_fini();
	buf_fini(&folding.last);
	if (!ok)
		log_error("fold", "error=%s", log_quote(str_of(err.text)));
	(void)printf("%" PRIu64 " repositories are folded, %" PRIu64 " could not be\n", folding.repositories,
		folding.failed);
	return !ok || folding.failed;
}
