/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hearing - a leader that starts, or finds that its store has lost something, hears first and gives nothing.
 *
 *     start ----> hold, for grant_ms ----> deal        all that a former leader granted was told by then, or is not used
 *                   `-- proof ----------> deal        any more
 *     loss  ----> hold, for grant_ms again, without proof
 *
 * Proof   Every member that the store knew as live has been heard: a process of that name has told all that its boot
 *         holds, the boot of before is over where it is another one, and what it tells is in the store.
 *         With no such member there is no proof.
 * Loss    What the store does not have, and somebody was told: a witness of a life that is unknown, or of more dealings than
 *         that life had; a state that is newer than ours, or another one of the same revision; more granted than known. Each
 *         such thing is news once: who repeats it does not prolong the hold.
 * Witness "<life>:<dealings>" of the newest dealing, as the newest answer that a worker had told it. "" of one that never had
 *         any, which is fine.
 * Fresh   A store that was just made has nothing to hear.
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
/* A member that is live in the store, and whether the boot of its process is over. */
void hearing_expect(struct hearing *hearing, const char *name, const char *process, bool over);
void hearing_start(struct hearing *hearing, int64_t now_ms, int64_t grant_ms, bool fresh);

enum hearing_state { HEARING_SAME, HEARING_NEWER }; /* the worker's, beside ours */
/* What a push tells, before anything of it is done. True: it is news of a loss. grant_ms: of the hold that it begins. */
bool hearing_check(struct hearing *hearing, const struct usage_push *push, enum hearing_state state, int64_t now_ms,
		   int64_t grant_ms);
/* The push tells of more than is known to be granted. True: that is news of a loss; false: facts like this are what it
 * holds for. */
bool hearing_told_more(struct hearing *hearing, const struct usage_push *push, int64_t now_ms, int64_t grant_ms);
/* The push is stored. */
void hearing_heard(struct hearing *hearing, const struct usage_push *push, int64_t now_ms);
void hearing_dealt(struct hearing *hearing, uint64_t dealings);

/* Looking. */
int64_t hearing_hold_ms(struct hearing *hearing, int64_t now_ms); /* 0: it deals */
void hearing_witness(struct hearing *hearing, char into[USAGE_WITNESS_MAX]);
