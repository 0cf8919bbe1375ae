/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_trust - keys by which signatures of images count, at a worker that has no leaders: in trust.db of its data folder.
 *
 * What is answered is durable. A file that is damaged, or of a newer version, is an error at the start. Of a static cluster each member has its own.
 *
 * Bounds  TRUST_KEYS_MOST keys (proto/trust_key.h).
 * Thread  any for own_trust_state(); else pool.
 */
#pragma once

#include "proto/state.h"
#include "proto/trust_key.h"

#define OWN_TRUST_FILE "trust.db"

struct own_trust;
/* Main, at the start. */
bool own_trust_open(struct own_trust **ret_trust, const char *folder, struct error *err) MUST_CHECK;
void own_trust_free(struct own_trust *trust);
AUTO_DEFINE(own_trust)

/* Entities of ENTITY_TRUST alone; a reference. */
struct state *own_trust_state(struct own_trust *trust);
/* One that is there already is kept. ERROR_CONFLICT: there are TRUST_KEYS_MOST. */
bool own_trust_add(struct own_trust *trust, struct entity *key, struct error *err) MUST_CHECK;
/* ERROR_UNKNOWN: there is none with this id. */
bool own_trust_remove(struct own_trust *trust, struct str id, struct error *err) MUST_CHECK;
