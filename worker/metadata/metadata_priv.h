/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata_priv - what the files of this room share: the file, its tables, the list in memory, and which lock is of what.
 *
 *     deriving   one at a time reads manifests and writes what they say; held while the store is asked
 *     lock       of the file and the list: held for a question, or for some rows; taken inside `deriving`
 *     due_lock   of what changed and was not derived: held for a look, by committers too; the innermost
 *
 * The tables are in metadata_file.c. A row `manifest` is one of a repository, with its facts (proto/image_facts.h) or, where they could not be had,
 * without. What images are sorted by stands with the tag.
 */
#pragma once

#include "common/few.h"
#include "common/lock.h"
#include "common/map.h"
#include "common/sqlite.h"
#include "worker/metadata/image_list.h"
#include "worker/metadata/metadata.h"
#include "worker/registry/registry.h"
#include "worker/trust/signers.h"

#define PLATFORMS_TEXT_MAX   2048u /* of one image, in lists: others are not filtered by */
#define METADATA_MEMORY_MAX  (UINT64_C(1) << 30) /* of the list; what is over it is not answered for */
#define METADATA_MATCHES_MAX 10000u

struct metadata {
	struct metadata_settings settings;
	char *folder, *path;
	struct lock deriving, lock;
	/* Under `lock`. */
	struct sqlite *db;           /* NULL: not open */
	uint64_t device, inode;      /* of the file that is open */
	struct image_list *list;
	uint64_t rebuilt, file_bytes;
	uint64_t questions;          /* that were begun */
	struct few said;             /* lines of the log about the file */
	uint64_t walk;               /* which walk; written by metadata_work() */
	uint64_t walk_rebuilt;       /* `rebuilt` when it began; written likewise */
	uint64_t whole_ring, whole_rebuilt; /* those of the last that ended; 0: none has */
	/* Under `deriving`: the keys, and the state that they are of; NULL: not made yet, or extensions.trust is off. */
	struct signers *trust;
	struct state *trust_of;
	/* Of metadata_work(). */
	int64_t judged_all;          /* the stamp of the keys by which all signatures were looked at */
	uint64_t walk_ring;          /* at which ring it began, 0: none has */
	bool walking;
	char *walked;                /* the last name that it has seen, or NULL */
	int64_t walked_ms;           /* clock_ms(): when it ended */
	_Atomic int64_t took_us;     /* the last metadata_work(); read by any */
	/* Counted by who derives, read by any. */
	struct metadata_stats counts;
	/* Under due_lock. */
	struct lock due_lock;
	struct map *due;             /* names -> due_since */
	bool due_all, woken;         /* more changed than is kept: all is walked */
	void (*wake)(void *arg);
	void *wake_arg;
};

/* ---- the file (metadata_file.c) ---- */

/* It is open, and still the one of its name; else it is made, or made anew, and the list is loaded. */
bool metadata_file_ready_locked(struct metadata *md, struct error *err) MUST_CHECK;
/* The same of one that is open. False: it must be made anew. */
bool metadata_file_is_there_locked(struct metadata *md);
/* A call failed: it is removed, and made anew by the next one who needs it. `why` is logged. */
void metadata_file_broke_locked(struct metadata *md, const struct error *why);
/* The tags of one repository from the file into the list. */
bool metadata_load_locked(struct metadata *md, struct list_repository *repository, struct error *err) MUST_CHECK;
/* Rows of `content` of one manifest: its own digest, and what `blobs` has. */
bool metadata_delete_content_locked(struct metadata *md, int64_t manifest, struct str digest, struct str blobs, struct error *err) MUST_CHECK;
bool metadata_delete_locked(struct metadata *md, struct str name, struct error *err) MUST_CHECK;

/* ---- deriving (metadata_derive.c), with `deriving` held ---- */

enum derived { DERIVED, DERIVED_NOTHING, DERIVED_GONE, DERIVED_PART, DERIVED_FAILED };
/* most: fresh manifests that may be read (0: as many as there are; over it: DERIVED_PART, nothing is done). PART too where the pace ended it: what was read is kept. */
enum derived metadata_derive(struct metadata *md, struct str name, size_t most, const struct pace *pace, struct error *err);
bool metadata_owns(const struct metadata *md, struct str name);

/* ---- what signatures prove (metadata_trust.c), with `deriving` held ---- */

/* The keys as they are now; NULL: extensions.trust is off. */
const struct signers *metadata_trust(struct metadata *md);
/* Signatures of a repository that were not looked at with these keys are. Of what was derived before. Results as metadata_derive(). */
enum derived metadata_judge(struct metadata *md, struct str name, size_t most, const struct pace *pace, struct error *err);

