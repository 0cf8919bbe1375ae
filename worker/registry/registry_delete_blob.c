/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/registry.h"

#include <time.h>

#include "common/check.h"
#include "common/log.h"
#include "worker/index/index_memo.h"
#include "worker/registry/manifest_walk.h"
#include "worker/storage/store.h"

#define AWAIT_MS 200

struct deletion {
	struct index_change change; /* first */
	struct registry *registry;
	const char *name;
	const struct digest *digest;
	const struct registry_call *call;
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
	struct search search = { .digest = deletion->digest };

	search.found = index_find_digest(view, search.digest);
	if (!search.found && !manifest_walk(deletion->registry, str_of(deletion->name), view,
				     deletion->walked, NULL, look_into, &search, err))
		return false;
	deletion->needed = search.found;
	return !search.found ||
	       error_set(err, ERROR_DENIED, "DENIED", "a manifest of this repository names the blob");
}

/* Most of the looking is done before, beside other changes of the repository. */
static bool look_before(struct deletion *deletion, struct error *err)
{
	struct str name = str_of(deletion->name);
	AUTO(index) *view = NULL;
	uint64_t size;
	bool there;

	/* One that a peer sent may have come before, and have removed it: the index knows. */
	there = store_blob_size(deletion->registry->store, name, deletion->digest, &size, err);
	if (!there && (err->kind != ERROR_UNKNOWN || !deletion->call->is_call))
		return false;
	if (!indexes_get(deletion->registry->indexes, name, &view, err))
		return there && err->kind == ERROR_UNKNOWN;
	if (!check_needed(deletion, view, err))
		return false;
	deletion->walked = TAKE(view);
	return true;
}

static bool check_in_place(struct index_change *change, const struct index *view, struct error *err)
{
	struct deletion *deletion = (struct deletion *)change;
	int64_t now_s = store_clock_s(deletion->registry->store, str_of(deletion->name));

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
	struct index_change change = { .op = INDEX_REMOVED,
		.name = deletion->name,
		.digest = *deletion->digest,
		.until_s = deletion->change.until_s };
	struct error err;

	if (!indexes_change_wait(deletion->registry->indexes, &change, &err))
		log_warn("blob.delete",
			"repository=%s error=%s until the end of its condemnation the blob is not known",
			deletion->name, log_quote(str_of(err.text)));
}

static bool is_over(const struct deletion *deletion, bool *ret_over, struct error *err)
{
	AUTO(index) *view = NULL;

	if (!indexes_get(deletion->registry->indexes, str_of(deletion->name), &view, err))
		return false;
	*ret_over = !index_is_condemned(
		view, deletion->digest, store_clock_s(deletion->registry->store, str_of(deletion->name)));
	return true;
}

/* The same call came before, and may be at it still: there is one who removes, or an end that comes by
 * itself. */
static bool await_other(const struct deletion *deletion, struct error *err)
{
	const struct timespec pause = { .tv_nsec = AWAIT_MS * 1000000L };
	uint64_t size;
	bool over = false;

	while (is_over(deletion, &over, err) && !over)
		(void)nanosleep(&pause, NULL);
	if (!over)
		return false;
	if (store_blob_size(deletion->registry->store, str_of(deletion->name), deletion->digest, &size, err))
		return error_set(
			err, ERROR_UNAVAILABLE, NULL, "the blob was not removed in time, or pushed again");
	return err->kind == ERROR_UNKNOWN;
}

static bool condemn(struct deletion *deletion, struct error *err)
{
	struct index_change *change = &deletion->change;

	*change = (struct index_change){ .op = INDEX_CONDEMN,
		.name = deletion->name,
		.id = deletion->call->id,
		.is_call = deletion->call->is_call,
		.sent_ms = deletion->call->sent_ms,
		.issued_ms = deletion->call->issued_ms,
		.digest = *deletion->digest,
		.until_s = store_clock_s(deletion->registry->store, str_of(deletion->name)) + MEMO_CONDEMN_S,
		.check = check_in_place };
	return indexes_change_wait(deletion->registry->indexes, change, err);
}

static bool remove_blob(struct deletion *deletion, struct error *err)
{
	bool removed;

	if (!condemn(deletion, err))
		return false;
	if (!deletion->change.changed)
		return await_other(deletion, err);
	removed = store_blob_delete(deletion->registry->store, str_of(deletion->name), deletion->digest,
		deletion->change.until_s, err);
	if (!removed && err->kind != ERROR_UNKNOWN)
		return false;
	say_removed(deletion);
	return removed;
}

bool registry_delete_blob(struct registry *registry, const char *name, const struct digest *digest,
	const struct registry_call *call, bool *ret_needed, struct error *err)
{
	struct deletion deletion = { .registry = registry, .name = name, .digest = digest, .call = call };
	bool ok = look_before(&deletion, err) && remove_blob(&deletion, err);

	*ret_needed = !ok && deletion.needed;
	index_free(deletion.walked);
	return ok;
}
