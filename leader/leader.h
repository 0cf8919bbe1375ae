/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leader - everything of the process, wired: made once at start, ended once.
 *
 * One loop serves; the pool does SQLite and bcrypt. All that changes goes to the ledger under leader_lock(), one at a
 * time, and into memory only when the ledger has it: so the state in memory always equals the ledger. Readers take a
 * reference of the newest state and look. The doors:
 *
 *     entities                   leader_write_locked(); many of them: large_write()
 *     reports: members, grants   report_merge(): members_stage(), grants_stage() -> ledger -> members_apply(), grants_apply()
 *     what other leaders stored  follow_locked()
 *     a member is forgotten      leader_forget_locked()
 *     hearing has ended          leader_settle_locked()
 *
 * What the clock alone does (a lease that is over, when a member was seen last) is so in memory at once, whatever the disk
 * is like, and its row is stored by the sweep (sweep.h).
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "common/few.h"
#include "common/few_each.h"
#include "common/lock.h"
#include "common/metrics.h"
#include "leader/ledger.h"
#include "leader/local.h"
#include "leader/settings.h"
#include "proto/state.h"

struct dump;
struct feed;
struct fellows;
struct figures;
struct grants;
struct hearing;
struct http_server;
struct lane;
struct login;
struct live;
struct loop;
struct members;
struct nearest;
struct pages;
struct pool;
struct proxies;
struct refusals;
struct ring_write;
struct shares;
struct state_backup;
struct state_log;
struct strangers;
struct sweep;

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
	struct ledger *ledger;
	struct state_log *log;     /* state_log.h: newest state, recent changes, encoded answers */
	struct feed *feed;         /* feed.h: parked polls */
	struct members *members;   /* members.h: who is there, leases */
	struct ring_write *ring;   /* ring_write.h: the ring of them */
	struct sweep *sweep;       /* sweep.h: what time does */
	struct grants *grants;     /* grants.h: who may admit how much */
	struct strangers *strangers; /* strangers.h: workers of another history */
	struct hearing *hearing;   /* hearing.h: when it deals, and when it hears first */
	struct login *login;       /* login.h: who is asking */
	struct dump *dump;         /* dump.h: the state as a file, or NULL */
	struct nearest *nearest;   /* nearest.h: quotas that are nearly used up */
	struct figures *figures;   /* figures.h: how it was in the last hour */
	struct shares *shares;     /* shares.h: who owns how much */
	struct live *live;         /* live.h: who watches */
	struct pages *pages;       /* pages/pages.h: what browsers show, or NULL */
	struct fellows *fellows;   /* fellows.h: other leaders on the same ledger; NULL: there can be none */
	struct state_backup *backup; /* state_backup.h: the state put away, or NULL */
	struct lane *counts, *demands; /* lane.h: reports that wait for the disk, one of each at a time */
	struct lane *walks;        /* lane.h: lists that look at all entities of a kind */
	struct lane *bulks;        /* lane.h: those that are not small */
	struct lock lock;
	struct lock turn;          /* who waits for it next: nobody who drops it and takes it again is before them */
	struct lock large;         /* large_write.h: one at a time; taken before the other one */
	struct proxies *proxies;   /* whose X-Forwarded-For and -Proto are believed */
	struct refusals *refused;  /* refusals.h: sums for the audit */
	struct few_each *selves;    /* api/self.c: changes of users' own keys, by user */
	struct few_each *refusals;  /* api/told.h: lines of the log */
	struct few reports_refused, secrets_differ; /* api/cluster.c: lines of the log */
	struct few reports_partly, grants_full, folds_failed; /* report.c: under the lock: lines of the log */
	struct few writes_failed;  /* the same, of what is tried again by itself */
	struct leader_counters counters;
	struct local local;        /* local.h: opens the backup to a command on this machine */
	int64_t started_ms;
	bool stopping;             /* own loop: /readyz says so, all is still served */
	_Atomic uint64_t follows;  /* follow.h: how many have begun */
	uint64_t followed;         /* the same, under the lock: the newest that ended well */
	atomic_bool again;         /* leader_start_anew(): after its end it does */
};

