/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/fold_chore.h"

#include "worker/index/index.h"

#define EVERY_MS 1000
#define IDLE_MS  5000

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	uint64_t folds;

	(void)err;
	folds = indexes_fold(arg, chore_is_asked(turn) ? 0 : IDLE_MS);
	if (folds || chore_is_asked(turn)) {
		chore_works(turn, "repositories", 0);
		chore_did(turn, folds);
	}
	return true;
}

void fold_chore_add(struct chores *chores, struct indexes *indexes)
{
	chores_add(chores, &(struct chore){ .name = "fold",
				   .first_ms = EVERY_MS,
				   .every_ms = EVERY_MS,
				   .run = run,
				   .arg = indexes });
}
