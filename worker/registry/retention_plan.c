/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/retention_plan.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/map.h"
#include "worker/registry/manifest_walk.h"
#include "worker/registry/registry.h"
#include "worker/registry/repository_limits.h"
#include "worker/registry/retention_facts.h"

#define LINKS_FIRST 1024

struct reading {
	struct retention_plan *plan;
	const struct registry *registry;
	struct map *rows; /* digest -> its row and one */
	size_t links_len, links_room;
	bool too_many;
};

static struct str key_of(const struct digest *digest)
{
	return str_from(digest->raw, hash_size(digest->alg));
}

static size_t row_of(const struct reading *reading, const struct digest *digest)
{
	void *found = map_find(reading->rows, key_of(digest));

	return found ? (size_t)(uintptr_t)found - 1 : RETENTION_GONE;
}

/* ---- manifests ---- */

static void read_manifests(struct reading *reading)
{
	struct retention_plan *plan = reading->plan;

	for (size_t i = 0; i < plan->manifests_len; i++) {
		const struct index_entry *entry = index_at(plan->view, i);

		plan->manifests[i].digest = entry->descriptor.digest;
		plan->manifests[i].facts = retention_facts_of(reading->registry, plan->view, entry, NULL);
		(void)map_put(reading->rows, key_of(&entry->descriptor.digest), (void *)(uintptr_t)(i + 1));
	}
	for (size_t i = 0; i < plan->manifests_len; i++) {
		const struct descriptor *descriptor = &index_at(plan->view, i)->descriptor;

		plan->manifests[i].subject =
			descriptor->has_subject ? row_of(reading, &descriptor->subject) : RETENTION_NONE;
	}
}

static void grow_links(struct reading *reading)
{
	size_t room = reading->links_room ? 2 * reading->links_room : LINKS_FIRST;
	size_t *links = xnew_array(size_t, room);

	if (reading->links_len)
		memcpy(links, reading->plan->links, reading->links_len * sizeof(*links));
	free(reading->plan->links);
	reading->plan->links = links;
	reading->links_room = room;
}

static bool add_link(struct reading *reading, size_t row)
{
	if (reading->links_len == RETENTION_LINKS_MAX)
		return false;
	if (reading->links_len == reading->links_room)
		grow_links(reading);
	reading->plan->links[reading->links_len++] = row;
	return true;
}

/* Where they begin is known when all lie where they will stay: set_links(). */
static bool read_links(void *arg, const struct index_entry *entry, const struct manifest *manifest)
{
	struct reading *reading = arg;
	size_t parent = row_of(reading, &entry->descriptor.digest);
	size_t begin = reading->links_len;

	for (size_t i = 0; i < manifest->manifests_len && !reading->too_many; i++) {
		size_t child = row_of(reading, &manifest->manifests[i].digest);

		if (child != RETENTION_GONE)
			reading->too_many = !add_link(reading, child);
	}
	reading->plan->manifests[parent].children_len = reading->links_len - begin;
	return !reading->too_many;
}

/* The walk was in the order of rows. */
static void set_links(struct retention_plan *plan)
{
	size_t at = 0;

	for (size_t i = 0; i < plan->manifests_len; i++) {
		plan->manifests[i].children = plan->links + at;
		at += plan->manifests[i].children_len;
	}
}

/* ---- tags ---- */

static void read_tags(struct reading *reading, const struct entity *limits)
{
	struct retention_plan *plan = reading->plan;

	for (size_t i = 0; i < plan->tags_len; i++) {
		struct retention_tag *tag = &plan->tags[i];
		const struct index_entry *entry;
		struct digest subject;

		tag->name = index_tag_at(plan->view, i);
		entry = index_find_tag(plan->view, str_of(tag->name));
		tag->manifest = row_of(reading, &entry->descriptor.digest);
		tag->subject = retention_tag_subject(str_of(tag->name), &subject) ? row_of(reading, &subject)
										  : RETENTION_NONE;
		tag->immutable = repository_limits_is_immutable(limits, str_of(tag->name));
		tag->facts = retention_facts_of(reading->registry, plan->view, entry, tag->name);
	}
}

/* ---- the whole ---- */

static bool read_all(struct reading *reading, struct registry *registry, struct str name,
	const struct entity *limits, struct error *err)
{
	struct retention_plan *plan = reading->plan;

	read_manifests(reading);
	if (!manifest_walk(
		    registry, name, plan->view, NULL, manifest_entry_is_index, read_links, reading, err))
		return false;
	if (reading->too_many)
		return error_set(err, ERROR_TOO_LARGE, NULL, "its indexes name more than %d manifests",
			RETENTION_LINKS_MAX);
	set_links(plan);
	read_tags(reading, limits);
	return true;
}

static void make_rows(struct retention_plan *plan)
{
	plan->tags_len = index_tags_len(plan->view);
	plan->manifests_len = index_len(plan->view);
	plan->tags = xnew_array(struct retention_tag, plan->tags_len + 1);
	plan->manifests = xnew_array(struct retention_manifest, plan->manifests_len + 1);
	plan->tag_verdicts = xnew_array(struct retention_verdict, plan->tags_len + 1);
	plan->manifest_verdicts = xnew_array(struct retention_verdict, plan->manifests_len + 1);
}

bool retention_plan_new(struct retention_plan **ret, struct registry *registry, struct str name,
	const struct retention_terms *terms, const struct entity *limits, int64_t now_ms, struct error *err)
{
	AUTO(retention_plan) *plan = xnew(struct retention_plan);
	AUTO(map) *rows = map_new();
	struct reading reading = { .plan = plan, .registry = registry, .rows = rows };
	struct retention_repository repository;

	plan->terms = *terms;
	if (!registry_index(registry, name, &plan->view, err))
		return false;
	make_rows(plan);
	if (!read_all(&reading, registry, name, limits, err))
		return false;
	repository = (struct retention_repository){ plan->tags, plan->tags_len, plan->manifests,
		plan->manifests_len };
	retention_decide(&plan->terms, &repository, now_ms, plan->tag_verdicts, plan->manifest_verdicts);
	*ret = TAKE(plan);
	return true;
}

void retention_plan_free(struct retention_plan *plan)
{
	if (!plan)
		return;
	index_free(plan->view);
	free(plan->tags);
	free(plan->manifests);
	free(plan->tag_verdicts);
	free(plan->manifest_verdicts);
	free(plan->links);
	free(plan);
}
