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
bool store_is_redis(const struct leader_settings *settings);
bool store_open(const struct leader_settings *settings, struct ledger **ret, struct error *err) MUST_CHECK;
