/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/collect_chore.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"
#include "proto/name.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

#define LOOK_MS     1000   /* whether it is time */
#define KNOWN       65536u /* two numbers each: 1 MiB */
#define DAY_MINUTES (24 * 60)

enum { WALKS, WALKED, FAILED, REMOVED, BYTES, MS, VACATED, COUNTS };

struct walk {
	struct collect_chore *collect;
	struct chore_turn *turn;
	const struct pace *pace;
	uint64_t repositories, removed, bytes, failed, vacated;
	bool over; /* the worker ends */
	struct error *err;
};

/* ---- the window ---- */

static bool parse_minutes(struct str text, int *ret)
{
	uint64_t hours, minutes;

	if (text.len != 5 || text.at[2] != ':' || !str_to_number(str_from(text.at, 2), 23, &hours) ||
		!str_to_number(str_from(text.at + 3, 2), 59, &minutes))
		return false;
	*ret = (int)(hours * 60 + minutes);
	return true;
}

bool collect_window_parse(struct str text, struct collect_window *ret)
{
	struct collect_window window;

	if (text.len != 11 || text.at[5] != '-' || !parse_minutes(str_from(text.at, 5), &window.from) ||
		!parse_minutes(str_from(text.at + 6, 5), &window.to) || window.from == window.to)
		return false;
	*ret = window;
	return true;
}

bool collect_window_has(const struct collect_window *window, int64_t wall_s)
{
	int minute = (int)(wall_s / 60 % DAY_MINUTES);

	if (window->from <= window->to)
		return window->from == window->to || (minute >= window->from && minute < window->to);
	return minute >= window->from || minute < window->to;
}

/* ---- what was clean ---- */

/* Pulls do not move it. What it lists counts besides: a tool that writes index.json anew may lose the number. */
static uint64_t hash_view(const struct index *view)
{
	uint64_t hash = index_changes(view) * 0x9e3779b97f4a7c15u;

	for (size_t i = 0; i < index_len(view); i++) {
		const struct digest *digest = &index_at(view, i)->descriptor.digest;

		hash += map_hash(digest->raw, hash_size(digest->alg));
	}
	return hash ? hash : 1;
}

static uint64_t *place_of(const struct collect_chore *collect, struct str name, uint64_t *ret_hash)
{
	*ret_hash = map_hash(name.at, name.len) | 1;
	return collect->known + 2 * (*ret_hash / 2 % KNOWN);
}

static bool is_clean(const struct collect_chore *collect, struct str name, uint64_t seen)
{
	uint64_t hash;
	const uint64_t *place = place_of(collect, name, &hash);

	return place[0] == hash && place[1] == seen;
}

static void keep_clean(struct collect_chore *collect, struct str name, uint64_t seen)
{
	uint64_t hash, *place = place_of(collect, name, &hash);

	place[0] = hash;
	place[1] = seen;
}

/* ---- a walk ---- */

static void count(struct collect_chore *collect, unsigned which, uint64_t n)
{
	(void)atomic_fetch_add_explicit(&collect->counts[which], n, memory_order_relaxed);
}

static void tell(void *arg, const char *name, const struct digest *digest, uint64_t bytes)
{
	struct walk *walk = arg;
	char text[DIGEST_TEXT_SIZE];

	walk->removed++;
	walk->bytes += bytes;
	chore_counts(walk->turn, 1, bytes);
	digest_format(digest, text);
	if (chore_is_dry(walk->turn)) {
		log_info("gc.would_remove",
			"repository=%s digest=%s bytes=%" PRIu64 " why=\"no manifest names it\"", name, text,
			bytes);
		return;
	}
	count(walk->collect, REMOVED, 1);
	count(walk->collect, BYTES, bytes);
	log_info("gc.removed", "repository=%s digest=%s bytes=%" PRIu64 " why=\"no manifest names it\"", name,
		text, bytes);
}

