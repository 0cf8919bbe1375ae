/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/import.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/http_client.h"
#include "common/log.h"
#include "common/progress.h"
#include "worker/index/index.h"
#include "worker/storage/pace.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

/* How many there are is not known before it is over. */
struct steps {
	struct progress progress;
	uint64_t done;
};

static bool on_step(void *arg)
{
	struct steps *steps = arg;

	progress_tell(&steps->progress, ++steps->done);
	return true;
}

static bool print_name(void *arg, struct str name)
{
	struct steps *steps = arg;

	progress_clear(&steps->progress);
	return printf("%.*s\n", STR_ARGS(name)) > 0;
}

/* Those that zot left in another repository; a folder has none. */
static bool restore_blobs(struct store *store, struct error *err)
{
	struct steps steps = { .done = 0 };
	const struct pace pace = { on_step, &steps };
	struct store_dedupe told;
	uint64_t restored = 0;
	const char *path;

	bool ok = true;

	progress_begin(&steps.progress, "steps through blobs", 0);
	for (size_t i = 0; ok && i < store_roots_len(store); i++) {
		struct store *root = store_root_at(store, i, &path);

		if (store_has_files(root, STR_NONE))
			continue;
		ok = store_dedupe(root, true, &pace, NULL, &told, err);
		restored += ok ? told.restored : 0;
	}
	progress_end(&steps.progress);
	if (restored)
		(void)printf("%" PRIu64 " blobs got their bytes from another repository\n", restored);
	return ok;
}

static bool import_store(const struct worker_settings *settings, uint64_t *ret_found, struct error *err)
{
	struct steps steps = { .done = 0 };
	const struct pace pace = { on_step, &steps };
	const struct store_import how = {
		.is_vacant = index_json_is_vacant, .found = print_name, .pace = &pace, .arg = &steps
	};
	AUTO(store) *store = NULL;
	bool ok;

	if (!worker_open_store(settings, &store, err))
		return false;
	progress_begin(&steps.progress, "folders", 0);
	ok = store_import(store, &how, ret_found, err);
	progress_end(&steps.progress);
	return ok && restore_blobs(store, err);
}

int import_run(const struct worker_settings *settings)
{
	uint64_t found = 0;
	struct error err;
	bool ok;

	http_client_init();
	ok = import_store(settings, &found, &err);
	http_client_fini();
	if (!ok)
		log_error("store.import", "error=%s", log_quote(str_of(err.text)));
	(void)printf("%" PRIu64 " repositories are new in the catalog\n", found);
	return !ok;
}
