/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_redis - the Redis driver's struct, and how its files work together.
 *
 * All keys begin with "{<prefix>}:", so they are in one slot.
 *
 *     head            hash    n, mark: the newest entry; revision, forgotten, cluster, generation; format; bytes of the log ever; audit: the
 *                             newest number of it; expired: what credentials were told up to
 *     log             stream  entries, ids "<n>-0": mark, before (the mark of the one before), by, content, effects (ledger_redis_entry.h),
 *                             and b, the head's bytes with it. LEDGER_REDIS_LOG_MOST entries and LEDGER_REDIS_LOG_BYTES at most
 *     words           stream  what leaders tell each other: by, n (of the newest entry when it was told); and w, the word, or j, who joins,
 *                             or nothing: an entry was stored
 *     entities        hash    "<kind>:<id>" -> msgpack, tombstones too
 *     staged:<token>, stages, import   large writes: ledger_redis_stage.c
 *     tombstones      zset    "<kind>:<id>" by revision
 *     pairs           zset    "<revision> <digest in hex>" by revision
 *     names           hash    key -> "<owner> <label>"; of deleted keys as long as they have usage
 *     members         hash    name -> msgpack
 *     boots           hash    boot -> "<seq> <number> <finished> <gone> <seen> <worker>"; finished 2: its grants are folded
 *     seen            zset    boots by when they were heard last
 *     gone            zset    those that said "left", by when
 *     over            set     boots that are finished and not folded
 *     grants          set     "<window> <boot>" of which there is grants:<window>:<boot>; boot "": all that are folded
 *     grants:<window>:<boot>  hash  subject -> "<granted> <used>"
 *     windows         set     of which there is usage:<window>
 *     usage:<window>  hash    key -> "<calls> <bytes in> <bytes out> <ungranted>"
 *     repositories    hash    name -> "<pulls> <pushes> <bytes in> <bytes out>"
 *     changes         stream  the audit's rows, ids "<number>-0": row (msgpack)
 *     refusals        stream  the same of what was refused
 *     lives           list    "<id> <dealings> <heard>", the present one last
 *
 * Each function that changes something reads what it must know, gathers the commands that change it, and gives them to
 * ledger_redis_commit(): a script runs them where the head still is the entry that this leader has in memory. So all that was read since is
 * still true then, and one entry is never stored on top of one that was not seen.
 */
#pragma once

#include <stdatomic.h>

#include "common/lock.h"
#include "common/redis.h"
#include "leader/ledger/driver.h"
#include "leader/ledger/ledger_piece.h"
#include "leader/ledger/ledger_redis_entry.h"

#define LEDGER_REDIS_LOG_MOST  100000
#define LEDGER_REDIS_LOG_BYTES (256u * 1024 * 1024)
/* What this leader keeps of the log, to store it again. */
#define LEDGER_REDIS_RING_MOST  20000
#define LEDGER_REDIS_RING_BYTES (16u * 1024 * 1024)
#define LEDGER_REDIS_FORMAT "1"

#define LEDGER_REDIS_MARK_SIZE 17
struct ledger_redis_place {
	uint64_t n;
	char mark[LEDGER_REDIS_MARK_SIZE];
};

/* An entry as it lies in the log. */
struct ledger_redis_raw {
	struct ledger_redis_place place;
	char before[LEDGER_REDIS_MARK_SIZE];
	char *by;
	struct str content, effects; /* owned */
};

struct ledger_redis_ring {
	struct ledger_redis_raw *at; /* LEDGER_REDIS_RING_MOST, the oldest at `first` */
	size_t first, len, bytes;
};

/* struct ledger_shared, as it is made. */
struct ledger_redis_seen {
	atomic_bool lost, behind;
	_Atomic uint64_t replays, replayed;
};

/* The entities of another leader's large write, as far as its pieces came. */
struct ledger_redis_pending {
	char token[17];
	struct entity **at;
	size_t len, room;
	uint64_t pieces;
};

