/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leader - everything of the process, wired: made once at start, ended once.
 *
 * One loop serves; the pool does SQLite and bcrypt. All changes go through leader_write(): one at a
 * time, in order, so that the state in memory always equals the store. Readers take a reference of the
 * newest state and look.
 */
#pragma once

#include "common/metrics.h"
#include "leader/settings.h"
#include "leader/store.h"
#include "proto/state.h"

struct feed;
struct grants;
struct http_request;
struct http_server;
struct loop;
struct login;
struct members;
struct pool;

/* COUNTER(name, type, labels, help) */
#define COUNTER(name, type, labels, help) counter name;
struct leader_counters {
#include "leader/leader_counters.def"
};
#undef COUNTER

struct leader {
	const struct leader_settings *settings;
	struct loop *loop;
	struct pool *pool;
	struct http_server *server;
	struct store *store;
	struct state_log *log;     /* state_log.h: newest state, recent changes, encoded answers */
	struct feed *feed;         /* feed.h: parked polls */
	struct members *members;   /* members.h: who is there, leases, ring */
	struct grants *grants;
	struct login *login;       /* login.h: who is asking */
	struct leader_counters counters;
	int64_t started_ms;
};

/* The newest state; a reference. Thread  any. */
struct state *leader_state(struct leader *leader);

/*
 * Pool. One batch: stored (durable), applied in memory, parked polls answered; then it returns. Serialised inside
 * with everything else that writes. STALE as in store_write(). Takes no ownership.
 */
enum store_result leader_write(struct leader *leader, const struct store_change *changes, size_t len, uint64_t *ret_revision,
			       size_t *ret_at, struct error *err) MUST_CHECK;
/* The lock of the one writer, for what writes to the store beside entities (usage, members). Pool. */
void leader_lock(struct leader *leader);
void leader_unlock(struct leader *leader);
/* The same as leader_write() for a caller that holds the lock. */
enum store_result leader_write_locked(struct leader *leader, const struct store_change *changes, size_t len, uint64_t *ret_revision,
				      size_t *ret_at, struct error *err) MUST_CHECK;

/* Builds and runs until SIGTERM or SIGINT; the process's exit status. */
int leader_run(const struct leader_settings *settings);
