/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store - where repositories lie: one interface, drivers `fs` (a folder) and `s3` (a bucket).
 *
 *   <root>/<repository>/oci-layout                      {"imageLayoutVersion":"1.0.0"}
 *   <root>/<repository>/index.json                      the only mutable object: changed by compare-and-swap
 *   <root>/<repository>/index.log                       what was changed since (fs)
 *   <root>/<repository>/index.log/<generation>/<number> the same (s3): one object for each write
 *   <root>/<repository>/blobs/<alg>/<encoded>           immutable
 *   <root>/_catalog/<repository, %-escaped>             empty marker, one for each repository
 *   <root>/_catalog/.coming                             names that are about to come
 *   <root>/_catalog/.imported                           when what others made got its markers (store_import): seconds
 *
 * What was acknowledged is there after a power cut: a function that returns OK has made it durable.
 * Several workers may share one store; nothing here relies on being the only one.
 *
 * Several roots are one store (store_roots.h): what is asked of a repository is asked of the root that it lies in, whatever kind that is.
 *
 * Thread  pool (they wait for disk or network), but for store_blob_source(), which any thread may
 *         call: it does not wait (s3: only signs; fs: opens a file).
 * Errors  ERROR_UNKNOWN absent; ERROR_FULL no room; ERROR_UNAVAILABLE store not reachable or
 *         overloaded after bounded retries; ERROR_CONFLICT only where it is named.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/http.h"
#include "proto/digest.h"
#include "proto/range.h"

struct histogram;
struct pace;
struct would;
struct store;

/* Which content an object has: opaque, equal only for equal content written by the same write.
 * fs: inode, mtime, length. s3: the ETag. Empty text = "there is no such object". */
struct store_version {
	char text[96];
	int64_t seen_s; /* the store's own clock (store_clock_s) when it said so; 0: it does not tell. Not compared */
	bool asked;     /* after a write (s3): its answer was lost, a question found it done, some time ago. Not compared */
};

/* A place in the log of an index. generation "": there is no log. */
struct store_log_place {
	char generation[33];
	uint64_t at;    /* fs: bytes of the log. s3: number of the last record; index.json names the last that it holds */
	uint64_t bytes; /* of records since index.json */
	uint8_t chain[8]; /* fs: what stands at this place (frames.h) */
	char held[33];    /* fs: of a place that an index.json gives: the log before, whose bytes up to here it holds */
	uint64_t held_at;
	int64_t seen_s;   /* the store's own clock when it last answered about this place; 0: it does not tell */
	bool asked;       /* after an append, as in store_version: what lies behind is not known */
};
#define STORE_LOG_MAX (64u * 1024 * 1024) /* bytes of a log */

enum store_step { STORE_OK, STORE_SAME, STORE_CONFLICT, STORE_CLOSED, STORE_FAILED };

void store_free(struct store *store);
AUTO_DEFINE(store)

/* The roots of a store, for who tells of each or asks each: 1 where it is not made of several. What is asked of a repository need not know. */
#define STORE_ROOTS_MAX 65
size_t store_roots_len(const struct store *store);
/* *ret_path: "/a" for what lies below it, "" for the first, which has all others. Borrowed. */
struct store *store_root_at(struct store *store, size_t at, const char **ret_path);

/* The index of a repository. `into` is cleared first; its limit bounds the object. */
bool            store_index_get(struct store *store, struct str name, struct buf *into, struct store_version *ret_version,
				struct error *err) MUST_CHECK;
/* SAME: still that version, nothing was read. Absent: FAILED with ERROR_UNKNOWN. */
enum store_step store_index_get_if_changed(struct store *store, struct str name, const struct store_version *version,
					   struct buf *into, struct store_version *ret_version, struct error *err) MUST_CHECK;

/*
 * The log of an index: frames (frames.h) that continue one index.json, which names the log's generation.
 * store_index_fold() writes an index.json that holds all up to `log` (all zeros: there was none) if the object is still at
 * `expected` (empty text: does not exist; then oci-layout is written too, before the index). CONFLICT:
 * somebody else was faster, read again. An answer that was lost is looked up and compared before a conflict is declared. It depends
 * on the store what becomes of the log:
 *
 *   it ends (fs)        CONFLICT when there is more than `log`. The log is removed; the new index.json must name a new generation.
 *   it goes on (s3)     Folding and appending do not exclude each other: whoever knows the log up to a place may append behind it, and
 *                       may ask for what is behind it, without looking at index.json. Records that are folded are removed 10 minutes
 *                       later (store_log_remove), so who did not ask for half of that reads index.json first, and a record that was
 *                       created after nine tenths of it is created again.
 */
