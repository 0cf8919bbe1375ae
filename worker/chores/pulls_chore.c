/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/pulls_chore.h"

#include "worker/registry/registry.h"

#define EVERY_MS 1000

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	const struct pace pace = chore_pace(turn);

	if (chore_is_asked(turn))
		chore_works(turn, "repositories", 0);
	return registry_write_pulls(arg, &pace, err) || error_add(err, "pulls that were counted");
}

void pulls_chore_add(struct chores *chores, struct registry *registry)
{
	chores_add(chores, &(struct chore){ .name = "pulls",
				   .first_ms = EVERY_MS,
				   .every_ms = EVERY_MS,
				   .run = run,
				   .arg = registry });
}
