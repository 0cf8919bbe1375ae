/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster - this worker among others: the newest snapshot, who owns what, who is reachable, the lease.
 *
 *   follow    (feed.c)   long-polls the leaders' state, applies, saves it on disk, publishes
 *   report      (report.c)   usage and heartbeat; the answer renews the lease and brings grants
 *   owner     a pure look-up in the snapshot's ring
 *   peers     (reach.c)   who did not answer is left alone and asked by us, so that a dead owner costs
 *             a probe now and then, and not each request a failed connect
 *
 * Three modes: single (no peers), static (members of the settings file), worker (leaders).
 * Thread  any, unless said otherwise.
 */
#pragma once

#include "proto/peer_token.h"
#include "worker/auth/snapshot.h"

struct cluster;
struct complaints;
struct loop;

/* The newest snapshot; a reference. */
struct snapshot *cluster_snapshot(struct cluster *cluster);

enum place { PLACE_HERE, PLACE_PEER, PLACE_NOWHERE };
struct place_found {
	enum place place;
	const struct ring_member *member; /* PLACE_PEER; borrowed from the snapshot */
};
/* Is it one that we serve? Others we send on, whatever the storage. */
bool cluster_serves(const struct cluster *cluster, struct str name);
/* Who answers for this repository. shared storage: an owner that is known to be unreachable, or none
 * at all, gives PLACE_HERE where we serve it; isolated storage, and else: PLACE_PEER or PLACE_NOWHERE (member: who is missing, or NULL). */
struct place_found cluster_place(struct cluster *cluster, const struct snapshot *snapshot, struct str name);
/* Where the spool of an upload lies: here, at a peer (any state, also one that left the ring lately or did not answer), or nowhere. */
struct place_found cluster_place_upload(struct cluster *cluster, const struct snapshot *snapshot, const char *worker);
/* What the proxy learnt (reach.h): it failed, it has not answered for some time. */
void cluster_peer_doubted(struct cluster *cluster, struct str id);
bool cluster_peer_is_failed(struct cluster *cluster, struct str id);
/* It could not be reached a moment ago. False: it may be called; where nobody asks it aside (a static cluster) and it is to be tried again, by who is told
 * so, while the others do not wait for what becomes of it. */
bool cluster_peer_is_away(struct cluster *cluster, struct str id);
/* We are one of the ring, and no other process has our name: what our storage has is a part of what an isolated cluster has. */
bool cluster_is_among(struct cluster *cluster, const struct snapshot *snapshot);
void cluster_peer_failed(struct cluster *cluster, struct str id);
/* Somebody else has its address: as failed, and the log says why, a few times a minute. */
void cluster_peer_strange(struct cluster *cluster, struct str id, const struct error *err);
/* The leader says that it is of a version that does not sign its answers. */
bool cluster_peer_signs_not(struct cluster *cluster, struct str id);
void cluster_peer_answered(struct cluster *cluster, struct str id);

/* For how many ms a view of this repository that was the newest once is good; 0 unless we own it and hold a lease. */
int64_t cluster_trust(void *cluster, struct str name);
/* Whether by the newest ring it is ours; with isolated storage all that is there is. */
bool    cluster_owns(struct cluster *cluster, struct str name);
/* A number that is another one where others own what; 0: it is not known yet. */
uint64_t cluster_ownership(struct cluster *cluster);
int64_t cluster_lease_left_ms(struct cluster *cluster); /* INT64_MAX without leaders */

const char *cluster_self(const struct cluster *cluster);   /* our member name; "" in single mode */
/* For peer_token. The key is empty where there are no peers. */
struct str  cluster_key(const struct cluster *cluster);
/* What members call each other in tokens: of led ones the name; of a static cluster the place in the list, however it spells them. */
const char *cluster_known_as(const struct cluster *cluster);
void        cluster_name_of(const struct cluster *cluster, const struct snapshot *snapshot, const struct ring_member *member, struct buf *into);
/* This process, in calls and in answers. */
const uint8_t *cluster_process(const struct cluster *cluster);
/* This process, and a number that it has not used. */
uint64_t    cluster_next_call(struct cluster *cluster, uint8_t into[PEER_PROCESS_BYTES]);
/* False: it is a led worker without any state yet, which knows nobody and nothing of what is allowed. */
bool        cluster_may_serve(const struct cluster *cluster, const struct snapshot *snapshot);
/* How far our wall clock is ahead of the leader's, as its newest answer shows; 0 before one. */
int64_t     cluster_clock_ahead_ms(const struct cluster *cluster);
bool        cluster_is_draining(const struct cluster *cluster);
/* What is wrong with this worker among the others; as long as the cluster. */
struct complaints *cluster_complaints(const struct cluster *cluster);
/* Milliseconds since the state was last known to be the leaders' newest; -1 without leaders. */
int64_t     cluster_state_age_ms(struct cluster *cluster);
/* The state is that of a backup: no leader has answered since the start. */
bool        cluster_state_of_backup(const struct cluster *cluster);
bool        cluster_is_led(const struct cluster *cluster); /* it has leaders */