enum store_step store_index_fold(struct store *store, struct str name, struct str bytes, const struct store_version *expected,
				 const struct store_log_place *log, struct store_version *ret_version,
				 struct error *err) MUST_CHECK;
bool            store_has_log(const struct store *store, struct str name);
bool            store_log_goes_on(const struct store *store, struct str name);
#define STORE_LOG_KEEP_US         (10 * 60 * INT64_C(1000000)) /* unless it is set otherwise */
#define STORE_LOG_FOLLOW(keep_us) ((keep_us) / 2)
#define STORE_LOG_APPEND(keep_us) ((keep_us) / 10 * 9)
/* OK: the frames behind *place, which moves behind them; they, and the index.json at `index` that the log continues, are durable.
 * CONFLICT: the log or index.json is not the one that *place was found in, read index.json again. */
enum store_step store_log_get(struct store *store, struct str name, const struct store_version *index,
			      struct store_log_place *place, struct buf *into, struct error *err) MUST_CHECK;
/* Adds frames, durably, all or none, if index.json is still `expected` (only where a log ends by folding) and the log ends at
 * *place, which moves behind them. CLOSED (fs): nothing is added to this log any more, fold it (a sync of it has failed). */
enum store_step store_log_append(struct store *store, struct str name, const struct store_version *expected,
				 struct store_log_place *place, struct str frames, struct error *err) MUST_CHECK;
/* Removes the records up to `upto`, which an index.json holds for so long. Where logs go on. */
bool            store_log_remove(struct store *store, struct str name, const struct store_log_place *upto, struct error *err) MUST_CHECK;

/* What could not be read of its log lies beside it (fs: index.log.cut-..., index.log.orphan-...) until somebody removes it: the name of the first, or
 * nothing. */
bool            store_log_scrap(struct store *store, struct str name, struct buf *into, struct error *err) MUST_CHECK;

/* Blobs. */
bool store_blob_size(struct store *store, struct str name, const struct digest *digest, uint64_t *ret_size, struct error *err) MUST_CHECK;
/* Small ones (manifests), whole; the limit of `into` bounds it. */
bool store_blob_get(struct store *store, struct str name, const struct digest *digest, struct buf *into, struct error *err) MUST_CHECK;
bool store_blob_put(struct store *store, struct str name, const struct digest *digest, struct str bytes, struct error *err) MUST_CHECK;
#define STORE_LAZY_MAX (64u * 1024) /* bytes of what is put lazily */
/* Visible at once, durable only when the log has a record with its bytes, or after store_sync(). Where the store is lazy (fs). */
bool store_is_lazy(const struct store *store, struct str name);
/* What is there is never replaced by something that may be lost: if it is whole and `listed` (the index lists it, so it is durable
 * or in the log) it stays; else, and where the index lists what is not there, it is written durably. *ret_era 0: it is durable; else the era in which it was put lazily. */
bool store_blob_put_lazy(struct store *store, struct str name, const struct digest *digest, struct str bytes, bool listed,
			 uint64_t *ret_era, struct error *err) MUST_CHECK;
/* Put lazily before, and its bytes are in the log still (or nobody was told that it is there): written again, to be synced. */
bool store_blob_put_again(struct store *store, struct str name, const struct digest *digest, struct str bytes, struct error *err) MUST_CHECK;
/*
 * All that anybody put lazily since the era began is durable. An era begins when the store is opened, and when a sync fails: what was
 * put before may be gone though a later sync succeeds. ERROR_UNAVAILABLE when the era is over, put it again then.
 * All is what lies in the root of the repository that is named.
 */
uint64_t store_era(const struct store *store, struct str name); /* never 0 */
bool store_sync(struct store *store, struct str name, uint64_t era, struct error *err) MUST_CHECK;
/*
 * The first `size` bytes of an open spool file whose digest was verified. fs: the file is synced and
 * moved in when `path` lies on the same file system (path is gone then), else copied; s3: one PUT or a parallel multipart, sent with
 * a checksum that the store verifies. A blob that is there already is left alone (then nothing is sent).
 */
bool store_blob_put_file(struct store *store, struct str name, const struct digest *digest, int fd, const char *path, uint64_t size,
			 struct error *err) MUST_CHECK;
