/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata - what changed is remembered by name; work derives those, then goes on with the walk through the catalog.
 */
#include "worker/metadata/metadata.h"

#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/least.h"
#include "worker/metadata/metadata_priv.h"
#include "worker/storage/pace.h"
#include "worker/storage/store.h"

#define DUE_MAX         100000u /* names; more: all are walked */
#define WALK_PAGE       200u
#define WALK_AGAIN_MS   (60 * 60 * 1000) /* others may have brought repositories without telling */
#define FRESHEN_WAIT_MS 200

struct metadata *metadata_new(const struct metadata_settings *settings)
{
	struct metadata *md = xnew(struct metadata);
	AUTO_FINI(buf) path = buf_limit(4096);

	md->settings = *settings;
	buf_format(&path, "%s/" METADATA_FILE, settings->data);
	md->path = check_strdup(buf_text(&path));
	md->folder = check_strndup(md->path, (size_t)(strrchr(md->path, '/') - md->path));
	lock_init(&md->deriving);
	lock_init(&md->lock);
	lock_init(&md->due_lock);
	md->list = image_list_new();
	md->due = map_new();
	md->due_all = true;
	return md;
}

void metadata_free(struct metadata *md)
{
	if (!md)
		return;
	sqlite_free(md->db);
	image_list_free(md->list);
	signers_free(md->trust);
	state_free(md->trust_of);
	map_free(md->due);
	lock_fini(&md->deriving);
	lock_fini(&md->lock);
	lock_fini(&md->due_lock);
	free(md->walked);
	free(md->folder);
	free(md->path);
	free(md);
}

/* ---- what changed ---- */

void metadata_changed(struct metadata *md, struct str name)
{
	bool wake;

	lock_take(&md->due_lock);
	if (map_len(md->due) < DUE_MAX || map_find(md->due, name))
		(void)map_put(md->due, name, md);
	else
		md->due_all = true;
	wake = md->wake && !md->woken;
	md->woken = true;
	lock_drop(&md->due_lock);
	if (wake)
		md->wake(md->wake_arg);
}

void metadata_walk(struct metadata *md)
{
	lock_take(&md->due_lock);
	md->due_all = true;
	lock_drop(&md->due_lock);
}

static void on_event(void *arg, const struct index_event *event)
{
	metadata_changed(arg, str_of(event->name));
}

void metadata_on_change(struct metadata *md, void (*wake)(void *arg), void *arg)
{
	md->wake = wake;
	md->wake_arg = arg;
	registry_watch(md->settings.registry, on_event, md);
}

/* One of those that are due, in no order; the caller's. */
static char *take_due(struct metadata *md)
{
	char *name = NULL;
	struct str key;
	void *ignored;
	size_t at = 0;

	lock_take(&md->due_lock);
	if (map_next(md->due, &at, &key, &ignored)) {
		name = str_dup(key);
		(void)map_delete(md->due, str_of(name));
	}
	lock_drop(&md->due_lock);
	return name;
}

static void put_back(struct metadata *md, struct str name)
{
	lock_take(&md->due_lock);
	(void)map_put(md->due, name, md);
	lock_drop(&md->due_lock);
}

/* ---- work ---- */

struct work {
	struct metadata *md;
	const struct pace *pace;
	struct metadata_done done;
	struct map *failed; /* names that are due again */
	struct error first;
	bool over;
};

/* Derived, and its signatures looked at. */
static enum derived bring(
	struct metadata *md, struct str name, size_t most, const struct pace *pace, struct error *err)
{
	enum derived how = metadata_derive(md, name, most, pace, err), judged;

	if (how != DERIVED && how != DERIVED_NOTHING)
		return how;
	judged = metadata_judge(md, name, most, pace, err);
	return judged == DERIVED_NOTHING ? how : judged;
}

static void note_failed(struct work *work, struct str name, const struct error *why)
{
	__atomic_add_fetch(&work->md->counts.failures, 1, __ATOMIC_RELAXED);
	if (!map_len(work->failed))
		work->first = *why;
	(void)map_put(work->failed, name, work);
}

static void derive_one(struct work *work, struct str name)
{
	uint64_t *counted = &work->md->counts.manifests, before;
	struct error why = { .text = "" };

	enum derived how;

	/* For each anew, so that a question need not wait for all. */
	lock_take(&work->md->deriving);
	before = __atomic_load_n(counted, __ATOMIC_RELAXED);
	how = bring(work->md, name, 0, work->pace, &why);
	work->done.manifests += __atomic_load_n(counted, __ATOMIC_RELAXED) - before;
	lock_drop(&work->md->deriving);
	switch (how) {
	case DERIVED:
		work->done.repositories++;
		break;
	case DERIVED_GONE:
		work->done.dropped++;
		break;
	case DERIVED_NOTHING:
		break;
	case DERIVED_PART:
		put_back(work->md, name);
		work->over = true;
		break;
	case DERIVED_FAILED:
		note_failed(work, name, &why);
		break;
	}
}

