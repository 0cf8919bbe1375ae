/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger - what the control plane remembers: entities with their revisions, members, usage, grants.
 *
 * One interface, a driver (ledger/driver.h) chosen at start: SQLite, embedded, for one leader; Redis for any number of them
 * (ledger_follow.h). Everything that is answered is durable.
 *
 * One at a time: the caller makes sure that only one of these functions runs at any moment (leader_lock()).
 * Thread  pool: all of it waits for the disk.
 */
#pragma once

#include "proto/entity.h"
#include "proto/history.h"
#include "proto/limits.h"
#include "proto/state.h"
#include "proto/usage.h"

struct ledger;

/* Tombstones and pairs of the last so many revisions are kept, and usage windows of so many days. */
#define LEDGER_CHANGES_KEPT 10000
#define LEDGER_DAYS_KEPT 400

/* One line of the audit: what was done, by whom, from where (audit.h). No text is NULL. */
#define LEDGER_AUDIT_DETAIL_MAX (16 * 1024)
struct ledger_audit {
	uint64_t number;         /* given by the ledger: from 1 on, growing, never twice */
	int64_t at_ms;           /* wall */
	const char *user, *apikey; /* "": the leader itself; no API key was used */
	const char *from;        /* the client's address */
	const char *kind, *id, *how; /* "user", "ann", "patched" */
	uint64_t revision;       /* given by the ledger: of the write that it is of, 0: of none */
	uint64_t count;          /* of how many it tells */
	bool refused;            /* nothing was done; these have a bound of their own */
	const char *detail;      /* a JSON object, LEDGER_AUDIT_DETAIL_MAX bytes at most */
};

/* One change of a batch. The entity's own revision is ignored: the ledger gives the next one. */
struct ledger_change {
	struct entity *entity;   /* a body, or a tombstone */
	bool check;              /* only if the stored revision is `expected` (0: absent) */
	uint64_t expected;
	const struct ledger_audit *audit; /* stored with it, or NULL: nobody asks for it */
};

/* The entities of so many, and the list; NULL is fine. */
void ledger_changes_free(struct ledger_change *changes, size_t len);

/* BEHIND: another leader has stored something meanwhile (ledger_follow.h). */
enum ledger_result { LEDGER_WRITTEN, LEDGER_STALE, LEDGER_FAILED, LEDGER_BEHIND };

/* A state that this ledger has had: proto/state.h. */
struct ledger_pair {
	uint64_t revision;
	uint8_t digest[ENTITY_HASH_BYTES];
};

struct ledger_loaded {
	uint64_t revision;       /* the newest */
	uint64_t forgotten;      /* tombstones up to here are no longer there */
	struct history history;  /* made with the empty ledger */
};

struct ledger_member {       /* a worker as its last report said */
	char *name, *process, *boot, *url, *zone, *version, *state;
	char *tenants;           /* which repositories it serves (proto/tenants.h) */
	uint64_t revision;
	int64_t state_age_ms;
	int64_t seen_wall_s;     /* of the last report */
	int64_t lost_wall_s;     /* 0: not lost */
	struct usage_stats stats;
	char *complaints;        /* lines; in memory alone */
	uint64_t secret;         /* the mark of what it signs with, 0: it has not said; in memory alone */
};
void ledger_member_fini(struct ledger_member *member);
/* Deep; *into is overwritten. NULL texts become "". */
void ledger_member_copy(const struct ledger_member *member, struct ledger_member *into);

/* No number of a grant is larger, so that no sum of them overflows: 2^45. */
#define LEDGER_GRANT_MAX 35184372088832

/* A grant as it stands: what a boot may admit of (subject, window), see proto/limits.h. */
struct ledger_grant {
	char *boot, *apikey;     /* boot "": all boots that are over; granted == used. apikey: the subject */
	char day[LIMITS_WINDOW_SIZE]; /* the window */
	uint64_t granted, used;
};

/* What is known of a boot; zeros of one that was never heard. */
struct ledger_boot {
	uint64_t seq;            /* of the newest counts of it that were merged */
	uint64_t number;         /* of the newest demands of it that were believed */
	bool finished;           /* it is over as a whole: nothing that it demands counts any more */
	bool gone;               /* the process of this id has said "left" */
};

/* One start of the leader, and how many transactions in it stored grants, or registered a process. */
struct ledger_life {
	char id[17];
	uint64_t dealings;
	bool heard;              /* it had ended its hearing, when it ended */
};
#define LEDGER_LIVES_KEPT 64

/* What a report adds, in one transaction. Rows and repositories are added, and seq is noted, only when nothing of the boot
 * after `after` was added before. Grants are absolute and always written. */