/* Thread  any. The newest state; a reference. */
struct state *leader_state(struct leader *leader);
/* Thread  any. The settings of the cluster, as they are in the state or by default. */
struct cluster_settings leader_cluster(struct leader *leader);
uint64_t leader_ring_epoch(const struct state *state);

/* Pool. The lock of the one writer: whoever touches the ledger holds it. */
void leader_lock(struct leader *leader);
/* The same, for so long at most. */
bool leader_lock_within(struct leader *leader, int64_t ms) MUST_CHECK;
/* CHECKs that this thread has locked it: every ..._locked() begins with it. */
void leader_assert_locked(const struct leader *leader);
void leader_unlock(struct leader *leader);
/* Pool, with the lock. One batch: stored (durable), applied in memory, parked polls woken; then it returns. STALE as in
 * ledger_write(). BEHIND: another leader has written entities, which are in memory now: decide anew. Of an `audit` only who, from where
 * and how is looked at: what it was and is comes from here. Takes no ownership. */
enum ledger_result leader_write_locked(struct leader *leader, const struct ledger_change *changes, size_t len, uint64_t *ret_revision,
				       size_t *ret_at, struct error *err) MUST_CHECK;

/* Pool, with the lock. What was stored, by this leader or another, is the newest state: it and its changes are in memory, and all who wait
 * for them are woken. The state is the log's from here. */
void leader_take_state_locked(struct leader *leader, struct state *state, struct entity *const *changed, size_t len);
/* Any. Workers refuse a larger one. */
bool leader_check_fits(const struct state *state, struct error *err) MUST_CHECK;
/* Any. The processes from which something was recalled report at once: others wait for it. NULL: from none. */
struct map;
void leader_want_reports(struct leader *leader, const struct map *recalled);
/* Pool, with the lock. The member is forgotten, by the ledger and then in memory. audit: who said so, or NULL. */
bool leader_forget_locked(struct leader *leader, const char *member, const struct ledger_audit *audit, struct error *err) MUST_CHECK;
/* Pool, with the lock. Rows of the audit that are of no write. */
bool leader_audit_locked(struct leader *leader, const struct ledger_audit *rows, size_t len, struct error *err) MUST_CHECK;
/* Pool, with the lock. The ledger is told whether hearing has ended, where it does not know. */
bool leader_settle_locked(struct leader *leader, struct error *err) MUST_CHECK;
/* Pool, with the lock. The same, where nobody waits for it: the next sweep tries again. */
void leader_try_settle_locked(struct leader *leader);
/* Pool, with the lock. For a function of the ledger that is the same whatever others stored: do { done = ...; } while (this). */
bool leader_try_again_locked(struct leader *leader, bool done, unsigned *tries, struct error *err);
/* Pool, with the lock. Of what the next sweep tries again: the log has it a few times a minute. */
void leader_say_failed_locked(struct leader *leader, const char *event, struct error *err);

/* Pool, with the lock. The refusals of a minute that is over, or now, go into the audit. */
void leader_store_refusals_locked(struct leader *leader, bool now);

/* Any. It ends as if it were told to, and the program begins anew: it loads all that the ledger has. Whoever connects meanwhile waits. */
void leader_start_anew(struct leader *leader);

/* At start: all that the ledger has, into memory. Another life of the ledger begins, and it hears first (hearing.h). */
bool leader_load(struct leader *leader, struct error *err) MUST_CHECK;
/* So often is a write decided anew on what others, who were faster, wrote first; somebody always is not. */
#define LEADER_WRITE_TRIES 50

/* Builds and runs until SIGTERM or SIGINT; the process's exit status. LEADER_AGAIN: the program is to start anew. */
#define LEADER_AGAIN 2
/* *ret_listening, then: the port, on which connections wait; the caller's. */
int leader_run(const struct leader_settings *settings, int *ret_listening);
