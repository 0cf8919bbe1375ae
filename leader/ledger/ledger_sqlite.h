/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_sqlite - the SQLite driver's struct, and the half of its functions that lies in the files beside it.
 */
#pragma once

#include "common/sqlite.h"
#include "leader/ledger/driver.h"

struct ledger_sqlite {
	struct ledger ledger; /* first */
	struct sqlite *db;
	int lock_fd;        /* of the folder; -1: its file system knows no locks */
	uint64_t revision, forgotten;
	struct history history;
	char life[17];
	int64_t life_place; /* in the order of lives */
	uint64_t dealings;  /* of it */
	bool unsettled;     /* ledger_settle() has something to do */
	uint64_t audit_beyond[2]; /* of changes, of refusals: all up to it are to go; 0: who sweeps looks */
};

static inline struct sqlite *ledger_sqlite_db(struct ledger *ledger)
{
	return ((struct ledger_sqlite *)ledger)->db;
}

bool ledger_sqlite_load_members(struct ledger *ledger, ledger_member_f *fn, void *arg, struct error *err);
bool ledger_sqlite_load_grants(struct ledger *ledger, const char *day, ledger_grant_f *fn, void *arg, struct error *err);
bool ledger_sqlite_load_gone(struct ledger *ledger, size_t most, ledger_gone_f *fn, void *arg, struct error *err);
bool ledger_sqlite_begin_life(struct ledger *ledger, ledger_life_f *fn, void *arg, bool *ret_joined, struct error *err);
bool ledger_sqlite_put_heard(struct ledger *ledger, bool heard, struct error *err);
bool ledger_sqlite_boot(struct ledger *ledger, const char *boot, struct ledger_boot *ret, struct error *err);
bool ledger_sqlite_merge_usage(struct ledger *ledger, const struct ledger_merge *merge, struct ledger_merged *ret, struct error *err);
bool ledger_sqlite_fold(struct ledger *ledger, size_t most, bool *ret_more, struct error *err);
bool ledger_sqlite_put_member(struct ledger *ledger, const struct ledger_member *member, struct error *err);
bool ledger_sqlite_delete_member(struct ledger *ledger, const char *name, const struct ledger_audit *audit, struct error *err);
bool ledger_sqlite_calls(struct ledger *ledger, const struct ledger_key_day *at, size_t len, struct ledger_calls *ret,
	struct error *err);
bool ledger_sqlite_list_keys(struct ledger *ledger, const struct ledger_keys *which, size_t max, ledger_usage_f *fn, void *arg,
	struct error *err);
bool ledger_sqlite_sum_keys(struct ledger *ledger, const struct ledger_keys *which, struct ledger_usage *ret, struct error *err);
bool ledger_sqlite_list_repositories(struct ledger *ledger, const char *name, size_t max, ledger_usage_f *fn, void *arg,
	struct error *err);

bool ledger_sqlite_put_audit(struct ledger *ledger, const struct ledger_audit *rows, size_t len, struct error *err);
bool ledger_sqlite_expired(struct ledger *ledger, int64_t *ret_upto_s, struct error *err);
bool ledger_sqlite_put_expired(struct ledger *ledger, const struct ledger_expired *expired, bool *ret_put, struct error *err);
bool ledger_sqlite_list_audit(struct ledger *ledger, const struct ledger_audit_ask *ask, size_t max, ledger_audit_f *fn, void *arg,
	struct error *err);
bool ledger_sqlite_sweep_audit(struct ledger *ledger, const struct ledger_audit_kept *kept, bool *ret_more, struct error *err);
/* limits_window_is_since() of held_grant.day and the day ?1. */
#define LEDGER_SQLITE_SINCE "day >= iif(length(day) = 10, ?1, substr(?1, 1, 7))"

/* Locks the folder: ledger.h. */
bool ledger_sqlite_lock(const char *folder, int *ret_fd, struct error *err);
/* A file of ours of this version or an older one, which is brought up to this one. New: an empty file is made one of ours too. */
bool ledger_sqlite_prepare(struct sqlite *db, bool new, struct ledger_loaded *ret, struct error *err);
/* leader.db.restoring, which is closed and synced, becomes leader.db of a folder that is locked; ret->aside alone is set. */
bool ledger_sqlite_take_place(const char *folder, struct ledger_restored *ret, struct error *err);
void ledger_sqlite_remove(const char *path); /* with what SQLite makes beside it */
/* The revision of what is there; 0: nothing is. deleted: a tombstone counts too. */
bool ledger_sqlite_revision(struct sqlite *db, const struct entity *entity, bool deleted, uint64_t *ret, struct error *err);
bool ledger_sqlite_put_entity(struct sqlite *db, const struct entity *entity, uint64_t revision, struct error *err);
bool ledger_sqlite_put_number(struct sqlite *db, const char *name, uint64_t number, struct error *err);
/* The table of names, where it is missing. */
bool ledger_sqlite_make_names(struct sqlite *db, struct error *err);
/* At the start: the names of keys that have none, and without those that nobody asks for. */
bool ledger_sqlite_open_names(struct sqlite *db, struct error *err);

/* Of its tables; and while a large write is published and not settled. */
#define LEDGER_SQLITE_VERSION "4"
#define LEDGER_SQLITE_UNSETTLED "5"
bool ledger_sqlite_stage_begin(struct ledger *ledger, struct error *err);
bool ledger_sqlite_stage_put(struct ledger *ledger, struct str piece, struct error *err);
enum ledger_result ledger_sqlite_stage_publish(struct ledger *ledger, uint64_t revision, const uint8_t digest[ENTITY_HASH_BYTES],
	struct error *err);
bool ledger_sqlite_stage_drop(struct ledger *ledger, struct error *err);
bool ledger_sqlite_is_settled(const struct ledger *ledger);
bool ledger_sqlite_settle(struct ledger *ledger, bool *ret_more, struct error *err);
/* When it is opened: the tables, where they are missing, and all that a process left that died. */
bool ledger_sqlite_settle_all(struct sqlite *db, struct error *err);
/* A part of a transaction: the pieces that lie in the file count. */
bool ledger_sqlite_mark_unsettled(struct sqlite *db, uint64_t revision, struct error *err);
bool ledger_sqlite_remember_pair(struct ledger_sqlite *own, const struct ledger_pair *pair, struct error *err);

/* The tables of the audit, where they are missing. */
bool ledger_sqlite_make_audit(struct sqlite *db, struct error *err);

/* Parts of a transaction. */
bool ledger_sqlite_put_audit_row(struct sqlite *db, const struct ledger_audit *row, uint64_t revision, struct error *err);
bool ledger_sqlite_put_name(struct sqlite *db, const struct entity *key, struct error *err);
bool ledger_sqlite_put_boot(struct ledger *ledger, const struct ledger_merge *merge, bool added, struct error *err);
/* *ret_dealings: of this life, when the transaction is committed. */
bool ledger_sqlite_put_grants(struct ledger *ledger, const struct ledger_merge *merge, uint64_t *ret_dealings, struct error *err);
