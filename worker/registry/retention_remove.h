/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_remove - what a plan lets go is removed from the repository's index, a change at a time.
 *
 *     a manifest all of whose tags go     removed with its tags, in one change
 *     a tag of a manifest that stays      removed alone
 *
 * An index goes before what it names. Each removal is checked at the place where it is written (retention_guard.h): what was pushed, tagged
 * or named since the plan was made stays, and the plan is made anew, RETENTION_PLANS_MAX times; what is left then is for the next time.
 * Thread  pool.
 */
#pragma once

#include "proto/retention_decide.h"
#include "worker/storage/pace.h"

#define RETENTION_PLANS_MAX 5

struct entity;
struct registry;

struct retention_work {
	struct registry *registry;
	struct str name;
	struct retention_terms terms;
	const struct entity *limits; /* the `repository` entity that decides, or NULL */
	int64_t now_ms;              /* wall clock; 0: as it is */
	const struct pace *pace;     /* NULL: nobody else is there */
	/* Told of each that is gone, or with dry_run would be: tag "" of a manifest that has none. why: retention_explain(). */
	void (*removed)(void *arg, const struct retention_work *work, const char *tag, const struct digest *digest, const char *why);
	void *arg;
	/* result */
	uint64_t tags, manifests;    /* that are gone, or would be */
	uint64_t immutable;          /* tags that stay only because they are */
	bool left;                   /* something is for the next time */
};
/* NAME_UNKNOWN; what is done by then is counted. */
bool retention_remove(struct retention_work *work, struct error *err) MUST_CHECK;
