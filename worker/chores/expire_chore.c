/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/expire_chore.h"

#include "common/clock.h"
#include "worker/registry/uploads.h"

#define EVERY_MS (60 * 1000)

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	(void)err;
	chore_works(turn, "uploads", 0);
	uploads_expire(arg, clock_ms());
	return true;
}

void expire_chore_add(struct chores *chores, struct uploads *uploads)
{
	chores_add(chores, &(struct chore){ "expire", EVERY_MS, EVERY_MS, run, uploads });
}
