/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/weigh_chore.h"

#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "common/least.h"
#include "proto/name.h"
#include "worker/index/index.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

#define LOOK_MS 1000 /* whether it is time */

/* A walk. */
struct walk {
	struct weigh_chore *weigh;
	struct chore_turn *turn;
	const struct pace *pace;
	struct weighed found;
	bool over; /* the worker ends */
	bool ok;
	struct error *err;
};

/* False: it cannot be read now, or is damaged. */
static bool look_at_index(struct walk *walk, struct str name, struct weigh_row *row)
{
	AUTO(index) *view = NULL;
	struct error err;

	if (!indexes_get(walk->weigh->registry->indexes, name, &view, &err))
		return err.kind == ERROR_UNKNOWN;
	row->manifests = index_len(view);
	row->tags = index_tags_len(view);
	return true;
}

static void count_one(struct walk *walk, struct str name, const struct store_usage *usage)
{
	struct weigh_rows *rows = walk->weigh->rows;
	struct weigh_row row = { .bytes = usage->bytes, .blobs = usage->blobs };

	if (!weigh_rows_same(rows, name, usage, &row)) {
		weigh_rows_open(rows, name);
		if (look_at_index(walk, name, &row))
			weigh_rows_set(rows, name, &row);
		else
			walk->found.unread++;
	}
	walk->found.manifests += row.manifests;
	walk->found.tags += row.tags;
}

static void on_change(void *arg, const struct index_event *event)
{
	const struct weigh_chore *weigh = arg;

	if (event->change->op != INDEX_PULLED)
		weigh_rows_changed(weigh->rows, str_of(event->name));
}

/* One that is gone meanwhile has no bytes. */
static bool weigh_one(void *arg, struct str name)
{
	struct walk *walk = arg;
	struct weigh_chore *weigh = walk->weigh;
	struct store_usage usage = { 0 };

	walk->over = !chore_may_go_on(walk->turn);
	if (walk->over)
		return false;
	if (!weigh->whose.is_ours(weigh->whose.arg, name))
		return true;
	chore_takes(walk->turn, name);
	walk->ok = store_usage(weigh->registry->store, name, walk->pace, &usage, walk->err);
	walk->over = !walk->ok && !chore_may_go_on(walk->turn);
	if (!walk->ok)
		return false;
	chore_counts(walk->turn, 0, usage.bytes);
	count_one(walk, name, &usage);
	walk->found.bytes += usage.bytes;
	walk->found.blobs += usage.blobs;
	walk->found.repositories++;
	return true;
}

static bool walk_all(struct walk *walk)
{
	return store_catalog_each(walk->weigh->registry->store, weigh_one, walk, walk->err) && walk->ok;
}

/* When the next one may begin. */

static void set_next(struct weigh_chore *weigh, int64_t took_ms)
{
	uint64_t soon = weigh->is_bucket ? WEIGH_BUCKET_SOON_MS : WEIGH_SOON_MS;
	uint64_t every = weigh->is_bucket ? WEIGH_BUCKET_EVERY_MS : WEIGH_EVERY_MS;
	uint64_t pause = (uint64_t)took_ms * WEIGH_PAUSE_TIMES;
	int64_t now = clock_ms();

	weigh->soon_ms = now + (int64_t)most(pause, soon);
	weigh->next_ms = now + (int64_t)most(pause, every);
}

static bool is_time(const struct weigh_chore *weigh, uint64_t ring, uint64_t changes)
{
	bool moved = ring != weigh->ring || changes != weigh->changes;

	return ring && clock_ms() >= (moved ? weigh->soon_ms : weigh->next_ms);
}

/* What others changed, who share the store, shows in how many bytes there are; a tag that was moved does not. */
static void begin_rows(struct weigh_chore *weigh, int64_t now_ms)
{
	bool again = now_ms >= weigh->again_ms;

	weigh_rows_begin(weigh->rows, again);
	if (again)
		weigh->again_ms = now_ms + WEIGH_AGAIN_MS;
}

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	struct weigh_chore *weigh = arg;
	const struct weigh_whose *whose = &weigh->whose;
	uint64_t ring = whose->ring(whose->arg), changes = whose->changes(whose->arg);
	const struct pace pace = chore_pace(turn);
	struct walk walk = { .weigh = weigh, .turn = turn, .pace = &pace, .ok = true, .err = err };
	int64_t begun = clock_ms();
	bool ok;

	if (!is_time(weigh, ring, changes) && !(ring && chore_is_asked(turn)))
		return true;
	chore_works(turn, "repositories", 0);
	weigh->ring = ring;
	weigh->changes = changes;
	walk.found.known = true;
	begin_rows(weigh, begun);
	ok = walk_all(&walk);
	set_next(weigh, clock_ms() - begun);
	if (walk.over)
		return true;
	if (!ok)
		return error_add(err, "store.weigh: what the storage holds is not known");
	weigh_rows_end(weigh->rows);
	pthread_mutex_lock(&weigh->lock);
	weigh->found = walk.found;
	pthread_mutex_unlock(&weigh->lock);
	return true;
}

void weigh_chore_add(struct chores *chores, struct weigh_chore *weigh)
{
	CHECK(pthread_mutex_init(&weigh->lock, NULL) == 0);
	weigh->rows = weigh_rows_new();
	registry_watch(weigh->registry, on_change, weigh);
	chores_add(chores,
		&(struct chore){
			.name = "weigh", .first_ms = 0, .every_ms = LOOK_MS, .run = run, .arg = weigh });
}

void weigh_chore_fini(struct weigh_chore *weigh)
{
	weigh_rows_free(weigh->rows);
	CHECK(pthread_mutex_destroy(&weigh->lock) == 0);
}

bool weigh_find(struct weigh_chore *weigh, struct str name, struct weigh_row *ret)
{
	return weigh && weigh_rows_find(weigh->rows, name, ret);
}

struct weighed weigh_told(struct weigh_chore *weigh)
{
	struct weighed found = { 0 };

	if (!weigh)
		return found;
	pthread_mutex_lock(&weigh->lock);
	found = weigh->found;
	pthread_mutex_unlock(&weigh->lock);
	return found;
}