struct ledger_redis {
	struct ledger ledger; /* first */
	struct redis *redis, *ear; /* for all functions but ledger_listen(), and for that one */
	char *leader;
	char prefix[64];
	int64_t join_ms;
	char script[41];           /* the SHA-1 of the script; "": not loaded yet */
	struct lock lock;          /* of the place: the ear looks at it */
	struct ledger_redis_place place; /* of the newest entry that this leader has in memory */
	uint64_t revision, forgotten;
	struct history history;
	struct ledger_life life;   /* the present one; its id "": none */
	uint64_t grants_upto;      /* grants of entries up to there were loaded */
	uint64_t joined, began;    /* entries of ledger_begin_life(): not told again; 0: none */
	struct ledger_redis_ring ring;
	int64_t patience_ms;       /* nothing is stored until then: the ledger went back */
	struct ledger_redis_seen seen;
	bool lost;                 /* the ledger is another one; why: */
	struct error why;
	struct entity **read;      /* between ledger_load_pairs() and ledger_load_entities() */
	size_t read_len;
	struct ledger_staging stage; /* of this leader, under way */
	struct ledger_staging import; /* published, of any, and not settled; pieces 0: there is none */
	uint64_t settled;          /* pieces of it */
	struct ledger_redis_pending pending;
	char pruned[11];           /* the day of the last ledger_redis_prune() */
	struct {
		char day[11];      /* on which all were looked at */
		char cursor[24];   /* of HSCAN; "": none */
		int64_t next_ms;
	} names;                   /* ledger_redis_forget_names() */
	char heard[48];            /* the ear's: the id of the newest word */
};

static inline struct ledger_redis *ledger_redis_of(struct ledger *ledger)
{
	return (struct ledger_redis *)ledger;
}

/* A key of ours. */
struct ledger_redis_key {
	char text[512];
};
struct ledger_redis_key ledger_redis_key(const struct ledger_redis *own, const char *format, ...) PRINTF(2, 3);
/* A command of one key; words follow. */
struct redis_call *ledger_redis_call(const struct ledger_redis *own, const char *command, const char *key);
/* The same as an effect, of so many words behind the key. */
void ledger_redis_change(const struct ledger_redis *own, struct ledger_redis_effects *effects, const char *command, const char *key,
	size_t words);
void ledger_redis_change_text(struct ledger_redis_effects *effects, const char *text);
void ledger_redis_change_number(struct ledger_redis_effects *effects, uint64_t number);
/* False: the ledger is another one, or is not to be written to yet. */
bool ledger_redis_may_read(const struct ledger_redis *own, struct error *err) MUST_CHECK;

/* The log. */
enum ledger_result ledger_redis_commit(struct ledger_redis *own, const struct ledger_redis_effects *effects,
	const struct ledger_entry *entry, uint64_t forgotten, struct error *err);
/* The same for who has no use for BEHIND: false with ERROR_CONFLICT. */
bool ledger_redis_commit_plain(struct ledger_redis *own, const struct ledger_redis_effects *effects, const struct ledger_entry *entry,
	struct error *err) MUST_CHECK;
/* On top of `before`, whatever is in memory; only where that is all of it, this one is in memory then too. *ret_place: where it is. */
enum ledger_result ledger_redis_append(struct ledger_redis *own, const struct ledger_redis_place *before,
	const struct ledger_redis_effects *effects, const struct ledger_entry *entry, struct ledger_redis_place *ret_place, struct error *err);
/* Where there is none: n 0, without a mark. */
bool ledger_redis_head(struct ledger_redis *own, struct ledger_redis_place *ret, struct error *err) MUST_CHECK;
struct ledger_redis_place ledger_redis_place(struct ledger_redis *own);
void ledger_redis_set_place(struct ledger_redis *own, const struct ledger_redis_place *place);
/* Entries behind `after`, a few hundred at most, each freed behind fn; false of fn stops with its error. *ret_more: there may be more. */
typedef bool ledger_redis_raw_f(void *arg, struct ledger_redis_raw *raw, struct error *err);
bool ledger_redis_read(struct ledger_redis *own, uint64_t after, ledger_redis_raw_f *fn, void *arg, bool *ret_more, struct error *err) MUST_CHECK;
void ledger_redis_raw_fini(struct ledger_redis_raw *raw);
bool ledger_redis_follow(struct ledger *ledger, ledger_entry_f *fn, void *arg, struct error *err);
struct ledger_shared ledger_redis_shared(const struct ledger *ledger);

/* The ring. */
void ledger_redis_ring_put(struct ledger_redis_ring *ring, struct ledger_redis_raw *raw); /* takes what it owns */
const struct ledger_redis_raw *ledger_redis_ring_find(const struct ledger_redis_ring *ring, uint64_t n);
void ledger_redis_ring_clear(struct ledger_redis_ring *ring);

/* Refuses one that is too old, or that throws data away; warns of one that may lose some. */
bool ledger_redis_check_server(struct ledger_redis *own, struct error *err) MUST_CHECK;

