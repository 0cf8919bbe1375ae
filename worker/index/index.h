/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index - a repository's tags, manifests and referrers, in memory; changed by compare-and-swap.
 *
 *   struct index      one repository at one version: immutable, counted, all answers are look-ups
 *   struct indexes    all repositories that this worker has in memory: an LRU bounded in bytes
 *
 * Safety lies in the store: a change is applied to the newest index and written only if the store
 * still has the version it was made from; a conflict reloads and applies again (bounded, with jitter).
 * Speed lies here: changes that wait while one write is under way go out together in the next
 * (group commit), and a view may be served from memory for as long as `trust` says.
 *
 *   trust(name) = ms for which a view may be served since it was last known to equal the store.
 *                 The owner with a lease: the lease. Everybody else: 0, ask the store each time.
 *
 * Deleting a tag leaves its manifest, untagged; moving a tag leaves the old manifest, untagged;
 * deleting a digest removes every entry with it. Manifest blobs are left in the store for garbage
 * collection: what the index does not list is not served.
 *
 * index.json is an OCI index that zot and skopeo read: one descriptor for each (digest, tag), the tag in the
 * annotation org.opencontainers.image.ref.name. Beside it, so that referrers need no reading of
 * manifests, a manifest's own subject is kept in the annotation of our own `io.zot.subject`, its annotations that
 * referrers must show in `io.zot.annotations` (a JSON object as text), and its artifactType in the
 * descriptor; `io.zot.complete`=1 says that these are filled in. An index from zot lacks them: load fills them in by reading the
 * manifests once (in memory; written with the next change).
 *
 * Statistics lie with what they are of: when and by whom a manifest was first pushed (io.zot.pushed), when and by whom a tag was pushed
 * to what it points to (io.zot.tagged, where that is another push), and in one member of the index (io.zot.pulls) how often manifests
 * and tags were pulled and when last. What is not known of them, as of an index from zot, is set by the next push.
 *
 * A change is a frame after the last index.json (index_log.c), so that it costs the same with 10 tags and with 100,000; a log that
 * has grown, or that rests, is folded into a new index.json.
 *
 * Thread  indexes_peek(), all observers of a view, indexes_change(): any. The rest: pool.
 */
#pragma once

#include "proto/descriptor.h"
#include "proto/digest.h"
#include "proto/manifest.h"
#include "worker/storage/store.h"

struct index;
struct indexes;
struct pool;

typedef int64_t index_trust_f(void *arg, struct str name); /* any thread; does not wait */

/* trust NULL: no view is, the store is asked each time. */
struct indexes *indexes_new(struct store *store, struct pool *pool, index_trust_f *trust, void *trust_arg, size_t bytes_max);
/* Before the first change: a log is folded when it is a quarter of its index.json, but not before it has so many bytes. */
void indexes_set_log(struct indexes *indexes, size_t bytes_least);
/* Before the first change: folded records of a log that goes on (s3) are kept for so long; all who share the store must say the same. */
void indexes_set_keep(struct indexes *indexes, int64_t keep_us);
/* Before the first change: an index.json that would be larger does not grow any more (ERROR_FULL). */
void indexes_set_most(struct indexes *indexes, size_t json_bytes);
/* Before the first change: is this repository's index ours to change now? Asked of each change but INDEX_FOLD, INDEX_REPLACE and INDEX_PULLED, on the committer's
 * thread; it is to be quick. Kind UNAVAILABLE: nothing was done. */
typedef bool index_gate_f(void *arg, struct str name, struct error *err);
void indexes_set_gate(struct indexes *indexes, index_gate_f *gate, void *arg);
/* Before the first change: may a push make this repository, whose name the catalog may not have? *ret_until_s: the name is to be put before that; 0: at any time.
 * On the committer's thread; it may wait for the store. False is the answer of all that waits for it. */
typedef bool index_room_f(void *arg, struct str name, int64_t *ret_until_s, struct error *err);
void indexes_set_room(struct indexes *indexes, index_room_f *room, void *arg);
void indexes_free(struct indexes *indexes); /* folds what we changed; waits for changes under way */
AUTO_DEFINE(indexes)

/* The view in memory when it may be served now, else NULL: then indexes_get() on the pool. A repository that is known not
 * to exist is never remembered. */
struct index *indexes_peek(struct indexes *indexes, struct str name);
/* Loads or revalidates. NAME_UNKNOWN when there is no such repository. */
bool indexes_get(struct indexes *indexes, struct str name, struct index **ret, struct error *err) MUST_CHECK;
struct index *index_ref(struct index *index);
void index_free(struct index *index); /* drops a reference */
AUTO_DEFINE(index)

