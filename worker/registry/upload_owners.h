/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_owners - whose the upload sessions are: how many each has, and how many bytes are in them.
 *
 * Two sessions with the same text as key are of the same owner: who asks makes it (oci/upload_owner_key.h). An owner is there as
 * long as it has a session.
 *
 *     ranks   [ 1 byte.. ][ 2.. ][ 4.. ] ... [ 2^63.. ]     owners by the power of two of their bytes, so
 *                                                           who has most is found without a search, give or take half
 *
 * Thread  under the lock of who uses it (uploads.c). All in O(1).
 */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"
#include "common/list.h"
#include "common/str.h"

struct upload_owner {
	char *key;
	size_t sessions, files; /* files: sessions with bytes */
	uint64_t bytes;         /* upload_owners_count() */
	struct list idle;       /* its sessions with bytes that nobody holds, who waits longest first: upload.of_owner */
	struct list moved;      /* its sessions that another worker has, likewise */
	struct list in_rank;    /* private */
};

struct upload_owners;
struct upload_owners *upload_owners_new(void);
void upload_owners_free(struct upload_owners *owners); /* nobody has a session any more */
AUTO_DEFINE(upload_owners)

struct upload_owner *upload_owners_find(const struct upload_owners *owners, struct str key);
/* One session more; one less, of one whose bytes were taken back, and the owner is gone with its last. */
struct upload_owner *upload_owners_join(struct upload_owners *owners, struct str key);
void upload_owners_leave(struct upload_owners *owners, struct upload_owner *owner);
/* So many bytes now. */
void upload_owners_count(struct upload_owners *owners, struct upload_owner *owner, uint64_t bytes);
/* Nobody has twice the bytes of this one; NULL: nobody has any. */
struct upload_owner *upload_owners_most(const struct upload_owners *owners);
size_t upload_owners_len(const struct upload_owners *owners);
