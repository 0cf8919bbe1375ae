/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity - how an identity (auth.h) is made: from nobody, from a user or key, from a peer's claims.
 *
 * Thread  any.
 */
#pragma once

#include "proto/peer_token.h"
#include "worker/auth/auth.h"

struct identity *identity_new_anonymous(void);
/* user: the entity, or NULL for one of the htpasswd file. key: the API key that was used, or NULL. */
struct identity *identity_new_user(struct str name, struct entity *user, struct entity *key);
/* key: the API key that the claims name, as far as it is known here. */
struct identity *identity_new_peer(const struct peer_claims *claims, struct entity *key);
/* The way back: user, key, groups and what they are in a call for whom this is. Borrowed from the identity. */
void identity_claim(const struct identity *identity, struct peer_claims *claims);
