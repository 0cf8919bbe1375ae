/* SPDX-License-Identifier: Apache-2.0 */
/*
 * indexes - which views are in memory, for how long they may be believed, and which go first.
 */
#include "worker/storage/index.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "worker/storage/indexes_priv.h"

/* A reader that is passed so often by folds gives up. */
#define LOADS_MAX 20
#define LOG_LEAST (1024u * 1024)
#define REPAIR_S  20

void indexes_lock(struct indexes *indexes)
{
	CHECK(pthread_mutex_lock(&indexes->lock) == 0);
}

void indexes_unlock(struct indexes *indexes)
{
	CHECK(pthread_mutex_unlock(&indexes->lock) == 0);
}

/* ---- order of use ---- */

static void unlink_locked(struct repository *repository)
{
	struct indexes *indexes = repository->indexes;

	*(repository->newer ? &repository->newer->older : &indexes->newest) = repository->older;
	*(repository->older ? &repository->older->newer : &indexes->oldest) = repository->newer;
	repository->newer = repository->older = NULL;
}

static void link_newest_locked(struct repository *repository)
{
	struct indexes *indexes = repository->indexes;

	repository->older = indexes->newest;
	*(indexes->newest ? &indexes->newest->newer : &indexes->oldest) = repository;
	indexes->newest = repository;
}

static void touch_locked(struct repository *repository)
{
	if (repository->indexes->newest == repository)
		return;
	unlink_locked(repository);
	link_newest_locked(repository);
}

/* ---- repositories ---- */

static struct repository *repository_new(struct indexes *indexes, struct str name)
{
	struct repository *repository = xnew(struct repository);

	repository->indexes = indexes;
	repository->name = check_strndup(name.at, name.len);
	repository->last = &repository->first;
	return repository;
}

static void repository_free(struct repository *repository)
{
	index_free(repository->view);
	free(repository->name);
	free(repository);
}

struct repository *indexes_pin_locked(struct indexes *indexes, struct str name)
{
	struct repository *repository = map_find(indexes->repositories, name);

	if (!repository) {
		repository = repository_new(indexes, name);
		(void)map_put(indexes->repositories, name, repository);
	}
	repository->pins++;
	return repository;
}

struct index *indexes_set_view_locked(struct repository *repository, struct index *view, int64_t validated_us)
{
	struct indexes *indexes = repository->indexes;
	struct index *before = repository->view;

	CHECK(repository->pins);
	if (before) {
		unlink_locked(repository);
		indexes->stats.bytes -= repository->bytes;
		indexes->stats.repositories--;
	}
	repository->view = view;
	repository->validated_us = repository->seen_us = validated_us;
	if (view) {
		repository->bytes = sizeof(*repository) + index_bytes(view);
		indexes->stats.bytes += repository->bytes;
		indexes->stats.repositories++;
		link_newest_locked(repository);
	}
	return before;
}

/* From the map to the list of the dead; its view stays until it is freed. */
static void bury_locked(struct repository *repository, struct repository **dead)
{
	struct indexes *indexes = repository->indexes;

	if (repository->view) {
		unlink_locked(repository);
		indexes->stats.bytes -= repository->bytes;
		indexes->stats.repositories--;
	}
	(void)map_delete(indexes->repositories, str_of(repository->name));
	repository->older = *dead;
	*dead = repository;
}

static void evict_locked(struct indexes *indexes, struct repository **dead)
{
	struct repository *at = indexes->oldest;

	while (at && indexes->stats.bytes > indexes->bytes_max) {
		struct repository *newer = at->newer;

		if (!at->pins)
			bury_locked(at, dead);
		at = newer;
	}
}

static void free_dead(struct repository *dead)
{
	while (dead) {
		struct repository *next = dead->older;

		repository_free(dead);
		dead = next;
	}
}

void indexes_unpin_unlock(struct repository *repository)
{
	struct indexes *indexes = repository->indexes;
	struct repository *dead = NULL;

	CHECK(repository->pins);
	repository->pins--;
	if (!repository->pins && !repository->view)
		bury_locked(repository, &dead);
	evict_locked(indexes, &dead);
	indexes_unlock(indexes);
	free_dead(dead);
}

