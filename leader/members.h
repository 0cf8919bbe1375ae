/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members - the workers: registered by their pushes, lost after one lease without one.
 *
 *     push "joining" "active" "draining" ---> live, for one lease from each push
 *     push "left" -------------------------> gone at once
 *     no push for one lease ---------------> lost; shown for a day, then forgotten
 *
 * A leader that starts gives every known member one lease before it judges; so does one that was away (stopped,
 * swapped out) for more than half a lease.
 * A member is a name. While one process of that name has its lease, another one is refused (409).
 * What the ring makes of the members is ring_write.h's.
 *
 * Thread  functions that change: pool with leader_lock() held. Those that look: any; an own lock guards the table.
 */
#pragma once

#include "common/error.h"
#include "common/json.h"
#include "proto/usage.h"

#define MEMBERS_MAX 1024
#define MEMBERS_LOST_SHOWN_S 86400

struct store_member;
struct members;
struct members *members_new(void);
void members_free(struct members *members);
AUTO_DEFINE(members)

/* From the store, at start: it has one lease from now_ms on. */
void members_load(struct members *members, const struct store_member *member, int64_t now_ms);

struct members_change {
	bool ring;   /* the ring may look different now */
	bool hurry;  /* a member goes: others should know at once */
	bool store;  /* *ret_member differs from what is stored, or is due again */
};
/* Registers the push's member and renews its lease. ERROR_CONFLICT: another process of that name is alive; ERROR_INVALID;
 * ERROR_BUSY: too many members. *ret_member is borrowed until the next call that changes. */
bool members_push(struct members *members, const struct usage_push *push, int64_t now_ms, int64_t lease_ms,
		  const struct store_member **ret_member, struct members_change *ret_change, struct error *err) MUST_CHECK;
/* Thread  any. The push of this process has arrived and will be worked on: its lease goes on meanwhile. */
void members_seen(struct members *members, const struct usage_push *push, int64_t now_ms);

/* What time does to the members. keep: nobody is forgotten by itself (each worker's storage is its own). */
struct members_terms {
	int64_t now_ms, now_wall_s, lease_ms;
	bool keep;
};
/* Those whose lease is over become lost; those who left, and the long lost, are forgotten. Each that became lost is
 * given to `lost`, each that is forgotten to `gone`; both borrowed for the call, made under the lock. True when the
 * ring may look different. */
typedef void members_each_f(void *arg, const struct store_member *member);
bool members_sweep(struct members *members, const struct members_terms *terms, members_each_f *lost, members_each_f *gone,
		   void *arg);

enum members_forgot { MEMBERS_FORGOT, MEMBERS_UNKNOWN, MEMBERS_LIVE };
enum members_forgot members_forget(struct members *members, struct str name);

/* Thread  any. */
unsigned members_live(struct members *members); /* those with a lease */
size_t members_count(struct members *members);
/* In the order of names; lost ones too. live: it has its lease. Borrowed for the call, made under the lock. */
typedef void members_look_f(void *arg, const struct store_member *member, bool live);
void members_each(struct members *members, members_look_f *fn, void *arg);
/* The JSON of GET /api/cluster/members: an array. */
void members_write(struct members *members, int64_t now_ms, int64_t lease_ms, struct json_writer *writer);
