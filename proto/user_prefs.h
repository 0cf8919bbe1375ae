/* SPDX-License-Identifier: Apache-2.0 */
/*
 * user_prefs - the repositories that a user has starred, or bookmarked: an entity of each kind for each user (entity_kinds.def), the same
 * at leaders and at a worker that has none.
 *
 * A change is a toggle, so it must be made once however often it is sent: it has an id, and the entity remembers its last PREFS_CALLS.
 * One that comes again changes nothing, and is told what the first one made.
 *
 * Bounds  PREFS_MOST repositories in a list, PREFS_BYTES_MAX bytes of their names together.
 * Thread  any; pure.
 */
#pragma once

#include "proto/entity.h"

#define PREFS_MOST       1000u
#define PREFS_BYTES_MAX  200000u
#define PREFS_CALLS      4u
#define PREFS_CALL_BYTES 16

struct prefs_toggle {
	enum entity_kind kind; /* ENTITY_STAR or ENTITY_BOOKMARK */
	struct str user, repository;
	uint8_t call[PREFS_CALL_BYTES];
	bool there; /* the repository exists; one that does not is taken from a list, and never put into it */
};

/* Is it one of the two? */
bool prefs_is_kind(enum entity_kind kind);
/* "toggleStar" or "toggleBookmark", as zot says it. */
bool prefs_parse_action(struct str action, enum entity_kind *ret) MUST_CHECK;
const char *prefs_action(enum entity_kind kind);
/* now NULL: there is no list. *ret_made: the entity that is to be stored, of revision 0, the caller's; NULL: this call was made already. *ret_on: the
 * repository is in the list now. NAME_UNKNOWN: it is not there; ERROR_CONFLICT: the list is full. */
bool prefs_toggle(const struct entity *now, const struct prefs_toggle *toggle, struct entity **ret_made, bool *ret_on, struct error *err) MUST_CHECK;
/* Of an entity of these kinds, or NULL; borrowed, in the order of bytes. */
const struct texts *prefs_repositories(const struct entity *list);
bool prefs_contain(const struct entity *list, struct str repository);
/* entity_check.c: that order, and the bounds. */
bool prefs_check(const void *body, struct error *err);
