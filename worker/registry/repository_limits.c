/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/repository_limits.h"

#include <inttypes.h>

#include "proto/entity.h"
#include "proto/glob.h"
#include "worker/registry/contents.h"
#include "worker/storage/store.h"

static const char *const names[] = { [REGISTRY_LIMIT_NONE] = "",
	[REGISTRY_LIMIT_BYTES] = "byte_quota",
	[REGISTRY_LIMIT_TAGS] = "tag_limit",
	[REGISTRY_LIMIT_IMMUTABLE] = "immutable_tag" };

const char *registry_limit_name(enum registry_limit limit)
{
	return names[limit];
}

enum registry_limit registry_limit_parse(struct str name)
{
	for (unsigned i = 1; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_is(name, names[i]))
			return (enum registry_limit)i;
	return REGISTRY_LIMIT_NONE;
}

/* An entity's id, as much of it as a message has room for. */
#define ID_ARGS(entity) (int)(entity_id(entity).len < 60 ? entity_id(entity).len : 60), entity_id(entity).at

static bool is_immutable(const struct entity *limits, struct str tag)
{
	const struct texts *globs = &entity_repository(limits)->immutable_tags;

	for (size_t i = 0; i < globs->len; i++)
		if (glob_match(str_of(globs->at[i]), tag))
			return true;
	return false;
}

bool repository_limits_is_immutable(const struct entity *limits, struct str tag)
{
	return limits && is_immutable(limits, tag);
}

static bool refuse_change(const struct entity *limits, struct str tag, const char *what, struct error *err)
{
	return error_set(err, ERROR_DENIED, "DENIED", "the tag %.*s is immutable (immutableTags of %.*s): %s",
		(int)(tag.len < 60 ? tag.len : 60), tag.at, ID_ARGS(limits), what);
}

/* ---- a push ---- */

static bool allow_move(
	struct registry_push *push, const struct index *view, struct str tag, struct error *err)
{
	const struct index_entry *there = index_find_tag(view, tag);

	if (!there || digest_equal(&there->descriptor.digest, &push->stored) ||
		!is_immutable(push->limits, tag))
		return true;
	push->limit = REGISTRY_LIMIT_IMMUTABLE;
	return refuse_change(push->limits, tag, "it names another manifest, and is not moved", err);
}

static bool allow_moves(struct registry_push *push, const struct index *view, struct error *err)
{
	bool ok = true;

	for (size_t i = 0; ok && i < push->tags_len; i++)
		ok = allow_move(push, view, str_of(push->tags[i]), err);
	return ok;
}

static bool allow_tags(struct registry_push *push, const struct index *view, struct error *err)
{
	uint64_t most = (uint64_t)entity_repository(push->limits)->tag_limit, there = index_tags_len(view);
	uint64_t more = 0;

	for (size_t i = 0; i < push->tags_len; i++)
		more += !index_find_tag(view, str_of(push->tags[i]));
	if (!most || !more || there + more <= most)
		return true;
	push->limit = REGISTRY_LIMIT_TAGS;
	return error_set(err, ERROR_DENIED, "DENIED",
		"the tagLimit of %.*s is %" PRIu64 ": the repository has %" PRIu64
		" tags, and would have %" PRIu64,
		ID_ARGS(push->limits), most, there, there + more);
}

bool repository_limits_count_bytes(const struct entity *limits)
{
	return limits && entity_repository(limits)->byte_quota > 0;
}

static bool allow_bytes(struct registry *registry, struct registry_push *push,
	const struct manifest *manifest, const struct index *view, struct error *err)
{
	uint64_t most = (uint64_t)entity_repository(push->limits)->byte_quota;
	struct contents_size size;

	if (!contents_measure(
		    registry, str_of(push->name), view, manifest, &push->stored, push->bytes.len, &size, err))
		return false;
	if (!size.more || (size.there <= most && size.more <= most - size.there))
		return true;
	push->limit = REGISTRY_LIMIT_BYTES;
	return error_set(err, ERROR_DENIED, "DENIED",
		"the byteQuota of %.*s is %" PRIu64 " bytes: the repository holds %" PRIu64
		", and would hold %" PRIu64,
		ID_ARGS(push->limits), most, size.there, size.there + size.more);
}