struct ledger_merge {
	const char *worker, *process, *boot;
	uint64_t after, seq;     /* seq 0: no counts */
	uint64_t number;         /* of the demands; 0: none, or not believed */
	bool finished;           /* the boot is over: what it holds is what it used, and is folded by ledger_fold() */
	bool gone;               /* the process has said "left" */
	const struct usage_row *rows;                size_t rows_len;
	const struct usage_repository *repositories; size_t repositories_len;
	const struct ledger_grant *grants;           size_t grants_len; /* of other boots too: shares that they may not use any more */
	const struct ledger_member *member;          /* or NULL */
	bool registers;          /* it is another process than before, or was lost: a dealing */
	struct str note;         /* for leaders that follow, beside what is stored */
};
struct ledger_merged {
	bool added;              /* rows and repositories were, or there was no seq */
	bool partly;             /* a part of them was added before, so nothing of them is */
	uint64_t dealings;       /* of this life, with this one */
};

struct ledger_key_day {
	const char *apikey, *day; /* a subject and a window */
};
struct ledger_calls {
	uint64_t all, ungranted; /* ungranted: those that were no part of a grant */
};

/* What a row adds to the sums of its key, for drivers: in the day, in the month, and in the bytes of the month, where `calls` are
 * bytes. Those have no bytes_in and bytes_out, and are listed and summed up by nobody. */
struct ledger_sum {
	char window[LIMITS_WINDOW_SIZE];
	uint64_t calls, ungranted, bytes_in, bytes_out;
};
#define LEDGER_SUMS 3
/* How many of `into` there are: a row without bytes adds to none. */
size_t ledger_sums(const struct usage_row *row, struct ledger_sum into[LEDGER_SUMS]);

struct ledger_usage {
	const char *id;          /* key or repository */
	const char *owner, *label; /* of a key, a deleted one too; "" where they are not known */
	char window[11];         /* of a key: "2026-11-20" (day) or "2026-11" (month); of a repository: "" */
	uint64_t calls, ungranted, bytes_in, bytes_out, pulls, pushes; /* pulls and pushes: repositories; calls: keys */
};

typedef bool ledger_entity_f(void *arg, struct entity *entity);             /* borrowed; false stops */
typedef bool ledger_pair_f(void *arg, const struct ledger_pair *pair);
typedef bool ledger_member_f(void *arg, const struct ledger_member *member);
typedef bool ledger_grant_f(void *arg, const struct ledger_grant *grant);
typedef bool ledger_usage_f(void *arg, const struct ledger_usage *usage);
typedef bool ledger_life_f(void *arg, const struct ledger_life *life);
typedef bool ledger_gone_f(void *arg, const char *process);
typedef bool ledger_audit_f(void *arg, const struct ledger_audit *row);

/* folder: made when absent, and locked (leader.lock). ERROR_UNAVAILABLE when another process has it. */
bool ledger_open_sqlite(struct ledger **ret_ledger, const char *folder, struct error *err) MUST_CHECK;
/* Connects, and makes what is not there. Its life and the other leaders': ledger_follow.h. */
struct ledger_redis_settings {
	const char *url;         /* common/redis.h */
	const char *sentinel_user, *sentinel_password; /* the same; NULL: none */
	const char *prefix;      /* of all keys */
	const char *leader;      /* this process: random, without blanks */
	bool must_exist;         /* ERROR_UNKNOWN where nothing was ever stored */
	int64_t join_ms;         /* how long to wait for a word of another leader; 0: LEDGER_JOIN_MS */
};
bool ledger_open_redis(struct ledger **ret_ledger, const struct ledger_redis_settings *settings, struct error *err) MUST_CHECK;
void ledger_close(struct ledger *ledger);

/*
 * A copy in one file, of all that is there at its last step. Between two steps other functions may run. After the last one
 * ledger_copy_end() checks and syncs it, and says what it is: that needs the ledger no more. One that is freed before its last step does.
 */
struct ledger_copy;
bool ledger_copy_new(struct ledger_copy **ret_copy, struct ledger *ledger, const char *path, struct error *err) MUST_CHECK;
bool ledger_copy_step(struct ledger_copy *copy, bool *ret_more, struct error *err) MUST_CHECK;
bool ledger_copy_end(struct ledger_copy *copy, struct ledger_loaded *ret, struct error *err) MUST_CHECK;
void ledger_copy_free(struct ledger_copy *copy);
AUTO_DEFINE(ledger_copy)
/* Checks a file that is such a copy. */
bool ledger_look(const char *path, struct ledger_loaded *ret, struct error *err) MUST_CHECK;
/* The same of a ledger that nobody has open: path is replaced. */
bool ledger_copy_folder(const char *folder, const char *path, struct ledger_loaded *ret, struct error *err) MUST_CHECK;

/*
 * The ledger of a folder that nobody has open becomes another one, of a higher generation (proto/history.h): so workers follow it on
 * purpose. It is whole and checked before it takes the place; what was there is kept beside it.
 */
