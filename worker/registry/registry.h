/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry - what a registry does, without HTTP: put, delete, mount, the end of an upload, reading; and who changed what.
 *
 *   endpoints (oci/) parse a request, call this, reply; chores call it as well
 *
 * Who may do what is decided by the caller: each question names the rights of who asks, and a caller that may do everything (a
 * chore) says so. Looking at tags, manifests and referrers is looking at a view: registry_peek(), registry_index(), index.h.
 *
 * Safety lies in the store, so several workers may do the same at once (docs/storage-protocol.md).
 *
 * Thread  pool (they wait for disk or network), but for what is marked.
 * Errors  as in store.h and index.h, with the codes of the distribution-spec; texts are for clients.
 */
#pragma once

#include "proto/manifest.h"
#include "proto/reference.h"
#include "worker/index/index.h"
#include "worker/registry/uploads.h"

struct absent_manifests;
struct asked_blobs;
struct blob_cache;
struct blob_places;
struct contents;
struct entity;
struct known_blobs;
struct manifest_body;
struct manifest_cache;
struct pace;
struct pool;
struct pull_counts;
struct registry_push;
struct repository_room;
struct spool;
struct store;

struct registry_options {
	bool docker2s2;     /* Docker's schema 2 is taken beside OCI's types */
	bool require_blobs; /* config and layers of an image must be there */
	bool collects;      /* what nobody needs is removed: an owner must know who was told that he need not send something */
	const char *const *lint_annotations; /* that each image must have (lint.h); borrowed */
	size_t lint_annotations_len;         /* 0: none are demanded */
	unsigned redirect_s; /* a GET of a blob is answered with a URL of the store, good for so long; 0: with the blob */
};

struct registry {
	struct store *store;     /* borrowed */
	struct spool *spool;     /* borrowed */
	struct pool *pool;       /* borrowed */
	struct indexes *indexes; /* NULL after registry_stop() */
	struct manifest_cache *manifests;
	struct absent_manifests *absent; /* that an index lists, and whose bytes are not there */
	struct uploads *uploads;
	struct known_blobs *known;  /* stored or seen moments ago */
	struct blob_places *places; /* where blobs were stored or seen lately */
	struct blob_cache *cache;   /* borrowed; NULL: none */
	struct push_memory *push_memory;
	struct pull_counts *pulls;  /* not written yet; NULL: they are not counted */
	int64_t pulls_every_ms;
	struct contents *contents;  /* bytes of repositories with a byteQuota */
	struct repository_room *room; /* how many repositories there may be */
	struct asked_blobs *asked;  /* blobs that clients rely on without having sent them */
	struct registry_options options;
	/* Before the first request. Another member has this repository, though it lies here still: what is counted of it here is nobody's. NULL: none. Thread  any. */
	bool (*is_away)(void *arg, struct str name);
	/* Before the first request. An upload to it has ended here, and its client was not told yet. NULL: none. Thread  any. */
	void (*ended)(void *away_arg, struct str name, const struct digest *digest);
	void *away_arg;
	/* Before the first request. Is this worker the owner, who collects? NULL: of all. Thread  any. */
	bool (*owns)(void *arg, struct str name);
	void *owns_arg;
	/* Before the first request. A push whose image lacks what is demanded (lint.h) is refused; its `stored` is the digest. NULL: none. Thread  pool, may wait for a disk. */
	void (*refused)(void *arg, const struct registry_push *push, const char *media_type);
	void *refused_arg;
};

struct registry_settings {
	struct store *store;
	struct spool *spool;
	struct pool *pool;
	struct blob_cache *cache;       /* or NULL */
	const char *self;     /* our member name, which upload ids carry; borrowed */
	index_trust_f *trust; /* as indexes_new() has it, or NULL */
	void *trust_arg;
	size_t index_cache_bytes, index_log_bytes, manifest_cache_bytes;
	int64_t index_keep_us;
	int64_t pulls_every_ms; /* pulls are written so often for each repository; 0: they are not counted */
	uint64_t push_bytes; /* push_memory.h */
	uint64_t repositories_most; /* repository_room.h; 0: as many as may come */
	int64_t collect_delay_ms; /* what was stored or asked for so lately is not collected (collect.h) */
	struct uploads_bounds uploads;
	struct registry_options options;
};
/* Thread  main. */
struct registry *registry_new(const struct registry_settings *settings);
/* Writes the pulls that were counted, waits for changes under way, folds what we changed. Before the pool ends, when nobody's jobs are left there; the rest, after it has. NULL is fine. */
void registry_stop(struct registry *registry);
void registry_free(struct registry *registry);
AUTO_DEFINE(registry)

/* A change that somebody sent under an id, so that it is made once however often it comes (index.h); zeroed: it is nobody's call. */
struct registry_call {
	bool is_call;
	struct change_id id;
	int64_t sent_ms;   /* wall clock when it was first sent to somebody who did not answer; 0: to nobody */
	int64_t issued_ms; /* store_clock_s() in ms, of its sender when it was first sent; 0: not a call */
};

