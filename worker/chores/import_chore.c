/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/import_chore.h"

#include <inttypes.h>

#include "common/log.h"
#include "worker/index/index.h"
#include "worker/storage/store.h"

/* Nine tenths: a mark that is a bit younger than the time since it was written is no reason to wait as long again. */
static int64_t older_s(const struct import_chore *import, const struct store *root)
{
	bool is_folder = store_has_files(root, STR_NONE);
	int64_t every_ms = is_folder ? import->every_ms : import->bucket_every_ms;

	if (is_folder && !import->went_on)
		return 0;
	return every_ms ? every_ms / 10 * 9 / 1000 : STORE_IMPORT_ONCE;
}

struct walk {
	const struct import_chore *import;
	struct chore_turn *turn;
};

/* It is new in the catalog. */
static bool on_found(void *arg, struct str name)
{
	const struct walk *walk = arg;

	chore_takes(walk->turn, name);
	if (walk->import->found)
		walk->import->found(walk->import->found_arg, name);
	return true;
}

static bool import_root(const struct import_chore *import, struct store *root, struct chore_turn *turn,
	const struct pace *pace, struct error *err)
{
	struct walk walk = { import, turn };
	const struct store_import how = { .older_s = chore_is_asked(turn) ? 0 : older_s(import, root),
		.pace = pace,
		.is_vacant = index_json_is_vacant,
		.found = on_found,
		.arg = &walk };
	uint64_t found = 0;
	bool ok = store_import(root, &how, &found, err);

	if (found)
		log_info("store.imported", "repositories=%" PRIu64, found);
	return ok || error_add(err, "store.import: the catalog may lack repositories");
}

static bool run(struct chore_turn *turn, void *arg, struct error *err)
{
	struct import_chore *import = arg;
	const struct pace pace = chore_pace(turn);
	const char *path;
	bool ok = true;

	chore_works(turn, "new repositories", 0);
	for (size_t i = 0; i < store_roots_len(import->store); i++)
		ok = import_root(
			     import, store_root_at(import->store, i, &path), turn, &pace, ok ? err : NULL) &&
		     ok;
	import->went_on = true;
	return ok;
}

/* The shorter of the two, where both kinds are there. */
static int64_t every_ms(const struct import_chore *import)
{
	int64_t every = 0;
	const char *path;

	for (size_t i = 0; i < store_roots_len(import->store); i++) {
		const struct store *root = store_root_at(import->store, i, &path);
		int64_t own = store_has_files(root, STR_NONE) ? import->every_ms : import->bucket_every_ms;

		if (own && (!every || own < every))
			every = own;
	}
	return every;
}

void import_chore_add(struct chores *chores, struct import_chore *import)
{
	chores_add(chores, &(struct chore){ .name = "import",
				   .first_ms = 0,
				   .every_ms = every_ms(import),
				   .run = run,
				   .arg = import });
}
