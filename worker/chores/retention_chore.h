/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_chore - the tags and manifests that no policy keeps are removed, each repository's by its owner.
 *
 *     a pass: the catalog, page by page --ours?--> which policy? --> retention_remove() --> a line of the log for each that is gone
 *
 * A pass begins at the start, every_ms after the last has ended, and when a policy was changed; never before RETENTION_PAUSE_TIMES as long has gone by
 * as the last one took, so that large stores cost a tenth of one thread. A repository for which nothing is asked is not looked at. One that cannot be read is
 * told, and the others are done all the same.
 *
 * Thread  pool.
 */
#pragma once

#include <stdint.h>

#include "common/str.h"
#include "proto/retention.h"
#include "worker/chores/chores.h"

#define RETENTION_PAUSE_TIMES 9

struct entity;
struct registry;

/* What decides for one repository. */
struct retention_source {
	struct retention *retention; /* a reference, or NULL: no policies */
	int64_t delay_ms;            /* where that names none */
	const struct entity *limits; /* or NULL; borrowed from: */
	void *held;
};

struct retention_whose {
	/* False: nobody asks for anything, or who owns what is not known; nothing is done. Before version(). */
	bool (*is_on)(void *arg);
	bool (*is_ours)(void *arg, struct str name);
	uint64_t (*version)(void *arg); /* another number where policies were changed */
	bool (*open)(void *arg, struct str name, struct retention_source *ret, struct error *err);
	void (*close)(void *arg, struct retention_source *source);
	void *arg;
};

struct retention_chore {
	struct registry *registry;
	int64_t every_ms;
	struct retention_whose whose;
	/* Private. */
	bool ran;
	uint64_t version;          /* as the last pass found it */
	int64_t soon_ms, next_ms;  /* when the next one begins */
};

/* The struct outlives the pool; it is filled in but for what is private. */
void retention_chore_add(struct chores *chores, struct retention_chore *retention);