/* What of a `repository` entity is in the way (repository_limits.h). */
enum registry_limit { REGISTRY_LIMIT_NONE, REGISTRY_LIMIT_BYTES, REGISTRY_LIMIT_TAGS, REGISTRY_LIMIT_IMMUTABLE };

/* ---- looking ---- */

/* Thread  any. The view in memory if it may be served now; a reference. NULL: registry_index() on the pool. */
struct index *registry_peek(struct registry *registry, struct str name);
/* A reference. NAME_UNKNOWN: also of one that is empty and whose name left the catalog. */
bool registry_index(struct registry *registry, struct str name, struct index **ret, struct error *err) MUST_CHECK;
/* The bytes of a manifest that an index lists: a reference. From the cache, else from the store, verified by its digest and
 * kept. MANIFEST_UNKNOWN. */
bool registry_manifest(struct registry *registry, struct str name, const struct digest *digest, struct manifest_body **ret,
	struct error *err) MUST_CHECK;
/* Was it found to be gone, though an index lists it? Then only registry_manifest() says whether it is there. Thread  any. */
bool registry_may_be_absent(struct registry *registry, const struct digest *digest);
/* The same for who reads many once: nothing is kept. The limit of `into` is REGISTRY_MANIFEST_MAX. */
#define REGISTRY_MANIFEST_MAX (4 * MANIFEST_MAX)
bool registry_manifest_read(struct registry *registry, struct str name, const struct digest *digest, struct buf *into,
	struct error *err) MUST_CHECK;
/* Thread  any. The same from memory alone; NULL: it is not there. */
struct manifest_body *registry_manifest_peek(struct registry *registry, const struct digest *digest);

/* ---- pulls ---- */

/*
 * How often what was pulled lies with the index (index_stats). A pull costs no write: it is counted in memory (pull_counts.h), and written as one
 * small record for its repository, once in pulls_every_ms, by whoever counted it, also where somebody else owns the repository by now.
 * Thread  any; quick. A manifest was sent that the index lists; tag NULL: it was asked for by its digest.
 */
void registry_pulled(struct registry *registry, struct str name, const struct digest *digest, const char *tag);
/* What is due. False: some could not be written, the first of it is told; they are kept, and tried again when they are due again. */
bool registry_write_pulls(struct registry *registry, const struct pace *pace, struct error *err) MUST_CHECK;
/* What is counted of this repository, now; waits REGISTRY_PULLS_WAIT_MS at most for who writes it already. */
#define REGISTRY_PULLS_WAIT_MS 1000
bool registry_write_pulls_of(struct registry *registry, struct str name, struct error *err) MUST_CHECK;

/* ---- putting a manifest ---- */

/*
 *   parse  ->  digest  ->  may they?  ->  config and layers are there  ->  what is demanded of it (lint.h)  ->  bytes into the store  ->  index changed (group commit)
 *
 * Where blobs are required (options), config and layers must be there when the config is an OCI image's or the empty one;
 * other artifacts may name content that lies elsewhere. Members of an index and subjects need not be there.
 *
 * The struct and what it points to belong to the caller until done(push) has run: at once, or later on a pool thread.
 */
struct registry_push {
	const char *name;               /* repository; it is made when there is none */
	const struct digest *digest;    /* that the bytes must have; NULL: sha256, whatever it is */
	const uint8_t *sha256;          /* of the bytes, where it is known; NULL: nobody has looked */
	const char *const *tags;        /* valid ones, each once; none: it is listed by its digest alone */
	size_t tags_len;
	const char *type;               /* media type, or NULL: the manifest's own */
	struct str bytes;
	struct registry_call call;
	const char *by;                 /* user; NULL or "": nobody logged in */
	const struct index_asker *asker; /* for who follows changes; NULL: nobody asked for it */
	bool may_create, may_update;    /* a tag that is there is updated, everything else is created */
	const struct entity *limits;    /* the `repository` entity that decides for it, or NULL: no limits */
	void (*done)(struct registry_push *push);
	void *arg;
	/* result */
	bool ok;
	struct error err;
	enum registry_limit limit;      /* not ok: that is in the way */
	struct digest stored;           /* its digest */
	bool has_subject;
	struct digest subject;
	/* Content of an image or index that was taken though it is missing, where looking costs little: members are in the index,
	 * blobs of a folder are one stat() each; a bucket is not asked. */
	unsigned missing_len;
	struct digest missing;          /* the first */
};
void registry_put(struct registry *registry, struct registry_push *push);
/* The same and waits; done is not used. */
bool registry_put_wait(struct registry *registry, struct registry_push *push, struct error *err) MUST_CHECK;

/* ---- deleting ---- */

