/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rights - what the roles of a user open at the admin API (proto/entity_fields.def has them).
 *
 *     admin                all of it
 *     reader               reads all that an admin reads, and changes nothing
 *     key-manager:<group>  API keys of the users of a group: reads, makes, changes, rotates, deletes them; reads these users, and
 *                          what their keys used
 *
 * Nobody rises by a key: a key manager has nothing to do with users who have a role, nor with their keys. A user may have
 * several of these roles. At a worker only `admin` says anything.
 *
 * Thread  any; pure.
 */
#pragma once

#include "leader/login.h"
#include "proto/state.h"

/* The highest of the user's roles, NOBODY without any; *ret_keys: manages keys too. Whether the user is enabled is not looked at. */
enum login_role rights_of(const struct user *user, bool *ret_keys);
/* Does the entity exist for whoever asks? */
bool rights_see(const struct state *state, const struct login_who *who, const struct entity *entity);
/* May `old` (NULL: nothing) become `made` (a tombstone: nothing)? Of `state`, so that a role that was taken away counts. DENIED. */
bool rights_check(const struct state *state, const struct login_who *who, const struct entity *old, const struct entity *made,
		  struct error *err) MUST_CHECK;
