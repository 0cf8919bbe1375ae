/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker - everything of the process, wired: made once at start, ended once.
 *
 * Whatever lives as long as the process hangs here; whatever belongs to one thread hangs in its
 * struct worker_loop: its front_app() hands it to every request.
 */
#pragma once

#include "common/metrics.h"
#include "worker/settings.h"
#include "worker/front/traffic.h"

struct audit;
struct chores;
struct proxies;
struct rate_limit;
struct store;
struct worker;

/* COUNTER(name, type, labels, help) */
#define COUNTER(name, type, labels, help) counter name;
struct worker_counters {
#include "worker/worker_counters.def"
};
#undef COUNTER

struct worker_loop {
	struct worker *worker;
	struct loop *loop;
	struct http_server *server;
	struct http_client *client;
	struct worker_counters counters;
	struct traffic traffic;
	unsigned delays; /* refused logins whose answer is held back */
	int64_t beat_ms; /* when this loop turned last, give or take a second; others look */
};

struct worker {
	const struct worker_settings *settings;
	struct pool *pool;
	struct store *store;
	struct indexes *indexes;
	struct manifest_cache *manifests;
	struct spool *spool;
	struct uploads *uploads;
	struct cluster *cluster;
	struct auth *auth;
	struct rate_limit *rate_limit; /* NULL: none */
	struct proxies *proxies;       /* NULL: X-Forwarded-For is believed from nobody */
	struct usage *usage;
	struct chores *chores;
	struct audit *audit; /* NULL: none */
	bool docker2s2;
	bool writes_refused;      /* several workers on a store without conditional writes */
	_Atomic int64_t tell_peers_ms; /* not before: that a peer's call was refused */
	int64_t started_ms;
	struct worker_loop *loops;
	unsigned loops_len;
};

/* Begun and not ended. Thread  any. */
uint64_t worker_open_requests(const struct worker *worker);

/* The store that the settings name. Waits for disk. */
bool worker_open_store(const struct worker_settings *settings, struct store **ret, struct error *err) MUST_CHECK;

/* Builds and runs until SIGTERM or SIGINT; the process's exit status. */
int worker_run(const struct worker_settings *settings);
