/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_edit - one change of one entity, from the JSON that was given to the entity that it becomes; it does not write.
 *
 *     edit_take_id() --> base is looked up --> edit_make() --> [ with the leader's lock: edit_check(), edit_revokes(), written ]
 *
 * POST and PUT give a whole body: what reading it does not show (hashes of secrets) is taken from the base, or made. PATCH gives a merge
 * patch over the base.
 *
 * Thread  pool.
 */
#pragma once

#include "leader/api/entity_write.h"
#include "proto/apikey.h"

#define WORKER_PREFIX "zwk_"

struct edit {
	struct api_job *job;        /* kind and method are of all its edits */
	const struct json *asked;   /* the body, an object */
	const struct json *given;   /* the same with what was added */
	struct json_doc *completed; /* that, or NULL */
	char id[ENTITY_ID_MAX + 1];
	struct entity *base, *made; /* base: what is there, or NULL */
	/* Made here, "" otherwise. A worker's has its prefix, so that it is known wherever it turns up. */
	char secret[sizeof(WORKER_PREFIX) + 2 * ENTITY_SECRET_BYTES];
};
void edit_fini(struct edit *edit);

/* path: the id in it, or empty: the body's, or of a new key a made one. */
bool edit_take_id(struct edit *edit, struct str path, struct error *err) MUST_CHECK;
/* What is given, without this member. */
bool edit_leave_out(struct edit *edit, const char *name, struct error *err) MUST_CHECK;
/* `made`, of what is given and `base`. Hashing a password takes some 50 ms. */
bool edit_make(struct edit *edit, struct error *err) MUST_CHECK;
/* With the leader's lock: does it fit into the rest of the state? */
bool edit_check(const struct edit *edit, const struct state *state, struct error *err) MUST_CHECK;
/* A worker who knew the old secret, or was enabled, is to be locked out: the peers' secret changes with it. */
bool edit_revokes(const struct edit *edit);
