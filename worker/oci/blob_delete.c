/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_delete - DELETE of a blob, unless a manifest that the repository lists still needs it (405).
 */
#include "worker/oci/known_blobs.h"
#include "worker/oci/manifest_load.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/oci/uploads.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

#define DELETE_S 20 /* within which it takes effect or does not */

struct search {
	const struct digest *digest;
	bool found;
};

static bool look_into(void *arg, const struct index_entry *entry, const struct manifest *manifest)
{
	struct search *search = arg;

	(void)entry;
	search->found = manifest_names(manifest, search->digest);
	return !search->found;
}

static bool is_needed(const struct oci_ask *ask, bool *ret_needed, struct error *err)
{
	struct str name = name_str(&ask->route.name);
	struct search search = { .digest = &ask->route.digest };
	AUTO(index) *index = NULL;

	*ret_needed = false;
	if (!indexes_get(ask->worker->indexes, name, &index, err))
		return err->kind == ERROR_UNKNOWN;
	search.found = index_find_digest(index, search.digest);
	if (!search.found && !manifest_walk(ask->worker, name, index, NULL, look_into, &search, err))
		return false;
	*ret_needed = search.found;
	return true;
}

static struct http_response *delete_blob(const struct oci_ask *ask)
{
	struct str name = name_str(&ask->route.name);
	struct store *store = ask->worker->store;
	struct error err;
	uint64_t size;
	bool needed;

	if (!store_blob_size(store, name, &ask->route.digest, &size, &err) || !is_needed(ask, &needed, &err))
		return oci_reply_unknown(&err, "BLOB_UNKNOWN");
	if (needed) {
		(void)error_set(&err, ERROR_DENIED, "DENIED", "a manifest of this repository names the blob");
		return oci_reply_status(405, &err);
	}
	known_blobs_forget(uploads_known(ask->worker->uploads), name, &ask->route.digest);
	if (!store_blob_delete(store, name, &ask->route.digest, store_clock_s(store) + DELETE_S, &err))
		return oci_reply_unknown(&err, "BLOB_UNKNOWN");
	return http_response_empty(202);
}

void oci_blob_delete_job(struct oci_job *job)
{
	oci_job_reply(job, delete_blob(&job->ask));
}