static bool may_go_on(struct work *work)
{
	work->over = work->over || !pace_go_on(work->pace);
	return !work->over;
}

static void derive_due(struct work *work)
{
	char *name;

	while (may_go_on(work) && (name = take_due(work->md)) != NULL) {
		/* What failed just now is not tried at once. */
		if (map_find(work->failed, str_of(name))) {
			free(name);
			continue;
		}
		derive_one(work, str_of(name));
		free(name);
	}
}

/* A walk: pages of the catalog, each repository beside what is known of it; at last what was not seen goes. */

static void begin_walk(struct metadata *md, uint64_t ring)
{
	lock_take(&md->lock);
	md->walk++;
	md->walk_rebuilt = md->rebuilt;
	lock_drop(&md->lock);
	md->walking = true;
	md->walk_ring = ring;
	free(TAKE(md->walked));
}

static bool is_walk_due(struct metadata *md, uint64_t ring)
{
	bool all;

	lock_take(&md->due_lock);
	all = md->due_all;
	md->due_all = md->due_all && !ring;
	lock_drop(&md->due_lock);
	return ring && (all || ring != md->walk_ring ||
			       (!md->walking && clock_ms() - md->walked_ms >= WALK_AGAIN_MS));
}

struct page {
	char *names[WALK_PAGE];
	size_t len;
};

static bool on_name(void *arg, struct str name)
{
	struct page *page = arg;

	page->names[page->len++] = str_dup(name);
	return true;
}

/* False: the walk is over, or cannot go on. */
static bool walk_page(struct work *work, bool *ret_more, struct error *err)
{
	struct metadata *md = work->md;
	struct page page = { .len = 0 };
	size_t at = 0;
	bool ok = store_catalog(
		md->settings.registry->store, str_of(md->walked), WALK_PAGE, on_name, &page, ret_more, err);

	for (; ok && at < page.len && may_go_on(work); at++) {
		if (metadata_owns(md, str_of(page.names[at])))
			derive_one(work, str_of(page.names[at]));
		if (work->over)
			break;
		free(md->walked);
		md->walked = check_strdup(page.names[at]);
		derive_due(work);
	}
	for (size_t i = 0; i < page.len; i++)
		free(page.names[i]);
	return ok;
}

/* The name of the next that this walk did not see, or that is not ours. */
static char *find_unseen(struct metadata *md, size_t *at)
{
	char *name = NULL;

	lock_take(&md->lock);
	for (; !name && *at < image_list_len(md->list); (*at)++) {
		const struct list_repository *one = image_list_at(md->list, *at);

		if (one->walk != md->walk)
			name = check_strdup(one->name);
	}
	lock_drop(&md->lock);
	return name;
}

/* Its index says whether it is there. */
static void derive_unseen(struct work *work)
{
	uint64_t dropped;
	size_t at = 0;
	char *name;

	while (may_go_on(work) && (name = find_unseen(work->md, &at)) != NULL) {
		dropped = work->done.dropped;
		derive_one(work, str_of(name));
		at -= work->done.dropped - dropped;
		free(name);
	}
}

static bool walk(struct work *work, struct error *err)
{
	struct metadata *md = work->md;
	uint64_t ring = md->settings.ring(md->settings.arg);
	bool more = true;

	if (is_walk_due(md, ring))
		begin_walk(md, ring);
	while (md->walking && more && may_go_on(work))
		if (!walk_page(work, &more, err))
			return false;
	if (!md->walking || work->over)
		return true;
	derive_unseen(work);
	if (!work->over) {
		md->walking = false;
		md->walked_ms = clock_ms();
		lock_take(&md->lock);
		md->whole_ring = md->walk_ring;
		md->whole_rebuilt = md->walk_rebuilt;
		lock_drop(&md->lock);
	}
	return true;
}

bool metadata_is_whole(struct metadata *md)
{
	uint64_t ring = md->settings.ring(md->settings.arg);
	bool whole;

	lock_take(&md->lock);
	whole = ring && md->whole_ring == ring && md->whole_rebuilt == md->rebuilt;
	lock_drop(&md->lock);
	return whole;
}

/* Other keys count: all signatures are looked at again, those of one repository after another. */

static int64_t stamp_now(struct metadata *md)
{
	const struct signers *trust;
	int64_t stamp;

	if (!md->settings.trust_by)
		return 0;
	lock_take(&md->deriving);
	trust = metadata_trust(md);
	stamp = signers_stamp(trust);
	lock_drop(&md->deriving);
	return stamp;
}

