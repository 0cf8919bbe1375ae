/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/sweep_chore.h"

#include <inttypes.h>

#include "common/log.h"
#include "worker/storage/spool.h"
#include "worker/storage/store.h"

static bool sweep_store(const struct sweep_chore *sweep, struct chore_turn *turn, struct error *err)
{
	const struct pace pace = chore_pace(turn);
	const struct would would = chore_would(turn);
	uint64_t removed = 0;

	if (!store_sweep(sweep->store, sweep->was_killed || chore_is_asked(turn), sweep->before_s, &pace,
		    chore_is_dry(turn) ? &would : NULL, &removed, err))
		return error_add(err, "store.sweep");
	if (chore_is_dry(turn))
		return true;
	chore_counts(turn, removed, 0);
	if (removed)
		log_info("store.swept", "files=%" PRIu64, removed);
	return true;
}

static bool sweep_spools(const struct sweep_chore *sweep, struct chore_turn *turn, struct error *err)
{
	const struct pace pace = chore_pace(turn);
	const struct would would = chore_would(turn);
	uint64_t removed = 0;

	if (!sweep->spools)
		return true;
	if (!spool_sweep(sweep->spools, &pace, chore_is_dry(turn) ? &would : NULL, &removed, err))
		return error_add(err, "spool.sweep");
	if (chore_is_dry(turn))
		return true;
	chore_counts(turn, removed, 0);
	if (removed)
		log_info("spool.swept", "files=%" PRIu64, removed);
	return true;
}

/* What is wrong with the one is no reason to leave the other. */
static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	bool ok;

	chore_works(turn, "files", 0);
	ok = sweep_store(arg, turn, err);
	return sweep_spools(arg, turn, ok ? err : NULL) && ok;
}

void sweep_chore_add(struct chores *chores, struct sweep_chore *sweep)
{
	chores_add_dry(chores, &(struct chore){ .name = "sweep", .run = run, .arg = sweep });
}
