/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members - the workers: registered by their pushes, lost after one lease without one, and the ring of them.
 *
 *     push "active"   -> in the ring            push "draining" -> in the ring as draining (owns nothing, still reached)
 *     push "left"     -> out at once            no push for one lease -> lost: out (storage shared), or kept (isolated)
 *
 * The ring is an entity; it is written by compare-and-swap on its revision, and changes that come within 50 ms of each other are written together.
 * A leader that starts gives every known member one lease before it judges.
 * A member is a name. While one process of that name has its lease, another one is refused (409).
 *
 * Thread  pool with leader_lock() held, but for what says otherwise.
 */
#pragma once

#include "common/error.h"
#include "common/json.h"
#include "proto/usage.h"

struct leader;
struct members;
struct store_member;
struct members *members_new(struct leader *leader);
void members_free(struct members *members);
bool members_load(struct members *members, struct error *err) MUST_CHECK;
/* Own loop: the lease timer, from now on; stopped by members_stop(). */
void members_start(struct members *members);
void members_stop(struct members *members);
/* Checks the push against its name (ERROR_CONFLICT), registers, renews the lease, notes a ring change to come. The record to store is
 * *ret_member (borrowed until the next call). */
bool members_push_locked(struct members *members, const struct usage_push *push, const struct store_member **ret_member, struct error *err) MUST_CHECK;
/* A ring change is due: write it now when the caller has the time, else the timer does within 50 ms. */
void members_settle_locked(struct members *members);
unsigned members_live(struct members *members); /* Thread  any */
/* Thread  pool, without the lock: the JSON of GET /api/cluster/members. */
void members_write(struct members *members, struct json_writer *writer);
/* ERROR_UNKNOWN; ERROR_CONFLICT for one that is active. Pool, without the lock. */
bool members_forget(struct members *members, struct str name, struct error *err) MUST_CHECK;