struct ledger_restored {
	struct ledger_loaded loaded;
	char aside[640];         /* where what was there is now; "": there was nothing */
};
/* A backup, or a copy of a leader.db; what lies beside it as its log (-wal) is taken too. */
bool ledger_restore(const char *folder, const char *file, struct ledger_restored *ret, struct error *err) MUST_CHECK;
/* What a worker knows: no usage, grants, members, and no entities that are the leaders' alone. */
bool ledger_restore_state(const char *folder, const struct state *state, struct ledger_restored *ret, struct error *err) MUST_CHECK;

/*
 * All that one ledger has becomes another one: entities with their history, members, boots, grants, usage, audit, lives. No leader may use
 * either (one that answers is noticed). What is there already is replaced only where that is wanted; a folder's is kept beside it. It is
 * read once more and compared, row by row, before anything says that it is done.
 */
struct ledger_moved {
	struct ledger_loaded loaded;
	uint64_t rows;
	char aside[640];         /* where what was in the folder is now; "": there was nothing, or it is Redis */
};
bool ledger_move_to_redis(const char *folder, const struct ledger_redis_settings *to, bool replace, struct ledger_moved *ret,
			  struct error *err) MUST_CHECK;
bool ledger_move_from_redis(const struct ledger_redis_settings *from, const char *folder, bool replace, struct ledger_moved *ret,
			    struct error *err) MUST_CHECK;
/* The same as ledger_restore() and ledger_restore_state(): the one of file and state that is not NULL. What Redis had is copied into
 * `folder` before, where it can be read. */
bool ledger_restore_redis(const struct ledger_redis_settings *to, const char *folder, const char *file, const struct state *state,
			  struct ledger_restored *ret, struct error *err) MUST_CHECK;

/* At start. In any order, tombstones among them. */
bool ledger_load_entities(struct ledger *ledger, ledger_entity_f *fn, void *arg, struct ledger_loaded *ret,
			  struct error *err) MUST_CHECK;
bool ledger_load_members(struct ledger *ledger, ledger_member_f *fn, void *arg, struct error *err) MUST_CHECK;
/* Those of windows since this day: limits_window_is_since(). */
bool ledger_load_grants(struct ledger *ledger, const char *day, ledger_grant_f *fn, void *arg, struct error *err) MUST_CHECK;
/* The processes that have said "left": the newest `most`, oldest first. */
bool ledger_load_gone(struct ledger *ledger, size_t most, ledger_gone_f *fn, void *arg, struct error *err) MUST_CHECK;
/* Another life begins: it is stored, and has not heard. Those that are known, in their order, LEDGER_LIVES_KEPT and one at
 * most; the new one is the last. Where another leader is there (ledger_follow.h) *ret_joined: its life goes on, and is the last.
 * It takes LEDGER_JOIN_MS to find that there is none. */
bool ledger_begin_life(struct ledger *ledger, ledger_life_f *fn, void *arg, bool *ret_joined, struct error *err) MUST_CHECK;
/* Whether this life has ended its hearing. */
bool ledger_put_heard(struct ledger *ledger, bool heard, struct error *err) MUST_CHECK;

/* At start. The pairs that are known, in the order of revisions. */
bool ledger_load_pairs(struct ledger *ledger, ledger_pair_f *fn, void *arg, struct error *err) MUST_CHECK;
/* At start: the newest state's, which has another digest where a newer program encodes entities otherwise. */
bool ledger_put_pair(struct ledger *ledger, const struct ledger_pair *pair, struct error *err) MUST_CHECK;

/* All of them at one new revision, or none; with them the digest of the state that results. STALE: *ret_at is the change that did
 * not fit, *ret_revision its stored revision (0: absent). */
enum ledger_result ledger_write(struct ledger *ledger, const struct ledger_change *changes, size_t len,
				const uint8_t digest[ENTITY_HASH_BYTES], uint64_t *ret_revision, size_t *ret_at,
				struct error *err) MUST_CHECK;

/*
 * A large write: put aside piece by piece, while other functions run between, and made true by one small step.
 *
 *     ledger_stage_begin(), ledger_stage_put()...   nobody sees them, and after a crash nothing has happened
 *     ledger_stage_publish()                        all of them, at the revision that they were encoded with; durable, and as small as one change
 *     ledger_settle() until there is no more        what lies aside goes where it belongs, newer writes stay; after a crash the next start does it
 *
 * One is under way at a time; from its publishing on until it is settled, no other is published, and ledger_write() compares no revisions:
 * its caller, who has all in memory, does. A piece: leader/ledger/ledger_piece.h. False with ERROR_CONFLICT: another leader was faster, follow and
 * do it again.
 */
