/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grants - how quotas are dealt out to the workers so that their sum can never pass them.
 *
 *     available = quota - (sum of granted + ungranted)     over all boots, of the subject and window (proto/limits.h)
 *     give      = min(wanted, max(waits, 1, available / (2 * live workers))), no more than what is available
 *     wanted    = what is missing to max(granted told, used told) + want
 *
 * Nothing is given that is of use to none of the calls that wait (needs): it stays here, where it grows by what others give back, until
 * it is enough for one. So what somebody gathers goes in one piece to who asks first, and is not taken apart again.
 *
 * All numbers are absolute, as the boot tells them: who repeats itself gets nothing twice. Ungranted are the merged calls that
 * were no part of a grant: there was no quota when they were made. What a boot says to hold is what it holds, higher or lower than what is known, where it
 * has heard this process of the leader; of others (the ledger may have been restored, the report be a straggler) what is told can
 * only raise what is known, and they are given nothing.
 * When a boot wants and nothing is available while others hold unused grants, those are recalled: they learn it in their next
 * answer, again and again until they release, and are told to report at once (grants_staged_recalled()). So is everybody while
 * more is granted than the quota, which was lowered then.
 *
 *     grants_stage() --> grants_stage_demand()... --> stored --> grants_apply()        or, where the ledger failed, nothing
 *
 * Of the window "second" granted is a share that stands, and the boot lowers it itself by what it gives back. The share of one that is silent
 * for so long that it may not use it any more is free for whoever wants it.
 *
 * Rows   at most GRANTS_ROWS_MAX in memory; a demand for one more gets nothing and is not stored.
 * Thread  any; one lock of its own, never held for the disk. Those that stage and apply do it one after the other
 *         (leader_lock()); those that only look need no other lock.
 */
#pragma once

#include "leader/ledger.h"

#define GRANTS_ROWS_MAX 200000
#define GRANTS_KEY_MAX  600 /* a subject and a window */
/* Of days before so many none is looked at any more; those after stay, the clock may go back. */
#define GRANTS_DAYS_KEPT 2

struct grants;
struct map;
struct grants *grants_new(void);
void grants_free(struct grants *grants);
AUTO_DEFINE(grants)
void grants_load(struct grants *grants, const struct ledger_grant *grant); /* from the ledger, at start */
/* Windows before the day `oldest` are forgotten, and shares of nothing. */
void grants_forget(struct grants *grants, const char *oldest);

/* What one report would change. */
struct grants_staged;
struct grants_staged *grants_stage(struct grants *grants, const char *boot);
void grants_staged_free(struct grants_staged *staged);
AUTO_DEFINE(grants_staged)

/* What a demand is judged by. */
struct grants_terms {
	uint64_t limit;         /* the quota now; 0: none, so it gets all that it wants */
	uint64_t total;         /* of the fleet in the window, as merged */
	uint64_t ungranted;     /* of these, those that were no part of a grant */
	unsigned live_workers;
	bool hold;              /* nothing is given now; facts count */
	bool only_tells;        /* who asks has not heard this process of the leader */
	bool final;             /* the boot is over: it holds what it used */
	/* Was nothing heard of this boot for as long as a grant is good? */
	bool (*is_silent)(void *arg, const char *boot);
	void *arg;
};
/* One demand. The second one for a subject and window in a report counts for nothing. False: there is no room for its row. */
bool grants_stage_demand(struct grants_staged *staged, const struct usage_demand *demand, const struct grants_terms *terms);
/* A demand told of more than is known to be granted. */
bool grants_staged_told_more(const struct grants_staged *staged);
/* To be stored. */
const struct ledger_grant *grants_staged_rows(const struct grants_staged *staged, size_t *ret_len);
/* After they were. over: the boot is over as a whole, what it did not name is what it used. */
void grants_apply(struct grants *grants, struct grants_staged *staged, bool over);
/* After that: the boots from which it recalls what was not recalled before. NULL: none. */
const struct map *grants_staged_recalled(const struct grants_staged *staged);

/* Several leaders (ledger_follow.h): what another one stored is applied as it did. */

/* What is not stored of the rows, for them. */
void grants_staged_note(const struct grants_staged *staged, struct buf *into);
/* The same again, of what is stored and that note. One that says nothing (NULL) is that of a leader of another version: the rows count. */
struct pack_node;
struct grants_staged *grants_stage_stored(struct grants *grants, const struct ledger_merge *stored, const struct pack_node *note);

/* Looking. */

/* "<day>\n<key>": what both are known by in a map. */
struct str grants_key(char into[GRANTS_KEY_MAX], const char *day, const char *apikey);

struct grants_row {
	const char *apikey, *day;
	uint64_t granted, used;
	uint64_t total;          /* calls, as the last demand for the key and day found them merged, or as they were told: the more */
	uint64_t ungranted;      /* as that demand found them */
	uint64_t all_granted;    /* of the key and day */
	bool recall;
};
/* False: the boot holds nothing of it. *ret is as it stands, its texts are the caller's. */
bool grants_look(struct grants *grants, const char *boot, const char *apikey, const char *day, struct grants_row *ret);
/* What the boot may yet get: what nobody has, and what others hold unused, as they said last, but for those that are_silent in
 * terms. Of the terms it needs limit, ungranted, is_silent and arg. It looks at each row of the subject and window. */
uint64_t grants_coming(struct grants *grants, const char *boot, const struct usage_demand *demand, const struct grants_terms *terms);
/* Those of which the boot has something unused, and knows it from this process of the leader. Borrowed for the call, made under the lock; false stops. */
typedef bool grants_each_f(void *arg, const struct grants_row *row);
void grants_each_unused(struct grants *grants, const char *boot, grants_each_f *fn, void *arg);
/* All of them, as they would be loaded. Borrowed for the call, made under the lock. */
typedef void grants_row_f(void *arg, const struct ledger_grant *grant);
void grants_each(struct grants *grants, grants_row_f *fn, void *arg);
uint64_t grants_granted(struct grants *grants, const char *apikey, const char *day); /* sum over all boots */
struct grants_sums {
	uint64_t granted, used;
};
struct grants_sums grants_sums(struct grants *grants, const char *subject, const char *window); /* over all boots */