/* What is too old goes, once a day. */
void ledger_redis_prune(struct ledger_redis *own);
/* The same of names, a few behind each report. */
void ledger_redis_forget_names(struct ledger_redis *own);
/* Of an entity as it is in Redis; 0: it is not there, or deleted. */
bool ledger_redis_stored_revision(const struct redis_reply *body, uint64_t *ret, struct error *err) MUST_CHECK;

/* Connected, and nothing was looked at yet. */
bool ledger_redis_connect(struct ledger_redis **ret, const struct ledger_redis_settings *settings, struct error *err) MUST_CHECK;
/* Whether another leader answers within the time for joining. */
bool ledger_redis_others(struct ledger_redis *own, bool *ret, struct error *err) MUST_CHECK;

/* Large writes. */
bool ledger_redis_stage_begin(struct ledger *ledger, struct error *err);
bool ledger_redis_stage_put(struct ledger *ledger, struct str piece, struct error *err);
enum ledger_result ledger_redis_stage_publish(struct ledger *ledger, uint64_t revision, const uint8_t digest[ENTITY_HASH_BYTES],
	struct error *err);
bool ledger_redis_stage_drop(struct ledger *ledger, struct error *err);
bool ledger_redis_is_settled(const struct ledger *ledger);
bool ledger_redis_settle(struct ledger *ledger, bool *ret_more, struct error *err);
/* An entry of another leader. After PUBLISHED all its entities are pending. */
bool ledger_redis_follow_staging(struct ledger_redis *own, const struct ledger_staging *staging, struct str effects, struct error *err) MUST_CHECK;
void ledger_redis_note_settled(struct ledger_redis *own, uint64_t settled);
void ledger_redis_drop_pending(struct ledger_redis *own);
/* What is published and not settled: the numbers; and each entity of it that lies there. */
bool ledger_redis_read_import(struct ledger_redis *own, struct error *err) MUST_CHECK;
bool ledger_redis_read_staged(struct ledger_redis *own, ledger_piece_f *fn, void *arg, struct error *err) MUST_CHECK;
bool ledger_redis_prune_stages(struct ledger_redis *own, struct error *err) MUST_CHECK;
/* Parts of an entry: the pair and the numbers of a revision; and of these entities those that are newer than what is there, which are `at` then. */
void ledger_redis_put_written(struct ledger_redis *own, const struct ledger_pair *pair, uint64_t forgotten, struct ledger_redis_effects *effects);
bool ledger_redis_put_older(struct ledger_redis *own, struct entity **at, size_t *len, struct ledger_redis_effects *effects, struct error *err) MUST_CHECK;

/* Loading. The head as it is now, which is made where there is none: the place, the revision and the history. */
bool ledger_redis_open_head(struct ledger_redis *own, struct error *err) MUST_CHECK;
/* Each field of a hash, maybe more than once: its name is page's element `at`, its value the next. */
typedef bool ledger_redis_pair_f(void *arg, const struct redis_reply *page, size_t at, struct error *err);
bool ledger_redis_scan(struct ledger_redis *own, const char *key, ledger_redis_pair_f *fn, void *arg, struct error *err) MUST_CHECK;
bool ledger_redis_load_pairs(struct ledger *ledger, ledger_pair_f *fn, void *arg, struct error *err);
bool ledger_redis_load_entities(struct ledger *ledger, ledger_entity_f *fn, void *arg, struct ledger_loaded *ret, struct error *err);
void ledger_redis_drop_read(struct ledger_redis *own);
bool ledger_redis_load_members(struct ledger *ledger, ledger_member_f *fn, void *arg, struct error *err);
bool ledger_redis_load_grants(struct ledger *ledger, const char *day, ledger_grant_f *fn, void *arg, struct error *err);
bool ledger_redis_load_gone(struct ledger *ledger, size_t most, ledger_gone_f *fn, void *arg, struct error *err);

/* The others. */
bool ledger_redis_put_pair(struct ledger *ledger, const struct ledger_pair *pair, struct error *err);
enum ledger_result ledger_redis_write(struct ledger *ledger, const struct ledger_change *changes, size_t len,
	const uint8_t digest[ENTITY_HASH_BYTES], uint64_t *ret_revision, size_t *ret_at, struct error *err);
