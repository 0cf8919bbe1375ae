/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own_entities - entities of a worker that has no leaders: in a SQLite file of its data folder (own_file.h), and all of them in memory as a state.
 *
 * Whoever looks has a reference of the newest. What was written is durable before others see it. One writer at a time decides by what it sees:
 *
 *     own_entities_lock(all); state = own_entities_state(all); ...; own_entities_write_locked(all, changed, len, err); own_entities_unlock(all);
 *
 * Thread  any for own_entities_state(); writers: pool; own_entities_open(): main, at the start.
 */
#pragma once

#include "proto/state.h"
#include "worker/accounts/own_file.h"

struct own_entities_terms {
	struct own_file file;
	unsigned kinds;    /* 1u << ENTITY_..., of which rows are */
	size_t most;       /* of all of them: a file with more is an error */
	const char *what;  /* what one is called in errors */
	/* Statements: all bodies; a row from kind, id and body; no row of this kind and id. */
	const char *load, *put, *drop;
};

struct own_entities;
/* terms: the caller's, to the end. */
bool own_entities_open(struct own_entities **ret, const char *folder, const struct own_entities_terms *terms, struct error *err) MUST_CHECK;
void own_entities_free(struct own_entities *all);
AUTO_DEFINE(own_entities)

struct state *own_entities_state(struct own_entities *all); /* a reference */
size_t        own_entities_count(const struct state *state, const struct own_entities_terms *terms);

void own_entities_lock(struct own_entities *all);
void own_entities_unlock(struct own_entities *all);
/* All or none of them; tombstones go. They get the next revision. */
bool own_entities_write_locked(struct own_entities *all, struct entity *const *changed, size_t len, struct error *err) MUST_CHECK;