/* What is in memory, true or not: a hint. removals: as below, 0 when nothing is. Thread  any. */
uint64_t indexes_removals(struct indexes *indexes, struct str name);
/* Loads it when nothing is in memory. Pool. */
bool indexes_lists(struct indexes *indexes, struct str name, const struct digest *digest);

/* Look-ups. Borrowed from the view. */
struct index_entry {
	struct descriptor descriptor; /* media type, digest, size, artifact type, subject, annotations of the manifest */
	/* the rest is private to index*.c */
};
const struct index_entry *index_find_tag(const struct index *index, struct str tag);
const struct index_entry *index_find_digest(const struct index *index, const struct digest *digest);
size_t      index_tags_len(const struct index *index);
const char *index_tag_at(const struct index *index, size_t at);     /* byte order */
size_t      index_tags_after(const struct index *index, struct str last); /* first place > last */
/* Manifests whose subject is this digest, in a stable order. */
size_t index_referrers_len(const struct index *index, const struct digest *subject);
const struct index_entry *index_referrer_at(const struct index *index, const struct digest *subject, size_t at);
/* Every manifest, once each. */
size_t index_len(const struct index *index);
const struct index_entry *index_at(const struct index *index, size_t at);

/*
 * Of a tag: the push that made it point to its manifest (the same again changes nothing), and pulls by its name, also of what it pointed to
 * before. Of a manifest: its first push, and its pulls by whatever name. False: not listed. Texts borrowed from the view.
 */
struct index_stats {
	int64_t pushed_ms;     /* store_clock_ms(); 0: not known */
	const char *pushed_by; /* user, "": nobody logged in, or it is not known */
	uint64_t pulls;        /* since statistics are kept */
	int64_t pulled_ms;     /* store_clock_ms() of the last; 0: never */
};
bool index_tag_stats(const struct index *index, struct str tag, struct index_stats *ret) MUST_CHECK;
bool index_digest_stats(const struct index *index, const struct digest *digest, struct index_stats *ret) MUST_CHECK;

/*
 * What distinguishes two views, `before` NULL being an empty one: fn with each manifest that only one of them lists, by digest. What
 * they share costs next to nothing where one was made from the other.
 */
typedef void index_compare_f(void *arg, const struct index_entry *entry, bool in_after);
void index_compare(const struct index *before, const struct index *after, index_compare_f *fn, void *arg);
/* The same for tags: fn with each tag that only one of them has, or that names another manifest in `after`; entry: what it names there, or NULL. */
typedef void index_compare_tags_f(void *arg, struct str tag, const struct index_entry *entry);
void index_compare_tags(const struct index *before, const struct index *after, index_compare_tags_f *fn, void *arg);
/* All of it, as INDEX_REPLACE takes it. ERROR_TOO_LARGE: over the limit of `into`. */
#define INDEX_TEXT_MAX ((size_t)128 * 1024 * 1024)
bool index_text(const struct index *index, struct buf *into, struct error *err) MUST_CHECK;
/* One that stays as it is: a view that a check is given changes behind it. */
struct index *index_keep(const struct index *view);

/* Blobs that are being deleted: a manifest that names one is not to be taken. now_s: store_clock_s(). */
bool index_is_condemned(const struct index *index, const struct digest *digest, int64_t now_s);
bool index_may_condemn(const struct index *index, int64_t now_s); /* false: too many are */
/* It was, and who did it has not said that it is over: only a question tells whether it is there. */
bool index_was_condemned(const struct index *index, const struct digest *digest);
/* It may have been removed since whoever pushes was told that it is there: only a question tells. */
bool index_may_be_gone(const struct index *index, const struct digest *digest, int64_t now_s);
/* Lists nothing, of whatever kind. */
bool index_is_empty(const struct index *index);
/* Its name is out of the catalog, or about to be, until somebody pushes to it: to clients there is no such repository. */
bool index_is_vacant(const struct index *index);
/* Something may be on its way that removes the name. now_s: store_clock_s(). */
bool index_is_vacating(const struct index *index, int64_t now_s);
/* The same of what an index.json says; what cannot be read is not vacant. */
bool index_json_is_vacant(struct str json);
/* How often a blob was condemned, and that was over: what was seen counts while that number stays. */
uint64_t index_removals(const struct index *index);

struct change_id { uint8_t raw[16]; };

/*
 * Which state of a repository a view shows. Equal for the same state only; in one generation (of its log) a later state has a higher
 * `at`. Folding a log may begin another generation, with the same tags.
 */
