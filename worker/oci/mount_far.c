/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/mount_far.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/log.h"
#include "proto/ring.h"
#include "worker/auth/rights.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/oci_others.h"
#include "worker/oci/upload.h"
#include "worker/oci/upload_owner_key.h"
#include "worker/registry/mounts.h"
#include "worker/registry/registry.h"
#include "worker/registry/repository_limits.h"
#include "worker/storage/store.h"

#define FIRST_BYTES ((size_t)64 * 1024)
#define PIECE_BYTES ((size_t)4 * 1024 * 1024)
#define COPY_MS     (5 * 60 * 1000) /* longer than this a client does better to send it */

struct copy {
	struct oci_job *job;
	const struct oci_others *others;
	const struct digest *digest;
	struct str from;
	const struct ring_member *member;
	struct buf piece;
	uint64_t size;
	int64_t until_ms;
};

static struct str target_of(const struct copy *copy)
{
	return name_str(&copy->job->ask.route.name);
}

bool mount_far_is_needed(const struct oci_ask *ask, const struct digest *digest, struct str from,
	const struct ring_member **ret)
{
	struct error ignored;
	uint64_t size;

	return ask->others &&
	       !store_blob_size(ask->registry->store, name_str(&ask->route.name), digest, &size, &ignored) &&
	       rights_allow(ask->snapshot, ask->identity, from, ACTION_READ) &&
	       ask->others->find(ask->others->arg, ask, from, ret);
}

static bool read_piece(struct copy *copy, uint64_t at, size_t most, struct error *err)
{
	uint64_t size;

	if (copy->others->is_leaving(copy->others->arg) || clock_ms() > copy->until_ms)
		return error_set(err, ERROR_TIMEOUT, NULL, "it takes too long");
	copy->piece.max = most;
	if (!copy->others->read(copy->others->arg, &copy->job->ask, copy->member, copy->from, copy->digest,
		    at, &copy->piece, &size, err))
		return false;
	if ((at && size != copy->size) || at + copy->piece.len > size || (!copy->piece.len && at < size))
		return error_set(err, ERROR_INTERNAL, NULL, "member %s gives pieces that do not fit",
			copy->member->id);
	copy->size = size;
	return true;
}

static bool copy_into(struct copy *copy, struct upload *upload, struct error *err)
{
	uint64_t at = 0;

	while (copy->piece.len) {
		if (!upload_append(upload, copy->piece.at, copy->piece.len, err))
			return false;
		hasher_add(upload->hasher, copy->piece.at, copy->piece.len);
		at += copy->piece.len;
		if (at == copy->size)
			return true;
		if (!read_piece(copy, at, PIECE_BYTES, err))
			return false;
	}
	return true;
}

static bool may_any(void *arg, struct str name)
{
	(void)arg;
	(void)name;
	return true;
}

/* By the other worker's word the client may read the blob, so it may have one of the same digest. */
static bool link_here(const struct copy *copy)
{
	return registry_mount(
		copy->job->ask.registry, target_of(copy), copy->digest, STR_NONE, may_any, NULL);
}

static bool store_copy(struct copy *copy, struct error *err)
{
	const struct oci_ask *ask = &copy->job->ask;
	struct upload *upload;
	bool over, ok;

	if (!upload_open(ask, copy->digest->alg, &upload, err))
		return false;
	if (!copy_into(copy, upload, err)) {
		upload_end(upload);
		return false;
	}
	ok = registry_finish(ask->registry, upload, copy->digest, &over, err);
	if (!over)
		upload_end(upload);
	if (ok) {
		counter_add(&ask->counters->mounts_copied_total, 1);
		counter_add(&ask->counters->mount_copied_bytes_total, copy->size);
	}
	return ok;
}

static bool has_room(const struct copy *copy, struct error *err)
{
	const struct oci_ask *ask = &copy->job->ask;
	const struct registry_blob blob = {
		.name = target_of(copy), .digest = copy->digest, .bytes = copy->size
	};

	return repository_limits_allow_blob(
		ask->registry, snapshot_limits(ask->snapshot, target_of(copy)), &blob, err);
}

static enum mount_far bring(struct copy *copy, struct error *err)
{
	struct error why;

	if (!read_piece(copy, 0, FIRST_BYTES, &why)) {
		log_info("mount.not", "name=%s from=%s member=%s error=%s", target_of(copy).at,
			log_quote(copy->from), log_quote(str_of(copy->member->id)),
			log_quote(str_of(why.text)));
		return MOUNT_FAR_NOT;
	}
	if (!has_room(copy, err))
		return MOUNT_FAR_LIMIT;
	if (link_here(copy) || store_copy(copy, &why))
		return MOUNT_FAR_DONE;
	log_warn("mount.failed", "name=%s from=%s member=%s bytes=%" PRIu64 " error=%s", target_of(copy).at,
		log_quote(copy->from), log_quote(str_of(copy->member->id)), copy->size,
		log_quote(str_of(why.text)));
	return MOUNT_FAR_NOT;
}

/* What a job that waited is told, in its `own`. */
struct told {
	bool failed;
};

static void again(void *arg, bool failed)
{
	struct oci_job *job = arg;

	((struct told *)job->own)->failed = failed;
	oci_job_again(job);
}

static enum mount_far enter(struct oci_job *job, const struct digest *digest, struct str client)
{
	if (!job->own) {
		job->own = xnew(struct told);
		job->own_free = free;
	}
	if (((struct told *)job->own)->failed)
		return MOUNT_FAR_NOT;
	switch (mounts_enter(job->ask.others->mounts, digest, client, again, job)) {
	case MOUNTS_GO:
		return MOUNT_FAR_DONE;
	case MOUNTS_WAITS:
		return MOUNT_FAR_WAITS;
	case MOUNTS_FULL:
		break;
	}
	return MOUNT_FAR_NOT;
}

enum mount_far mount_far_try(struct oci_job *job, const struct digest *digest,
	const struct mount_source *source, struct error *err)
{
	AUTO_FINI(buf) client = buf_limit(UPLOAD_OWNER_KEY_MAX);
	struct copy copy = { .job = job,
		.others = job->ask.others,
		.digest = digest,
		.from = source->from,
		.member = source->member,
		.piece = buf_limit(FIRST_BYTES),
		.until_ms = clock_ms() + COPY_MS };
	enum mount_far step;

	upload_owner_key(job->ask.identity, &job->ask.client, &client);
	/* Where it waits another thread may have the job by now. */
	step = enter(job, digest, buf_str(&client));
	if (step != MOUNT_FAR_DONE)
		return step;
	step = bring(&copy, err);
	buf_fini(&copy.piece);
	mounts_leave(copy.others->mounts, digest, buf_str(&client), step == MOUNT_FAR_NOT);
	return step;
}
