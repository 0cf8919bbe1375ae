/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_new - how a struct cluster is made, started, drained and ended, and what it is given.
 *
 * Thread  main, but for what is marked.
 */
#pragma once

#include "common/metrics.h"
#include "worker/cluster/cluster.h"
#include "worker/cluster/member_settings.h"

struct http_client;
struct loop;
struct pool;
struct usage;
struct usage_chore;
struct usage_order;
struct usage_stats;

/* What leaders are told of the process, all but the rate: that is measured here. Thread  the cluster's loop. */
typedef void cluster_stats_f(void *arg, struct usage_stats *into);
/* Its chores; into: USAGE_CHORES_MAX, each to be given to usage_chore_fini(). Thread  the same. */
typedef size_t cluster_chores_f(void *arg, struct usage_chore *into);
/* What an administrator asks of one of them; the same again is nothing new. Thread  the same. */
typedef void cluster_order_f(void *arg, const struct usage_order *order);
/* With what it runs. All of it lives until cluster_free(). */
struct cluster_run {
	struct loop *loop;          /* the cluster's own */
	struct http_client *client; /* of that loop; NULL without leaders */
	struct pool *pool;
	struct usage *usage;        /* is brought to the leaders; each of its loops is set */
	cluster_stats_f *stats;
	cluster_chores_f *chores;   /* NULL: none */
	cluster_order_f *order;     /* the same */
	void *arg;
	counter *refused;           /* counts that no leader will have */
};

/* The settings are copied; what they point to stays until the end. port: the one we listen on. */
bool cluster_new(struct cluster **ret_cluster, const struct member_settings *settings, uint16_t port, struct error *err) MUST_CHECK;
/* The access rules of a settings file that was read again; the JSON stays there until the end. Wrong ones leave the old ones
 * in force. Thread  any. */
bool cluster_set_access(struct cluster *cluster, const struct json *access_control, struct error *err) MUST_CHECK;
/* Reads the last state from disk; follows and reports on its loop from now on. Before the loops run. */
void cluster_start(struct cluster *cluster, const struct cluster_run *run);
/* Own loop: tells the leaders "draining" at once; "left" with the last usage. */
void cluster_drain(struct cluster *cluster);
void cluster_leave(struct cluster *cluster);
/* Thread  any. The leaders have acknowledged "left" and all usage, or do not answer. */
bool cluster_has_left(struct cluster *cluster);
/* Own loop: follows and reports no more. */
void cluster_stop(struct cluster *cluster);
/* After the pool and the loops have ended. */
void cluster_free(struct cluster *cluster);
AUTO_DEFINE(cluster)
/* Thread  any. A state was loaded, from disk or a leader (always true without leaders). */
bool cluster_has_state(struct cluster *cluster);
