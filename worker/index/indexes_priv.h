/* SPDX-License-Identifier: Apache-2.0 */
/*
 * indexes_priv - what looking (indexes.c) and changing (indexes_commit.c) share.
 *
 * One lock guards everything here; it is never held while the store is asked. A repository is in the map
 * while it has a view or while somebody works on it (`pins`); it can only be evicted when nobody does.
 *
 * A load and a write may overlap. What was loaded meanwhile is good for whoever asked for it, but it is not
 * remembered when a write began or ended during the load: it might be the older one.
 */
#pragma once

#include <pthread.h>

#include "common/lock.h"
#include "common/map.h"
#include "worker/index/index_priv.h"

/* When a view was last like the store: our clock, and the store's own (store_clock_s(); 0: it did not tell). us 0: that is not known. */
struct index_seen {
	int64_t us, store_s;
};

struct repository {
	struct indexes *indexes;
	char *name;
	struct index *view;   /* counted; NULL: not in memory */
	int64_t validated_us; /* just before the store was asked whether it is like the view; 0: not believed
			       */
	struct index_seen seen; /* the same, also when it is no longer believed */
	int64_t absent_us;    /* the same, when the answer was that there is none */
	size_t bytes;         /* counted for the view */
	unsigned pins;
	bool loading;    /* one load at a time */
	int64_t wrote_us; /* when we last wrote, or found a log that nobody folds; 0: never */
	uint64_t writes; /* begun and ended ones: odd while one is under way */
	bool committing;
	bool fold_due; /* of the committer */
	struct index_change *first, **last; /* waiting for the committer */
	struct repository *newer, *older; /* by use, while there is a view; of dead ones: older is the next */
};

struct indexes {
	struct store *store;
	struct pool *pool;
	index_trust_f *trust;
	void *trust_arg;
	size_t bytes_max, log_least, json_most;
	int64_t keep_us;        /* of folded records */
	int64_t clean_after_us; /* the same, for who removes them */
	struct { index_watch_f *fn; void *arg; } watches[INDEX_WATCHES_MAX];
	size_t watches_len;
	index_follow_f *follow; /* or NULL */
	void *follow_arg;
	index_gate_f *gate; /* or NULL */
	void *gate_arg;
	index_room_f *room; /* or NULL */
	void *room_arg;
	struct lock lock;        /* guards all below */
	pthread_cond_t loaded, idle; /* a load has ended; no committer is left */
	struct map *repositories;
	struct repository *newest, *oldest;
	struct clean *clean_first, **clean_last; /* by the time when they are due */
	size_t clean_len;
	bool cleaning, stopping;
	unsigned committers; /* and cleaners */
	struct indexes_stats stats;
};

void indexes_lock(struct indexes *indexes);
void indexes_unlock(struct indexes *indexes);
/* Made when it is not there. */
struct repository *indexes_pin_locked(struct indexes *indexes, struct str name);
/* Unpins, evicts what is over the bound, unlocks, frees. */
void indexes_unpin_unlock(struct repository *repository);
/* Takes the caller's reference of `view` (NULL: forgets); returns the one before, to be freed without
 * the lock. */
struct index *indexes_set_view_locked(
	struct repository *repository, struct index *view, const struct index_seen *seen) MUST_CHECK;

/* Asks the store, without the lock. `base` may be NULL, else it comes back (referenced) when it is still
 * true; *seen: when it last was, and afterwards when *ret was. fn (may be NULL) is told of each change that is read from the log.
 * ERROR_UNKNOWN with NAME_UNKNOWN: there is no such repository. */
bool indexes_load(struct indexes *indexes, struct str name, struct index *base, struct index_seen *seen,
	index_log_f *fn, void *arg, struct index **ret, struct error *err) MUST_CHECK;
/* The log goes on, and nothing that lies behind this view is removed from it yet. */
bool indexes_may_follow(const struct indexes *indexes, struct str name, const struct index *base,
	const struct index_seen *seen);
/* By the clock of the store: has more than this passed between the two? Where it does not tell, no. */
bool indexes_is_later(int64_t store_s, int64_t than_s, int64_t by_us);

/* indexes_lazy.c, for the committer. A manifest of the batch that is to be acknowledged and that no record speaks for is written durably:
 * one that the index listed when it was pushed and lists no more, or one that it did not list and lists by now, though it was not there. */
bool indexes_put_unsaid(struct indexes *indexes, struct str name, const struct index *base,
	struct index_change *batch, struct error *err) MUST_CHECK;
/* Before an index.json says so: what was put lazily is durable, this batch's, and what the log had. */
bool indexes_sync_lazy(struct indexes *indexes, struct str name, const struct index *base,
	const struct index_change *batch, uint64_t *ret_era, struct error *err) MUST_CHECK;

/* indexes_clean.c: records of logs that are folded, to be removed when nobody needs them any more. */
struct clean;
void indexes_clean_later(struct indexes *indexes, const char *name, const struct store_log_place *upto);
/* In the pool, those whose time has come. */
void indexes_clean_due(struct indexes *indexes);
void indexes_clean_fini(struct indexes *indexes);

/* index_told.c: what this change is going to do to the view, which does not have it yet. NULL: nothing that anybody is told of. */
struct index_told *index_told_new(const struct index *view, bool exists, const struct index_change *change);
void index_told_free(struct index_told *told);
