/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/registry.h"

#include "common/check.h"
#include "common/latch.h"
#include "worker/registry/repository_limits.h"
#include "worker/registry/manifest_walk.h"

struct deletion {
	struct registry *registry;
	struct registry_removal *removal;
	const char *tag;
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

/* At the place where its record would be written. */
static bool check_digest(struct index_change *change, const struct index *view, struct error *err)
{
	const struct deletion *deletion = change->arg;
	struct registry_removal *removal = deletion->removal;
	struct search search = { .digest = &change->digest };

	removal->kept = REGISTRY_KEPT_NOT;
	if (!repository_limits_allow_removal(removal, view, err))
		return false;
	if (removal->still)
		return removal->still(removal, view, err);
	if (removal->unless_shared && has_several_tags(view, &change->digest)) {
		removal->kept = REGISTRY_KEPT_SHARED;
		return error_set(err, ERROR_CONFLICT, "MANIFEST_INVALID",
			"several tags name the manifest, and detectManifestCollision keeps you from deleting "
			"them all: delete the tags that are meant");
	}
	if (!manifest_walk(deletion->registry, str_of(removal->name), view, NULL, manifest_entry_is_index,
		    look_into, &search, err))
		return false;
	if (search.found)
		removal->kept = REGISTRY_KEPT_NAMED;
	return !search.found ||
	       error_set(err, ERROR_DENIED, "DENIED", "an index of this repository names the manifest");
}

static bool check_tag(struct index_change *change, const struct index *view, struct error *err)
{
	const struct deletion *deletion = change->arg;

	struct registry_removal *removal = deletion->removal;

	return repository_limits_allow_removal(removal, view, err) &&
	       (!removal->still || removal->still(removal, view, err));
}

static void on_changed(struct index_change *change)
{
	struct deletion *deletion = change->arg;
	struct registry_removal *removal = deletion->removal;

	removal->ok = change->ok;
	removal->err = change->err;
	if (!removal->ok && removal->err.kind == ERROR_UNKNOWN && !removal->err.code)
		removal->err.code = "MANIFEST_UNKNOWN";
	free(deletion);
	removal->done(removal);
}

static void name_what(struct deletion *deletion, const struct reference *reference)
{
	struct index_change *change = &deletion->change;

	if (reference->is_digest) {
		change->op = INDEX_DELETE_DIGEST;
		change->check = check_digest;
		change->digest = reference->digest;
	} else {
		deletion->tag = reference->tag;
		change->op = INDEX_DELETE_TAG;
		change->check = check_tag;
		change->tags = &deletion->tag;
		change->tags_len = 1;
	}
}

void registry_delete(struct registry *registry, struct registry_removal *removal)
{
	struct deletion *deletion = xnew(struct deletion);

	deletion->registry = registry;
	deletion->removal = removal;
	removal->kept = REGISTRY_KEPT_NOT;
	removal->limit = REGISTRY_LIMIT_NONE;
	deletion->change = (struct index_change){ .name = removal->name,
		.id = removal->call.id,
		.is_call = removal->call.is_call,
		.sent_ms = removal->call.sent_ms,
		.issued_ms = removal->call.issued_ms,
		.asker = removal->asker,
		.done = on_changed,
		.arg = deletion };
	name_what(deletion, &removal->reference);
	indexes_change_here(registry->indexes, &deletion->change);
}

static void on_deleted(struct registry_removal *removal)
{
	latch_open(removal->arg);
}

bool registry_delete_wait(struct registry *registry, struct registry_removal *removal, struct error *err)
{
	struct latch done = LATCH_INIT;

	removal->done = on_deleted;
	removal->arg = &done;
	registry_delete(registry, removal);
	latch_wait(&done);
	if (!removal->ok && err)
		*err = removal->err;
	return removal->ok;
}
