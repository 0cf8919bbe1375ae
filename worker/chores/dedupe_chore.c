/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/dedupe_chore.h"

#include <inttypes.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/storage/store.h"

#define LOOK_MS  1000 /* whether it is time */
#define EVERY_MS (60 * 60 * 1000)

static bool has_bucket(struct store *store)
{
	const char *path;

	for (size_t i = 0; i < store_roots_len(store); i++)
		if (!store_has_files(store_root_at(store, i, &path), STR_NONE))
			return true;
	return false;
}

static bool run_dry(const struct dedupe_chore *dedupe, struct chore_turn *turn, struct error *err)
{
	const struct pace pace = chore_pace(turn);
	const struct would would = chore_would(turn);
	struct store_dedupe told = { 0 };

	if (has_bucket(dedupe->store))
		return chore_refuse(turn, err,
			"dedupe: what it does in a bucket, giving empty objects their bytes, has no dry run");
	chore_works(turn, "files", 0);
	return store_dedupe(dedupe->store, true, &pace, &would, &told, err) || error_add(err, "store.dedupe");
}

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	struct dedupe_chore *dedupe = arg;
	const struct pace pace = chore_pace(turn);
	struct store_dedupe told = { 0 };
	bool ok;

	if (chore_is_dry(turn))
		return run_dry(dedupe, turn, err);
	if (clock_ms() < dedupe->next_ms && !chore_is_asked(turn))
		return true;
	chore_works(turn, "files", 0);
	ok = store_dedupe(dedupe->store, chore_is_asked(turn), &pace, NULL, &told, err);
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
	chores_add_dry(chores,
		&(struct chore){
			.name = "dedupe", .first_ms = 0, .every_ms = LOOK_MS, .run = run, .arg = dedupe });
}