struct index_version {
	char generation[33]; /* "": there is no log */
	uint64_t at;
	struct store_version object; /* of the index.json */
};
void index_version_of(const struct index *index, struct index_version *ret);
/*
 * How many changes the index has seen, but pulls: the same number where two views of one repository differ in nothing but statistics and in how they are
 * kept. It lies in index.json, where somebody else's tool may lose it: then it begins anew.
 */
uint64_t index_changes(const struct index *index);

/* Who asked for a change, and how. "": it is not known. */
struct index_asker {
	const char *user;    /* who is logged in */
	const char *address; /* of the client */
	const char *method;  /* of HTTP */
	const char *agent;   /* the client's User-Agent */
};

/* Changes. The struct and what it points to belong to the caller until done(change) has run. */
enum index_op {
	INDEX_PUT_MANIFEST,   /* descriptor (with subject, artifact type, annotations), tags or none; creates the repository */
	INDEX_DELETE_TAG,     /* MANIFEST_UNKNOWN when absent */
	INDEX_DELETE_DIGEST,  /* MANIFEST_UNKNOWN when absent */
	INDEX_FOLD,           /* the log goes into index.json, now */
	INDEX_CONDEMN,        /* the blob `digest` is about to be deleted, not after until_s; makes the index when there is none */
	INDEX_REMOVED,        /* it was, and nothing that may remove it is on its way any more */
	/*
	 * The name is about to leave the catalog, not after until_s: refused (ERROR_BUSY) where others change it just now. Makes the index when there is
	 * none. INDEX_VACATED: it has left, and nothing that may remove it is on its way. INDEX_PUT_MANIFEST and INDEX_REPLACE bring it back: the
	 * committer waits until nothing may remove it any more, puts the name into the catalog, and then writes the record.
	 */
	INDEX_VACATE,
	INDEX_VACATED,
	INDEX_REPLACE,        /* `text` (index_text()) is the index from now on, whatever was there; makes the repository */
	/*
	 * `pulls` are added; those of what is not listed any more are passed over. A call (`is_call`), so that it is made once. Nothing hangs on
	 * it, so no gate is asked, and one that failed says why: ERROR_CONFLICT: it was sent before (`sent_ms`), and it cannot be known any more
	 * whether it was made; ERROR_TOO_LARGE: the index has no room for it.
	 */
	INDEX_PULLED,
};
/* More pulls, of a digest ("sha256:...") or a tag, and when the last was. */
struct index_pull {
	struct str key;
	uint64_t count;
	int64_t last_ms; /* store_clock_ms() */
};
#define INDEX_PULLS_AT_ONCE 1000u /* of one change */
struct index_change;
/* May it be made in this view, the one that it would be made behind? On the committer's thread, which may wait for the store; once for
 * each attempt. */
typedef bool index_check_f(struct index_change *change, const struct index *view, struct error *err);

struct index_change {
	enum index_op op;
	const char *name;               /* repository */
	/*
	 * Who it is: a change that is found done under its id, whoever did it, is not done again. All zero: it gets one. Of a call that a peer
	 * sends on, or that was sent to one: the call's, and is_call; then it is known to others for a while. sent_ms (wall clock, 0: never)
	 * says when it was first sent to somebody whose answer was lost: where it can't be known whether it was done then, or may still be, ERROR_UNAVAILABLE. A call
	 * comes late too, where its receiver was away: others may have made it, and its id may be forgotten.
	 */
	struct change_id id;
	bool is_call;
	int64_t sent_ms;
	int64_t issued_ms; /* store_clock_s() in ms of who first sent it: one that is older than a minute is not made any more (0: not sent) */
	const struct descriptor *descriptor;
	const char *const *tags;
	size_t tags_len;
	int64_t pushed_ms;              /* INDEX_PUT_MANIFEST: store_clock_ms(), and the user; 0: not known */
	struct str pushed_by;
	const struct index_pull *pulls; /* INDEX_PULLED, at most INDEX_PULLS_AT_ONCE */
	size_t pulls_len;
	struct digest digest;           /* INDEX_DELETE_DIGEST, _CONDEMN, _REMOVED */
	int64_t until_s;                /* INDEX_CONDEMN and _VACATE, and the same for its INDEX_REMOVED or _VACATED: store_clock_s() */
	index_check_f *check;           /* or NULL */
	struct str bytes;               /* of a manifest that was put with store_blob_put_lazy(): durable with the change */
	struct str text;                /* INDEX_REPLACE */
	uint64_t era;                   /* what that gave */
	void (*done)(struct index_change *change); /* on a pool thread, when it is durable or has failed */
	void *arg;
	const struct index_asker *asker; /* who asks for it, for who follows; NULL: nobody did */
	/* result */
	bool ok;
	struct error err;
	bool changed;                   /* it made another view; false: nothing was to be done */
	struct index_told *told;        /* private */
	uint64_t mark;                  /* private: the follower's */
	bool found, announced;          /* private */
	int64_t at_ms;                  /* private */
	struct index_change *next;      /* private, but of the list that indexes_change_all() is given; not kept */
};
/* Thread  any. Returns at once. */
void indexes_change(struct indexes *indexes, struct index_change *change);
/* The same from a pool thread, which becomes the committer where there is none: done() may run before this returns. */
void indexes_change_here(struct indexes *indexes, struct index_change *change);
/* The same of a list that `next` makes, all of one repository, which go out together, in one record. done and arg are not used; waits. Pool. */
void indexes_change_all(struct indexes *indexes, struct index_change *first);
/* The same and waits: for tests and tools. Pool. */
bool indexes_change_wait(struct indexes *indexes, struct index_change *change, struct error *err) MUST_CHECK;
/* Pool. Returns when all changes that were under way when it was called have ended. */
bool indexes_settle(struct indexes *indexes, struct error *err) MUST_CHECK;