static char *find_unjudged(struct metadata *md, int64_t stamp, size_t *at)
{
	char *name = NULL;

	lock_take(&md->lock);
	for (; !name && *at < image_list_len(md->list); (*at)++) {
		const struct list_repository *one = image_list_at(md->list, *at);

		if (one->judged != stamp)
			name = check_strdup(one->name);
	}
	lock_drop(&md->lock);
	return name;
}

/* Nothing is derived, so no index is read for it. */
static void judge_one(struct work *work, struct str name)
{
	struct metadata *md = work->md;
	struct error why = { .text = "" };
	enum derived how;

	if (!metadata_owns(md, name))
		return;
	lock_take(&md->deriving);
	how = metadata_judge(md, name, 0, work->pace, &why);
	lock_drop(&md->deriving);
	work->over |= how == DERIVED_PART;
	if (how == DERIVED_FAILED)
		note_failed(work, name, &why);
}

static void judge_all(struct work *work)
{
	struct metadata *md = work->md;
	int64_t stamp = stamp_now(md);
	size_t at = 0;
	char *name;

	if (stamp == md->judged_all)
		return;
	while (may_go_on(work) && (name = find_unjudged(md, stamp, &at)) != NULL) {
		judge_one(work, str_of(name));
		free(name);
	}
	if (!work->over)
		md->judged_all = stamp;
}

static void keep_failed(struct work *work)
{
	struct str name;
	void *ignored;

	for (size_t at = 0; map_next(work->failed, &at, &name, &ignored);)
		put_back(work->md, name);
}

static bool is_ready(struct metadata *md, struct error *err)
{
	bool ok;

	lock_take(&md->lock);
	ok = metadata_file_ready_locked(md, err);
	lock_drop(&md->lock);
	return ok;
}

static void note_time(struct metadata *md, int64_t began_us)
{
	__atomic_add_fetch(&md->counts.worked_us, (uint64_t)(clock_us() - began_us), __ATOMIC_RELAXED);
	md->took_us = clock_us() - began_us;
	__atomic_store_n(&md->counts.catching_up, md->walking, __ATOMIC_RELAXED);
}

bool metadata_work(struct metadata *md, const struct pace *pace, struct metadata_done *ret, struct error *err)
{
	AUTO(map) *failed = map_new();
	struct work work = { .md = md, .pace = pace, .failed = failed };
	int64_t began_us = clock_us();
	bool ok;

	lock_take(&md->due_lock);
	md->woken = false;
	lock_drop(&md->due_lock);
	ok = is_ready(md, err);
	if (ok)
		derive_due(&work);
	ok = ok && walk(&work, err);
	if (ok && !work.over)
		judge_all(&work);
	if (ok && !work.over)
		derive_due(&work);
	keep_failed(&work);
	note_time(md, began_us);
	*ret = work.done;
	if (ok && map_len(failed))
		ok = error_set(err, work.first.kind, NULL, "%s", work.first.text);
	return ok;
}

/* What a question about one repository needs. It waits a moment for who derives; what was not derived then is told as it was. */
void metadata_freshen(struct metadata *md, struct str name)
{
	struct error ignored;
	bool ready;

	if (!metadata_owns(md, name) || !lock_take_within(&md->deriving, FRESHEN_WAIT_MS))
		return;
	ready = is_ready(md, &ignored);
	if (ready)
		(void)bring(md, name, METADATA_SOON_MANIFESTS, NULL, &ignored);
	lock_drop(&md->deriving);
}

int64_t metadata_soon_ms(struct metadata *md)
{
	return (int64_t)least(
		METADATA_SOON_MOST_MS, most(METADATA_SOON_LEAST_MS, (uint64_t)md->took_us * 19 / 1000));
}

struct metadata_stats metadata_stats(struct metadata *md)
{
	struct metadata_stats stats = { .repositories = 0 };

	if (!md)
		return stats;
	stats.derived = __atomic_load_n(&md->counts.derived, __ATOMIC_RELAXED);
	stats.manifests = __atomic_load_n(&md->counts.manifests, __ATOMIC_RELAXED);
	stats.skipped = __atomic_load_n(&md->counts.skipped, __ATOMIC_RELAXED);
	stats.failures = __atomic_load_n(&md->counts.failures, __ATOMIC_RELAXED);
	stats.worked_us = __atomic_load_n(&md->counts.worked_us, __ATOMIC_RELAXED);
	stats.catching_up = __atomic_load_n(&md->counts.catching_up, __ATOMIC_RELAXED);
	lock_take(&md->due_lock);
	stats.behind = map_len(md->due);
	stats.catching_up |= md->due_all;
	lock_drop(&md->due_lock);
	lock_take(&md->lock);
	stats.repositories = image_list_len(md->list);
	stats.images = image_list_images(md->list);
	stats.rebuilt = md->rebuilt;
	stats.file_bytes = md->file_bytes;
	lock_drop(&md->lock);
	return stats;
}
