/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_search - a search goes its way between the pool, where it is answered, and the loop, from which other members are asked (worker/search/search_others.h).
 *
 *     client --query--> pool: what is known here? --> loop: each member that has a part is asked, at once, as the client --> pool: one answer --> client
 *                              '--alone, or nothing to ask: the answer --> client       (once more for images on top of each other)
 *
 * Members are asked at FRONT_SEARCH_PATH, which only they may. Whoever does not answer within FRONT_SEARCH_WITHIN_MS, is of a version that does not know
 * the question, or has another ring just now, is named in the errors of the answer and in the log (search.missing).
 * Bounds   ask_gate.h: 429 where the client, 503 where all have too much under way.
 * Life     It ends with its request; what the pool works on then is thrown away when it comes back.
 * Thread   the request's loop, and one thread of the pool at a time.
 */
#pragma once

#include "worker/front/front_call.h"

#define FRONT_SEARCH_PATH      "/cluster/search"
#define FRONT_SEARCH_WITHIN_MS 2000 /* of each round */

/* What is to be done on the pool with the request; the response, or NULL: others are to be asked, then it is called once more. */
struct search_others;
typedef struct http_response *front_search_f(const struct oci_ask *ask, struct front *front, struct search_others *others);
/* Replies now or later. Takes the call's body. */
void front_search_start(struct front_call *call, front_search_f *answer);
/* Of a member's ring, in what it asks and is asked: 0 where storage is isolated, and it decides nothing. */
struct snapshot;
uint64_t front_search_mark(const struct snapshot *snapshot);
