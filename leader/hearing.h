/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hearing - a leader that starts, or finds that its ledger has lost something, hears first and gives nothing.
 *
 *     start ----> hold, for grant_ms ----> deal        all that a former leader granted was told by then, or is not used
 *                   `-- proof ----------> deal        any more
 *     loss  ----> hold, for grant_ms again, without proof
 *
 * Proof   Each process that the ledger knew as live, one at least, has told all that it holds in a beat that has heard this
 *         process of the leader, and said in each beat what it heard before (it lost its lease otherwise, so others may have
 *         come without its knowledge). The next process of its name is no proof. Nor is there one after a life that did not end
 *         its hearing: what it was told may have been forgotten by those who told it.
 * Loss    What the ledger does not have, and somebody was told: a witness of a life that is unknown, or of more dealings than
 *         that life had; a state that is newer than ours, or another one of the same revision; more granted than known. Each
 *         such thing is news once: who repeats it does not prolong the hold.
 * Witness "<life>:<dealings>" of the newest dealing, as the newest answer that a worker had told it. "" of one that never had
 *         any, or has no lease.
 * Heard   Whether it holds is to be in the ledger: before anything is answered where it does, some time later where it no longer
 *         does.
 * Fresh   A ledger that was just made has nothing to hear.
 *
 * When a hold begins and ends, and why, is logged here.
 * Thread  any; a lock of its own, never held for the disk. All times are the interval clock's.
 */
#pragma once

#include "common/cleanup.h"
#include "proto/usage.h"

struct hearing;
struct hearing *hearing_new(void);
void hearing_free(struct hearing *hearing);
AUTO_DEFINE(hearing)

/* At start. The last life is the present one. */
void hearing_life(struct hearing *hearing, const char *id, uint64_t dealings);
/* A process that is live in the ledger. */
void hearing_expect(struct hearing *hearing, const char *process);
enum hearing_first {
	HEARING_NONE,    /* the ledger is fresh */
	HEARING_PROOF,   /* until it has proof */
	HEARING_NO_PROOF /* the life before has not ended its hearing */
};
void hearing_start(struct hearing *hearing, int64_t now_ms, int64_t grant_ms, enum hearing_first first);

enum hearing_state { HEARING_SAME, HEARING_NEWER }; /* the worker's, beside ours */
/* At start, in place of that, where another leader is there: it deals when that one does. */
void hearing_join(struct hearing *hearing, int64_t now_ms, int64_t grant_ms, bool heard);
/* Another leader stored it: whether this life has ended its hearing. */
void hearing_follow(struct hearing *hearing, bool heard, int64_t now_ms, int64_t grant_ms);
/* Another leader stored it: another life begins, since it found nobody. It hears first, without proof. */
void hearing_follow_life(struct hearing *hearing, const char *id, int64_t now_ms, int64_t grant_ms);
/* What a report tells, before anything of it is done. True: it is news of a loss. grant_ms: of the hold that it begins. */
bool hearing_check(struct hearing *hearing, const struct usage_report *report, enum hearing_state state, int64_t now_ms,
		   int64_t grant_ms);
/* The report tells of more than is known to be granted. True: that is news of a loss; false: facts like this are what it
 * holds for. */
bool hearing_told_more(struct hearing *hearing, const struct usage_report *report, int64_t now_ms, int64_t grant_ms);
/* A report that has heard this process of the leader is stored with all that it tells. True: that was the proof. */
bool hearing_heard(struct hearing *hearing, const struct usage_report *report, int64_t now_ms);
/* The ledger is to have another word of it: *ret_heard. hearing_stored() when it has. */
bool hearing_is_due(struct hearing *hearing, int64_t now_ms, bool *ret_heard);
void hearing_stored(struct hearing *hearing, bool heard);
void hearing_dealt(struct hearing *hearing, uint64_t dealings);

/* Looking. */
int64_t hearing_hold_ms(struct hearing *hearing, int64_t now_ms); /* 0: it deals */
/* The present life: all leaders of it are one to the workers. "" before there is one. */
#define HEARING_ID_SIZE 17
void hearing_id(struct hearing *hearing, char into[HEARING_ID_SIZE]);
void hearing_witness(struct hearing *hearing, char into[USAGE_WITNESS_MAX]);
/* The dealings of the present life that a witness tells of, and 1; 0: it is of another life, or none. */
uint64_t hearing_echo(struct hearing *hearing, const char *witness);
uint64_t hearing_dealings(struct hearing *hearing); /* of the present life */
