/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/import.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/http_client.h"
#include "common/log.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

static bool print_name(void *arg, struct str name)
{
	(void)arg;
	return printf("%.*s\n", STR_ARGS(name)) > 0;
}

static bool import_store(const struct worker_settings *settings, uint64_t *ret_found, struct error *err)
{
	const struct store_import how = { .found = print_name };
	AUTO(store) *store = NULL;

	return worker_open_store(settings, &store, err) && store_import(store, &how, ret_found, err);
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
