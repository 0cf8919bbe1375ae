/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store - which ledger the settings name: Redis where REDIS_URL is set, else SQLite in the data folder.
 *
 * A platform may set REDIS_URL by itself. So where the folder has a leader.db and Redis has nothing, it is refused: the leader would begin
 * anew without a word.
 * Thread  main.
 */
#pragma once

#include "leader/ledger.h"

struct leader_settings;
/* As the settings say; url may be another one's. leader: where the name of this process goes, a random one; borrowed by what is returned. */
#define STORE_LEADER_SIZE 17
struct ledger_redis_settings store_redis(const struct leader_settings *settings, const char *url, char leader[STORE_LEADER_SIZE]);
bool store_is_redis(const struct leader_settings *settings);
bool store_open(const struct leader_settings *settings, struct ledger **ret, struct error *err) MUST_CHECK;
/* Only where one is: it is the wrong place else, and none is made there. */
bool store_is_there(const struct leader_settings *settings, struct error *err) MUST_CHECK; /* of SQLite; of Redis store_open_there() sees */
bool store_open_there(const struct leader_settings *settings, struct ledger **ret, struct error *err) MUST_CHECK;
