/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/expire_chore.h"

#include "common/clock.h"
#include "worker/registry/uploads.h"

#define EVERY_MS (60 * 1000)

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	const struct would would = chore_would(turn);

	(void)err;
	chore_works(turn, "uploads", 0);
	if (chore_is_dry(turn)) {
		uploads_would_expire(arg, clock_ms(), &would);
		return true;
	}
	uploads_expire(arg, clock_ms());
	return true;
}

void expire_chore_add(struct chores *chores, struct uploads *uploads)
{
	chores_add_dry(chores, &(struct chore){ .name = "expire",
				       .first_ms = EVERY_MS,
				       .every_ms = EVERY_MS,
				       .run = run,
				       .arg = uploads });
}