bool repository_limits_allow_push(struct registry *registry, struct registry_push *push,
	const struct manifest *manifest, const struct index *view, struct error *err)
{
	push->limit = REGISTRY_LIMIT_NONE;
	return !push->limits || (allow_moves(push, view, err) && allow_tags(push, view, err) &&
					(!repository_limits_count_bytes(push->limits) ||
						allow_bytes(registry, push, manifest, view, err)));
}

/* ---- a blob ---- */

static bool refuse_blob(
	const struct entity *limits, uint64_t there, const struct registry_blob *blob, struct error *err)
{
	uint64_t most = (uint64_t)entity_repository(limits)->byte_quota;

	if (!blob->bytes)
		return error_set(err, ERROR_DENIED, "DENIED",
			"the byteQuota of %.*s is %" PRIu64 " bytes: the repository holds %" PRIu64
			", and would hold more",
			ID_ARGS(limits), most, there);
	return error_set(err, ERROR_DENIED, "DENIED",
		"the byteQuota of %.*s is %" PRIu64 " bytes: the repository holds %" PRIu64
		", and would hold %" PRIu64,
		ID_ARGS(limits), most, there, there + blob->bytes);
}

static bool is_there(struct registry *registry, const struct registry_blob *blob)
{
	struct error ignored;
	uint64_t size;

	return store_blob_size(registry->store, blob->name, blob->digest, &size, &ignored) ||
	       ignored.kind != ERROR_UNKNOWN;
}

static bool may_fit(struct registry *registry, const struct registry_blob *blob, uint64_t most,
	const struct contents_blob *counted)
{
	uint64_t room = most > counted->there ? most - counted->there : 0;

	if (blob->digest)
		return counted->is_counted || blob->bytes <= room || is_there(registry, blob);
	return blob->bytes ? blob->bytes <= room || blob->bytes <= counted->largest : room > 0;
}

bool repository_limits_allow_blob(struct registry *registry, const struct entity *limits,
	const struct registry_blob *blob, struct error *err)
{
	struct contents_blob counted;
	AUTO(index) *view = NULL;

	if (!repository_limits_count_bytes(limits) ||
		(!indexes_get(registry->indexes, blob->name, &view, err) && err->kind != ERROR_UNKNOWN))
		return true;
	if (!contents_look(registry, blob->name, view, blob->digest, &counted, err))
		return true;
	return may_fit(registry, blob, (uint64_t)entity_repository(limits)->byte_quota, &counted) ||
	       refuse_blob(limits, counted.there, blob, err);
}

/* ---- a removal ---- */

static bool allow_tag_removal(struct registry_removal *removal, struct str tag, struct error *err)
{
	if (!is_immutable(removal->limits, tag))
		return true;
	removal->limit = REGISTRY_LIMIT_IMMUTABLE;
	return refuse_change(removal->limits, tag, "only an admin may delete it", err);
}

static bool allow_digest_removal(
	struct registry_removal *removal, const struct index *view, struct error *err)
{
	const struct index_entry *entry;
	bool ok = true;

	for (size_t at = 0; ok && at < index_tags_len(view); at++) {
		entry = index_find_tag(view, str_of(index_tag_at(view, at)));
		if (digest_equal(&entry->descriptor.digest, &removal->reference.digest))
			ok = allow_tag_removal(removal, str_of(index_tag_at(view, at)), err);
	}
	return ok;
}

bool repository_limits_allow_removal(
	struct registry_removal *removal, const struct index *view, struct error *err)
{
	removal->limit = REGISTRY_LIMIT_NONE;
	if (!removal->limits || removal->by_admin || !entity_repository(removal->limits)->immutable_tags.len)
		return true;
	if (removal->reference.is_digest)
		return allow_digest_removal(removal, view, err);
	return !index_find_tag(view, str_of(removal->reference.tag)) ||
	       allow_tag_removal(removal, str_of(removal->reference.tag), err);
}