/*
 * A blob whose digest and size are known before its bytes goes to the store while they come, by parts (s3):
 *
 *     store_push_begin() --> store_push_send() of each part, in any order, several at a time --> store_push_finish()
 *                                                                         `----- or: -----> store_push_give_up()
 *
 * Nothing can be seen of it before finish, which is to be called only when all bytes are known to have the digest. What was sent of one that
 * is given up is removed at once; what a killed process leaves, by store_abandoned(). The store looks at a sum of each part: at
 * the crc32c that is given here, or at the sha256 that it is signed with, where it does not look at the former or wants the latter.
 * Errors  ERROR_UNAVAILABLE: another push of the same may go well; ERROR_FULL; ERROR_TOO_LARGE.
 */
struct store_push;
/* Bytes of each part but the last; 0: a blob of this size can't be pushed so (then: store_blob_put_file()). Where one part holds it, store_blob_put_new().
 * Thread  any. */
uint64_t store_push_part(const struct store *store, struct str name, uint64_t size);
bool store_push_begin(struct store *store, struct str name, const struct digest *digest, uint64_t size, struct store_push **ret,
		      struct error *err) MUST_CHECK;
/* It was there when it began: nothing is to be sent, and finish looks whether it is there still. */
bool store_push_is_there(const struct store_push *push);
/* at: from 0. sum: crc32c of the bytes. Damaged on the way, or refused for now: tried again, for a minute. Thread  pool, any number */
bool store_push_send(struct store_push *push, unsigned at, struct str bytes, uint32_t sum, struct error *err) MUST_CHECK;
bool store_push_finish(struct store_push *push, struct error *err) MUST_CHECK;
/* No attempt of a send is begun any more. Thread  any; does not wait */
void store_push_stop(struct store_push *push);
/* After the last send has ended, instead of finish or after it failed. */
void store_push_give_up(struct store_push *push);
void store_push_free(struct store_push *push);
/* One PUT of bytes that are known to have this digest, unless it is there. Where store_push_part() is not 0. */
bool store_blob_put_new(struct store *store, struct str name, const struct digest *digest, struct str bytes, struct error *err) MUST_CHECK;
/* What killed processes left of pushes is removed: all that was begun long ago (s3_settings.abandoned_ms; no push takes so long). */
bool store_abandoned(struct store *store, const struct pace *pace, const struct would *dry, uint64_t *ret_ended,
		     struct error *err) MUST_CHECK;
/*
 * Removes it, unless the store's clock has passed until_s: then, or when it can't be told whether it took effect, ERROR_UNAVAILABLE.
 * Whatever is returned, nothing that was sent takes effect after until_s; on OK and ERROR_UNKNOWN (absent) nothing is on its way any more.
 */
bool store_blob_delete(struct store *store, struct str name, const struct digest *digest, int64_t until_s, struct error *err) MUST_CHECK;
/* The clock that those who share this repository have in common. fs: the wall clock. s3: what its answers said last, and the time since;
 * the wall clock before the first answer. Thread  any. */
int64_t store_clock_ms(const struct store *store, struct str name);
int64_t store_clock_s(const struct store *store, struct str name);
/* Hard link or server-side copy from one repository to another. ERROR_UNKNOWN when `from` lacks it, or what it has is damaged (fs, up
 * to STORE_LAZY_MAX). From a folder into another root it is copied, and its digest is checked; ERROR_INVALID from a bucket into another root. */
bool store_blob_mount(struct store *store, struct str from, struct str to, const struct digest *digest, struct error *err) MUST_CHECK;

/* How to read a blob on a loop: an open file (where the store has files), or a signed request to send. */
bool store_has_files(const struct store *store, struct str name);
/* When a request was signed, and with which keys; zeros: none was. */
struct store_signed {
	int64_t at_s, at_ms; /* by the store's clock, and by clock_ms() */
	uint64_t keys;
};
struct blob_source {
	int fd;                        /* >= 0: a local file */
	uint64_t size;                 /* of the whole blob; known with fd */
	char *url;                     /* else: GET this, with these headers */
	struct http_headers *headers;
	const char *ca_file;           /* for that; borrowed from the store, or NULL */
	bool insecure;                 /* its certificate is not verified */
	struct store_signed with;
};
void blob_source_fini(struct blob_source *source);
/* part NULL: whole. fs ignores part: the caller sends that part of fd. */
bool store_blob_source(struct store *store, struct str name, const struct digest *digest, const struct range *part,
		       struct blob_source *ret, struct error *err) MUST_CHECK;