bool indexes_is_fresh(const struct repository *repository, int64_t trust_ms, int64_t now_us)
{
	return repository->view && repository->validated_us && trust_ms > 0 &&
	       (now_us - repository->validated_us) / 1000 < trust_ms;
}

/* ---- looking ---- */

struct index *indexes_peek(struct indexes *indexes, struct str name)
{
	int64_t trust_ms = indexes->trust(indexes->trust_arg, name), now_us;
	struct repository *repository;
	struct index *view = NULL;

	if (trust_ms <= 0)
		return NULL;
	now_us = clock_us();
	indexes_lock(indexes);
	repository = map_find(indexes->repositories, name);
	if (repository && indexes_is_fresh(repository, trust_ms, now_us)) {
		view = index_ref(repository->view);
		touch_locked(repository);
	}
	indexes_unlock(indexes);
	return view;
}

static bool name_unknown(struct error *err)
{
	return error_set(err, ERROR_UNKNOWN, "NAME_UNKNOWN", "there is no such repository");
}

static void count(struct indexes *indexes, bool revalidation, bool load)
{
	indexes_lock(indexes);
	indexes->stats.revalidations += revalidation;
	indexes->stats.loads += load;
	indexes_unlock(indexes);
}

/* index.json: `base` again when it is still made from it. */
static enum store_step load_json(
	struct indexes *indexes, struct str name, struct index *base, struct index **ret, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(INDEX_JSON_MAX);
	struct store_version version = { .text = "" };
	enum store_step step;
	struct index *index;

	if (base)
		step = store_index_get_if_changed(indexes->store, name, &base->version, &text, &version, err);
	else
		step = store_index_get(indexes->store, name, &text, &version, err) ? STORE_OK : STORE_FAILED;
	if (step == STORE_SAME)
		*ret = index_ref(base);
	if (step != STORE_OK)
		return step;
	if (!index_json_read(buf_str(&text), &index, err)) {
		(void)error_add(err, "repository %.*s", STR_ARGS(name));
		return STORE_FAILED;
	}
	index->json_bytes = text.len;
	/* A log of another kind of store, from where this one was copied. */
	if (index->log.at && !store_log_goes_on(indexes->store))
		index->log = (struct store_log_place){ .at = 0 };
	index->json_at = index->log.at;
	buf_fini(&text);
	index_complete(index, base, indexes->store, name);
	index->version = version;
	*ret = index;
	return STORE_OK;
}

struct repair {
	struct store *store;
	struct str name;
};

/* A manifest that the machine may have lost when its power was cut. */
static void repair_blob(void *arg, const struct digest *digest, struct str bytes)
{
	const struct repair *repair = arg;
	AUTO_FINI(buf) there = buf_limit(bytes.len + 1);
	struct error err;

	if (store_blob_get(repair->store, repair->name, digest, &there, &err) &&
		str_equal(buf_str(&there), bytes))
		return;
	(void)!store_blob_delete(
		repair->store, repair->name, digest, store_clock_s(repair->store) + REPAIR_S, &err);
	if (store_blob_put(repair->store, repair->name, digest, bytes, &err))
		log_warn("index.repaired", "repository=%.*s a manifest was written again from the log",
			STR_ARGS(repair->name));
	else
		log_error("index.repair", "repository=%.*s error=%s", STR_ARGS(repair->name),
			log_quote(str_of(err.text)));
}

/* What the log has behind *view goes into it, or into a copy when others have it too. */
static enum store_step add_log(
	struct indexes *indexes, struct str name, bool shared, struct index **view, struct error *err)
{
	AUTO_FINI(buf) frames = buf_limit(STORE_LOG_MAX);
	struct store_log_place place = (*view)->log;
	struct repair repair = { indexes->store, name };

	enum store_step step = store_log_get(indexes->store, name, &place, &frames, err);

