/* SPDX-License-Identifier: Apache-2.0 */
/*
 * manifest_delete - DELETE of a tag (its manifest stays, untagged) or of a digest (with all its tags).
 *
 * A digest that an index of the repository still names is not deleted: 405, as zot does. One that several
 * tags name is not deleted by who has detectManifestCollision: 409. The right is looked up where the tags are
 * known, so that it is the same whichever worker the client asked: user, groups and key come along. A tag that is immutable there is
 * deleted by an admin alone: 403.
 */
#include "common/check.h"
#include "worker/auth/auth.h"
#include "worker/auth/rights.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/oci_denied.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/registry/registry.h"

static struct http_response *reply(const struct oci_ask *ask, const struct registry_removal *removal)
{
	if (removal->ok)
		return http_response_empty(202);
	if (removal->limit)
		return oci_denied_limit(ask, removal->limit, &removal->err);
	switch (removal->kept) {
	case REGISTRY_KEPT_NAMED:
		return oci_reply_status(405, &removal->err);
	case REGISTRY_KEPT_SHARED:
		return oci_reply_status(409, &removal->err);
	case REGISTRY_KEPT_NOT:
		break;
	}
	return oci_reply_error(&removal->err);
}

struct deletion {
	struct registry_removal removal;
	struct oci_asker asker;
};

static void on_deleted(struct registry_removal *removal)
{
	struct oci_job *job = removal->arg;

	oci_job_reply(job, reply(&job->ask, removal));
}

struct http_response *oci_manifest_delete_job(void *arg)
{
	struct oci_job *job = arg;
	const struct oci_ask *ask = &job->ask;
	struct deletion *deletion = xnew(struct deletion);

	job->own = deletion;
	job->own_free = free;
	oci_job_asker(job, &deletion->asker);
	deletion->removal = (struct registry_removal){ .name = ask->route.name.text,
		.reference = ask->route.reference,
		.call = ask->call,
		.unless_shared = rights_allow(
			ask->snapshot, ask->identity, name_str(&ask->route.name), ACTION_DETECT_COLLISION),
		.limits = snapshot_limits(ask->snapshot, name_str(&ask->route.name)),
		.by_admin = ask->identity->admin,
		.asker = &deletion->asker.asker,
		.done = on_deleted,
		.arg = job };
	registry_delete(ask->registry, &deletion->removal);
	return NULL;
}
