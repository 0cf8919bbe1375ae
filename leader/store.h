/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store - what the control plane remembers: entities with their revisions, members, usage, grants.
 *
 * One interface, a driver (store/driver.h) chosen at start: SQLite, embedded, for one leader. Everything that is
 * answered is durable.
 *
 * One at a time: the caller makes sure that only one of these functions runs at any moment (leader_lock()).
 * Thread  pool: all of it waits for the disk.
 */
#pragma once

#include "proto/entity.h"
#include "proto/usage.h"

struct store;

/* Tombstones of the last so many revisions are kept, and usage windows of so many days. */
#define STORE_CHANGES_KEPT 10000
#define STORE_DAYS_KEPT 400

/* One change of a batch. The entity's own revision is ignored: the store gives the next one. */
struct store_change {
	struct entity *entity;   /* a body, or a tombstone */
	bool check;              /* only if the stored revision is `expected` (0: absent) */
	uint64_t expected;
};

enum store_result { STORE_WRITTEN, STORE_STALE, STORE_FAILED };

struct store_loaded {
	uint64_t revision;       /* the newest */
	uint64_t forgotten;      /* tombstones up to here are no longer there */
};

struct store_member {        /* a worker as its last report said */
	char *name, *process, *boot, *url, *zone, *version, *state;
	uint64_t revision;
	int64_t state_age_ms;
	int64_t seen_wall_s;     /* of the last report */
	int64_t lost_wall_s;     /* 0: not lost */
	struct usage_stats stats;
};
void store_member_fini(struct store_member *member);
/* Deep; *into is overwritten. NULL texts become "". */
void store_member_copy(const struct store_member *member, struct store_member *into);

/* No number of a grant is larger, so that no sum of them overflows: 2^45. */
#define STORE_GRANT_MAX 35184372088832

/* A grant as it stands: what a boot may admit of (key, day). */
struct store_grant {
	char *boot, *apikey;     /* boot "": all boots that are over; granted == used */
	char day[11];
	uint64_t granted, used;
};

/* What is known of a boot; zeros of one that was never heard. */
struct store_boot {
	uint64_t seq;            /* of the newest counts of it that were merged */
	uint64_t number;         /* of the newest demands of it that were believed */
	bool finished;           /* it is over as a whole: nothing that it demands counts any more */
	bool gone;               /* the process of this id has said "left" */
};

/* One start of the leader, and how many transactions in it stored grants, or registered a process. */
struct store_life {
	char id[17];
	uint64_t dealings;
	bool heard;              /* it had ended its hearing, when it ended */
};
#define STORE_LIVES_KEPT 64

/* What a report adds, in one transaction. Rows and repositories are added, and seq is noted, only when nothing of the boot
 * after `after` was added before. Grants are absolute and always written. */
struct store_merge {
	const char *worker, *process, *boot;
	uint64_t after, seq;     /* seq 0: no counts */
	uint64_t number;         /* of the demands; 0: none, or not believed */
	bool finished;           /* the boot is over: what it holds is what it used, and is folded by store_fold() */
	bool gone;               /* the process has said "left" */
	const struct usage_row *rows;                size_t rows_len;
	const struct usage_repository *repositories; size_t repositories_len;
	const struct store_grant *grants;            size_t grants_len;
	const struct store_member *member;           /* or NULL */
	bool registers;          /* it is another process than before, or was lost: a dealing */
};
struct store_merged {
	bool added;              /* rows and repositories were, or there was no seq */
	bool partly;             /* a part of them was added before, so nothing of them is */
	uint64_t dealings;       /* of this life, with this one */
};

struct store_calls {
	uint64_t all, ungranted; /* ungranted: those that were no part of a grant */
};

struct store_usage {
	const char *id;          /* key or repository */
	char window[11];         /* of a key: "2026-11-20" (day) or "2026-11" (month); of a repository: "" */
	uint64_t calls, ungranted, bytes_in, bytes_out, pulls, pushes; /* pulls and pushes: repositories; calls: keys */
};

typedef bool store_entity_f(void *arg, struct entity *entity);             /* borrowed; false stops */
typedef bool store_member_f(void *arg, const struct store_member *member);
typedef bool store_grant_f(void *arg, const struct store_grant *grant);
typedef bool store_usage_f(void *arg, const struct store_usage *usage);
typedef bool store_life_f(void *arg, const struct store_life *life);
typedef bool store_gone_f(void *arg, const char *process);

/* folder: made when absent. ERROR_UNAVAILABLE when another process has it open. */
bool store_open_sqlite(struct store **ret_store, const char *folder, struct error *err) MUST_CHECK;
void store_close(struct store *store);

/* At start. In the order of revisions, tombstones among them. */
bool store_load_entities(struct store *store, store_entity_f *fn, void *arg, struct store_loaded *ret,
			 struct error *err) MUST_CHECK;
bool store_load_members(struct store *store, store_member_f *fn, void *arg, struct error *err) MUST_CHECK;
/* Those of this day and of later ones. */
bool store_load_grants(struct store *store, const char *day, store_grant_f *fn, void *arg, struct error *err) MUST_CHECK;
/* The processes that have said "left": the newest `most`, oldest first. */
bool store_load_gone(struct store *store, size_t most, store_gone_f *fn, void *arg, struct error *err) MUST_CHECK;
/* Another life begins: it is stored, and has not heard. Those that are known, in their order, STORE_LIVES_KEPT and one at
 * most; the new one is the last. */
bool store_begin_life(struct store *store, store_life_f *fn, void *arg, struct error *err) MUST_CHECK;
/* Whether this life has ended its hearing. */
bool store_put_heard(struct store *store, bool heard, struct error *err) MUST_CHECK;

/* All of them at one new revision, or none. STALE: *ret_at is the change that did not fit, *ret_revision its stored
 * revision (0: absent). */
enum store_result store_write(struct store *store, const struct store_change *changes, size_t len, uint64_t *ret_revision,
			      size_t *ret_at, struct error *err) MUST_CHECK;
bool store_boot(struct store *store, const char *boot, struct store_boot *ret, struct error *err) MUST_CHECK;
bool store_merge_usage(struct store *store, const struct store_merge *merge, struct store_merged *ret, struct error *err) MUST_CHECK;
/* At most `most` grants of boots that are over are added to the row of boot "" of their key and day. *ret_more: some are
 * left. Sums and what is granted do not change by it. */
bool store_fold(struct store *store, size_t most, bool *ret_more, struct error *err) MUST_CHECK;
bool store_put_member(struct store *store, const struct store_member *member, struct error *err) MUST_CHECK;
bool store_delete_member(struct store *store, const char *name, struct error *err) MUST_CHECK;
/* Calls of one key in one day, all workers. */
bool store_calls(struct store *store, const char *apikey, const char *day, struct store_calls *ret, struct error *err) MUST_CHECK;
/* Filters: NULL = any. window: a day or a month. At most max rows. */
bool store_list_keys(struct store *store, const char *apikey, const char *window, size_t max, store_usage_f *fn, void *arg,
		     struct error *err) MUST_CHECK;
bool store_list_repositories(struct store *store, const char *name, size_t max, store_usage_f *fn, void *arg,
			     struct error *err) MUST_CHECK;
