/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/import_chore.h"

#include <inttypes.h>

#include "common/log.h"
#include "worker/storage/store.h"

/* Nine tenths: a mark that is a bit younger than the time since it was written is no reason to wait as long again. */
static int64_t older_s(const struct import_chore *import)
{
	if (!import->by_mark && !import->went_on)
		return 0;
	return import->every_ms ? import->every_ms / 10 * 9 / 1000 : STORE_IMPORT_ONCE;
}

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	struct import_chore *import = arg;
	const struct pace pace = chore_pace(turn);
	const struct store_import how = { .older_s = older_s(import), .pace = &pace };
	uint64_t found = 0;
	bool ok = store_import(import->store, &how, &found, err);

	import->went_on = true;
	if (found)
		log_info("store.imported", "repositories=%" PRIu64, found);
	return ok || error_add(err, "store.import: the catalog may lack repositories");
}

void import_chore_add(struct chores *chores, struct import_chore *import)
{
	chores_add(chores, &(struct chore){ "import", 0, import->every_ms, run, import });
}
