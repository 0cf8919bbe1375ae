/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cluster_new - how the worker's struct cluster is made, started, drained and ended.
 *
 * Thread  main, but for what is marked.
 */
#pragma once

#include "worker/cluster/cluster.h"
#include "worker/settings.h"

struct http_client;
struct loop;
struct pool;
struct usage;
struct worker;

/* port: the one we listen on. */
bool cluster_new(struct cluster **ret_cluster, const struct worker_settings *settings, uint16_t port, struct error *err) MUST_CHECK;
/* The access rules of a settings file that was read again; the JSON stays there until the end. Wrong ones leave the old ones
 * in force. Thread  any. */
bool cluster_set_access(struct cluster *cluster, const struct json *access_control, struct error *err) MUST_CHECK;
/* Reads the last state from disk; follows and reports on the worker's first loop from now on. Before the loops run. */
void cluster_start(struct cluster *cluster, struct worker *worker);
/* Own loop 0: tells the leaders "draining" at once; "left" with the last usage. */
void cluster_drain(struct cluster *cluster);
void cluster_leave(struct cluster *cluster);
/* Thread  any. The leaders have acknowledged "left" and all usage, or do not answer. */
bool cluster_has_left(struct cluster *cluster);
/* Own loop 0: follows and reports no more. */
void cluster_stop(struct cluster *cluster);
/* After the pool and the loops have ended. */
void cluster_free(struct cluster *cluster);
AUTO_DEFINE(cluster)
/* Thread  any. A state was loaded, from disk or a leader (always true without leaders). */
bool cluster_has_state(struct cluster *cluster);
