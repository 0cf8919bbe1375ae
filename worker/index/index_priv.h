/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_priv - what the files of the index share: the parts of a view and how a new one is made.
 *
 * A view is three sorted lists of pointers (index_rows.h). What they point to (one record for each manifest, one
 * label for each tag) is immutable and counted, so a changed view shares all but what changed with the one it
 * was made from: index_draft() copies, index_put() and so on change the copy, and from its first
 * index_ref() by somebody else on nobody changes it.
 */
#pragma once

#include <stdatomic.h>

#include "common/json.h"
#include "worker/index/index.h"
#include "worker/index/index_memo.h"
#include "worker/index/index_pulls.h"
#include "worker/index/index_rows.h"
#include "worker/index/index_who.h"
#include "worker/storage/store.h"

#define INDEX_JSON_GROW ((size_t)64 * 1024 * 1024)  /* none grows beyond this */
#define INDEX_JSON_MAX  (2 * INDEX_JSON_GROW)        /* what others made is read all the same */

/* A manifest that the repository lists. */
struct index_record {
	struct index_entry entry; /* first: what the look-ups give out; annotations only beside a subject */
	atomic_uint refs;
	bool complete;              /* subject, artifact type and annotations are filled in */
	bool settled;               /* not complete, and reading the manifest again would not help */
	struct annotation *foreign; /* of its descriptor in index.json, not ours, to be kept */
	size_t foreign_len;
	struct index_push pushed;   /* first */
	size_t bytes;
};

struct index_label {
	struct index_record *record; /* counted */
	atomic_uint refs;
	struct annotation *foreign;
	size_t foreign_len;
	struct index_push pushed;    /* to this record */
	size_t bytes;
	char tag[];
};

/* What stands in an index.json and means nothing to us: JSON text, to be written again. */
struct index_rest {
	atomic_uint refs;
	struct buf manifests; /* elements, each followed by a comma */
	struct buf members;   /* "key":value, each followed by a comma */
};

struct index_list {
	void **at;
	size_t len, room;
};

struct index {
	atomic_uint refs;
	struct index_rows records;    /* struct index_record, by digest */
	struct index_rows labels;     /* struct index_label, by tag */
	struct index_rows referrers;  /* struct index_record with a subject, by (subject, digest); borrowed */
	struct index_rows pulls;      /* index_pulls.h */
	struct index_rest *rest;      /* counted; NULL when there is none */
	struct index_memo *memo;      /* counted; NULL when there is none */
	struct store_version version; /* of the index.json that it is made from */
	struct store_log_place log;   /* up to which its log was added */
	bool log_tells;               /* the log has more than pulls */
	uint64_t changes;             /* that it has seen, but pulls: index_changes() */
	size_t json_bytes;            /* of that index.json */
	uint64_t json_at;             /* log.at of that index.json */
	size_t json_most;             /* what index.json would have at most */
	uint64_t era;                 /* of the store: every manifest in the log was put since; 0: that is not known */
	size_t bytes;                 /* of records and labels */
};

/* Parts. Each is born with one reference, the caller's. */
struct index_record *index_record_new(const struct descriptor *descriptor, bool complete);
void index_record_free(struct index_record *record); /* drops a reference */
struct index_label *index_label_new(struct str tag, struct index_record *record);
void index_label_free(struct index_label *label); /* drops a reference */
void index_rest_free(struct index_rest *rest);    /* drops a reference */
/* The same tag and what is kept of it, of another record. */
struct index_label *index_label_again(const struct index_label *label, struct index_record *record);
AUTO_DEFINE(index_record)
AUTO_DEFINE(index_label)
AUTO_DEFINE(index_rest)
size_t index_annotations_bytes(const struct annotation *annotations, size_t len);
/* Sets record->bytes, after its texts were changed. */
void index_record_measure(struct index_record *record);

/* Views under construction. */
struct index *index_new(void);
/* The parts of another view, shared; NULL: an empty one. */
struct index *index_draft(const struct index *from);
/* They replace what has that digest or tag. The view takes a reference of its own. */
void index_set_record(struct index *index, struct index_record *record);
void index_set_label(struct index *index, struct index_label *label);
bool index_add_pull(struct index *index, const struct index_pull *pull);  /* false: what it is of is not there */
bool index_drop_tag(struct index *index, struct str tag);                 /* false: not there */
bool index_drop_digest(struct index *index, const struct digest *digest); /* false: not there */
/* Of an empty view: records (each digest once) and labels (each tag once), in any order, with their references. */
void index_arrange(struct index *index, struct index_list *records, struct index_list *labels);
/* After records were changed in place, in a view that nobody else has seen: referrers and bytes. */
void index_recount(struct index *index);
void index_list_add(struct index_list *list, void *item);
int index_compare_digests(const struct digest *a, const struct digest *b); /* the order of records */
struct index_record *index_record_at(const struct index *index, size_t at);
struct index_record *index_record_find(const struct index *index, const struct digest *digest);
struct index_label *index_label_at(const struct index *index, size_t at);
struct index_label *index_label_find(const struct index *index, struct str tag);
size_t index_bytes(const struct index *index); /* of memory */

/* index_apply.c. Would it be another view? */
bool index_would_change(const struct index *index, const struct index_change *change);
/* One change. *ret_changed: whether the view is another one now. */
bool index_apply(struct index *index, const struct index_change *change, bool *ret_changed,
	struct error *err) MUST_CHECK;

/* index_json.c */
bool index_json_read(struct str text, struct index **ret, struct error *err) MUST_CHECK;
/* ERROR_TOO_LARGE when it does not fit into `into`. */
bool index_json_write(const struct index *index, struct buf *into, struct error *err) MUST_CHECK;

/* One manifest as index.json lists it, without a tag. */
bool index_json_read_record(const struct json *node, struct index_record **ret) MUST_CHECK;
void index_json_write_record(struct json_writer *writer, const struct index_record *record);

/* index_log.c: a change as a frame of the log. False: too large for one. *ret_growth: what it adds to index.json at most. */
bool index_log_add(const struct index_change *change, struct buf *frames, size_t *ret_growth) MUST_CHECK;
/* Whole frames, applied to a view that nobody else has seen, in order. fn (may be NULL) is told the id of each change. False: one is of
 * a kind that only a newer version knows, and the view is of no use. */
typedef void index_log_f(void *arg, const struct change_id *id);
bool index_log_apply(struct index *index, struct str frames, index_log_f *fn, void *arg, struct error *err) MUST_CHECK;
/* The manifests whose bytes the frames have, and that are not deleted as blobs later in them. */
typedef void index_log_manifest_f(void *arg, const struct digest *digest, struct str bytes);
void index_log_manifests(struct str frames, index_log_manifest_f *fn, void *arg);

/* index_complete.c: fills in what the index.json of somebody else lacks. `before`: an older view, or
 * NULL, whose records are taken over instead of reading the manifests again. Waits for the store. */
void index_complete(struct index *index, const struct index *before, struct store *store, struct str name);
