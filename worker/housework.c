/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/housework.h"

#include "common/check.h"
#include "common/http_server.h"
#include "worker/chores/abandoned_chore.h"
#include "worker/chores/collect_chore.h"
#include "worker/chores/dedupe_chore.h"
#include "worker/chores/expire_chore.h"
#include "worker/chores/fold_chore.h"
#include "worker/chores/import_chore.h"
#include "worker/chores/metadata_chore.h"
#include "worker/chores/pulls_chore.h"
#include "worker/chores/retention_chore.h"
#include "worker/chores/scrub_chore.h"
#include "worker/chores/sweep_chore.h"
#include "worker/chores/trim_chore.h"
#include "worker/chores/weigh_chore.h"
#include "worker/cluster/cluster.h"
#include "worker/metadata/metadata.h"
#include "worker/moves/moves.h"
#include "worker/registry/registry.h"
#include "worker/retention_rules.h"
#include "worker/settings_retention.h"
#include "worker/settings_roots.h"
#include "worker/storage/spool.h"
#include "worker/worker.h"

#define MOVE_FIRST_MS 200
#define MOVE_EVERY_MS 1000
#define ONCE_MS       (INT64_C(365) * 24 * 60 * 60 * 1000)

struct housework {
	struct collect_chore collect;
	struct dedupe_chore dedupe;
	struct import_chore import;
	struct retention_chore retention;
	struct scrub_chore scrub;
	bool scrubs;
	struct sweep_chore sweep;
	struct trim_chore trim;
	struct weigh_chore weigh;
	struct buf spools; /* folder */
};

static uint64_t count_connections(void *arg)
{
	const struct front *front = arg;
	uint64_t open = 0;

	for (unsigned i = 0; i < front->loops_len; i++)
		open += http_server_stats(front->loops[i].server).connections;
	return open;
}

static struct chores_load load_of(void *arg)
{
	const struct front *front = arg;
	struct chores_load load = { .open = front_open_requests(front) };

	for (unsigned i = 0; i < front->loops_len; i++)
		load.begun += counter_get(&front->loops[i].counters.http_begun_total);
	return load;
}

/* No index was changed here. */
static void tell_metadata(void *arg, struct str name)
{
	metadata_changed(arg, name);
}

static struct import_chore import_of(const struct worker *worker)
{
	const struct worker_settings *s = worker->settings;

	return (struct import_chore){ .store = worker->store,
		.found = worker->front.metadata ? tell_metadata : NULL,
		.found_arg = worker->front.metadata,
		.every_ms = s->import_every_ms,
		.bucket_every_ms = s->s3_import_every_ms };
}

static struct sweep_chore sweep_of(const struct worker *worker, struct buf *spools, int64_t started_s)
{
	bool has_spools = worker_spools_folder(worker->settings, spools);

	return (struct sweep_chore){ .store = worker->store,
		.was_killed = spool_was_left(worker->spool),
		.before_s = started_s,
		.spools = has_spools ? buf_text(spools) : NULL };
}

static uint64_t ring_of(void *arg)
{
	const struct worker *worker = arg;

	return cluster_ownership(worker->front.cluster);
}

static bool is_ours(void *arg, struct str name)
{
	const struct worker *worker = arg;

	return cluster_owns(worker->front.cluster, name);
}

static uint64_t changes_of(void *arg)
{
	const struct worker *worker = arg;

	return indexes_stats(worker->front.registry->indexes).changes;
}

static struct weigh_chore weigh_of(struct worker *worker)
{
	return (struct weigh_chore){ .registry = worker->front.registry,
		.is_bucket = settings_has_bucket(worker->settings),
		.whose = { .ring = ring_of, .is_ours = is_ours, .changes = changes_of, .arg = worker } };
}

/* What is on its way here, or goes to another member, is not all here. */
static bool is_ours_and_whole(void *arg, struct str name)
{
	const struct worker *worker = arg;

	return cluster_owns(worker->front.cluster, name) && moves_is_settled(worker->front.moves, name);
}

static bool delay_of(void *arg, struct str name, int64_t *ret_ms)
{
	const struct worker *worker = arg;
	const struct worker_settings *s = settings_of(worker->settings, name);

	*ret_ms = s->gc_delay_ms;
	return s->gc;
}

static struct collect_chore collect_of(struct worker *worker)
{
	const struct worker_settings *s = worker->settings;
	struct collect_chore collect = { .registry = worker->front.registry,
		.whose = { .ring = ring_of, .is_ours = is_ours_and_whole, .arg = worker },
		.delay_of = delay_of,
		.arg = worker,
		.every_ms = s->gc_every_ms };

	(void)settings_collect(s, &collect.ripe_ms);
	if (s->gc_window)
		CHECK(collect_window_parse(str_of(s->gc_window), &collect.window));
	return collect;
}

