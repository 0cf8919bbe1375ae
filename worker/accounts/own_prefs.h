/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_prefs - the stars and bookmarks of the users of a worker that has no leaders: in prefs.db of its data folder.
 *
 * Of a static cluster each member has those of the repositories that it owns, so what a list may hold (proto/user_prefs.h) is each member's.
 * All of them are in memory, too, as a state: whoever looks has a reference of the newest. What is answered is durable, and so are the ids
 * of the last changes: one that is sent again after a kill is made once.
 * A file that is damaged, or of a newer version, is an error at the start.
 *
 * Bounds  OWN_PREFS_ALL lists; OWN_KEYS_CHANGES changes of one user in a minute.
 * Thread  any for own_prefs_state() and own_prefs_may_change(); else pool.
 */
#pragma once

#include "proto/state.h"
#include "proto/user_prefs.h"

#define OWN_PREFS_FILE "prefs.db"
#define OWN_PREFS_ALL  100000u

struct own_prefs;
/* Main, at the start. */
bool own_prefs_open(struct own_prefs **ret_prefs, const char *folder, struct error *err) MUST_CHECK;
void own_prefs_free(struct own_prefs *prefs);
AUTO_DEFINE(own_prefs)

/* Entities of the two kinds alone; a reference. */
struct state *own_prefs_state(struct own_prefs *prefs);
/* Whether this user may change something now. Asked before each change, of which it is one. */
bool own_prefs_may_change(struct own_prefs *prefs, struct str user, int64_t now_ms);
/* As prefs_toggle(), which decides it. ERROR_CONFLICT: also where there are OWN_PREFS_ALL. */
bool own_prefs_toggle(struct own_prefs *prefs, const struct prefs_toggle *toggle, bool *ret_on, struct error *err) MUST_CHECK;
/* The lists of all others go: their users are gone. */
typedef bool own_prefs_user_f(const void *arg, struct str user);
bool own_prefs_keep(struct own_prefs *prefs, own_prefs_user_f *is_user, const void *arg, size_t *ret_gone, struct error *err) MUST_CHECK;
