/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_catalog - /v2/_catalog where each member has a storage of its own: all are asked at once, and their pages become one.
 *
 *     client --_catalog?n=&last=--> this worker --+--> own store, on the pool                  --+
 *                                                 +--> each other member of the ring, as the     +--> one order, no doubles, n names
 *                                                      client, who sees what it may read there --+
 *
 * Members are asked for the same path as a peer (ask_all.h): a call of a peer is answered with what the asked one has itself. Each is asked for
 * the names behind `last`: n of them where members are few, else as many as its share of a page may have; a page that a share does not fill is
 * shorter and has a Link. Whoever does not answer within CATALOG_WITHIN_MS, or answers with what is no sorted list of names behind `last`, is
 * left out and named in a Warning; 503 only where nobody answered, not even our own store.
 * Bounds   ask_gate.h: 429 where the client, 503 where all have too much under way.
 * Thread   the request's loop; large answers are put together on the pool.
 */
#pragma once

#include <stddef.h>

#include "common/error.h"
#include "worker/front/front_call.h"

#define CATALOG_WITHIN_MS 2000

/* It is one, of a client, and others have a part of the answer. */
bool front_catalog_is_of_all(const struct front_call *call);
/* Replies now or later. */
void front_catalog_start(struct front_call *call);

/* For how many names each of so many is asked. */
size_t front_catalog_share(size_t n, size_t members);

/* Of a member's answer: its names, in order. Borrowed from text, in which they are ended. */
struct catalog_names {
	const void **at;
	size_t len;
	char *text; /* owned; so is the list */
};
void catalog_names_fini(struct catalog_names *names);
/* Out of {"repositories":[...]}: at most n, each a name of a repository, ascending, all behind `after` (""). Thread  any. */
bool catalog_names_parse(struct str body, const char *after, size_t n, struct catalog_names *ret, struct error *err) MUST_CHECK;
