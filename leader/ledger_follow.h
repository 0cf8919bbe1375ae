/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_follow - several leaders on one ledger: each has all of it in memory, and follows what the others store.
 *
 * What is stored is a log of entries, and an entry is stored only by who has all entries before it in memory:
 *
 *     decide (memory) ---> ledger_write(), ledger_merge_usage(), ... --- stored ---> applied in memory
 *        ^                        | another leader was faster: LEDGER_BEHIND, or false with ERROR_CONFLICT
 *        `---- ledger_follow() <--'      each entry since then, applied in memory
 *
 * So whatever a leader decides, it decides as the only one would: two never give the same call. An answer that was lost is
 * no special case: whether the entry is there is seen by following, which tells one's own entry then as another's. Who asked for it is
 * told that it is not known (LEDGER_OUTCOME_UNKNOWN).
 *
 * Words   beside the log leaders tell each other what nobody keeps: which beats they heard. They come in their order from each
 *         leader, after the entries that it stored before, or not at all.
 *
 * A ledger that goes back (a store that lost its newest entries, or all) is noticed by the first function that looks: every entry
 * names the one before by a random mark. What is missing is stored again from the entries that the leaders have in memory, where they are
 * enough; else everything is refused with ERROR_UNAVAILABLE and the reason, until it was restored on purpose.
 *
 * Thread  as ledger.h: one function at a time, but ledger_listen(), which runs beside all others on one thread of its own.
 */
#pragma once

#include "leader/ledger.h"

/* The code of an error: what was to be stored may be there. */
#define LEDGER_OUTCOME_UNKNOWN "outcome_unknown"
/* Of one word, and how many bytes of words one leader may have under way. */
#define LEDGER_WORD_MAX (1024u * 1024)
/* A leader that comes waits so long for a word of another one. */
#define LEDGER_JOIN_MS 2000

/* What an entry says of a large write (ledger.h). */
enum ledger_staged { LEDGER_STAGE_NONE, LEDGER_STAGE_BEGINS, LEDGER_STAGE_PUT, LEDGER_STAGE_PUBLISHED, LEDGER_STAGE_DROPPED, LEDGER_STAGE_SETTLED };
struct ledger_staging {
	enum ledger_staged what;
	char token[17];                      /* names it */
	uint64_t pieces;                     /* that are there, with this one; SETTLED: that are settled */
};

/* One entry of another leader. What it did not store is NULL or 0. Borrowed for the call. */
struct ledger_entry {
	const char *by;                      /* the leader, as ledger_open_redis() was told; one's own when an answer was lost */
	uint64_t revision;                   /* of entities; 0: those that are there are settled, and nothing new */
	struct entity *const *entities; size_t entities_len;
	const uint8_t *digest;               /* of the state that results */
	const struct ledger_merge *merge;    /* without its rows and repositories */
	uint64_t dealings;                   /* of the present life, with this entry */
	const struct ledger_member *member;  /* ledger_put_member() */
	const char *forgotten;               /* ledger_delete_member() */
	const struct ledger_life *life;      /* another life began, or ledger_put_heard() */
	struct ledger_staging staging;
	bool life_begins;
	bool joins;                          /* a leader asks whether others are there: tell it something */
};
typedef void ledger_entry_f(void *arg, const struct ledger_entry *entry);

/* Other leaders may write to it. The functions below are for such ledgers alone. */
bool ledger_is_shared(const struct ledger *ledger);

/* All entries that are not in memory yet, in their order. */
bool ledger_follow(struct ledger *ledger, ledger_entry_f *fn, void *arg, struct error *err) MUST_CHECK;

/* What became of it since it was opened; of one that is not shared nothing. Any thread. */
struct ledger_shared {
	bool lost;                 /* it went back, and not all could be stored again: everything is refused */
	bool behind;               /* entries that are not in memory here are gone from the log: all is to be loaded anew */
	uint64_t replays, replayed; /* times that it went back and this leader stored again what was missing; entries */
};
struct ledger_shared ledger_shared(const struct ledger *ledger);

/* A word to all other leaders. */
bool ledger_tell(struct ledger *ledger, struct str word, struct error *err) MUST_CHECK;
/* Waits until something comes, wait_ms at most: fn for each word, and *ret_more when there is something to follow. True is proof that
 * the ledger was there; false waits for none of it, so the caller rests. */
typedef void ledger_word_f(void *arg, const char *by, struct str word); /* borrowed */
bool ledger_listen(struct ledger *ledger, int64_t wait_ms, ledger_word_f *fn, void *arg, bool *ret_more, struct error *err) MUST_CHECK;

/*
 * What this leader has in memory becomes the ledger, where that went back or is gone: an operator's deliberate restore. Entities, members and
 * grants are those that are given, of a higher generation (proto/history.h); usage, what is known of boots, and the audit are what
 * Redis still has. Lives begin anew, so the next thing is ledger_begin_life(). Every other leader finds another history and is to be
 * restarted. Where it fails in between, no leader opens it until it is repeated.
 */
struct ledger_rescue {
	const struct state *state;
	const struct ledger_member *members; size_t members_len;
	const struct ledger_grant *grants;   size_t grants_len;
};
bool ledger_rescue(struct ledger *ledger, const struct ledger_rescue *rescue, struct ledger_loaded *ret, struct error *err) MUST_CHECK;
