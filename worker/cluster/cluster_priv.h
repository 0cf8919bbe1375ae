/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_priv - what cluster.c, feed.c and report.c share: one struct cluster, its lock, who may touch what.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "common/buf.h"
#include "common/few.h"
#include "worker/auth/snapshot_new.h"
#include "worker/cluster/cluster.h"
#include "worker/cluster/cluster_new.h"
#include "worker/cluster/trust.h"

struct complaints;
struct feed;
struct usage_answer;
struct hello;
struct reach;
struct report;
struct map;

struct cluster {
	struct member_settings settings;
	struct cluster_run run; /* since cluster_start() */
	struct snapshot_rules rules; /* guarded by lock once the loops run */
	char *self, *url, *process; /* member name, URL for peers, random id of this process */
	char *known_as;             /* in a static cluster */
	uint8_t key[32];            /* signs calls between workers, where has_key */
	uint8_t sender[PEER_PROCESS_BYTES];
	_Atomic uint64_t calls;     /* sent by this process */
	bool has_leaders, single, has_key;
	uint64_t secret_mark;       /* for the leaders */

	pthread_mutex_t lock;       /* guards what follows */
	struct snapshot *current;
	struct trust trust;         /* since the current ring was adopted, at the longest */
	struct few strangers;       /* told in the log */
	struct map *unsigned_members; /* of a version before signed answers, as the newest beat's answer says */
	struct map *failed;         /* member id -> int64_t *until: not tried again before; reach.c asks them */

	_Atomic int64_t state_fresh_ms;   /* monotonic: the state was the leaders' newest */
	atomic_bool of_backup;            /* it is that of a backup, and no leader has said yet that it is the newest */
	_Atomic int64_t clock_ahead_ms;   /* of the leader's, as of the newest beat */
	atomic_bool draining;
	struct complaints *complaints;
	struct buf unread;          /* own loop: files that could not be read, for the complaint */

	/* own loop alone; NULL without leaders */
	struct hello *hello;        /* NULL too where the address is not looked at */
	struct feed *feed;
	struct report *report;
	struct reach *reach;        /* set before the loops run */
};

/* Publishes; takes over the reference. */
void cluster_publish(struct cluster *cluster, struct snapshot *snapshot);
struct snapshot_rules cluster_rules(struct cluster *cluster);
/* As the answer says. */
void cluster_set_unsigned(struct cluster *cluster, const struct usage_answer *answer);
/* A leader gave us a lease. */
void cluster_renew(struct cluster *cluster, const struct trust_answer *answer);
/* The current snapshot again, under the rules of today. */
bool cluster_refresh(struct cluster *cluster, struct error *err) MUST_CHECK;
