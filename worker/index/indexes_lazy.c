/* SPDX-License-Identifier: Apache-2.0 */
/*
 * indexes_lazy - manifests that were put without a sync: until a fold the log has their bytes, then they must
 * be durable themselves.
 *
 * One sync of the whole store does for all of them, as long as none has failed since they were put
 * (store_era). Else they are written again, from the log.
 */
#include <string.h>

#include "worker/index/indexes_priv.h"

/* Will a record have its bytes? If it was put lazily, and the record is written. */
static bool is_said(const struct index *base, const struct index_change *change)
{
	if (change->changed)
		return change->era || (base && index_find_digest(base, &change->descriptor->digest));
	return !change->era;
}

bool indexes_put_unsaid(struct indexes *indexes, struct str name, const struct index *base,
	struct index_change *batch, struct error *err)
{
	for (struct index_change *change = batch; change; change = change->next)
		if (change->ok && change->bytes.len && !is_said(base, change) &&
			!store_blob_put(
				indexes->store, name, &change->descriptor->digest, change->bytes, err))
			return false;
	return true;
}

static bool has_lazy(const struct index *base, const struct index_change *batch)
{
	bool lazy = base && base->log.bytes;

	for (const struct index_change *change = batch; change && !lazy; change = change->next)
		lazy = change->bytes.len && change->era;
	return lazy;
}

/* Was everything that is to be synced put in this era? */
static bool is_of_era(const struct index *base, const struct index_change *batch, uint64_t era)
{
	bool all = !base || !base->log.bytes || base->era == era;

	for (const struct index_change *change = batch; change && all; change = change->next)
		all = !change->bytes.len || !change->era || change->era == era;
	return all;
}

struct again {
	struct indexes *indexes;
	struct str name;
	struct error *err;
	bool ok;
};

static void put_again(void *arg, const struct digest *digest, struct str bytes)
{
	struct again *again = arg;

	again->ok = again->ok &&
		    store_blob_put_again(again->indexes->store, again->name, digest, bytes, again->err);
}

static bool put_log_again(struct again *again, const struct index *base)
{
	AUTO_FINI(buf) frames = buf_limit(STORE_LOG_MAX);
	struct store_log_place place = { .at = 0 };

	if (!base || !base->log.bytes)
		return true;
	memcpy(place.generation, base->log.generation, sizeof(place.generation));
	if (store_log_get(again->indexes->store, again->name, &base->version, &place, &frames, again->err) ==
		STORE_FAILED)
		return false;
	index_log_manifests(buf_str(&frames), put_again, again);
	return again->ok;
}

/* What a failed sync may have lost, or what was put before we began to look. */
static bool put_all_again(struct indexes *indexes, struct str name, const struct index *base,
	const struct index_change *batch, struct error *err)
{
	struct again again = { indexes, name, err, true };

	if (!put_log_again(&again, base))
		return false;
	for (const struct index_change *change = batch; change; change = change->next)
		if (change->bytes.len && change->era)
			put_again(&again, &change->descriptor->digest, change->bytes);
	return again.ok;
}

bool indexes_sync_lazy(struct indexes *indexes, struct str name, const struct index *base,
	const struct index_change *batch, uint64_t *ret_era, struct error *err)
{
	struct error ignored;

	*ret_era = store_era(indexes->store, name);
	if (!has_lazy(base, batch) ||
		(is_of_era(base, batch, *ret_era) && store_sync(indexes->store, name, *ret_era, &ignored)))
		return true;
	*ret_era = store_era(indexes->store, name);
	return put_all_again(indexes, name, base, batch, err) &&
	       store_sync(indexes->store, name, *ret_era, err);
}
