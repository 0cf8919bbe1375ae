/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest_delete - DELETE of a tag (its manifest stays, untagged) or of a digest (with all its tags).
 *
 * A digest that an index of the repository still names is not deleted: 405, as zot does. One that several
 * tags name is not deleted by who has detectManifestCollision: 409. The right is looked up where the tags are
 * known, so that it is the same whichever worker the client asked: user, groups and key come along.
 */
#include "common/check.h"
#include "worker/auth/access.h"
#include "worker/auth/snapshot.h"
#include "worker/registry/manifest_load.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/worker.h"

struct removal {
	struct oci_job *job;
	const char *tag;
	bool named;    /* by an index */
	bool collides; /* several tags */
	struct index_change change;
};

struct search {
	const struct digest *digest;
	bool found;
};

static bool look_into(void *arg, const struct index_entry *entry, const struct manifest *manifest)
{
	struct search *search = arg;

	search->found = !digest_equal(&entry->descriptor.digest, search->digest) &&
			manifest_names(manifest, search->digest);
	return !search->found;
}

static bool has_several_tags(const struct index *view, const struct digest *digest)
{
	unsigned tags = 0;

	for (size_t at = 0; at < index_tags_len(view) && tags < 2; at++) {
		const struct index_entry *entry = index_find_tag(view, str_of(index_tag_at(view, at)));
		tags += entry && digest_equal(&entry->descriptor.digest, digest);
	}
	return tags == 2;
}

static bool detects_collisions(const struct oci_ask *ask)
{
	return access_detects_collisions(ask->snapshot->access, ask->identity, name_str(&ask->route.name));
}

/* At the place where its record would be written. */
static bool check_digest(struct index_change *change, const struct index *view, struct error *err)
{
	struct removal *removal = change->arg;
	const struct oci_ask *ask = &removal->job->ask;
	struct search search = { .digest = &change->digest };

	removal->collides = detects_collisions(ask) && has_several_tags(view, &change->digest);
	if (removal->collides)
		return error_set(err, ERROR_CONFLICT, "MANIFEST_INVALID",
			"several tags name the manifest, and detectManifestCollision keeps you from deleting "
			"them all: delete the tags that are meant");
	if (!manifest_walk(ask->worker, name_str(&ask->route.name), view, NULL, manifest_entry_is_index,
		    look_into, &search, err))
		return false;
	removal->named = search.found;
	return !search.found ||
	       error_set(err, ERROR_DENIED, "DENIED", "an index of this repository names the manifest");
}

static void on_changed(struct index_change *change)
{
	struct removal *removal = change->arg;

	if (!change->ok && (removal->named || removal->collides))
		oci_job_reply(removal->job, oci_reply_status(removal->named ? 405 : 409, &change->err));
	else
		oci_job_reply(removal->job, change->ok ? http_response_empty(202)
						       : oci_reply_unknown(&change->err, "MANIFEST_UNKNOWN"));
}

void oci_manifest_delete_job(struct oci_job *job)
{
	const struct reference *reference = &job->ask.route.reference;
	struct removal *removal = xnew(struct removal);

	removal->job = job;
	removal->tag = reference->tag;
	job->own = removal;
	job->own_free = free;
	removal->change =
		(struct index_change){ .name = job->ask.route.name.text, .done = on_changed, .arg = removal };
	removal->change.id = job->ask.call;
	removal->change.is_call = job->ask.has_call;
	removal->change.sent_ms = job->ask.call_sent_ms;
	removal->change.issued_ms = job->ask.call_issued_ms;
	if (reference->is_digest) {
		removal->change.op = INDEX_DELETE_DIGEST;
		removal->change.check = check_digest;
		removal->change.digest = reference->digest;
	} else {
		removal->change.op = INDEX_DELETE_TAG;
		removal->change.tags = &removal->tag;
		removal->change.tags_len = 1;
	}
	indexes_change_here(job->ask.worker->indexes, &removal->change);
}
