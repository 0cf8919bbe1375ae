/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/gc.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/http_client.h"
#include "common/log.h"
#include "common/pool.h"
#include "common/progress.h"
#include "worker/registry/collect.h"
#include "worker/registry/registry.h"
#include "worker/settings_roots.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

#define CACHE_BYTES (16 * 1024 * 1024)
#define NOTE_MAX    (1024 * 1024)

struct gc {
	const struct worker_settings *settings;
	struct registry *registry;
	bool dry_run;
	struct progress progress;
	uint64_t seen, repositories, blobs, young, removed, bytes, failed, left, vacated;
	size_t memory;
};

static void tell(void *arg, const char *name, const struct digest *digest, uint64_t bytes)
{
	struct gc *gc = arg;
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	progress_clear(&gc->progress);
	(void)printf("%s %s %" PRIu64 "\n", name, text, bytes);
}

/* One with a note is on its way from one member to another: not all of it is here, or it is another's. */
static bool is_moving(const struct gc *gc, struct str name, bool *ret, struct error *err)
{
	AUTO_FINI(buf) note = buf_limit(NOTE_MAX);

	*ret = store_note_get(gc->registry->store, name, &note, err);
	return *ret || err->kind == ERROR_UNKNOWN;
}

static void tell_vacated(struct gc *gc, const char *name)
{
	gc->vacated++;
	progress_clear(&gc->progress);
	(void)printf("%s -\n", name);
}

static bool collect(struct gc *gc, struct str name, bool listed, struct error *err)
{
	const struct worker_settings *s = settings_of(gc->settings, name);
	const struct collect_how how = {
		.delay_ms = s->gc_delay_ms, .dry_run = gc->dry_run, .listed = listed, .told = tell, .arg = gc
	};
	struct collected told;
	bool moving, ok;

	if (!is_moving(gc, name, &moving, err))
		return false;
	if (moving || !s->gc) {
		gc->left++;
		return true;
	}
	ok = registry_collect(gc->registry, name.at, &how, &told, err);
	gc->repositories++;
	gc->blobs += told.blobs;
	gc->young += told.young;
	gc->removed += told.removed;
	gc->bytes += told.bytes;
	if (told.vacated)
		tell_vacated(gc, name.at);
	gc->memory = told.memory > gc->memory ? told.memory : gc->memory;
	return ok;
}

static void collect_one(struct gc *gc, struct str name, bool listed)
{
	struct error err;

	if (!collect(gc, name, listed, &err)) {
		gc->failed++;
		progress_clear(&gc->progress);
		log_error("gc", "repository=%s error=%s", name.at, log_quote(str_of(err.text)));
	}
	progress_tell(&gc->progress, ++gc->seen);
}

static bool collect_listed(void *arg, struct str name)
{
	collect_one(arg, name, true);
	return true;
}

static bool collect_stray(void *arg, struct str name)
{
	collect_one(arg, name, false);
	return true;
}

static bool count_one(void *arg, struct str name)
{
	struct gc *gc = arg;

	(void)name;
	gc->progress.total++;
	return true;
}

static bool walk(struct gc *gc, store_catalog_f *fn, struct error *err)
{
	struct store *store = gc->registry->store;

	return store_catalog_each(store, fn, gc, err) || error_add(err, "catalog of %s", store_place(store));
}

static bool walk_store(struct gc *gc, struct store *store, struct pool *pool, struct error *err)
{
	const struct registry_settings settings = { .store = store,
		.pool = pool,
		.self = "",
		.index_cache_bytes = CACHE_BYTES,
		.manifest_cache_bytes = CACHE_BYTES };
	bool ok;

	gc->registry = registry_new(&settings);
	progress_begin(&gc->progress, "repositories", 0);
	ok = walk(gc, count_one, err) && walk(gc, collect_listed, err) &&
	     (store_strays(store, NULL, collect_stray, gc, err) ||
		     error_add(err, "repositories that are not in the catalog"));
	progress_end(&gc->progress);
	registry_stop(gc->registry);
	return ok;
}

static bool run(struct gc *gc, struct error *err)
{
	AUTO(store) *store = NULL;
	struct pool *pool;
	bool ok;

	if (!worker_open_store(gc->settings, &store, err) || !pool_new(&pool, 2, 16, err))
		return false;
	ok = walk_store(gc, store, pool, err);
	pool_free(pool);
	registry_free(gc->registry);
	return ok;
}

int gc_run(const struct worker_settings *settings, bool dry_run)
{
	struct gc gc = { .settings = settings, .dry_run = dry_run };
	struct error err;
	bool ok;

	http_client_init();
	ok = run(&gc, &err);
	http_client_fini();
	if (!ok)
		log_error("gc", "error=%s", log_quote(str_of(err.text)));
	(void)printf("%" PRIu64 " repositories, %" PRIu64 " blobs: %" PRIu64 " %s, %" PRIu64
		     " bytes; %" PRIu64 " that nothing needs are younger than storage.gcDelay; %" PRIu64
		     " repositories left alone, %" PRIu64 " could not be looked through; %" PRIu64
		     " are empty and %s the catalog\n",
		gc.repositories, gc.blobs, gc.removed, dry_run ? "would go" : "are removed", gc.bytes,
		gc.young, gc.left, gc.failed, gc.vacated, dry_run ? "would leave" : "left");
	return !ok || gc.failed;
}
