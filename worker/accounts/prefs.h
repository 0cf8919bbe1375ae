/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefs - who has starred and bookmarked which repositories, for whoever answers about repositories.
 *
 *     AUTO(state) *view = prefs_view(prefs, snapshot->state);
 *     prefs_has(view, ENTITY_STAR, user, name); prefs_list(view, ENTITY_BOOKMARK, user); prefs_stars(prefs, view, name);
 *
 * With leaders it is all of the cluster, as far as this worker has heard: some milliseconds behind who changed it. Without, it is what
 * this worker has (own_prefs.h): all of one that is alone, of a static cluster what concerns the repositories that it owns.
 * A view is one moment. Rights are the caller's: a list names repositories that its user may read no more.
 *
 * Thread  any; from memory. Stars are counted in a table, which is brought up to the view that is asked for: what differs from the one before,
 *         a few lists as a rule. It takes about 60 bytes for each starred repository, and is made when it is first asked for.
 */
#pragma once

#include "proto/state.h"
#include "proto/user_prefs.h"

struct own_prefs;
struct prefs;
/* own: NULL where leaders have them; borrowed. */
struct prefs *prefs_new(struct own_prefs *own);
void          prefs_free(struct prefs *prefs);
AUTO_DEFINE(prefs)

/* A reference; what is asked below is asked of it, and borrowed from it. led: the state of the request's snapshot. */
struct state *prefs_view(struct prefs *prefs, struct state *led);
/* kind: ENTITY_STAR or ENTITY_BOOKMARK. */
bool                prefs_has(const struct state *view, enum entity_kind kind, struct str user, struct str repository);
const struct texts *prefs_list(const struct state *view, enum entity_kind kind, struct str user); /* never NULL; in the order of bytes */
/* How many users have starred it. */
uint64_t            prefs_stars(struct prefs *prefs, struct state *view, struct str repository);
