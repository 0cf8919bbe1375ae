/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mount_far - a mount from a repository that lies at another worker: the blob is copied here.
 *
 *     POST ?mount=<digest>&from=<name>, <name> at another worker
 *
 *       the client may read <name>, by our rights  ->  its first bytes and its size: the other worker looks at the rights, too
 *       a repository of ours has the blob          ->  linked: who may read it there may have it here
 *       else                                       ->  piece by piece into an upload's file, hashed; kept only if the digest is right  ->  201
 *       anything else                              ->  not had: the client gets a session, and sends the bytes (202)
 *
 * A piece is in memory at a time. What is under way is bounded, and each blob is brought once (worker/registry/mounts.h).
 * Thread  pool.
 */
#pragma once

#include "worker/oci/oci_job.h"

struct ring_member;

enum mount_far {
	MOUNT_FAR_DONE,  /* it is here now */
	MOUNT_FAR_WAITS, /* the job runs once more, later */
	MOUNT_FAR_NOT,
	MOUNT_FAR_LIMIT, /* the repository has no room for it: err says so */
};
/* The repository lies elsewhere, at *ret, and the blob is not in the one that is asked for. A member that was away is tried again by who is told
 * so: mount_far_try() follows. */
bool mount_far_is_needed(const struct oci_ask *ask, const struct digest *digest, struct str from, const struct ring_member **ret) MUST_CHECK;
struct mount_source {
	struct str from; /* the repository */
	const struct ring_member *member;
};
enum mount_far mount_far_try(struct oci_job *job, const struct digest *digest, const struct mount_source *source, struct error *err) MUST_CHECK;