/*
 * Told of each change that was committed here and made another view, of a repository in their order, before done(). What another
 * worker commits is told there. On the committer's thread, without a lock; the event and its change are borrowed.
 */
struct index_event {
	const char *name;
	const struct index_change *change; /* op, descriptor, tags, digest */
	struct index_version version;      /* the change is in this one; others that were made with it may be, too */
};
typedef void index_watch_f(void *arg, const struct index_event *event);
#define INDEX_WATCHES_MAX 8
/* Before the first change. */
void indexes_watch(struct indexes *indexes, index_watch_f *fn, void *arg);

/*
 * Told of manifests and tags that come and go, before and behind the write: who lost a watch's word with the process finds what was about to be.
 *
 *     INDEX_ABOUT      a write that makes the change is about to begin; again where it is tried again
 *     INDEX_MADE       it is made, and nobody was told yet
 *     INDEX_NOT_MADE   it was not
 *     INDEX_IN_DOUBT   the write failed, and may have been made all the same
 *
 * Behind each INDEX_ABOUT comes one of the others, unless the process ends. Not told of what changes nothing that clients see: a push of what is there, or a
 * repository that moves here as a whole. Threads and order are those of a watch. Before the first change; one.
 */
enum index_outcome { INDEX_ABOUT, INDEX_MADE, INDEX_NOT_MADE, INDEX_IN_DOUBT };
struct index_told {
	bool made;              /* a push: to clients there was no such repository before */
	struct digest digest;   /* the manifest that is pushed, or that is deleted or loses a tag */
	char *media_type;
	char **tags;            /* that are new or named another one before; or that are gone */
	size_t tags_len;        /* 0: it is pushed or deleted by its digest alone */
};
struct index_following {
	const struct index_change *change; /* op, name, id, asker */
	const struct index_told *told;
	uint64_t *mark;                    /* the follower's, of this change; 0 at first */
};
typedef void index_follow_f(void *arg, enum index_outcome outcome, const struct index_following *what);
void indexes_follow(struct indexes *indexes, index_follow_f *fn, void *arg);

/* Logs go into index.json where nothing was changed here for idle_ms, so that others who read index.json alone see
 * everything; those that have nothing but pulls wait until there are some (INDEX_PULLS_FOLD...), but at the end (idle_ms 0). Returns at once; the writes go on in the pool. Thread  any. */
uint64_t indexes_fold(struct indexes *indexes, int64_t idle_ms);
/* The log of one repository, where it is in memory: what is there goes into a new index.json as it is there, and the log's bytes are not read for it. Nothing in
 * memory, or no log: nothing is done. Pool. */
bool indexes_fold_one(struct indexes *indexes, struct str name, struct error *err) MUST_CHECK;

#define INDEX_PULLS_FOLD_BYTES   (64u * 1024)
#define INDEX_PULLS_FOLD_RECORDS 32u /* where each is an object of its own */

/* changes: that were asked for, but INDEX_PULLED. */
struct indexes_stats { uint64_t repositories, bytes, loads, revalidations, writes, changes, conflicts, folds; };
struct indexes_stats indexes_stats(struct indexes *indexes);
