/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata - what a search needs of repositories, derived from their indexes, manifests and configs, and questions to it.
 *
 *     registry_watch() --name--> a set of what changed --metadata_work()--> manifests that are new are read --> search.db, and in memory
 *     the catalog, after a start, a change of the ring, a lost file --------^
 *
 * Nothing here is the truth: all of it can be derived again. So the file (SQLite, metadata/search.db of the worker's data folder) may be deleted
 * at any time, also while the worker runs: that is noticed, and all is derived anew. One that is damaged, or of another format, is
 * removed and made anew, with a line in the log.
 *
 * In memory  of each repository its name, and of each tag what lists are sorted and filtered by (some 100 bytes a tag): a list of 10,000 repositories
 *            or 100,000 images is a look through memory; the file is read for what is on the page.
 * In time    metadata_work() comes some ms after a change. A question about one repository brings that one up to date first, unless that
 *            takes more than METADATA_SOON_MANIFESTS reads. Questions about all tell what was derived.
 * Whose      Repositories that this worker does not own are not answered for; nor is, where storage is isolated, one that its new owner has taken. What
 *            the client may not read is as if it were not there. Records go to other members in worker/search/search_wire.c: a new member of one is put there, too.
 * Order      Each list has a total order: what `sort` says, then the repository's name, then the tag, then the digest.
 * Images     One for each tag, but of signatures and of the referrers of clients that have no other way to put them ("sha256-...", which are told
 *            as signatures, or not at all).
 * Docker     Media types of Docker's schema 2 are told as OCI's.
 *
 * Thread  metadata_work(): one at a time, pool. Questions: pool (they read a file, and may read manifests). metadata_stats(),
 *         metadata_changed(): any.
 * Life    Records are in the arena of the caller, and stay as they are.
 * Errors  ERROR_UNKNOWN: no such repository, or image, for this client. ERROR_TOO_LARGE: the records do not fit the arena: ask for fewer.
 *         ERROR_UNAVAILABLE: the file cannot be used just now, it is made anew.
 */
#pragma once

#include "common/cleanup.h"
#include "common/error.h"
#include "proto/arena.h"
#include "proto/descriptor.h"
#include "proto/digest.h"
#include "proto/image_facts.h"

#define METADATA_FILE           "metadata/search.db"
#define METADATA_SOON_MANIFESTS 100u
#define METADATA_TEXT_MAX       256u /* bytes of a text that is searched for */

struct metadata;
struct pace;
struct registry;
struct state;

/* ---- records: texts end with a NUL and are never NULL, "" where nothing is known; times are ms since 1970, 0: not known ---- */

struct metadata_signature {
	const char *tool;   /* "cosign", "notation" */
	bool is_trusted;    /* by a key that was uploaded, for this image, now */
	const char *author; /* "" where no such key has made it */
};
struct metadata_referrer {
	const char *media_type, *artifact_type;
	struct digest digest;
	uint64_t size;      /* of the manifest */
	const struct annotation *annotations;
	size_t annotations_len;
};
struct metadata_platform { const char *os, *arch; }; /* arch: "arm/v7" */

/* One manifest of an image: the image's own, or a member of its index that lies in the repository. */
struct metadata_manifest {
	struct digest digest, config;
	bool has_config;
	int64_t updated_ms;
	uint64_t size;      /* of manifest, config and layers */
	struct metadata_platform platform;
	uint64_t downloads;
	const char *artifact_type;
	const struct metadata_signature *signatures;
	size_t signatures_len;
	/* METADATA_LAYERS, METADATA_HISTORY, METADATA_REFERRERS: else none. */
	const struct image_layer *layers;
	size_t layers_len;
	const struct image_history *history; /* of each row: its layer, or IMAGE_NO_LAYER */
	size_t history_len;
	bool history_differs;                /* its rows are not those of the layers: what fits is told */
	const struct metadata_referrer *referrers;
	size_t referrers_len;
};

struct metadata_image {
	const char *repository, *tag;  /* tag "": it was asked for by its digest, and has none */
	struct digest digest;
	const char *media_type;
	uint64_t size;                 /* an index: of its manifests */
	uint64_t downloads;
	int64_t pulled_ms, pushed_ms;  /* of the digest */
	const char *pushed_by;
	int64_t tagged_ms;             /* else pushed_ms */
	int64_t updated_ms;            /* when it says that it was made */
	const char *title, *description, *licenses, *labels, *source, *documentation, *vendor, *authors;
	const char *artifact_type;
	const struct metadata_signature *signatures;
	size_t signatures_len;         /* 0: it is not signed */
	const struct metadata_manifest *manifests; /* metadata_by_digest(), _derived(), _bases(): those that were meant */
	size_t manifests_len;
	const struct metadata_referrer *referrers; /* METADATA_REFERRERS */
	size_t referrers_len;
};

struct metadata_repository {
	const char *name;
	int64_t updated_ms;            /* its newest image, or a tag's push, whichever was later */
	uint64_t size;                 /* of what its tags need, each blob once; of one with over 1,000 manifests a minute late at most */
	uint64_t downloads;            /* of its tags */
	size_t tags_len;
	const struct metadata_platform *platforms;
	size_t platforms_len;
	const char *const *vendors;
	size_t vendors_len;
	int64_t rank;                  /* how well its name fits: less is better (zot's numbers) */
	bool is_starred, is_bookmarked; /* as the callbacks said */
	int64_t stars;                 /* the same; below 0: not known */
	const struct metadata_image *newest; /* METADATA_NEWEST; NULL: it has no tag */
};

/* ---- questions ---- */

enum metadata_sort { METADATA_RELEVANCE, METADATA_UPDATE_TIME, METADATA_ALPHABETIC_ASC, METADATA_ALPHABETIC_DSC, METADATA_DOWNLOADS };

/* What of a record is wanted besides, for it costs. */
enum { METADATA_LAYERS = 1, METADATA_HISTORY = 2, METADATA_REFERRERS = 4, METADATA_NEWEST = 8,
	METADATA_KEYS = 16 }; /* of lists: nothing but what they are sorted by, name and tag; texts are NULL. The file is not read */

/* Who asks. All are quick; a repository is asked about once for each question. */
struct metadata_who {
	bool (*may_read)(void *arg, struct str repository); /* NULL: all */
	bool (*is_starred)(void *arg, struct str repository);    /* NULL: none is */
	bool (*is_bookmarked)(void *arg, struct str repository); /* NULL: none is */
	uint64_t (*stars)(void *arg, struct str repository);     /* of how many users; NULL: not known */
	void *arg;
};

struct metadata_query {
	struct metadata_who who;
	enum metadata_sort sort;
	size_t offset, limit;     /* of items */
	bool no_limit;            /* all from `offset` on, as far as the arena goes */
	unsigned want;
	/* Filters. Platforms: one of the item's must be in both lists; an empty list has all; texts are lower-case. */
	bool by_platform;         /* an item without a platform does not pass */
	const struct str *os, *arch;
	size_t os_len, arch_len;
	bool is_signed;           /* of a repository: its newest image */
	bool is_starred, is_bookmarked; /* of repositories alone */
	bool untagged_too;        /* repositories without an image */
};

struct metadata_repositories { const struct metadata_repository *at; size_t len; uint64_t total; };
/* cut: over 10,000 manifests have what was looked for; the total is of some of them. */
struct metadata_images { const struct metadata_image *at; size_t len; uint64_t total; bool cut; };

/* Repositories whose name fits `text` ("": all), each with its rank. RELEVANCE: the best first. */
bool metadata_repositories(struct metadata *metadata, struct str text, const struct metadata_query *query, struct arena *arena,
			   struct metadata_repositories *ret, struct error *err) MUST_CHECK;
/* One, with all of its images, the newest first; the query's want and who count. */
bool metadata_repository(struct metadata *metadata, struct str name, const struct metadata_query *query, struct arena *arena,
			 struct metadata_repository *ret, struct metadata_images *ret_images, struct error *err) MUST_CHECK;
/* `reference`: a tag, or a digest that the repository lists. */
bool metadata_image(struct metadata *metadata, struct str name, struct str reference, const struct metadata_query *query,
		    struct arena *arena, struct metadata_image *ret, struct error *err) MUST_CHECK;

/* Images: of one repository, or of all (name STR_NONE). One that is not there, or may not be read, has none. RELEVANCE: name, then tag. */
bool metadata_images(struct metadata *metadata, struct str name, const struct metadata_query *query, struct arena *arena,
		     struct metadata_images *ret, struct error *err) MUST_CHECK;
/* Of this repository, those whose tag begins so. */
bool metadata_by_tag_start(struct metadata *metadata, struct str name, struct str start, const struct metadata_query *query,
			   struct arena *arena, struct metadata_images *ret, struct error *err) MUST_CHECK;
/* Of all, those whose tag has this text in it; upper and lower case are the same. */
bool metadata_by_tag_part(struct metadata *metadata, struct str part, const struct metadata_query *query, struct arena *arena,
			  struct metadata_images *ret, struct error *err) MUST_CHECK;
/* Of all: an index has this digest, or a manifest, its config or one of its layers has one that begins so ("sha256:4f07"). What cannot
 * be the begin of a digest is in none, and so is one of fewer than METADATA_DIGEST_LEAST hexadecimal digits, which would be in all. */
#define METADATA_DIGEST_LEAST 4u
bool metadata_by_digest(struct metadata *metadata, struct str start, const struct metadata_query *query, struct arena *arena,
			struct metadata_images *ret, struct error *err) MUST_CHECK;

/* A manifest that others are compared with: metadata_image() with METADATA_LAYERS has them. */
struct metadata_reference {
	struct digest digest;              /* this one is not told itself */
	const struct image_layer *layers;
	size_t layers_len;
};
/* Images one of whose manifests begins with all layers of one of the references, and has more; and those that have fewer, with which a
 * reference begins. */
bool metadata_derived(struct metadata *metadata, const struct metadata_reference *references, size_t len, const struct metadata_query *query,
		      struct arena *arena, struct metadata_images *ret, struct error *err) MUST_CHECK;
bool metadata_bases(struct metadata *metadata, const struct metadata_reference *references, size_t len, const struct metadata_query *query,
		    struct arena *arena, struct metadata_images *ret, struct error *err) MUST_CHECK;

/* Manifests of the repository whose subject this is, of these artifact types (none: of all), by digest. A repository that is not there has none. */
bool metadata_referrers(struct metadata *metadata, struct str name, const struct digest *subject, const struct str *types, size_t types_len,
			const struct metadata_who *who, struct arena *arena, const struct metadata_referrer **ret, size_t *ret_len,
			struct error *err) MUST_CHECK;

/* The order of lists, for who puts several together: below 0 when a comes first. Pure. */
int metadata_compare_repositories(enum metadata_sort sort, const struct metadata_repository *a, const struct metadata_repository *b);
int metadata_compare_images(enum metadata_sort sort, const struct metadata_image *a, const struct metadata_image *b);
/* How well a name fits a text, as zot ranks it: 0 the same, more is worse, below 0: not at all. Pure. */
int64_t metadata_rank(struct str text, struct str name);

/* ---- life ---- */

struct metadata_settings {
	struct registry *registry; /* borrowed: it is ended later */
	const char *data;          /* the worker's data folder; borrowed */
	/* Whose repositories: a number that is another one where the ring is (0: nobody knows yet), and whether this worker owns one, quick. Thread  any. */
	uint64_t (*ring)(void *arg);
	bool (*owns)(void *arg, struct str name);
	void *arg;
	/* Whose signatures count (worker/trust/signers.h): which kinds, 0: none, and of a signature nothing is read then; and a reference of a state
	 * with the keys. When others are there, metadata_work() looks at all signatures again. Thread  any. */
	unsigned trust_by;
	struct state *(*trust_keys)(void *arg);
	void *trust_arg;
};
/* Before the first change of an index. Main. The file is opened by the first metadata_work(). */
struct metadata *metadata_new(const struct metadata_settings *settings);
/* No question is under way, and no change of an index is, any more. NULL is fine. */
void metadata_free(struct metadata *metadata);
AUTO_DEFINE(metadata)
/* Before the first change: run() when something is to be derived and nothing was before: metadata_work() is wanted soon. On the committer's thread; quick. */
void metadata_on_change(struct metadata *metadata, void (*wake)(void *arg), void *arg);

/* This repository may be another one now, though no index was changed here: others have brought it. Thread  any. */
void metadata_changed(struct metadata *metadata, struct str name);

/* The next metadata_work() begins a walk through the catalog. Thread  any. */
void metadata_walk(struct metadata *metadata);

/* A walk through the catalog has ended since the last start, change of the ring, or loss of the file: nothing is left to be found. Thread  any. */
bool metadata_is_whole(struct metadata *metadata);

/* Derives what changed, then goes on with the walk through the catalog where one is under way. The pace may end it (worker/storage/pace.h). Of one repository that
 * could not be derived err says why when all others are done; it is tried again later. */
struct metadata_done { uint64_t repositories, manifests, dropped; };
bool metadata_work(struct metadata *metadata, const struct pace *pace, struct metadata_done *ret, struct error *err) MUST_CHECK;

/* After a change: when the next metadata_work() should come, so that all of them take a twentieth of one thread's time at most. Thread  any. */
#define METADATA_SOON_LEAST_MS 20
#define METADATA_SOON_MOST_MS  1000
int64_t metadata_soon_ms(struct metadata *metadata);

struct metadata_stats {
	uint64_t repositories, images;  /* that are answered for */
	uint64_t behind;                /* repositories that are known to have changed since */
	bool catching_up;               /* a walk through the catalog is under way, or about to begin: there may be others */
	uint64_t derived, manifests;    /* since the start: repositories, each time; manifests that were read */
	uint64_t skipped;               /* manifests and configs of which nothing could be told: broken, or too large */
	uint64_t failures;              /* repositories that could not be derived, each time */
	uint64_t rebuilt;               /* how often the file was begun anew */
	uint64_t worked_us;
	uint64_t file_bytes;
};
struct metadata_stats metadata_stats(struct metadata *metadata); /* NULL: zeros */
