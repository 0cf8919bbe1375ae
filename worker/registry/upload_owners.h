/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_owners - whose the upload sessions are: how many each has, and how many bytes are in them.
 *
 * An owner is an API key, else a user, else (the anonymous) a client address; a v6 client is its /64. Where a peer forwarded the
 * request it is the client that the peer speaks for. An owner is there as long as it has a session.
 *
 *     ranks   [ 1 byte.. ][ 2.. ][ 4.. ] ... [ 2^63.. ]     owners by the power of two of their bytes, so
 *                                                           who has most is found without a search, give or take half
 *
 * Thread  under the lock of who uses it (uploads.c). All in O(1).
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/cleanup.h"
#include "common/ip.h"
#include "common/list.h"

struct identity;

struct upload_owner {
	char *key;
	size_t sessions, files; /* files: sessions with bytes */
	uint64_t bytes;         /* upload_owners_count() */
	struct list idle;       /* its sessions with bytes that nobody holds, who waits longest first: upload.of_owner */
	struct list in_rank;    /* private */
};

#define UPLOAD_OWNER_KEY_MAX 300
/* Its text: two clients with the same one are the same owner. */
void upload_owner_key(const struct identity *identity, const struct ip *client, struct buf *into);

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
