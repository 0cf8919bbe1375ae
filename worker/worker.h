/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker - everything of the process, wired: made once at start, ended once.
 *
 * The rooms below know nothing of it: each is given what it works with.
 */
#pragma once

#include "worker/front/front.h"
#include "worker/settings.h"

struct blob_cache;
struct pool;
struct retention_rules;
struct spool;
struct store;

struct worker {
	struct front front; /* and the loops */
	const struct worker_settings *settings;
	struct pool *pool;
	struct store *store;
	struct spool *spool;
	struct retention_rules *retention;
	struct blob_cache *cache; /* before a bucket; NULL: none */
};

/* The store that the settings name. Waits for disk. */
bool worker_open_store(const struct worker_settings *settings, struct store **ret, struct error *err) MUST_CHECK;

/* The folder that the spools of all workers on this storage folder lie in; false: ours lies elsewhere. */
bool worker_spools_folder(const struct worker_settings *settings, struct buf *into);

/* Builds and runs until SIGTERM or SIGINT; the process's exit status. */
int worker_run(const struct worker_settings *settings);