/*
 * Who sends the GET of a blob_source tells how it was answered: the store's clock and its outages are known so. Was it refused, or could it not be
 * signed, may it be signed anew and sent again? SOON: keys are being asked for, look again. `answer` NULL: nothing was sent, or nothing is new
 * since the last look. And: not even a head came, for that reason. Thread  any; neither waits.
 */
#define STORE_REFUSAL_MAX (64u * 1024)
struct store_answer {
	unsigned status;
	const char *date; /* of its headers, or NULL */
	struct str body;  /* of a refusal, at most STORE_REFUSAL_MAX */
};
enum store_again { STORE_AGAIN_NOT, STORE_AGAIN_SOON, STORE_AGAIN_NOW };
enum store_again store_blob_answered(struct store *store, struct str name, const struct store_signed *with, const struct store_answer *answer);
void store_blob_silent(struct store *store, struct str name, const struct store_signed *with, const struct error *why);

/* A URL at the store that gives a blob to whoever has it, for so long at most; there is one whether or not the blob is. Waits for
 * nobody. Where the store is not one of files. */
bool store_has_links(const struct store *store, struct str name);
bool store_blob_link(struct store *store, struct str name, const struct digest *digest, unsigned seconds, struct buf *into,
		     struct error *err) MUST_CHECK;

/* Catalog: names in byte order after `after` (STR_NONE: from the start), at most n; fn false stops.
 * *ret_more: there are others behind. */
typedef bool store_catalog_f(void *arg, struct str name);
bool store_catalog(struct store *store, struct str after, size_t n, store_catalog_f *fn, void *arg, bool *ret_more,
		   struct error *err) MUST_CHECK;

/*
 * A name is put into the catalog before the index says that something is in the repository, and taken out again by whoever said in the index that it is
 * empty (docs/storage-protocol.md, "Repositories that are empty"). store_name_remove() as store_blob_delete(): nothing takes effect after until_s. Of the same
 * name the two wait for each other where the store has files. store_name_put(): until_s 0: whenever it comes; else ERROR_UNAVAILABLE where that is past, and
 * nothing takes effect behind it.
 */
bool store_name_put(struct store *store, struct str name, int64_t until_s, struct error *err) MUST_CHECK;
bool store_name_remove(struct store *store, struct str name, int64_t until_s, struct error *err) MUST_CHECK;

/* Names that are about to come (worker/registry/repository_room.h), of all roots one text, by compare-and-swap. ERROR_UNKNOWN: there is none, its version is
 * empty. store_names_settle(): whatever was to be put until a time that is past is there now, or never will be. */
bool store_coming_get(struct store *store, struct buf *into, struct store_version *ret_version, struct error *err) MUST_CHECK;
enum store_step store_coming_put(struct store *store, struct str bytes, const struct store_version *expected, struct error *err) MUST_CHECK;
bool store_names_settle(struct store *store, struct error *err) MUST_CHECK;

/* All of it, page by page: fn with each name, which ends with a NUL; false ends the walk, which is no error. */
bool store_catalog_each(struct store *store, store_catalog_f *fn, void *arg, struct error *err) MUST_CHECK;

/*
 * Repositories that another tool made (zot) get their place in the catalog: looks for each index.json. When it is over a mark in
 * the store says when that was, for all who share it. Where all is known that is one listing for each folder on the way, and one
 * look for each repository; nothing is written but the mark.
 */
struct store_import {
	int64_t older_s;          /* only if the mark is older than this: 0 always, STORE_IMPORT_ONCE only if there is none */
	const struct pace *pace;  /* or NULL */
	/* Of the text of an index.json that the catalog does not have: is that as it should be? NULL: of none. */
	bool (*is_vacant)(struct str json);
	store_catalog_f *found;   /* or NULL; the new ones, each when it is in the catalog. False ends it early */
	void *arg;
};
#define STORE_IMPORT_ONCE INT64_MAX
/* *ret_found: how many were new. Of several roots each; what is wrong with one is no reason to leave another. */
bool store_import(struct store *store, const struct store_import *how, uint64_t *ret_found, struct error *err) MUST_CHECK;

/* Repositories that have blobs and are not in the catalog: fn with each, which ends with a NUL; false ends the walk, which is no error. Goes through all folders as
 * store_import() does, and looks for the name of each repository. ERROR_UNAVAILABLE where the pace (NULL is fine) ended it. */
bool store_strays(struct store *store, const struct pace *pace, store_catalog_f *fn, void *arg, struct error *err) MUST_CHECK;

