/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_catalog - /v2/_catalog where each member has a storage of its own: all are asked at once, and their pages become one.
 *
 *     client --_catalog?n=&last=--> this worker --+--> own store, on the pool                  --+
 *                                                 +--> each other member of the ring, as the     +--> one order, no doubles, n names
 *                                                      client, who sees what it may read there --+
 *
 * Members are asked for the same path as a peer (ask_all.h): a call of a peer is answered with what the asked one has itself, in lines (CATALOG_LINES).
 * Each is asked for its share of the page, and who runs out before the page is full is asked again (catalog_gather.h).
 * Whoever does not answer within CATALOG_WITHIN_MS, or answers with what is no sorted list of names behind `last`, is
 * left out and named in a Warning; 503 only where nobody answered, not even our own store. One that is lost when it is asked again ends the page early.
 * Bounds   ask_gate.h: 429 where the client, 503 where all have too much under way.
 * Thread   the request's loop; large answers are put together on the pool.
 */
#pragma once

#include "worker/front/front_call.h"

#define CATALOG_WITHIN_MS 2000 /* of each round */

/* It is one, of a client, and others have a part of the answer. */
bool front_catalog_is_of_all(const struct front_call *call);
/* Replies now or later. */
void front_catalog_start(struct front_call *call);
