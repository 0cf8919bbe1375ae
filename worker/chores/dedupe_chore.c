/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/dedupe_chore.h"

#include <inttypes.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/storage/store.h"

#define LOOK_MS  1000 /* whether it is time */
#define EVERY_MS (60 * 60 * 1000)

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	struct dedupe_chore *dedupe = arg;
	const struct pace pace = chore_pace(turn);
	struct store_dedupe told = { 0 };
	bool ok;

	if (clock_ms() < dedupe->next_ms && !chore_is_asked(turn))
		return true;
	chore_works(turn, "files", 0);
	ok = store_dedupe(dedupe->store, chore_is_asked(turn), &pace, &told, err);
	chore_did(turn, told.linked + told.restored);
	chore_counts(turn, told.removed, told.saved);
	if (!told.again)
		dedupe->next_ms = clock_ms() + EVERY_MS;
	if (told.linked || told.removed || told.restored)
		log_info("store.deduped",
			"linked=%" PRIu64 " removed=%" PRIu64 " restored=%" PRIu64 " saved=%" PRIu64,
			told.linked, told.removed, told.restored, told.saved);
	return ok || error_add(err, "store.dedupe");
}

void dedupe_chore_add(struct chores *chores, struct dedupe_chore *dedupe)
{
	chores_add(chores, &(struct chore){ "dedupe", 0, LOOK_MS, run, dedupe });
}