/*
 * Notes: what this worker writes down about a repository beside its content (worker/moves), `<root>/_moves/<%-escaped>`. `name` is a repository's, or
 * begins with '.'. A note is replaced whole. ERROR_UNKNOWN: there is none.
 */
bool store_note_put(struct store *store, struct str name, struct str bytes, struct error *err) MUST_CHECK;
bool store_note_get(struct store *store, struct str name, struct buf *into, struct error *err) MUST_CHECK;
bool store_note_remove(struct store *store, struct str name, struct error *err) MUST_CHECK;
/* Those of repositories, as store_catalog(). */
bool store_notes(struct store *store, struct str after, size_t n, store_catalog_f *fn, void *arg, bool *ret_more,
		 struct error *err) MUST_CHECK;

/* Digests of one algorithm that the repository has, in the order of their text behind `after` (encoded; STR_NONE: from the start), as store_catalog(). */
typedef bool store_digest_f(void *arg, const struct digest *digest);
bool store_blobs(struct store *store, struct str name, enum hash_kind alg, struct str after, size_t n, store_digest_f *fn, void *arg,
		 bool *ret_more, struct error *err) MUST_CHECK;
/* What lies in a repository, for who decides what of it stays. */
struct store_object {
	struct digest digest;
	uint64_t size;
	int64_t changed_s; /* store_clock_s() when it was last written, linked or copied here */
	bool known;        /* size and time are; else store_object_look() tells them */
};
typedef bool store_object_f(void *arg, const struct store_object *object);
/* Blobs of a repository, in an order that stays, behind `after` (NULL: from the start); else as store_catalog(), with what the list itself tells. What has
 * a name of no digest that we know is passed over. */
bool store_objects(struct store *store, struct str name, const struct digest *after, size_t n, store_object_f *fn, void *arg,
		   bool *ret_more, struct error *err) MUST_CHECK;
/* The one with object->digest. ERROR_UNKNOWN: it is gone. */
bool store_object_look(struct store *store, struct str name, struct store_object *object, struct error *err) MUST_CHECK;
/*
 * As store_blob_delete(), of up to STORE_DELETE_MAX, with as few requests as the store allows, and without holding up a change of the index.
 * gone[i]: it is not there any more, and nothing that was sent for it is on its way. False: of some that can't be said, which may be deleted or not,
 * but not after until_s and STORE_DELETE_TAIL_S.
 */
#define STORE_DELETE_MAX    1000u
#define STORE_DELETE_TAIL_S 10
bool store_blobs_delete(struct store *store, struct str name, const struct digest *digests, size_t len, int64_t until_s, bool *gone,
			struct error *err) MUST_CHECK;
/* All of a repository that nobody serves from here any more: out of the catalog first, its blobs last. May be asked again. `log` is where its
 * log ends. ERROR_UNAVAILABLE where the pace (NULL is fine) ended it. Empty folders stay. */
bool store_drop(struct store *store, struct str name, const struct store_log_place *log, const struct pace *pace,
		struct error *err) MUST_CHECK;

/*
 * Before the first request: who is asked for a blob that is not here, by store_blob_size() (`into` NULL: only its size is wanted) and store_blob_get().
 * True: *ret_size is set, or its bytes are in `into`. ERROR_UNKNOWN: it is nowhere; any other error is the caller's answer.
 */
typedef bool store_missing_f(void *arg, struct str name, const struct digest *digest, uint64_t *ret_size, struct buf *into,
			     struct error *err);
void store_on_missing(struct store *store, store_missing_f *fn, void *arg);
/* Nobody else is asked. */
bool store_blob_size_here(struct store *store, struct str name, const struct digest *digest, uint64_t *ret_size,
			  struct error *err) MUST_CHECK;

/*
 * Temp files that killed processes left behind are removed, those of living ones, ours and others', are not, and none that is
 * younger than before_s (wall clock). Only when this worker was_killed, or nobody did it for a day.
 */
bool store_sweep(struct store *store, bool was_killed, int64_t before_s, const struct pace *pace, const struct would *dry,
		 uint64_t *ret_removed, struct error *err) MUST_CHECK;

/*
 * The same blob in several repositories takes its bytes once (fs_dedupe.c), where that is set. What came in by others is made so, what nobody
 * has any more goes: a walk through the index of blobs, and each day through all repositories. Of several roots each. `always`: now,
 * whenever it was made last.
 */
