/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub_priv - what the files of scrub share.
 */
#pragma once

#include "worker/index/index.h"
#include "worker/registry/live_set.h"
#include "worker/registry/scrub.h"
#include "worker/storage/store.h"

#define SCRUB_PAGE 256

enum scrub_stage { SCRUB_NAMES, SCRUB_OF_INDEX, SCRUB_BLOBS, SCRUB_MANIFESTS, SCRUB_OVER };

struct scrub {
	struct registry *registry;
	struct scrub_how how;
	struct scrub_place place;
	struct scrub_counts counts;
	enum scrub_stage stage;
	struct name names[SCRUB_PAGE]; /* behind the place */
	size_t names_at, names_len;
	bool names_more;
	struct index *view;     /* of the repository at hand, as it lies in the store; NULL: it can't be read */
	size_t manifest_at;     /* in the view */
	struct live_set *asked; /* what its manifests name, and was looked at */
	struct digest digests[SCRUB_PAGE];
	size_t digests_at, digests_len;
	bool digests_more;
	struct store_reading *reading; /* the blob at hand, or NULL */
	struct hasher *hasher;
	bool second;            /* it is read once more */
	char *piece;
	uint64_t spent;         /* in this call */
	bool has_failed;
	struct error failure;
};

/* scrub.c */
void scrub_spend(struct scrub *scrub, uint64_t bytes);
void scrub_tell(struct scrub *scrub, enum scrub_kind kind, enum scrub_fate fate, const struct digest *digest, const char *why,
	const char *from);
/* It could not be looked at now; the next pass does. */
void scrub_note_failure(struct scrub *scrub, const struct error *err);
bool scrub_is_ours(const struct scrub *scrub);

/* scrub_heal.c: a good copy is in the place of this blob, which is none, or set aside. *ret_from: where it came from. */
bool scrub_heal(struct scrub *scrub, const struct digest *digest, const char **ret_from);
/* scrub_manifests.c: the next manifest of the view; false: there is none. */
bool scrub_manifest(struct scrub *scrub);
