/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_sqlite - the SQLite driver's struct, and the half of its functions that lies in the files beside it.
 */
#pragma once

#include "leader/store/driver.h"
#include "leader/store/sqlite.h"

struct store_sqlite {
	struct store store; /* first */
	struct sqlite *db;
	uint64_t revision, forgotten;
	char life[17];
	int64_t life_place; /* in the order of lives */
	uint64_t dealings;  /* of it */
};

static inline struct sqlite *store_sqlite_db(struct store *store)
{
	return ((struct store_sqlite *)store)->db;
}

bool store_sqlite_load_members(struct store *store, store_member_f *fn, void *arg, struct error *err);
bool store_sqlite_load_grants(struct store *store, const char *day, store_grant_f *fn, void *arg, struct error *err);
bool store_sqlite_load_gone(struct store *store, size_t most, store_gone_f *fn, void *arg, struct error *err);
bool store_sqlite_begin_life(struct store *store, store_life_f *fn, void *arg, struct error *err);
bool store_sqlite_put_heard(struct store *store, bool heard, struct error *err);
bool store_sqlite_boot(struct store *store, const char *boot, struct store_boot *ret, struct error *err);
bool store_sqlite_merge_usage(struct store *store, const struct store_merge *merge, struct store_merged *ret, struct error *err);
bool store_sqlite_fold(struct store *store, size_t most, bool *ret_more, struct error *err);
bool store_sqlite_put_member(struct store *store, const struct store_member *member, struct error *err);
bool store_sqlite_delete_member(struct store *store, const char *name, struct error *err);
bool store_sqlite_calls(struct store *store, const char *apikey, const char *day, struct store_calls *ret, struct error *err);
bool store_sqlite_list_keys(struct store *store, const char *apikey, const char *window, size_t max, store_usage_f *fn,
	void *arg, struct error *err);
bool store_sqlite_list_repositories(struct store *store, const char *name, size_t max, store_usage_f *fn, void *arg,
	struct error *err);

/* Parts of a transaction. */
bool store_sqlite_put_boot(struct store *store, const struct store_merge *merge, bool added, struct error *err);
/* *ret_dealings: of this life, when the transaction is committed. */
bool store_sqlite_put_grants(struct store *store, const struct store_merge *merge, uint64_t *ret_dealings, struct error *err);
