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

struct store_member {        /* a worker as its last push said */
	char *name, *process, *boot, *url, *zone, *version, *state;
	uint64_t revision;
	int64_t state_age_ms;
	int64_t seen_wall_s;     /* of the last push */
	int64_t lost_wall_s;     /* 0: not lost */
	struct usage_stats stats;
};
void store_member_fini(struct store_member *member);
/* Deep; *into is overwritten. NULL texts become "". */
void store_member_copy(const struct store_member *member, struct store_member *into);

/* A grant as it stands: what (worker, boot) may admit of (key, day). */
struct store_grant {
	char *worker, *boot, *apikey;
	char day[11];
	uint64_t granted, used;
	bool finished;           /* the boot is over: granted == used */
};

/* What a push adds, in one transaction. The seq is noted and rows and repositories are added only when the seq is
 * higher than any of (worker, boot) before. Grants are absolute and always written. */
struct store_merge {
	const char *worker, *boot;
	uint64_t seq;
	const struct usage_row *rows;                size_t rows_len;
	const struct usage_repository *repositories; size_t repositories_len;
	const struct store_grant *grants;            size_t grants_len;
	const struct store_member *member;           /* or NULL */
};

struct store_usage {
	const char *id;          /* key or repository */
	char window[11];         /* of a key: "2026-11-20" (day) or "2026-11" (month); of a repository: "" */
	uint64_t calls, bytes_in, bytes_out, pulls, pushes; /* pulls and pushes: repositories; calls: keys */
};

typedef bool store_entity_f(void *arg, struct entity *entity);             /* borrowed; false stops */
typedef bool store_member_f(void *arg, const struct store_member *member);
typedef bool store_grant_f(void *arg, const struct store_grant *grant);
typedef bool store_usage_f(void *arg, const struct store_usage *usage);

/* folder: made when absent. ERROR_UNAVAILABLE when another process has it open. */
bool store_open_sqlite(struct store **ret_store, const char *folder, struct error *err) MUST_CHECK;
void store_close(struct store *store);

/* At start. In the order of revisions, tombstones among them. */
bool store_load_entities(struct store *store, store_entity_f *fn, void *arg, struct store_loaded *ret,
			 struct error *err) MUST_CHECK;
bool store_load_members(struct store *store, store_member_f *fn, void *arg, struct error *err) MUST_CHECK;
/* Those of this day and of later ones. */
bool store_load_grants(struct store *store, const char *day, store_grant_f *fn, void *arg, struct error *err) MUST_CHECK;

/* All of them at one new revision, or none. STALE: *ret_at is the change that did not fit, *ret_revision its stored
 * revision (0: absent). */
enum store_result store_write(struct store *store, const struct store_change *changes, size_t len, uint64_t *ret_revision,
			      size_t *ret_at, struct error *err) MUST_CHECK;
/* The highest seq of (worker, boot) so far, 0 = none. */
bool store_seq(struct store *store, const char *worker, const char *boot, uint64_t *ret_seq, struct error *err) MUST_CHECK;
/* *ret_new: the deltas were added. */
bool store_merge_usage(struct store *store, const struct store_merge *merge, bool *ret_new, struct error *err) MUST_CHECK;
bool store_put_member(struct store *store, const struct store_member *member, struct error *err) MUST_CHECK;
bool store_delete_member(struct store *store, const char *name, struct error *err) MUST_CHECK;
/* Calls of one key in one day, all workers. */
bool store_calls(struct store *store, const char *apikey, const char *day, uint64_t *ret_calls, struct error *err) MUST_CHECK;
/* Filters: NULL = any. window: a day or a month. At most max rows. */
bool store_list_keys(struct store *store, const char *apikey, const char *window, size_t max, store_usage_f *fn, void *arg,
		     struct error *err) MUST_CHECK;
bool store_list_repositories(struct store *store, const char *name, size_t max, store_usage_f *fn, void *arg,
			     struct error *err) MUST_CHECK;
