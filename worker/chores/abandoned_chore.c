/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/abandoned_chore.h"

#include <inttypes.h>

#include "common/log.h"
#include "worker/storage/store.h"

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	const struct pace pace = chore_pace(turn);
	const struct would would = chore_would(turn);
	uint64_t ended = 0;
	bool ok;

	chore_works(turn, "uploads", 0);
	ok = store_abandoned(arg, &pace, chore_is_dry(turn) ? &would : NULL, &ended, err);
	if (chore_is_dry(turn))
		return ok;
	chore_counts(turn, ended, 0);

	if (ended)
		log_info("store.abandoned", "uploads=%" PRIu64, ended);
	return ok;
}

void abandoned_chore_add(struct chores *chores, struct store *store, int64_t after_ms)
{
	chores_add_dry(chores, &(struct chore){ .name = "abandoned",
				       .first_ms = after_ms / 4,
				       .every_ms = after_ms / 4,
				       .run = run,
				       .arg = store });
}