	if (step != STORE_OK || !frames.len)
		return step;
	if (shared) {
		struct index *draft = index_draft(*view);
		index_free(*view);
		*view = draft;
	}
	index_log_apply(*view, buf_str(&frames), shared ? NULL : repair_blob, &repair);
	(*view)->log = place;
	return STORE_OK;
}

/* SAME: index.json did not change while its log was read, so the two belong together. */
static enum store_step is_still(
	struct indexes *indexes, struct str name, const struct index *view, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(INDEX_JSON_MAX);
	struct store_version ignored;

	return store_index_get_if_changed(indexes->store, name, &view->version, &text, &ignored, err);
}

bool indexes_may_follow(const struct indexes *indexes, const struct index *base, int64_t seen_us)
{
	return base && base->log.generation[0] && seen_us && store_log_goes_on(indexes->store) &&
	       clock_us() - seen_us < STORE_LOG_FOLLOW_US;
}

/* One attempt. CONFLICT: somebody folded meanwhile. */
static enum store_step load_once(struct indexes *indexes, struct str name, struct index *base,
	int64_t seen_us, struct index **ret, struct error *err)
{
	enum store_step step = STORE_SAME;

	if (indexes_may_follow(indexes, base, seen_us))
		*ret = index_ref(base);
	else
		step = load_json(indexes, name, base, ret, err);
	count(indexes, base != NULL, step == STORE_OK);
	if (step == STORE_FAILED || !store_has_log(indexes->store) || !(*ret)->log.generation[0])
		return step;
	step = add_log(indexes, name, step == STORE_SAME, ret, err);
	if (step != STORE_OK) {
		index_free(TAKE(*ret));
		return step;
	}
	if (store_log_goes_on(indexes->store))
		return STORE_OK;
	step = is_still(indexes, name, *ret, err);
	if (step == STORE_SAME)
		return STORE_OK;
	index_free(TAKE(*ret));
	return step == STORE_FAILED ? STORE_FAILED : STORE_CONFLICT;
}

bool indexes_load(struct indexes *indexes, struct str name, struct index *base, int64_t seen_us,
	struct index **ret, struct error *err)
{
	enum store_step step = STORE_CONFLICT;
	struct error cause = { 0 };

	for (unsigned i = 0; i < LOADS_MAX && step == STORE_CONFLICT; i++)
		step = load_once(indexes, name, base, seen_us, ret, &cause);
	if (step == STORE_OK || step == STORE_SAME)
		return true;
	if (step == STORE_CONFLICT)
		return error_set(err, ERROR_BUSY, NULL, "the repository is changed too often by others");
	if (cause.kind == ERROR_UNKNOWN)
		return name_unknown(err);
	if (err)
		*err = cause;
	return false;
}

/* What a load has found becomes the view, unless a write has passed it meanwhile. */
static void remember(struct repository *repository, struct index *found, uint64_t writes, int64_t asked_us)
{
	struct indexes *indexes = repository->indexes;
	bool ours = indexes->trust(indexes->trust_arg, str_of(repository->name)) > 0;
	AUTO(index) *before = NULL;

	indexes_lock(indexes);
	repository->loading = false;
	CHECK(pthread_cond_broadcast(&indexes->loaded) == 0);
	/* A log that somebody left who is gone. */
	if (ours && found && found->log.bytes && !repository->wrote_us)
		repository->wrote_us = asked_us;
	if (repository->writes == writes && writes % 2 == 0 && asked_us >= repository->validated_us) {
		if (!found)
			repository->absent_us = asked_us;
		before = indexes_set_view_locked(repository, found ? index_ref(found) : NULL, asked_us);
	}
	indexes_unlock(indexes);
}

static void forget_load(struct repository *repository)
{
	indexes_lock(repository->indexes);
	repository->loading = false;
	CHECK(pthread_cond_broadcast(&repository->indexes->loaded) == 0);
	indexes_unlock(repository->indexes);
}

