/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/retention_rules.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/lock.h"
#include "proto/entity.h"
#include "proto/patterns.h"
#include "worker/cluster/cluster.h"
#include "worker/registry/registry.h"
#include "worker/settings_retention.h"
#include "worker/settings_roots.h"

struct root {
	const char *component;       /* NULL: the first one */
	struct retention *retention; /* counted, or NULL */
	int64_t delay_ms;
};

struct retention_rules {
	struct cluster *cluster;
	const struct registry *registry;
	bool gc;
	size_t roots_len;
	struct root roots[SETTINGS_SUBS_MAX + 1];
	struct lock lock; /* of all below, and of what roots have */
	uint64_t version;
	bool of_entities;      /* one of those has a retention: */
	struct patterns *seen; /* that the version is of; held, so that no others lie where they did */
};

/* ---- of the settings ---- */

static const struct worker_settings *settings_by(
	const struct worker_settings *settings, const char *component)
{
	for (size_t i = 0; component && i < settings->subs_len; i++)
		if (!strcmp(settings->subs[i].sub_path, component))
			return &settings->subs[i];
	return component ? NULL : settings;
}

static void read_locked(struct retention_rules *rules, const struct worker_settings *settings)
{
	for (size_t i = 0; i < rules->roots_len; i++) {
		struct root *root = &rules->roots[i];
		const struct worker_settings *own = settings_by(settings, root->component);

		if (!own)
			continue;
		retention_free(TAKE(root->retention));
		CHECK(settings_retention(own, &root->retention, NULL));
		root->delay_ms = own->gc_delay_ms;
	}
	rules->version++;
}

struct retention_rules *retention_rules_new(
	struct cluster *cluster, const struct registry *registry, const struct worker_settings *settings)
{
	struct retention_rules *rules = xnew(struct retention_rules);

	lock_init(&rules->lock);
	rules->cluster = cluster;
	rules->registry = registry;
	rules->gc = settings->gc;
	rules->roots_len = 1 + settings->subs_len;
	for (size_t i = 0; i < settings->subs_len; i++)
		rules->roots[1 + i].component = settings->subs[i].sub_path;
	retention_rules_set(rules, settings);
	return rules;
}

void retention_rules_set(struct retention_rules *rules, const struct worker_settings *settings)
{
	lock_take(&rules->lock);
	read_locked(rules, settings);
	lock_drop(&rules->lock);
}

void retention_rules_free(struct retention_rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->roots_len; i++)
		retention_free(rules->roots[i].retention);
	patterns_free(rules->seen);
	lock_fini(&rules->lock);
	free(rules);
}

/* A name of one component lies in the first root, as zot has it. */
static const struct root *root_of(const struct retention_rules *rules, struct str name)
{
	struct str rest = name, component;

	if (str_until(&rest, '/', &component))
		for (size_t i = 1; i < rules->roots_len; i++)
			if (str_is(component, rules->roots[i].component))
				return &rules->roots[i];
	return &rules->roots[0];
}

/* ---- what the chore asks ---- */

static bool has_own(const struct patterns *repositories)
{
	void *entity;

	for (size_t at = 0; repositories && patterns_next(repositories, &at, &entity);)
		if (*entity_repository(entity)->retention)
			return true;
	return false;
}

static void see_locked(struct retention_rules *rules, struct patterns *repositories)
{
	if (repositories == rules->seen)
		return;
	patterns_free(rules->seen);
	rules->seen = repositories ? patterns_ref(repositories) : NULL;
	rules->of_entities = has_own(repositories);
	rules->version++;
}

static bool any_locked(const struct retention_rules *rules)
{
	bool any = rules->of_entities;

	for (size_t i = 0; i < rules->roots_len; i++)
		any = any || rules->roots[i].retention;
	return any;
}

static bool is_on(void *arg)
{
	struct retention_rules *rules = arg;
	AUTO(snapshot) *snapshot = cluster_snapshot(rules->cluster);
	bool any;

	lock_take(&rules->lock);
	see_locked(rules, snapshot->repositories);
	any = any_locked(rules);
	lock_drop(&rules->lock);
	return rules->gc && any && cluster_ownership(rules->cluster) &&
	       cluster_lease_left_ms(rules->cluster) > 0;
}

/* Where each member has a storage of its own, what went to another one lies here still for a while. */
static bool is_ours(void *arg, struct str name)
{
	const struct retention_rules *rules = arg;
	const struct registry *registry = rules->registry;

	return cluster_owns(rules->cluster, name) && cluster_lease_left_ms(rules->cluster) > 0 &&
	       !(registry->is_away && registry->is_away(registry->away_arg, name));
}

static uint64_t version_of(void *arg)
{
	struct retention_rules *rules = arg;
	uint64_t version;

	lock_take(&rules->lock);
	version = rules->version;
	lock_drop(&rules->lock);
	return version;
}

static bool open_source(void *arg, struct str name, struct retention_source *ret, struct error *err)
{
	struct retention_rules *rules = arg;
	AUTO(snapshot) *snapshot = cluster_snapshot(rules->cluster);
	const struct entity *limits = snapshot_limits(snapshot, name);
	const char *own = limits ? entity_repository(limits)->retention : "";
	const struct root *root = root_of(rules, name);
	struct retention *retention = NULL;

	if (*own && !retention_new_of_entity(&retention, str_of(own), err))
		return error_add(err, "retention of the repository's entity");
	lock_take(&rules->lock);
	if (!*own && root->retention)
		retention = retention_ref(root->retention);
	*ret = (struct retention_source){
		.retention = retention, .delay_ms = root->delay_ms, .limits = limits
	};
	lock_drop(&rules->lock);
	ret->held = TAKE(snapshot);
	return true;
}

static void close_source(void *arg, struct retention_source *source)
{
	(void)arg;
	retention_free(source->retention);
	snapshot_free(source->held);
}

struct retention_whose retention_rules_whose(struct retention_rules *rules)
{
	return (struct retention_whose){ .is_on = is_on,
		.is_ours = is_ours,
		.version = version_of,
		.open = open_source,
		.close = close_source,
		.arg = rules };
}
