/* SPDX-License-Identifier: Apache-2.0 */
/*
 * collect - what nobody needs any more goes, while pushes go on.
 *
 *     a view of the index  ->  what its manifests are and name (live_set.h)  ->  all blobs, page by page
 *           not live, and neither stored nor asked for lately: up to COLLECT_BATCH of them
 *           condemned, by one record of the index, if nothing that came since names them   ->  removed, before that record ends
 *           ->  a record that it is over
 *
 * So each is deleted as a client's DELETE of a blob would do it (docs/storage-protocol.md, "Deleting a blob"): whatever comes too late, is held
 * up or cut off, no manifest that was acknowledged names what went. No lock is held that a push waits for but those of its index.
 *
 * A repository in which nothing is left then leaves the catalog (docs/storage-protocol.md, "Repositories that are empty"): a record that it is vacant
 * -> the name is removed, before that record ends -> a record that it is over. The next push brings it back. One that never had a manifest is not in
 * the catalog, and is collected all the same by whoever finds it.
 *
 * Live is: each manifest that the index lists, and what it names as config, layer or member. Where one of them can't be read, so that what it
 * names is not known, nothing of the repository is collected, and it is said.
 *
 * Memory: 16 bytes for each live digest and what a batch takes, at most 32 MiB; a repository with more is walked several times.
 *
 * Thread  pool.
 */
#pragma once

#include <stdint.h>

#include "common/error.h"
#include "proto/digest.h"

struct pace;
struct registry;

#define COLLECT_BATCH 1000u

/* One that went, or would. */
typedef void collect_told_f(void *arg, const char *name, const struct digest *digest, uint64_t bytes);

struct collect_how {
	int64_t delay_ms;         /* what was stored or asked for in so long a time stays */
	bool dry_run;             /* nothing goes */
	bool listed;              /* the catalog has it: it leaves that when it is empty */
	const struct pace *pace;  /* or NULL */
	collect_told_f *told;     /* or NULL */
	void *arg;
	size_t live_most;         /* 0: LIVE_SET_MAX */
};

struct collected {
	bool whole;               /* walked to the end, and nothing that could go is left for lack of time */
	uint64_t blobs;           /* that were there */
	uint64_t young;           /* needed by nobody, but stored or asked for lately */
	uint64_t removed, bytes;
	uint64_t unknown;         /* condemned, and whether they went is not known; the next time tells */
	bool vacated;             /* nothing is left, and the catalog has it no more, or would not */
	size_t memory;            /* that it took at most */
};
/* *ret is set in any case. A repository that is not there: nothing. False: it was not walked to the end, or some may be there still. */
bool registry_collect(struct registry *registry, const char *name, const struct collect_how *how, struct collected *ret,
	struct error *err) MUST_CHECK;