bool ledger_stage_begin(struct ledger *ledger, struct error *err) MUST_CHECK;
bool ledger_stage_put(struct ledger *ledger, struct str piece, struct error *err) MUST_CHECK;
/* revision: higher than all that is stored, else STALE; STALE too while another one is not settled. */
enum ledger_result ledger_stage_publish(struct ledger *ledger, uint64_t revision, const uint8_t digest[ENTITY_HASH_BYTES], struct error *err) MUST_CHECK;
/* It is given up. What cannot be removed now goes with a later start. */
bool ledger_stage_drop(struct ledger *ledger, struct error *err) MUST_CHECK;
bool ledger_is_settled(const struct ledger *ledger);
/* One piece. *ret_more: there are others. */
bool ledger_settle(struct ledger *ledger, bool *ret_more, struct error *err) MUST_CHECK;

bool ledger_boot(struct ledger *ledger, const char *boot, struct ledger_boot *ret, struct error *err) MUST_CHECK;
bool ledger_merge_usage(struct ledger *ledger, const struct ledger_merge *merge, struct ledger_merged *ret, struct error *err) MUST_CHECK;
/* At most `most` grants of boots that are over are added to the row of boot "" of their key and day. *ret_more: some are
 * left. Sums and what is granted do not change by it. */
bool ledger_fold(struct ledger *ledger, size_t most, bool *ret_more, struct error *err) MUST_CHECK;
bool ledger_put_member(struct ledger *ledger, const struct ledger_member *member, struct error *err) MUST_CHECK;
/* audit: in the same transaction, or NULL. */
bool ledger_delete_member(struct ledger *ledger, const char *name, const struct ledger_audit *audit, struct error *err) MUST_CHECK;
/* Calls of keys in days, all workers: ret[i] is of at[i]. However many they are, it is one question. */
bool ledger_calls(struct ledger *ledger, const struct ledger_key_day *at, size_t len, struct ledger_calls *ret,
		  struct error *err) MUST_CHECK;
/* Which rows of keys; NULL = any. */
struct ledger_keys {
	const char *apikey;
	const char *window;      /* a day or a month */
	const char *const *owners; size_t owners_len; /* users */
};
/* At most max rows in the order of keys, each once, each borrowed for the call. SQLite gives them as it finds them; Redis, which has them in no
 * order, collects up to max of them before. */
#define LEDGER_ALL (SIZE_MAX / 4)
bool ledger_list_keys(struct ledger *ledger, const struct ledger_keys *which, size_t max, ledger_usage_f *fn, void *arg,
		      struct error *err) MUST_CHECK;
/* Calls and bytes of all of them; without a window of all months. They stop at INT64_MAX. */
bool ledger_sum_keys(struct ledger *ledger, const struct ledger_keys *which, struct ledger_usage *ret, struct error *err) MUST_CHECK;
/* name: NULL = any. At most max rows. */
bool ledger_list_repositories(struct ledger *ledger, const char *name, size_t max, ledger_usage_f *fn, void *arg,
			      struct error *err) MUST_CHECK;

/* Rows that belong to no change, all or none. */
bool ledger_put_audit(struct ledger *ledger, const struct ledger_audit *rows, size_t len, struct error *err) MUST_CHECK;
/* Credentials that were over by upto_s are told, nobody's twice: the rows are put, and the mark becomes upto_s, only if it is from_s
 * still (*ret_put). It is 0 where it never was put. */
struct ledger_expired {
	int64_t from_s, upto_s;  /* wall */
	const struct ledger_audit *rows; size_t len;
};
bool ledger_expired(struct ledger *ledger, int64_t *ret_upto_s, struct error *err) MUST_CHECK;
bool ledger_put_expired(struct ledger *ledger, const struct ledger_expired *expired, bool *ret_put, struct error *err) MUST_CHECK;
/* Which rows; newest first, or oldest first. */
struct ledger_audit_ask {
	int64_t since_ms, until_ms; /* from the one on, before the other; 0: any */
	uint64_t after, before;  /* numbers between them; before 0: any */
	const char *user, *kind, *id; /* NULL: any */
	bool oldest_first;
};
/* At most max rows, each borrowed for the call. */
bool ledger_list_audit(struct ledger *ledger, const struct ledger_audit_ask *ask, size_t max, ledger_audit_f *fn, void *arg,
		       struct error *err) MUST_CHECK;
/* What goes: rows from before since_ms, and the oldest beyond so many changes and so many refusals; of each sort the oldest `most`
 * are looked at. *ret_more: as many went, perhaps others would too. */
struct ledger_audit_kept {
	int64_t since_ms;
	uint64_t changes, refusals;
	size_t most;
};
bool ledger_sweep_audit(struct ledger *ledger, const struct ledger_audit_kept *kept, bool *ret_more, struct error *err) MUST_CHECK;
