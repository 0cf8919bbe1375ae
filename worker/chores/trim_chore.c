/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/trim_chore.h"

#include <malloc.h>

#define EVERY_MS 1000
#define LEAST    512 /* connections gone, from which on it is worth looking for free pages */

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	struct trim_chore *trim = arg;
	uint64_t open = trim->count(trim->arg);

	(void)err;
	if (chore_is_dry(turn)) {
		chore_works(turn, "connections", 0);
		chore_did(turn, open);
		chore_counts(turn, 0, mallinfo2().fordblks);
		return true;
	}
	if (chore_is_asked(turn) || (trim->most > LEAST && open < trim->most / 2)) {
		chore_works(turn, "connections", 0);
		chore_did(turn, open);
		(void)malloc_trim(0);
		trim->most = open;
	}
	if (open > trim->most)
		trim->most = open;
	return true;
}

void trim_chore_add(struct chores *chores, struct trim_chore *trim)
{
	chores_add_dry(chores, &(struct chore){ .name = "trim",
				       .first_ms = EVERY_MS,
				       .every_ms = EVERY_MS,
				       .run = run,
				       .arg = trim });
}
