/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_delete - DELETE of a blob, unless a manifest that the repository lists still needs it (405).
 *
 *   condemned, by a record of the index  ->  removed, before that record ends
 *                                        ->  a record that it is over  ->  202
 *
 * So a push of a manifest that names the blob comes before, and then the blob is needed, or behind, and is
 * refused (docs/storage-protocol.md).
 */
#include <time.h>

#include "common/check.h"
#include "common/log.h"
#include "worker/registry/manifest_load.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/index/index.h"
#include "worker/index/index_memo.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

#define AWAIT_MS 200

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
	bool there;

	/* One that a peer sent may have come before, and have removed it: the index knows. */
	there = store_blob_size(ask->worker->store, name, &ask->route.digest, &size, err);
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
	int64_t now_s = store_clock_s(deletion->ask->worker->store);

	if (index_is_condemned(view, &change->digest, now_s))
		return error_set(err, ERROR_BUSY, NULL, "the blob is just being deleted");
	if (!index_may_condemn(view, now_s))
		return error_set(
			err, ERROR_BUSY, NULL, "too many blobs of this repository are being deleted");
	return check_needed(deletion, view, err);
}

/* What comes behind the removal: where it fails the condemnation ends by itself. */
static void say_removed(const struct deletion *deletion)
{
	const struct oci_ask *ask = deletion->ask;
	struct index_change change = { .op = INDEX_REMOVED,
		.name = ask->route.name.text,
		.digest = ask->route.digest,
		.until_s = deletion->change.until_s };
	struct error err;

	if (!indexes_change_wait(ask->worker->indexes, &change, &err))
		log_warn("blob.delete",
			"repository=%s error=%s until the end of its condemnation the blob is not known",
			ask->route.name.text, log_quote(str_of(err.text)));
}

static bool is_over(const struct oci_ask *ask, bool *ret_over, struct error *err)
{
	AUTO(index) *view = NULL;

	if (!indexes_get(ask->worker->indexes, name_str(&ask->route.name), &view, err))
		return false;
	*ret_over = !index_is_condemned(view, &ask->route.digest, store_clock_s(ask->worker->store));
	return true;
}

/* The same call came before, and may be at it still: there is one who removes, or an end that comes by
 * itself. */
static bool await_other(const struct oci_ask *ask, struct error *err)
{
	const struct timespec pause = { .tv_nsec = AWAIT_MS * 1000000L };
	uint64_t size;
	bool over = false;

	while (is_over(ask, &over, err) && !over)
		(void)nanosleep(&pause, NULL);
	if (!over)
		return false;
	if (store_blob_size(ask->worker->store, name_str(&ask->route.name), &ask->route.digest, &size, err))
		return error_set(
			err, ERROR_UNAVAILABLE, NULL, "the blob was not removed in time, or pushed again");
	return err->kind == ERROR_UNKNOWN;
}

static bool condemn(struct deletion *deletion, struct error *err)
{
	const struct oci_ask *ask = deletion->ask;
	struct index_change *change = &deletion->change;

	*change = (struct index_change){ .op = INDEX_CONDEMN,
		.name = ask->route.name.text,
		.id = ask->call,
		.is_call = ask->has_call,
		.sent_ms = ask->call_sent_ms,
		.issued_ms = ask->call_issued_ms,
		.digest = ask->route.digest,
		.until_s = store_clock_s(ask->worker->store) + MEMO_CONDEMN_S,
		.check = check_in_place };
	return indexes_change_wait(ask->worker->indexes, change, err);
}

static bool remove_blob(struct deletion *deletion, struct error *err)
{
	const struct oci_ask *ask = deletion->ask;
	bool removed;

	if (!condemn(deletion, err))
		return false;
	if (!deletion->change.changed)
		return await_other(ask, err);
	removed = store_blob_delete(ask->worker->store, name_str(&ask->route.name), &ask->route.digest,
		deletion->change.until_s, err);
	if (!removed && err->kind != ERROR_UNKNOWN)
		return false;
	say_removed(deletion);
	return removed;
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
