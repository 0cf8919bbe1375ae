/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history - which line of states a state belongs to, and whether it may be replaced by what a leader has.
 *
 *     cluster      128 random bits, made with an empty store of a leader and kept in it
 *     generation   1 at first; each `zot-leader restore` raises it
 *     position     where a pair of revision and digest stands in what the leader remembers to have written
 *
 * What a leader claims, beside what somebody has:
 *
 *     the same cluster, a higher generation     restored on purpose: FOLLOW
 *     the same both, the pair known or older    FOLLOW
 *     the same both, the pair unknown           REWOUND: the leader lost what was acknowledged
 *     the same cluster, a lower generation      BEFORE: a store from before a restore
 *     another cluster that says it replaces it  FOLLOW
 *     another cluster                           FOREIGN
 *     no cluster                                SILENT: an older program than the one before, or something between that takes headers away
 *
 * Who has nothing follows whoever answers. What was saved before there were clusters has none: it follows who knows its pair, and a leader
 * of that time, which says none.
 * Leader and worker judge by the same function; the worker's word is the last.
 * Thread  any; pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/str.h"

#define HISTORY_CLUSTER_SIZE 33 /* 32 lower case hex digits and NUL */

/* On each answer of a leader to a worker. */
#define HISTORY_CLUSTER_HEADER    "Zot-Cluster-Id"
#define HISTORY_GENERATION_HEADER "Zot-Cluster-Generation"
#define HISTORY_REPLACES_HEADER   "Zot-Cluster-Replaces" /* where one is given up for it */
#define HISTORY_POSITION_HEADER   "Zot-State-Position"   /* of the asker's pair: history_position_name() */

struct history {
	char cluster[HISTORY_CLUSTER_SIZE]; /* "": none was said */
	uint64_t generation;
};
bool history_same(const struct history *a, const struct history *b);
/* False: it is no id of a cluster, or no generation. */
bool history_set(struct history *history, struct str cluster, uint64_t generation) MUST_CHECK;

/* KNOWN: one of its own (or nothing, revision 0). OLDER: from before all that it remembers. */
enum history_position { HISTORY_KNOWN, HISTORY_OLDER, HISTORY_UNKNOWN };
const char *history_position_name(enum history_position position);
bool history_position_parse(const char *name, enum history_position *ret) MUST_CHECK; /* NULL: no name */

struct history_claim {
	struct history history;
	char replaces[HISTORY_CLUSTER_SIZE]; /* "": nothing */
	enum history_position position;      /* of the pair that the question had */
};

enum history_verdict { HISTORY_FOLLOW, HISTORY_REWOUND, HISTORY_BEFORE, HISTORY_FOREIGN, HISTORY_SILENT };
/* May who has `revision` of `own` go on with what the leader has? */
enum history_verdict history_judge(const struct history *own, uint64_t revision, const struct history_claim *leader);
const char *history_verdict_name(enum history_verdict verdict); /* "rewound" */
#define HISTORY_TEXT_MAX 400u
/* What a verdict that is none to follow means, in one line: what is here, what the leader has, and what probably happened.
 * At most HISTORY_TEXT_MAX bytes. */
void history_explain(enum history_verdict verdict, const struct history *own, uint64_t revision, const struct history_claim *leader,
		     uint64_t leader_revision, struct buf *into);
