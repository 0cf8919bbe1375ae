/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access - may this identity do that to this repository: zot's accessControl, from the settings
 * file or from the state's `policy` entities.
 *
 * Among all patterns that match the repository the longest one decides alone (byte length; ties: the
 * smaller text). Inside: any rule that names the user, then any that names one of their groups, then
 * defaultPolicy for the authenticated, anonymousPolicy for the anonymous (these do not inherit from
 * each other). Not granted: adminPolicy, and the role `admin`, grant everywhere. No policy at all:
 * the authenticated may do everything, the anonymous nothing, unless nobody is configured.
 * An API key's scopes narrow what its owner may do.
 *
 * detectManifestCollision allows nothing: who has it is kept from deleting, by digest, a manifest that several tags name. As in zot the
 * repository's rules give it, also its defaultPolicy and anonymousPolicy, but never to those whom adminPolicy names, nor to the role
 * `admin`. A key's scopes do not take it away, since it is a protection; a scope may give it.
 *
 * Metrics have rules of their own, as in zot: accessControl.metrics.users, and anonymousPolicy ["read"] for the anonymous.
 * With an accessControl in the file nobody else may; without one the authenticated may, and all where nobody is configured.
 * Thread  any; immutable, counted.
 */
#pragma once

#include "common/json.h"
#include "proto/state.h"
#include "worker/auth/auth.h"

enum action { ACTION_READ, ACTION_CREATE, ACTION_UPDATE, ACTION_DELETE, ACTION_DETECT_COLLISION };

struct access;
/* file: the accessControl object of the settings, or NULL; state: may be empty. Both add up. open: nobody is
 * configured, so without any policy everybody may do everything. */
bool access_new(struct access **ret_access, const struct json *file, const struct state *state, bool open,
		struct error *err) MUST_CHECK;
void access_free(struct access *access);
AUTO_DEFINE(access)

bool access_allows(const struct access *access, const struct identity *identity, struct str name, enum action action);
bool access_detects_collisions(const struct access *access, const struct identity *identity, struct str name);
/* May they read the metrics? The role `admin` may; a key with scopes may not. */
bool access_allows_metrics(const struct access *access, const struct identity *identity);
bool access_has_anonymous(const struct access *access); /* some repository is open to the anonymous */
