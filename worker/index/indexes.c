/* SPDX-License-Identifier: Apache-2.0 */
/*
 * indexes - which views are in memory, for how long they may be believed, and which go first.
 */
#include "worker/index/index.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/lock.h"
#include "common/log.h"
#include "worker/index/indexes_priv.h"

/* A reader that is passed so often by folds gives up. */
#define LOADS_MAX 20
#define LOG_LEAST (1024u * 1024)

void indexes_lock(struct indexes *indexes)
{
	lock_take(&indexes->lock);
}

void indexes_unlock(struct indexes *indexes)
{
	lock_drop(&indexes->lock);
}

/* ---- order of use ---- */

static void unlink_locked(struct repository *repository)
{
	struct indexes *indexes = repository->indexes;

	lock_assert(&repository->indexes->lock);
	*(repository->newer ? &repository->newer->older : &indexes->newest) = repository->older;
	*(repository->older ? &repository->older->newer : &indexes->oldest) = repository->newer;
	repository->newer = repository->older = NULL;
}

static void link_newest_locked(struct repository *repository)
{
	struct indexes *indexes = repository->indexes;

	lock_assert(&repository->indexes->lock);
	repository->older = indexes->newest;
	*(indexes->newest ? &indexes->newest->newer : &indexes->oldest) = repository;
	indexes->newest = repository;
}

static void touch_locked(struct repository *repository)
{
	lock_assert(&repository->indexes->lock);
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

	lock_assert(&indexes->lock);
	if (!repository) {
		repository = repository_new(indexes, name);
		(void)map_put(indexes->repositories, name, repository);
	}
	repository->pins++;
	return repository;
}

struct index *indexes_set_view_locked(
	struct repository *repository, struct index *view, const struct index_seen *seen)
{
	struct indexes *indexes = repository->indexes;
	struct index *before = repository->view;

	lock_assert(&repository->indexes->lock);
	CHECK(repository->pins);
	if (before) {
		unlink_locked(repository);
		indexes->stats.bytes -= repository->bytes;
		indexes->stats.repositories--;
	}
	repository->view = view;
	repository->seen = *seen;
	repository->validated_us = seen->us;
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

	lock_assert(&repository->indexes->lock);
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

	lock_assert(&indexes->lock);
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

static int64_t trust_of(const struct indexes *indexes, struct str name)
{
	return indexes->trust ? indexes->trust(indexes->trust_arg, name) : 0;
}

static bool is_fresh_locked(const struct repository *repository, int64_t trust_ms, int64_t now_us)
{
	lock_assert(&repository->indexes->lock);
	return repository->view && repository->validated_us && trust_ms > 0 &&
	       (now_us - repository->validated_us) / 1000 < trust_ms;
}

/* ---- looking ---- */

struct index *indexes_peek(struct indexes *indexes, struct str name)
{
	int64_t trust_ms = trust_of(indexes, name), now_us;
	struct repository *repository;
	struct index *view = NULL;

