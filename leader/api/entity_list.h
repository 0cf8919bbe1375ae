/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_list - GET /api/{kind}: entities in pages.
 *
 *     n, last                 a page: at most n of them, behind the id `last`
 *     filter, q, sort         which, and in which order (proto/entity_query.h)
 *     lastValue               with sort: the value of the field that `last` had. The Link says both, so the next page begins where this
 *                             one ended, whatever became of `last` meanwhile; without it the value is `last`'s of now
 *
 *     {"total": how many there are, "revision": of what state, "items": [...]}
 *
 * Without filter, q and sort a page costs what is on it. With them all entities of the kind are looked at, one such list at a time
 * (api/route.c); memory is one page's.
 *
 * Thread  pool.
 */
#pragma once

#include "leader/api/call.h"

struct http_response *entity_list(struct api_job *job);
/* Does the query ask for more than a page? */
bool entity_list_walks(struct str query);
