/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repository_room - how many repositories a store may have (storage.maxRepos), exactly, whoever makes them at once.
 *
 *     a push to a repository that is not there  ->  who is in the catalog, and whose name is on its way (one small object of the store)?
 *           that and this one are at most `limit`  ->  this name is on its way until T, by compare-and-swap  ->  the name is put, before T or never
 *           else                                   ->  429 TOOMANYREQUESTS
 *
 * A name that is on its way counts until T and a time of grace, whether it came or not. So what a push that died had taken is free again by itself;
 * a name that it left without a repository goes with the next collection (collect.h).
 *
 * Costs   a push to a repository that is there, and any push where the limit is 0: nothing. The first to a repository: that object is read and
 *         written, and the catalog is listed up to the limit (in a bucket a request for each 1,000 names).
 * Bounds  REPOSITORY_ROOM_MOST names on their way at a time, the next is refused for a moment (ERROR_BUSY).
 * What else makes repositories (an import, one that moves here) is not refused, and counts.
 *
 * Thread  repository_room_take(): pool. The rest: any.
 */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "common/str.h"

struct buf;
struct store;
struct repository_room;

#define REPOSITORY_ROOM_MOST 10000u
#define REPOSITORY_ROOM_S    20 /* for so long a name is on its way */

struct repository_room *repository_room_new(struct store *store);
void repository_room_free(struct repository_room *room);
AUTO_DEFINE(repository_room)

/* 0: as many as may come. Holds for what begins behind it. */
void     repository_room_set(struct repository_room *room, uint64_t limit);
uint64_t repository_room_limit(const struct repository_room *room);

/* *ret_until_s: the name is to be put before that (store_name_put()); 0: at any time. ERROR_BUSY with TOOMANYREQUESTS: there are as many as may be. */
bool repository_room_take(struct repository_room *room, struct str name, int64_t *ret_until_s, struct error *err) MUST_CHECK;