/* A tag (its manifest stays, untagged), or a digest with all its tags. As in registry_push, the caller's until done(). */
enum registry_kept {
	REGISTRY_KEPT_NOT,
	REGISTRY_KEPT_NAMED,  /* an index of the repository names it */
	REGISTRY_KEPT_SHARED, /* several tags name it, and the client may not delete such ones */
};
struct registry_removal {
	const char *name;
	struct reference reference;
	struct registry_call call;
	bool unless_shared;
	const struct entity *limits;   /* as in registry_push */
	bool by_admin;                 /* who may delete immutable tags */
	const struct index_asker *asker; /* as in registry_push */
	/* Is it still to go? Of the view behind which the removal is written, as index_check_f; it says also whether an index names the manifest, which
	 * then nobody else looks for. NULL: nobody is asked. */
	bool (*still)(struct registry_removal *removal, const struct index *view, struct error *err);
	void *still_arg;
	void (*done)(struct registry_removal *removal);
	void *arg;
	/* result */
	bool ok;
	struct error err;              /* MANIFEST_UNKNOWN, NAME_UNKNOWN */
	enum registry_kept kept;       /* not ok: why it is kept */
	enum registry_limit limit;     /* the same, by its repository's limits */
};
void registry_delete(struct registry *registry, struct registry_removal *removal);
bool registry_delete_wait(struct registry *registry, struct registry_removal *removal, struct error *err) MUST_CHECK;

/*
 * A blob, unless a manifest that the repository lists still needs it:
 *
 *   condemned, by a record of the index  ->  removed, before that record ends  ->  a record that it is over
 *
 * So a push of a manifest that names the blob comes before, and then the blob is needed, or behind, and is refused.
 * False, *ret_needed: it is needed. BLOB_UNKNOWN is the caller's to say: ERROR_UNKNOWN without a code.
 */
bool registry_delete_blob(struct registry *registry, const char *name, const struct digest *digest,
	const struct registry_call *call, bool *ret_needed, struct error *err) MUST_CHECK;

/* ---- blobs ---- */

/* Where a blob may be taken from: true for repositories that the client may read. */
typedef bool registry_may_read_f(void *arg, struct str name);
/* Makes a blob of another repository one of `name`. from STR_NONE: of the repositories in which it was seen lately. True: it is
 * there. False: for whatever reason it is not; the client sends the bytes. */
bool registry_mount(struct registry *registry, struct str name, const struct digest *digest, struct str from,
	registry_may_read_f *may_read, void *arg) MUST_CHECK;
/* The bytes of a held session become a blob of its repository, if they have this digest. True, or *ret_over: the session is over,
 * and gone. Else the store may work again in a moment: it is held still, and may be ended again. */
bool registry_finish(struct registry *registry, struct upload *upload, const struct digest *digest, bool *ret_over,
	struct error *err) MUST_CHECK;

/*
 * Has the repository this blob? What was seen at the store counts for REGISTRY_SEEN_MS, and only where this worker's view of the repository
 * may be served from memory: that view tells every deletion, whoever made it. What a manifest names proves nothing: it may name what only
 * another repository has. False: the store is to be asked, and what it says is told by registry_saw(), with the mark that was taken
 * before it was asked. Thread  any.
 */
#define REGISTRY_SEEN_MS (60 * 60 * 1000)
bool registry_has_seen(struct registry *registry, struct str name, const struct digest *digest, uint64_t *ret_size) MUST_CHECK;
/* A client was told that it need not send this blob. */
void registry_was_asked(struct registry *registry, struct str name, const struct digest *digest);
/* Is it just being deleted, as far as this worker knows? Then nobody is told that it is there. Thread  any. */
bool registry_is_going(struct registry *registry, struct str name, const struct digest *digest);
/* While the store has answered nobody for so long what was seen counts whatever the view: what another worker deletes meanwhile is not known here. */
bool registry_had_seen(struct registry *registry, struct str name, const struct digest *digest, int64_t silent_ms, uint64_t *ret_size) MUST_CHECK;
uint64_t registry_seen_mark(struct registry *registry, struct str name);
void registry_saw(struct registry *registry, struct str name, const struct digest *digest, uint64_t size, uint64_t mark);

/*
 * What upload_stream.h has of a blob whose bytes are known to have the digest: a push of which all parts are at the store, or, of a small one, all
 * bytes. Ended in any case, also when it was finished; a push that was not is given up, by a job of the pool.
 */
struct registry_streamed {
	struct store_push *push;    /* or: */
	struct str whole;
	struct push_memory *memory; /* that `bytes`, `room` of them, are of */
	char *bytes;
	uint64_t room;
};
/* As registry_finish(). A session that is held still has lost its bytes. */
bool registry_finish_streamed(struct registry *registry, struct upload *upload, const struct digest *digest, struct registry_streamed *push,
	bool *ret_over, struct error *err) MUST_CHECK;
/* Thread  any; does not wait. */
void registry_streamed_end(struct registry_streamed *push, struct pool *pool);

/* ---- who changed what ---- */

/* fn(arg, event) for every change of an index that was committed here, of each repository in order, before it is acknowledged. On the
 * committer's thread: it is to be quick. Before the first change; at most INDEX_WATCHES_MAX. */
void registry_watch(struct registry *registry, index_watch_f *fn, void *arg);
/* The same with word before the write, and of what clients see alone: indexes_follow(). */
void registry_follow(struct registry *registry, index_follow_f *fn, void *arg);
