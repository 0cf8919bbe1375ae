/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/metadata_chore.h"

#include "worker/metadata/metadata.h"

#define NAME "metadata"

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	const struct pace pace = chore_pace(turn);
	struct metadata_done done = { 0 };
	struct metadata_stats before = metadata_stats(arg);
	bool ok;

	if (chore_is_asked(turn))
		metadata_walk(arg);
	if (chore_is_asked(turn) || before.behind || before.catching_up)
		chore_works(turn, "repositories", 0);
	ok = metadata_work(arg, &pace, &done, err);
	if (done.repositories || done.dropped)
		chore_works(turn, "repositories", 0);
	chore_did(turn, done.repositories);
	chore_counts(turn, done.dropped, 0);
	return ok || error_add(err, "what a search needs is behind");
}

void metadata_chore_add(struct chores *chores, struct metadata *metadata)
{
	chores_add(chores,
		&(struct chore){ .name = NAME, .every_ms = METADATA_EVERY_MS, .run = run, .arg = metadata });
}

void metadata_chore_wake(struct chores *chores, struct metadata *metadata)
{
	if (chores)
		chores_wake(chores, STR(NAME), metadata_soon_ms(metadata));
}