bool ledger_redis_begin_life(struct ledger *ledger, ledger_life_f *fn, void *arg, bool *ret_joined, struct error *err);
bool ledger_redis_put_heard(struct ledger *ledger, bool heard, struct error *err);
void ledger_redis_put_life(const struct ledger_redis *own, struct ledger_redis_effects *effects, const struct ledger_life *life);
bool ledger_redis_boot(struct ledger *ledger, const char *boot, struct ledger_boot *ret, struct error *err);
bool ledger_redis_merge_usage(struct ledger *ledger, const struct ledger_merge *merge, struct ledger_merged *ret, struct error *err);
bool ledger_redis_fold(struct ledger *ledger, size_t most, bool *ret_more, struct error *err);
bool ledger_redis_put_member(struct ledger *ledger, const struct ledger_member *member, struct error *err);
bool ledger_redis_delete_member(struct ledger *ledger, const char *name, const struct ledger_audit *audit, struct error *err);
bool ledger_redis_put_audit(struct ledger *ledger, const struct ledger_audit *rows, size_t len, struct error *err);
bool ledger_redis_expired(struct ledger *ledger, int64_t *ret_upto_s, struct error *err);
bool ledger_redis_put_expired(struct ledger *ledger, const struct ledger_expired *expired, bool *ret_put, struct error *err);
bool ledger_redis_list_audit(struct ledger *ledger, const struct ledger_audit_ask *ask, size_t max, ledger_audit_f *fn, void *arg,
	struct error *err);
bool ledger_redis_sweep_audit(struct ledger *ledger, const struct ledger_audit_kept *kept, bool *ret_more, struct error *err);
bool ledger_redis_calls(struct ledger *ledger, const struct ledger_key_day *at, size_t len, struct ledger_calls *ret, struct error *err);
bool ledger_redis_list_keys(struct ledger *ledger, const struct ledger_keys *which, size_t max, ledger_usage_f *fn, void *arg,
	struct error *err);
bool ledger_redis_sum_keys(struct ledger *ledger, const struct ledger_keys *which, struct ledger_usage *ret, struct error *err);
bool ledger_redis_list_repositories(struct ledger *ledger, const char *name, size_t max, ledger_usage_f *fn, void *arg,
	struct error *err);
bool ledger_redis_tell(struct ledger *ledger, struct str word, struct error *err);
bool ledger_redis_listen(struct ledger *ledger, int64_t wait_ms, ledger_word_f *fn, void *arg, bool *ret_more, struct error *err);
bool ledger_redis_rescue(struct ledger *ledger, const struct ledger_rescue *rescue, struct ledger_loaded *ret, struct error *err);
bool ledger_redis_start_ear(struct ledger_redis *own, struct error *err) MUST_CHECK;

/* A part of a change: rows that get the next numbers. */
struct ledger_redis_audit {
	uint64_t number;         /* the newest */
	uint64_t revision;       /* that the rows are of */
	bool read;
};
bool ledger_redis_add_audit(struct ledger_redis *own, struct ledger_redis_audit *audit, const struct ledger_audit *row,
	struct ledger_redis_effects *effects, struct error *err) MUST_CHECK;

void ledger_redis_audit_encode(const struct ledger_audit *row, uint64_t revision, struct buf *into);
/* All but its number. Texts are the arena's. */
bool ledger_redis_audit_decode(struct str packed, struct arena *arena, struct ledger_audit *ret) MUST_CHECK;
#define LEDGER_REDIS_AUDIT_MAX (4 * LEDGER_AUDIT_DETAIL_MAX)

/* Parts of a merge. */
struct ledger_redis_boots { /* as they are in Redis */
	struct ledger_boot known;
	unsigned finished;
	char worker[256];
};
bool ledger_redis_read_boot(struct ledger_redis *own, const char *boot, struct ledger_redis_boots *ret, struct error *err) MUST_CHECK;
bool ledger_redis_merge_boots(struct ledger_redis *own, const struct ledger_merge *merge, const struct ledger_redis_boots *known, bool added,
	struct ledger_redis_effects *effects, struct error *err) MUST_CHECK;
void ledger_redis_merge_grants(const struct ledger_redis *own, const struct ledger_merge *merge, struct ledger_redis_effects *effects);

/* Of usage, as they lie in Redis. They stop at INT64_MAX. */
#define LEDGER_REDIS_SUMS 4
struct ledger_redis_sums {
	uint64_t at[LEDGER_REDIS_SUMS];
};
struct ledger_redis_sums ledger_redis_sums_of(struct str text); /* what is not there is 0 */
void ledger_redis_sums_add(struct ledger_redis_sums *into, const struct ledger_redis_sums *more);