/* What is here of it may be looked at, though not all is. */
static bool is_ours_and_held(void *arg, struct str name)
{
	const struct worker *worker = arg;

	return cluster_owns(worker->front.cluster, name) && moves_is_held(worker->front.moves, name);
}

static bool fetch_again(void *arg, struct str name, const struct digest *digest)
{
	const struct worker *worker = arg;
	struct error ignored;

	return moves_fetch_again(worker->front.moves, name, digest, &ignored);
}

static struct scrub_chore scrub_of(struct worker *worker)
{
	const struct worker_settings *s = worker->settings;

	return (struct scrub_chore){ .registry = worker->front.registry,
		.whose = { .ring = ring_of, .is_ours = is_ours_and_held, .arg = worker },
		.fetch = worker->front.moves ? fetch_again : NULL,
		.arg = worker,
		.member = cluster_self(worker->front.cluster),
		.every_ms = settings_scrub_every_ms(s),
		.bytes_per_s = s->scrub_rate };
}

/* Asked each second: where nothing moves it is a look at a few numbers. */
static bool run_moves(struct chore_turn *turn, void *arg, struct error *err)
{
	struct pace pace = chore_pace(turn);
	struct moves_stats before = moves_stats(arg), after;
	bool ok;

	if (before.held || before.coming || chore_is_asked(turn))
		chore_works(turn, "repositories", 0);
	ok = moves_work(arg, &pace, err);
	after = moves_stats(arg);
	if (after.taken != before.taken || after.fetched_bytes != before.fetched_bytes ||
		after.removed != before.removed)
		chore_works(turn, "repositories", 0);
	chore_did(turn, after.taken - before.taken);
	chore_counts(turn, after.removed - before.removed, after.fetched_bytes - before.fetched_bytes);
	return ok;
}

static void add_moves(struct chores *chores, struct moves *moves)
{
	if (moves)
		chores_add(chores, &(struct chore){ .name = "move",
					   .first_ms = MOVE_FIRST_MS,
					   .every_ms = MOVE_EVERY_MS,
					   .run = run_moves,
					   .arg = moves });
}

static void add_rows(struct housework *work, struct worker *worker, struct chores *chores)
{
	struct registry *registry = worker->front.registry;

	fold_chore_add(chores, registry->indexes);
	pulls_chore_add(chores, registry);
	trim_chore_add(chores, &work->trim);
	expire_chore_add(chores, registry->uploads);
	import_chore_add(chores, &work->import);
	retention_chore_add(chores, &work->retention);
	sweep_chore_add(chores, &work->sweep);
	weigh_chore_add(chores, &work->weigh);
	dedupe_chore_add(chores, &work->dedupe);
	if (registry->options.collects)
		collect_chore_add(chores, &work->collect);
	if (work->scrubs)
		scrub_chore_add(chores, &work->scrub);
	if (settings_has_bucket(worker->settings))
		abandoned_chore_add(chores, worker->store, worker->settings->abandoned_ms);
	if (worker->front.metadata)
		metadata_chore_add(chores, worker->front.metadata);
	add_moves(chores, worker->front.moves);
}

struct housework *housework_start(struct worker *worker, int64_t started_s)
{
	struct housework *work = xnew(struct housework);
	struct chores *chores =
		chores_new(worker->front.loops[0].loop, worker->pool, load_of, &worker->front);

	work->spools = buf_limit(4096);
	work->import = import_of(worker);
	work->sweep = sweep_of(worker, &work->spools, started_s);
	work->weigh = weigh_of(worker);
	work->collect = collect_of(worker);
	work->retention = (struct retention_chore){ .registry = worker->front.registry,
		/* 0 is once for gc; a policy that is changed is looked at at once in any case. */
		.every_ms = worker->settings->gc_every_ms ? worker->settings->gc_every_ms : ONCE_MS,
		.whose = retention_rules_whose(worker->retention) };
	work->scrub = scrub_of(worker);
	work->scrubs = settings_scrubs(worker->settings);
	work->dedupe = (struct dedupe_chore){ .store = worker->store };
	work->trim = (struct trim_chore){ .count = count_connections, .arg = &worker->front };
	add_rows(work, worker, chores);
	chores_start(chores);
	worker->front.chores = chores;
	worker->front.weigh = &work->weigh;
	worker->front.collect = &work->collect;
	worker->front.scrub = work->scrubs ? &work->scrub : NULL;
	return work;
}

void housework_end(struct housework *work)
{
	if (!work)
		return;
	collect_chore_fini(&work->collect);
	if (work->scrubs)
		scrub_chore_fini(&work->scrub);
}

void housework_free(struct housework *work)
{
	if (!work)
		return;
	buf_fini(&work->spools);
	weigh_chore_fini(&work->weigh);
	free(work);
}
