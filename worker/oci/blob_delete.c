/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_delete - DELETE of a blob, unless a manifest that the repository lists still needs it (405).
 *
 *   condemned, by a record of the index  ->  removed, before that record ends  ->  a record that it is over
 * ->  202
 *
 * So a push of a manifest that names the blob comes before, and then the blob is needed, or behind, and is
 * refused (docs/storage-protocol.md).
 */
#include "common/check.h"
#include "common/log.h"
#include "worker/oci/manifest_load.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/storage/index.h"
#include "worker/storage/index_memo.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

struct deletion {
	struct index_change change; /* first */
	const struct oci_ask *ask;
	struct index *walked; /* no manifest of this view names the blob; NULL: none was looked through */
	bool needed;
};

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

/* False, and `needed` is set: a manifest of the view that was not walked before names it. */
static bool check_needed(struct deletion *deletion, const struct index *view, struct error *err)
{
	const struct oci_ask *ask = deletion->ask;
	struct search search = { .digest = &ask->route.digest };

	search.found = index_find_digest(view, search.digest);
	if (!search.found && !manifest_walk(ask->worker, name_str(&ask->route.name), view, deletion->walked,
				     NULL, look_into, &search, err))
		return false;
	deletion->needed = search.found;
	return !search.found ||
	       error_set(err, ERROR_DENIED, "DENIED", "a manifest of this repository names the blob");
}

/* Most of the looking is done before, beside other changes of the repository. */
static bool look_before(struct deletion *deletion, struct error *err)
{
	const struct oci_ask *ask = deletion->ask;
	struct str name = name_str(&ask->route.name);
	AUTO(index) *view = NULL;
	uint64_t size;

	bool there = store_blob_size(ask->worker->store, name, &ask->route.digest, &size, err);

	/* One that a peer sent may have come before, and have removed it: the index knows. */
	if (!there && (err->kind != ERROR_UNKNOWN || !ask->has_call))
		return false;
	if (!indexes_get(ask->worker->indexes, name, &view, err))
		return there && err->kind == ERROR_UNKNOWN;
	if (!check_needed(deletion, view, err))
		return false;
	deletion->walked = TAKE(view);
	return true;
}

static bool check_in_place(struct index_change *change, const struct index *view, struct error *err)
{
	struct deletion *deletion = (struct deletion *)change;

	if (!index_may_condemn(view, store_clock_s(deletion->ask->worker->store)))
		return error_set(
			err, ERROR_BUSY, NULL, "too many blobs of this repository are being deleted");
	return check_needed(deletion, view, err);
}

/* What comes behind the removal: where it fails the condemnation ends by itself. */
static void say_removed(const struct oci_ask *ask)
{
	struct index_change change = {
		.op = INDEX_REMOVED, .name = ask->route.name.text, .digest = ask->route.digest
	};
	struct error err;

	if (!indexes_change_wait(ask->worker->indexes, &change, &err))
		log_warn("blob.delete",
			"repository=%s error=%s until the end of its condemnation the blob is not known",
			ask->route.name.text, log_quote(str_of(err.text)));
}

static bool remove_blob(struct deletion *deletion, struct error *err)
{
	const struct oci_ask *ask = deletion->ask;
	struct store *store = ask->worker->store;
	bool removed;

	deletion->change.op = INDEX_CONDEMN;
	deletion->change.id = ask->call;
	deletion->change.is_call = ask->has_call;
	deletion->change.sent_ms = ask->call_sent_ms;
	deletion->change.name = ask->route.name.text;
	deletion->change.digest = ask->route.digest;
	deletion->change.until_s = store_clock_s(store) + MEMO_CONDEMN_S;
	deletion->change.check = check_in_place;
	if (!indexes_change_wait(ask->worker->indexes, &deletion->change, err))
		return false;
	removed = store_blob_delete(
		store, name_str(&ask->route.name), &ask->route.digest, deletion->change.until_s, err);
	if (!removed && err->kind != ERROR_UNKNOWN)
		return false;
	say_removed(ask);
	/* The same call has removed it before. */
	return removed || !deletion->change.changed;
}

void oci_blob_delete_job(struct oci_job *job)
{
	struct deletion deletion = { .ask = &job->ask };
	struct http_response *response;
	struct error err;

	if (look_before(&deletion, &err) && remove_blob(&deletion, &err))
		response = http_response_empty(202);
	else if (deletion.needed)
		response = oci_reply_status(405, &err);
	else
		response = oci_reply_unknown(&err, "BLOB_UNKNOWN");
	index_free(deletion.walked);
	oci_job_reply(job, response);
}