static void fail(struct walk *walk, const char *name, const struct error *err)
{
	log_warn("gc.failed", "repository=%s error=%s", name, log_quote(str_of(err->text)));
	count(walk->collect, FAILED, 1);
	if (!walk->failed++ && walk->err)
		*walk->err = *err;
}

static void tell_vacated(struct walk *walk, const char *name)
{
	walk->vacated++;
	if (chore_is_dry(walk->turn)) {
		log_info("gc.would_vacate", "repository=%s why=\"nothing is in it\"", name);
		return;
	}
	count(walk->collect, VACATED, 1);
	log_info("gc.vacated",
		"repository=%s why=\"nothing is in it: it is not in the catalog until somebody pushes to "
		"it\"",
		name);
}

/* What is left in it, for lack of age or of time, is for the next walk. A crash may leave a name before its index. */
static void collect_one(struct walk *walk, struct str name, int64_t delay_ms, bool listed)
{
	struct collect_chore *collect = walk->collect;
	const struct collect_how how = { .delay_ms = delay_ms,
		.dry_run = chore_is_dry(walk->turn),
		.pace = walk->pace,
		.listed = listed,
		.told = tell,
		.arg = walk };
	AUTO(index) *view = NULL;
	struct collected told;
	uint64_t seen = 0;
	struct error err;

	if (indexes_get(collect->registry->indexes, name, &view, &err)) {
		seen = hash_view(view);
		if (!(listed && index_is_vacant(view)) && !chore_is_asked(walk->turn) &&
			is_clean(collect, name, seen))
			return;
	} else if (err.kind != ERROR_UNKNOWN) {
		fail(walk, name.at, &err);
		return;
	}
	chore_takes(walk->turn, name);
	if (!registry_collect(collect->registry, name.at, &how, &told, &err))
		fail(walk, name.at, &err);
	else if (seen && told.whole && !told.young && !told.removed)
		keep_clean(collect, name, seen);
	if (told.vacated)
		tell_vacated(walk, name.at);
	walk->repositories++;
	if (!chore_is_dry(walk->turn))
		count(collect, WALKED, 1);
}

static bool walk_one(struct walk *walk, struct str name, bool listed)
{
	struct collect_chore *collect = walk->collect;
	int64_t delay_ms;

	walk->over = !chore_may_go_on(walk->turn);
	if (walk->over)
		return false;
	if (collect->whose.is_ours(collect->whose.arg, name) &&
		collect->delay_of(collect->arg, name, &delay_ms))
		collect_one(walk, name, delay_ms, listed);
	return true;
}

static bool on_listed(void *arg, struct str name)
{
	return walk_one(arg, name, true);
}

static bool on_stray(void *arg, struct str name)
{
	return walk_one(arg, name, false);
}

/* One that is not walked to the end begins again with the next walk. */
static bool walk_strays(struct walk *walk)
{
	struct collect_chore *collect = walk->collect;
	int64_t now = clock_ms();

	if (collect->went && !chore_is_asked(walk->turn) &&
		now - collect->strays_ms < COLLECT_STRAYS_TIMES * collect->ripe_ms)
		return true;
	if (!store_strays(collect->registry->store, walk->pace, on_stray, walk, walk->err))
		return walk->over;
	if (!walk->over && !chore_is_dry(walk->turn))
		collect->strays_ms = now;
	return true;
}

static bool walk_all(struct walk *walk)
{
	struct store *store = walk->collect->registry->store;

	return store_catalog_each(store, on_listed, walk, walk->err) && (walk->over || walk_strays(walk)) &&
	       !walk->failed;
}