struct store_dedupe {
	uint64_t files, saved; /* in the index; bytes that links save */
	uint64_t linked, removed; /* files that became links; entries of what no repository has */
	uint64_t restored;        /* s3: blobs whose bytes zot had left in another repository */
	bool again;               /* something has to be done first: come again soon */
};
/* dry: of folders, what is in the index of blobs already. */
bool store_dedupe(struct store *store, bool always, const struct pace *pace, const struct would *dry, struct store_dedupe *ret,
		  struct error *err) MUST_CHECK;
/* As the last walk found it, and what was linked and removed here since. Thread  any. */
uint64_t store_saved(const struct store *store);

/* Start-up: reachable, writable, and does it refuse stale conditional writes? *ret_conditional false:
 * several workers on it would lose updates. */
bool store_probe(struct store *store, bool *ret_conditional, struct error *err) MUST_CHECK;
/* For how long it has answered nobody (s3/s3_outage.h); 0: it answers, or repositories are files. Thread  any. */
#define STORE_AWAY_MS 2000 /* from here on it is away, not late */
int64_t store_silent_ms(const struct store *store, struct str name);
/* Still usable, cheaply: for /readyz. Of several roots all. */
bool store_check(struct store *store, struct error *err) MUST_CHECK;

/*
 * Reading a blob through, for who looks whether it is what its name says (worker/registry/scrub.h). One that was *set aside* lies where it lay, marked as
 * rotten: it is read here and listed, and for all else it is not there, so that the next push of it replaces it.
 *
 *   fs   the file itself has the mark (fs_aside.c): whatever gets its name meanwhile has none
 *   s3   a copy goes to `_aside/`, and the object becomes an empty one that says so, if it is still the one that was read (s3_aside.c)
 */
struct store_reading {
	struct store *store;
	uint64_t size;
	int64_t written_s; /* store_clock_s() */
	bool aside;        /* it was set aside */
	bool vouched;      /* s3: the store has a sha256 of all its bytes, which it looks after, and it is the digest's: it need not be read */
};
/* ERROR_UNKNOWN: there is none. */
bool store_reading_new(struct store *store, struct str name, const struct digest *digest, struct store_reading **ret,
		       struct error *err) MUST_CHECK;
void store_reading_free(struct store_reading *reading);
AUTO_DEFINE(store_reading)
/* The next bytes; fewer than `len` at the end alone. ERROR_CONFLICT, ERROR_UNKNOWN: it was replaced, or removed. */
bool store_reading_next(struct store_reading *reading, char *into, size_t len, size_t *ret_len, struct error *err) MUST_CHECK;
/* From the start once more, and (fs) from the disk. */
void store_reading_again(struct store_reading *reading);
/* What was read is set aside, durably; or (fs) not any more. ERROR_CONFLICT: something else lies there by now. */
bool store_reading_set_aside(struct store_reading *reading, bool aside, struct error *err) MUST_CHECK;
#define STORE_ASIDE_KEEP_S (30 * 24 * 60 * 60)
/* s3: copies of what was set aside so long ago go. */
bool store_aside_trim(struct store *store, const struct pace *pace, uint64_t *ret_removed, struct error *err) MUST_CHECK;

/* What a repository has. Bytes: fs: by looking at each file; one that several repositories share counts in each. s3: of its blobs, by a listing,
 * which is a request for each 1000. One that is not there has none. ERROR_UNAVAILABLE too where the pace (NULL is fine) ended it. */
struct store_usage { uint64_t bytes, blobs; };
bool store_usage(struct store *store, struct str name, const struct pace *pace, struct store_usage *ret, struct error *err) MUST_CHECK;
/* How long locks of one root (store_root_at) were waited for, NULL where there are none. Thread  any. */
const struct histogram *store_lock_waits(struct store *store);

uint64_t    store_requests(const struct store *store); /* sent to s3 since the start; 0 for fs */
uint64_t    store_errors(const struct store *store);   /* of these, answered by nobody, or with "later" */
/* "/data/zot" or "https://endpoint/bucket/prefix", for the log. */
const char *store_place(const struct store *store);

/* The drivers. */
bool store_fs_open(struct store **ret_store, const char *root, struct error *err) MUST_CHECK;
/* Before others use it: storage.dedupe (fs_dedupe.c); false unless set. */
void store_fs_set_dedupe(struct store *store, bool on);

struct s3_settings; /* s3/s3_endpoint.h */
bool store_s3_open(struct store **ret_store, const struct s3_settings *settings, struct error *err) MUST_CHECK;