	if (trust_ms <= 0)
		return NULL;
	now_us = clock_us();
	indexes_lock(indexes);
	repository = map_find(indexes->repositories, name);
	if (repository && is_fresh_locked(repository, trust_ms, now_us)) {
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

/* ---- loading ---- */

struct load {
	struct indexes *indexes;
	struct str name;
	struct index *base; /* or NULL */
	struct index_seen seen;
	bool followed; /* index.json was not looked at */
	index_log_f *fn;
	void *arg;
};

bool indexes_is_later(int64_t store_s, int64_t than_s, int64_t by_us)
{
	return store_s && than_s && (store_s - than_s) * 1000000 > by_us;
}

/* A log of another kind of store, from where this one was copied. */
static bool is_foreign(const struct index *index, const struct load *load)
{
	return index->log.at && !store_log_goes_on(load->indexes->store, load->name);
}

static void not_the_clients_fault(struct error *err)
{
	if (err && err->kind == ERROR_TOO_LARGE)
		err->kind = ERROR_INTERNAL;
}

/* index.json: `base` again when it is still made from it. */
static enum store_step load_json(struct load *load, struct index **ret, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(INDEX_JSON_MAX);
	struct store *store = load->indexes->store;
	struct store_version version = { .text = "" };
	enum store_step step;
	struct index *index;

	if (load->base)
		step = store_index_get_if_changed(
			store, load->name, &load->base->version, &text, &version, err);
	else
		step = store_index_get(store, load->name, &text, &version, err) ? STORE_OK : STORE_FAILED;
	load->seen.store_s = version.seen_s;
	if (step == STORE_SAME)
		*ret = index_ref(load->base);
	if (step == STORE_FAILED)
		not_the_clients_fault(err);
	if (step != STORE_OK)
		return step;
	if (!index_json_read(buf_str(&text), &index, err)) {
		(void)error_add(err, "repository %.*s", STR_ARGS(load->name));
		return STORE_FAILED;
	}
	index->json_bytes = text.len;
	if (is_foreign(index, load))
		index->log = (struct store_log_place){ .at = 0 };
	index->json_at = index->log.at;
	buf_fini(&text);
	index_complete(index, load->base, store, load->name);
	index->version = version;
	*ret = index;
	return STORE_OK;
}

/* A manifest that the machine may have lost when its power was cut, whatever it looks like. */
static void repair_blob(void *arg, const struct digest *digest, struct str bytes)
{
	const struct load *load = arg;
	struct store *store = load->indexes->store;
	AUTO_FINI(buf) there = buf_limit(bytes.len + 1);
	struct error err;

	if (store_blob_get(store, load->name, digest, &there, &err) && str_equal(buf_str(&there), bytes))
		return;
	if (store_blob_put_again(store, load->name, digest, bytes, &err))
		log_warn("index.repaired", "repository=%.*s a manifest was written again from the log",
			STR_ARGS(load->name));
	else
		log_error("index.repair", "repository=%.*s error=%s", STR_ARGS(load->name),
			log_quote(str_of(err.text)));
}

/* What the log has behind *view goes into it, or into a copy when others have it too. */
static enum store_step add_log(struct load *load, bool shared, struct index **view, struct error *err)
{
	AUTO_FINI(buf) frames = buf_limit(STORE_LOG_MAX);
	struct store *store = load->indexes->store;
	struct store_log_place place = (*view)->log;
	uint64_t era = store_era(store, load->name);
	enum store_step step;

	place.seen_s = 0;
	step = store_log_get(store, load->name, &(*view)->version, &place, &frames, err);
	if (step != STORE_OK)
		return step;
	/* Counted from when the end was known last, however long the way there took. */
	if (load->followed && (clock_us() - load->seen.us > STORE_LOG_FOLLOW(load->indexes->keep_us) ||
				      indexes_is_later(place.seen_s, load->seen.store_s,
					      STORE_LOG_FOLLOW(load->indexes->keep_us))))
		return STORE_CONFLICT;
	if (place.seen_s)
		load->seen.store_s = place.seen_s;
	if (!shared)
		(*view)->era = frames.len ? 0 : era;
	if (!frames.len)
		return STORE_OK;
	if (shared) {
		struct index *draft = index_draft(*view);
		index_free(*view);
		*view = draft;
	}
	if (!index_log_apply(*view, buf_str(&frames), load->fn, load->arg, err)) {
		(void)error_add(err, "repository %.*s", STR_ARGS(load->name));
		return STORE_FAILED;
	}
	(*view)->log = place;
	if (!shared)
		index_log_manifests(buf_str(&frames), repair_blob, load);
	return STORE_OK;
}

/* SAME: index.json did not change while its log was read, so the two belong together. */
static enum store_step is_still(const struct load *load, const struct index *view, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(INDEX_JSON_MAX);
	struct store_version ignored;

	return store_index_get_if_changed(
		load->indexes->store, load->name, &view->version, &text, &ignored, err);
}

bool indexes_may_follow(const struct indexes *indexes, struct str name, const struct index *base,
	const struct index_seen *seen)
{
	return base && base->log.generation[0] && seen->us && store_log_goes_on(indexes->store, name) &&
	       clock_us() - seen->us < STORE_LOG_FOLLOW(indexes->keep_us);
}

/* One attempt. CONFLICT: somebody folded meanwhile, or what we know is too old to go on from. */
static enum store_step load_once(struct load *load, struct index **ret, struct error *err)
{
	struct indexes *indexes = load->indexes;
	enum store_step step = STORE_SAME;

	load->followed = indexes_may_follow(indexes, load->name, load->base, &load->seen);
	if (load->followed)
		*ret = index_ref(load->base);
	else
		step = load_json(load, ret, err);
	count(indexes, load->base != NULL, step == STORE_OK);
	if (step == STORE_FAILED || !store_has_log(indexes->store, load->name) || !(*ret)->log.generation[0])
		return step;
	step = add_log(load, step == STORE_SAME, ret, err);
	if (step == STORE_OK && !store_log_goes_on(indexes->store, load->name)) {
		step = is_still(load, *ret, err);
		step = step == STORE_SAME ? STORE_OK : step == STORE_OK ? STORE_CONFLICT : step;
	}
	if (step != STORE_OK)
		index_free(TAKE(*ret));
	return step;
}

bool indexes_load(struct indexes *indexes, struct str name, struct index *base, struct index_seen *seen,
	index_log_f *fn, void *arg, struct index **ret, struct error *err)
{
	struct load load = {
		.indexes = indexes, .name = name, .base = base, .seen = *seen, .fn = fn, .arg = arg
	};
	enum store_step step = STORE_CONFLICT;
	struct error cause = { 0 };
	int64_t asked_us;

	for (unsigned i = 0; i < LOADS_MAX && step == STORE_CONFLICT; i++) {
		asked_us = clock_us();
		step = load_once(&load, ret, &cause);
		load.seen.us = step == STORE_CONFLICT ? 0 : asked_us;
		/* A folder's log that is not what it was: nothing that we know of it counts. */
		if (step == STORE_CONFLICT && i > 0)
			load.base = NULL;
	}
	if (step == STORE_OK || step == STORE_SAME) {
		*seen = load.seen;
		return true;
	}
	if (step == STORE_CONFLICT)
		return error_set(err, ERROR_BUSY, NULL, "the repository is changed too often by others");
	if (cause.kind == ERROR_UNKNOWN)
		return name_unknown(err);
	if (err)
		*err = cause;
	return false;
}

/* What a load has found becomes the view, unless a write has passed it meanwhile. */
static void remember(
	struct repository *repository, struct index *found, uint64_t writes, const struct index_seen *seen)
{
	struct indexes *indexes = repository->indexes;
	bool ours = trust_of(indexes, str_of(repository->name)) > 0;
	AUTO(index) *before = NULL;

	indexes_lock(indexes);
	repository->loading = false;
	CHECK(pthread_cond_broadcast(&indexes->loaded) == 0);
	/* A log that somebody left who is gone. */
	if (ours && found && found->log.bytes && !repository->wrote_us)
		repository->wrote_us = seen->us;
	if (repository->writes == writes && writes % 2 == 0 && seen->us >= repository->validated_us) {
		if (!found)
			repository->absent_us = seen->us;
		before = indexes_set_view_locked(repository, found ? index_ref(found) : NULL, seen);
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
	struct index_seen seen = repository->seen, asked = { .us = clock_us() };
	struct error cause;

	repository->loading = true;
	indexes_unlock(indexes);
	if (indexes_load(indexes, str_of(repository->name), base, &seen, NULL, NULL, ret, &cause)) {
		remember(repository, *ret, writes, &seen);
		return true;
	}
	if (cause.kind == ERROR_UNKNOWN)
		remember(repository, NULL, writes, &asked);
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

	if (is_fresh_locked(repository, trust_ms, came_us)) {
		*ret = index_ref(repository->view);
		indexes_unlock(indexes);
		return true;
	}
	while (repository->loading) {
		lock_wait(&indexes->lock, &indexes->loaded);
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
	int64_t trust_ms = trust_of(indexes, name);
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

/* ---- hints ---- */

static struct index *in_memory(struct indexes *indexes, struct str name)
{
	struct repository *repository;
	struct index *view = NULL;

	indexes_lock(indexes);
	repository = map_find(indexes->repositories, name);
	if (repository && repository->view)
		view = index_ref(repository->view);
	indexes_unlock(indexes);
	return view;
}

uint64_t indexes_removals(struct indexes *indexes, struct str name)
{
	AUTO(index) *view = in_memory(indexes, name);

	return view ? index_removals(view) : 0;
}

bool indexes_lists(struct indexes *indexes, struct str name, const struct digest *digest)
{
	AUTO(index) *view = in_memory(indexes, name);
	struct error ignored;

	return (view || indexes_get(indexes, name, &view, &ignored)) && index_find_digest(view, digest);
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
	indexes->keep_us = indexes->clean_after_us = STORE_LOG_KEEP_US;
	indexes->json_most = INDEX_JSON_GROW;
	indexes->repositories = map_new();
	lock_init(&indexes->lock);
	CHECK(pthread_cond_init(&indexes->loaded, NULL) == 0);
	CHECK(pthread_cond_init(&indexes->idle, NULL) == 0);
	return indexes;
}

void indexes_watch(struct indexes *indexes, index_watch_f *fn, void *arg)
{
	CHECK(indexes->watches_len < INDEX_WATCHES_MAX);
	indexes->watches[indexes->watches_len].fn = fn;
	indexes->watches[indexes->watches_len++].arg = arg;
}

void indexes_follow(struct indexes *indexes, index_follow_f *fn, void *arg)
{
	CHECK(!indexes->follow);
	indexes->follow = fn;
	indexes->follow_arg = arg;
}

void indexes_set_log(struct indexes *indexes, size_t bytes_least)
{
	indexes->log_least = bytes_least;
}

void indexes_set_keep(struct indexes *indexes, int64_t keep_us)
{
	indexes->keep_us = indexes->clean_after_us = keep_us;
}

void indexes_set_most(struct indexes *indexes, size_t json_bytes)
{
	indexes->json_most = json_bytes;
}

void indexes_set_room(struct indexes *indexes, index_room_f *room, void *arg)
{
	indexes->room = room;
	indexes->room_arg = arg;
}

void indexes_set_gate(struct indexes *indexes, index_gate_f *gate, void *arg)
{
	indexes->gate = gate;
	indexes->gate_arg = arg;
}

void indexes_free(struct indexes *indexes)
{
	void *repository;

	if (!indexes)
		return;
	indexes_lock(indexes);
	indexes->stopping = true;
	indexes_unlock(indexes);
	(void)indexes_fold(indexes, 0);
	indexes_lock(indexes);
	while (indexes->committers)
		lock_wait(&indexes->lock, &indexes->idle);
	indexes_unlock(indexes);
	indexes_clean_fini(indexes);
	for (size_t at = 0; map_next(indexes->repositories, &at, NULL, &repository);)
		repository_free(repository);
	map_free(indexes->repositories);
	(void)pthread_cond_destroy(&indexes->loaded);
	(void)pthread_cond_destroy(&indexes->idle);
	lock_fini(&indexes->lock);
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