static void end_walk(struct walk *walk, int64_t begun_ms)
{
	struct collect_chore *collect = walk->collect;
	int64_t ms = clock_ms() - begun_ms;

	if (!chore_is_dry(walk->turn)) {
		count(collect, WALKS, 1);
		count(collect, MS, (uint64_t)ms);
	}
	if (walk->repositories)
		log_info("gc.done",
			"repositories=%" PRIu64 " removed=%" PRIu64 " bytes=%" PRIu64 " vacated=%" PRIu64
			" failed=%" PRIu64 " ms=%" PRId64 "%s",
			walk->repositories, walk->removed, walk->bytes, walk->vacated, walk->failed, ms,
			chore_is_dry(walk->turn) ? " dry_run=true" : "");
}

/* ---- when ---- */

/* How long it still takes until what clients were told of by another owner is old; INT64_MAX: who owns what is not known yet. */
static int64_t ripe_in_ms(struct collect_chore *collect)
{
	uint64_t ring = collect->whose.ring(collect->whose.arg);
	int64_t now = clock_ms();

	if (ring != collect->ring) {
		collect->ring = ring;
		collect->owned_ms = now;
	}
	return ring ? collect->ripe_ms - (now - collect->owned_ms) : INT64_MAX;
}

static bool is_time(const struct collect_chore *collect)
{
	return clock_ms() >= collect->next_ms && !(collect->went && !collect->every_ms) &&
	       collect_window_has(&collect->window, clock_wall_s());
}

/* What is asked for may come at any hour; what clients rely on counts all the same. */
static bool check_asked(int64_t left_ms, struct chore_turn *turn, struct error *err)
{
	if (left_ms <= 0 || (chore_is_dry(turn) && left_ms != INT64_MAX))
		return true;
	if (left_ms == INT64_MAX)
		return chore_refuse(turn, err, "gc: who owns which repository is not known yet");
	return chore_refuse(turn, err,
		"gc: in %" PRId64 " s; this worker has to own what it owns for storage.gcDelay first, since "
		"others have told clients what is there; a dry run may come now",
		(left_ms + 999) / 1000);
}

/* What was clean a while ago is looked at again. */
static void forget_clean(struct collect_chore *collect, int64_t now_ms)
{
	if (now_ms - collect->fresh_ms < COLLECT_AGAIN_MS && collect->went)
		return;
	memset(collect->known, 0, KNOWN * 2 * sizeof(*collect->known));
	collect->fresh_ms = now_ms;
}

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	struct collect_chore *collect = arg;
	const struct pace pace = chore_pace(turn);
	struct walk walk = { .collect = collect, .turn = turn, .pace = &pace, .err = err };
	int64_t begun_ms = clock_ms(), left_ms = ripe_in_ms(collect);
	bool ok;

	if (chore_is_asked(turn) && !check_asked(left_ms, turn, err))
		return false;
	if (!chore_is_asked(turn) && (left_ms > 0 || !is_time(collect)))
		return true;
	chore_works(turn, "repositories", 0);
	forget_clean(collect, begun_ms);
	ok = walk_all(&walk);
	if (!chore_is_dry(turn)) {
		collect->went = true;
		collect->next_ms = begun_ms + collect->every_ms;
	}
	end_walk(&walk, begun_ms);
	return ok || error_add(err, "gc");
}

void collect_chore_add(struct chores *chores, struct collect_chore *collect)
{
	collect->known = xnew_array(uint64_t, (size_t)2 * KNOWN);
	chores_add_dry(chores,
		&(struct chore){
			.name = "gc", .first_ms = 0, .every_ms = LOOK_MS, .run = run, .arg = collect });
}

void collect_chore_fini(struct collect_chore *collect)
{
	free(collect->known);
}

struct collect_counts collect_told(struct collect_chore *collect)
{
	uint64_t at[COUNTS] = { 0 };

	for (unsigned i = 0; collect && i < COUNTS; i++)
		at[i] = atomic_load_explicit(&collect->counts[i], memory_order_relaxed);
	return (struct collect_counts){ at[WALKS], at[WALKED], at[FAILED], at[REMOVED], at[BYTES], at[MS],
		at[VACATED] };
}
