/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/import.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/http_client.h"
#include "common/log.h"
#include "worker/index/index.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

static bool print_name(void *arg, struct str name)
{
	(void)arg;
	return printf("%.*s\n", STR_ARGS(name)) > 0;
}

/* Those that zot left in another repository; a folder has none. */
static bool restore_blobs(struct store *store, struct error *err)
{
	struct store_dedupe told;
	uint64_t restored = 0;
	const char *path;

	for (size_t i = 0; i < store_roots_len(store); i++) {
		struct store *root = store_root_at(store, i, &path);

		if (store_has_files(root, STR_NONE))
			continue;
		if (!store_dedupe(root, true, NULL, &told, err))
			return false;
		restored += told.restored;
	}
	if (restored)
		(void)printf("%" PRIu64 " blobs got their bytes from another repository\n", restored);
	return true;
}

static bool import_store(const struct worker_settings *settings, uint64_t *ret_found, struct error *err)
{
	const struct store_import how = { .is_vacant = index_json_is_vacant, .found = print_name };
	AUTO(store) *store = NULL;

	return worker_open_store(settings, &store, err) && store_import(store, &how, ret_found, err) &&
	       restore_blobs(store, err);
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