/* Called locked, returns unlocked: nobody else loads this repository, so we do. */
static bool load_unlock(struct repository *repository, struct index **ret, struct error *err)
{
	struct indexes *indexes = repository->indexes;
	AUTO(index) *base = repository->view ? index_ref(repository->view) : NULL;
	uint64_t writes = repository->writes;
	int64_t asked_us, seen_us = repository->seen_us;
	struct error cause;

	repository->loading = true;
	indexes_unlock(indexes);
	asked_us = clock_us();
	if (indexes_load(indexes, str_of(repository->name), base, seen_us, ret, &cause)) {
		remember(repository, *ret, writes, asked_us);
		return true;
	}
	if (cause.kind == ERROR_UNKNOWN)
		remember(repository, NULL, writes, asked_us);
	else
		forget_load(repository);
	if (err)
		*err = cause;
	return false;
}

/* Called locked, returns unlocked. What another thread asked the store after we came is as good for us. */
static bool get_unlock(struct repository *repository, int64_t trust_ms, struct index **ret, struct error *err)
{
	struct indexes *indexes = repository->indexes;
	int64_t came_us = clock_us();

	if (indexes_is_fresh(repository, trust_ms, came_us)) {
		*ret = index_ref(repository->view);
		indexes_unlock(indexes);
		return true;
	}
	while (repository->loading) {
		CHECK(pthread_cond_wait(&indexes->loaded, &indexes->lock) == 0);
		if (repository->view && repository->validated_us > came_us) {
			*ret = index_ref(repository->view);
			indexes_unlock(indexes);
			return true;
		}
		if (!repository->view && repository->absent_us > came_us) {
			indexes_unlock(indexes);
			return name_unknown(err);
		}
	}
	return load_unlock(repository, ret, err);
}

bool indexes_get(struct indexes *indexes, struct str name, struct index **ret, struct error *err)
{
	int64_t trust_ms = indexes->trust(indexes->trust_arg, name);
	struct repository *repository;
	bool ok;

	indexes_lock(indexes);
	repository = indexes_pin_locked(indexes, name);
	if (repository->view)
		touch_locked(repository);
	ok = get_unlock(repository, trust_ms, ret, err);
	indexes_lock(indexes);
	indexes_unpin_unlock(repository);
	return ok;
}

/* ---- life ---- */

struct indexes *indexes_new(
	struct store *store, struct pool *pool, index_trust_f *trust, void *trust_arg, size_t bytes_max)
{
	struct indexes *indexes = xnew(struct indexes);

	indexes->store = store;
	indexes->pool = pool;
	indexes->trust = trust;
	indexes->trust_arg = trust_arg;
	indexes->bytes_max = bytes_max;
	indexes->log_least = LOG_LEAST;
	indexes->clean_last = &indexes->clean_first;
	indexes->clean_after_us = STORE_LOG_KEEP_US;
	indexes->repositories = map_new();
	CHECK(pthread_mutex_init(&indexes->lock, NULL) == 0);
	CHECK(pthread_cond_init(&indexes->loaded, NULL) == 0);
	CHECK(pthread_cond_init(&indexes->idle, NULL) == 0);
	return indexes;
}

void indexes_set_log(struct indexes *indexes, size_t bytes_least)
{
	indexes->log_least = bytes_least;
}

void indexes_free(struct indexes *indexes)
{
	void *repository;

	if (!indexes)
		return;
	indexes_lock(indexes);
	indexes->stopping = true;
	indexes_unlock(indexes);
	indexes_fold(indexes, 0);
	indexes_lock(indexes);
	while (indexes->committers)
		CHECK(pthread_cond_wait(&indexes->idle, &indexes->lock) == 0);
	indexes_unlock(indexes);
	indexes_clean_fini(indexes);
	for (size_t at = 0; map_next(indexes->repositories, &at, NULL, &repository);)
		repository_free(repository);
	map_free(indexes->repositories);
	(void)pthread_cond_destroy(&indexes->loaded);
	(void)pthread_cond_destroy(&indexes->idle);
	(void)pthread_mutex_destroy(&indexes->lock);
	free(indexes);
}

struct indexes_stats indexes_stats(struct indexes *indexes)
{
	struct indexes_stats stats;

	indexes_lock(indexes);
	stats = indexes->stats;
	indexes_unlock(indexes);
	return stats;
}
