/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/fold_chore.h"

#include "worker/index/index.h"

#define EVERY_MS 1000
#define IDLE_MS  5000

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	(void)turn;
	(void)err;
	indexes_fold(arg, IDLE_MS);
	return true;
}

void fold_chore_add(struct chores *chores, struct indexes *indexes)
{
	chores_add(chores, &(struct chore){ "fold", EVERY_MS, EVERY_MS, run, indexes });
}
