/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_sqlite - the SQLite driver's struct, and the half of its functions that lies in store_sqlite_usage.c.
 */
#pragma once

#include "leader/store/driver.h"
#include "leader/store/sqlite.h"

struct store_sqlite {
	struct store store; /* first */
	struct sqlite *db;
	uint64_t revision, forgotten;
};

static inline struct sqlite *store_sqlite_db(struct store *store)
{
	return ((struct store_sqlite *)store)->db;
}

bool store_sqlite_load_members(struct store *store, store_member_f *fn, void *arg, struct error *err);
bool store_sqlite_load_grants(struct store *store, const char *day, store_grant_f *fn, void *arg, struct error *err);
bool store_sqlite_seq(struct store *store, const char *worker, const char *boot, uint64_t *ret_seq, struct error *err);
bool store_sqlite_merge_usage(struct store *store, const struct store_merge *merge, bool *ret_new, struct error *err);
bool store_sqlite_put_member(struct store *store, const struct store_member *member, struct error *err);
bool store_sqlite_delete_member(struct store *store, const char *name, struct error *err);
bool store_sqlite_calls(struct store *store, const char *apikey, const char *day, uint64_t *ret_calls, struct error *err);
bool store_sqlite_list_keys(struct store *store, const char *apikey, const char *window, size_t max, store_usage_f *fn,
	void *arg, struct error *err);
bool store_sqlite_list_repositories(struct store *store, const char *name, size_t max, store_usage_f *fn, void *arg,
	struct error *err);