/* ---- what a row of a manifest says (metadata_rows.c) ---- */

enum signs { SIGNS_NOT, SIGNS_NOTATION, SIGNS_COSIGN };
enum signs  metadata_signs(const char *artifact_type);
/* Of a tag by cosign's rule: "sha256-<64 hex>.sig". */
bool        metadata_tag_signs(struct str tag, struct digest *ret_subject) MUST_CHECK;
bool        metadata_tag_is_shown(struct str tag);
struct str  metadata_digest_raw(const struct digest *digest);
bool        metadata_digest_of_raw(struct str raw, struct digest *ret) MUST_CHECK;
/* Digests in the table `content`: the first 7 bytes, and which algorithm. */
int64_t     metadata_head(const struct digest *digest);

struct manifest_row {
	int64_t id;
	struct digest digest;
	enum manifest_kind kind;
	const char *media_type, *artifact_type;
	uint64_t size, pulls;
	int64_t pulled_ms, pushed_ms;
	const char *pushed_by;
	bool has_facts;
	struct image_facts facts;
};
/* Texts in the arena. *ret_found false: there is none. */
bool metadata_row_by_digest_locked(struct metadata *md, int64_t repository, const struct digest *digest, struct arena *arena,
				   struct manifest_row *ret, bool *ret_found, struct error *err) MUST_CHECK;
bool metadata_row_by_id_locked(struct metadata *md, int64_t id, int64_t *ret_repository, struct arena *arena, struct manifest_row *ret,
			       bool *ret_found, struct error *err) MUST_CHECK;
/* Does anything in the repository sign it? */
bool metadata_is_signed_locked(struct metadata *md, int64_t repository, const struct digest *digest, bool *ret, struct error *err) MUST_CHECK;

/* ---- records (metadata_records.c) ---- */

/* only: of its manifests these alone; NULL: all. tag NULL: by its digest. */
struct image_of {
	const struct list_repository *repository;
	const char *tag;
	const struct digest *digest;
	const struct digest *only;
	size_t only_len;
};
bool metadata_fill_image_locked(struct metadata *md, const struct image_of *of, unsigned want, struct arena *arena, struct metadata_image *ret,
				struct error *err) MUST_CHECK;
bool metadata_fill_repository_locked(struct metadata *md, const struct list_repository *of, const struct metadata_query *query, struct arena *arena,
				     struct metadata_repository *ret, struct error *err) MUST_CHECK;
bool metadata_fill_referrers_locked(struct metadata *md, int64_t repository, const struct digest *subject, const struct str *types, size_t types_len,
				    struct arena *arena, const struct metadata_referrer **ret, size_t *ret_len, struct error *err) MUST_CHECK;
/* The digest of a tag. */
bool metadata_resolve_locked(struct metadata *md, int64_t repository, struct str tag, struct digest *ret, bool *ret_found, struct error *err) MUST_CHECK;

/* ---- questions (metadata_query.c) ---- */

/* May this be told to who asks? Asked once for each repository of a question. */
struct asking {
	struct metadata *md;
	const struct metadata_query *query;
	uint64_t ring;
};
bool metadata_may_see(const struct asking *asking, struct list_repository *repository);
bool metadata_passes(const struct metadata_query *query, const struct list_repository *repository, size_t tag);

/* Images that were found, each once, until the page of them is chosen and filled. */
/* key: what is less comes first, before names. */
struct hit { struct list_repository *repository; size_t tag; int64_t key; uint32_t only; };
struct hits {
	enum metadata_sort sort;
	struct hit *at;
	size_t len, room;
	bool cut, by_name; /* they were added in the order of names and tags */
};
void hits_add(struct hits *hits, struct list_repository *repository, size_t tag, uint32_t only);
void hits_fini(struct hits *hits);
/* onlies: of hit.only, where an image has some of its manifests told alone; or NULL. */
struct onlies { struct digest digest; uint32_t next; /* from 1; 0: the last */ };
bool metadata_page_locked(struct metadata *md, const struct metadata_query *query, struct hits *hits, const struct onlies *onlies,
			  struct arena *arena, struct metadata_images *ret, struct error *err) MUST_CHECK;
/* A question begins: the file is there, and `lock` is held behind; false: it is not. */
bool metadata_ask(struct metadata *md, const struct metadata_query *query, struct asking *ret, struct error *err) MUST_CHECK;
/* It ends: an error of the file is its end. */
bool metadata_asked(struct metadata *md, bool ok, struct error *err);
/* Is derived, if that is quick. */
void metadata_freshen(struct metadata *md, struct str name);
