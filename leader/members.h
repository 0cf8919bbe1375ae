/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members - the workers: registered by their reports, lost after one lease without one.
 *
 *     report "joining" "active" "draining" ---> live, for one lease from each report
 *     report "left" -------------------------> gone at once, and its process for good
 *     no report for one lease ---------------> lost; shown for a day, then forgotten
 *
 * A leader that starts gives every known member one lease before it judges; so does one that was away (stopped,
 * swapped out) for more than half a lease.
 * A member is a name. While one process of that name has its lease, another one is refused (409). A report whose number is not
 * higher than that of another of its process changes nothing (docs/cluster-protocol.md).
 * There are at most MEMBERS_MAX, and no more than fit the ring as an entity; where there are too many the longest lost is
 * forgotten. What the ring makes of the members is ring_write.h's.
 *
 * Stored, then applied. What the ledger must have is staged, stored, and only then in the table:
 *
 *     members_stage() --- needs_store ---> leader_lock(), staged again, ledger_put_member() ---> members_apply()
 *           `------------ a beat --------------------------------------------------------------------^
 *
 * A beat (nothing of the row that counts is new) waits neither for the leader's lock nor for the disk: its row, so that `seen`
 * is not of last week, is written by the sweep.
 *
 * Thread  any, an own lock guards the table; with leader_lock() held whatever is stored or forgotten.
 */
#pragma once

#include "common/error.h"
#include "common/json.h"
#include "leader/ledger.h"
#include "proto/chore_view.h"
#include "proto/state.h"
#include "proto/usage.h"

#define MEMBERS_MAX 1024
#define MEMBERS_LOST_SHOWN_S 86400
#define MEMBERS_TOLD_MS 50

struct map;
struct members;
struct members *members_new(void);
void members_free(struct members *members);
AUTO_DEFINE(members)

/* At start, before the rest: who is not known was silent from now_ms on. */
void members_begin(struct members *members, int64_t now_ms);
/* From the ledger, at start: it has one lease from now_ms on. */
void members_load(struct members *members, const struct ledger_member *member, int64_t now_ms);
/* From the ledger, at start, oldest first: this process has said "left". */
void members_load_gone(struct members *members, const char *process);
/* Nobody is forgotten by itself, but who left with nothing: each worker's storage is its own. As the newest members_terms say. */
void members_keep(struct members *members, bool keep);

/* What a report would change. */
struct members_staged {
	struct ledger_member member; /* its row, as it will be */
	uint64_t number;
	bool needs_store;           /* the row must be stored before members_apply() */
	bool ring;                  /* the ring may look different then */
	bool hurry;                 /* a member goes: others should know at once */
	bool left;                  /* the last word of its process: to be stored with its boot */
	bool late;                  /* a copy, or older than another: nothing about the member changes */
	bool gone;                  /* and late because its process has left */
	bool stranger;              /* "left" of a process that is not the member's: the table stays as it is */
	bool registers;             /* it is another process than before, or was lost */
	uint64_t dealings;          /* the caller's: of the leader's life, with its registration */
	uint64_t echo;              /* the caller's: dealings of this life that it has heard of, and 1; 0 = of no such life */
};
/* Changes nothing. Late ones are true too: their counts may be new. ERROR_CONFLICT: another process of that name is alive, or
 * the ring would be larger than an entity may be; ERROR_INVALID; ERROR_BUSY: there are too many, and none is lost. */
bool members_stage(struct members *members, const struct usage_report *report, int64_t now_ms, int64_t lease_ms,
		   struct members_staged *ret_staged, struct error *err) MUST_CHECK;
/* Does it, once, unless a newer report of that process was faster. */
void members_apply(struct members *members, struct members_staged *staged, int64_t now_ms);
void members_staged_fini(struct members_staged *staged);

/* Several leaders (ledger_follow.h). */

/* Another one stored the row by itself: it lost the member, or its row was old. */
void members_follow(struct members *members, const struct ledger_member *row, int64_t now_ms);
/* Another life of the ledger begins: nobody has told that it heard of anybody. */
void members_follow_life(struct members *members);
/* The ledger was away: who was heard meanwhile is not known. Each has one lease from now_ms on. */
void members_forgive(struct members *members, int64_t now_ms);

/* What time does to the members; one at a time until false, each with leader_lock() held. */
struct members_terms {
	int64_t now_ms, now_wall_s, lease_ms;
	bool keep; /* as members_keep() */
};
/* One whose lease is over is lost from now on. *ret: a copy of its row. */
bool members_lose(struct members *members, const struct members_terms *terms, struct ledger_member *ret) MUST_CHECK;
/* Isolated storage, before members_over(): who is draining in this ring, and said by it that it holds nothing which the others lack, is empty, for as long as
 * rings have it so. When its process has left, nothing is missed: it is over, too. */
void members_note_empty(struct members *members, const struct ring_body *ring);
/* One that left, is lost for long, or has to make room is to be forgotten: members_erase() when the ledger has forgotten it. */
bool members_over(struct members *members, const struct members_terms *terms, struct ledger_member *ret) MUST_CHECK;
/* One whose row is to be stored. members_unstored(): the ledger did not take it. */
bool members_due(struct members *members, int64_t now_ms, struct ledger_member *ret) MUST_CHECK;
void members_unstored(struct members *members, const char *name);

enum members_forgot { MEMBERS_FORGOT, MEMBERS_UNKNOWN, MEMBERS_LIVE };
enum members_forgot members_may_forget(struct members *members, struct str name);
void members_erase(struct members *members, struct str name);

/* What these processes hold is needed by others: they should report at once. True: one of them has a lease. */
bool members_want_reports(struct members *members, const struct map *processes);
/* Is this process to be told so now? Once for each time, and once in MEMBERS_TOLD_MS: *ret_wait_ms says when to ask again, 0: no need. */
bool members_take_wanted(struct members *members, const char *name, const char *process, int64_t now_ms, int64_t *ret_wait_ms);

/* The report is of this process. One that does not say is known by its boot. */
char *members_process_of(const struct usage_report *report);
/* Who is new is known to all before it is dealt to: each other live member has told that it heard of dealings that are not
 * older than the registration of this process (of a former life: of any of this life). Once so, it is until it registers
 * again. */
bool members_is_met(struct members *members, const char *name, const char *process);
/* How long nothing was heard of this process: since the start at the longest. */
int64_t members_silence_ms(struct members *members, const char *process, int64_t now_ms);
unsigned members_live(struct members *members); /* those with a lease */
size_t members_count(struct members *members);
/* A live member has this boot, or is this process, and the process `but` is not that member. */
bool members_has_boot(struct members *members, const char *boot, const char *but);
/* A live member signs calls to others with another secret than most of them; where two are of as many, with another than those who were
 * there first. Not before each live one has said its own. */
bool members_has_other_secret(struct members *members, const char *name);
/* It complains that it reaches less than half of the other workers, and fewer than half of the active ones do. */
bool members_is_cut(struct members *members, const char *name);
/* The live ones that this leader has heard and that do not say a mark of their secret: of a version that does not sign answers either.
 * At most USAGE_UNSIGNED_MOST; the array and its names are the caller's. */
struct usage_unsigned *members_unsigned(struct members *members, size_t *ret_len);
/* What its process does without being asked (member_chores.h), as its beats tell. One that comes late tells nothing. */
void members_tell_chores(struct members *members, const struct usage_report *report);
/* A leader has come that knows none of them: who beats here is to tell all again. */
void members_ask_chores(struct members *members);
/* What the answer to a beat says of them: that they are not known, and what is asked for. Its orders are the answer's. */
void members_answer_chores(struct members *members, const struct usage_report *report, int64_t now_ms, struct usage_answer *answer);
/* Something is asked of a chore of a live member, whose report is wanted then. ERROR_UNKNOWN: there is no such member or chore; ERROR_INVALID: it has no dry
 * run; ERROR_CONFLICT: the member is lost, or has not told of its chores; the chore runs already, or (stop) does not. */
struct members_order {
	struct chore_view_order what;
	bool look;               /* whether it might be; nothing is asked yet */
	struct usage_order made; /* filled in, as the next */
	char process[USAGE_NAME_MAX + 1];
};
bool members_order(struct members *members, const char *name, struct members_order *order, int64_t now_ms, struct error *err) MUST_CHECK;
/* Another leader was asked. False: the process is not known here. */
bool members_overhear_order(struct members *members, const char *name, const char *process, const struct usage_order *order, int64_t now_ms);
/* In the order of names; lost ones too. fit: it has its lease, and the others' secret. Borrowed for the call, made under the lock. */
typedef void members_look_f(void *arg, const struct ledger_member *member, bool fit);
void members_each(struct members *members, members_look_f *fn, void *arg);
/* It has no upload that a client is at, and each live member has applied this revision, so that nobody sends it any because of an older ring. One that is not
 * live is idle. */
bool members_is_idle(struct members *members, const char *name, uint64_t revision);
/* Isolated storage: by the ring of this epoch, or a later one, it said that it holds nothing that others own and have not whole. */
bool members_holds_nothing(struct members *members, const char *name, uint64_t epoch);
/* The JSON of GET /api/cluster/members: an array of rows. */
struct members_rows {
	int64_t now_ms, lease_ms;
	const struct state *state; /* which of them an operator drains */
	bool chores; /* with what each of their chores does */
	/* Whether a row is wanted. stamp: another one whenever the row is, but for the lease that is left. NULL: all are. Under the lock. */
	bool (*wants)(void *arg, const char *name, uint64_t stamp);
	void *arg;
};
void members_write(struct members *members, const struct members_rows *rows, struct json_writer *writer);
