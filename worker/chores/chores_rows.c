/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chores_rows - the chores as leaders and administrators are told of them.
 */
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "proto/usage.h"
#include "worker/chores/chores.h"

static bool is_at_work(const struct chore_stats *stats)
{
	return stats->goes_on || (stats->state == CHORE_RUNNING && stats->work.unit);
}

/* One that has its turn soon is taken in hand: each second there are some. */
static bool is_late(const struct chore_stats *stats)
{
	return stats->state == CHORE_READY && clock_ms() - stats->ready_ms >= CHORE_LATE_MS;
}

static const char *state_of(const struct chore_stats *stats)
{
	if (is_at_work(stats))
		return "running";
	return stats->asked || is_late(stats) ? "waiting" : "idle";
}

static const char *how_of(enum chore_how how)
{
	static const char *const words[] = { [CHORE_NEVER] = "",
		[CHORE_DONE] = "done",
		[CHORE_FAILED] = "failed",
		[CHORE_STOPPED] = "stopped",
		[CHORE_REFUSED] = "refused" };

	return words[how];
}

static void put_work(const struct chore_work *work, struct usage_run *run)
{
	run->unit = check_strdup(work->unit ? work->unit : "");
	run->done = work->done;
	run->total = work->total;
	run->removed = work->removed;
	run->bytes = work->bytes;
	run->dry_run = work->dry_run;
	run->what = check_strdup(work->at);
}

/* How many it were the last time, where that is not known of this time. */
static uint64_t about(const struct chore_stats *stats)
{
	const struct chore_last *last = &stats->last;

	return stats->work.total || last->how != CHORE_DONE || !last->work.unit ||
			       strcmp(last->work.unit, stats->work.unit) != 0
		       ? 0
		       : last->work.done;
}

static void put_run(const struct chore_stats *stats, struct usage_run *run)
{
	put_work(&stats->work, run);
	run->about = about(stats);
	run->at_s = (uint64_t)stats->began_s;
}

static void put_last(const struct chore_last *last, struct usage_run *run)
{
	put_work(&last->work, run);
	run->how = check_strdup(how_of(last->how));
	run->at_s = (uint64_t)last->ended_s;
	run->ms = last->took_ms;
	run->error = check_strdup(last->why);
}

static void put_row(const struct chore_stats *stats, struct usage_chore *row)
{
	*row = (struct usage_chore){ .state = check_strdup(state_of(stats)),
		.can_dry_run = stats->can_dry_run,
		.order = stats->order };
	CHECK(str_copy(str_of(stats->name), row->name, sizeof(row->name)));
	if (is_at_work(stats))
		put_run(stats, &row->run);
	if (stats->last.how != CHORE_NEVER)
		put_last(&stats->last, &row->last);
}

size_t chores_rows(struct chores *chores, struct usage_chore *into)
{
	struct chore_stats *all = xnew_array(struct chore_stats, CHORES_MAX);
	size_t len = chores_stats(chores, all);

	for (size_t i = 0; i < len; i++)
		put_row(&all[i], &into[i]);
	free(all);
	return len;
}
