/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/auth/snapshot.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "proto/access.h"
#include "proto/patterns.h"
#include "proto/limits.h"
#include "worker/auth/snapshot_new.h"

#define DEPARTED_MAX 64

/* Groups that have quotas; snapshots of the same groups share it. */
struct limited {
	atomic_uint refs;
	size_t len;
	const struct entity *at[]; /* the state's */
};

struct snapshot_box {
	struct snapshot snapshot; /* first: what everybody sees */
	atomic_uint refs;
	struct limited *limited;
};

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
	struct snapshot_box *box = (struct snapshot_box *)snapshot;

	atomic_fetch_add_explicit(&box->refs, 1, memory_order_relaxed);
	return snapshot;
}

static void limited_free(struct limited *limited)
{
	if (limited && atomic_fetch_sub_explicit(&limited->refs, 1, memory_order_acq_rel) == 1)
		free(limited);
}

void snapshot_free(struct snapshot *snapshot)
{
	struct snapshot_box *box = (struct snapshot_box *)snapshot;

	if (!snapshot || atomic_fetch_sub_explicit(&box->refs, 1, memory_order_acq_rel) != 1)
		return;
	state_free(snapshot->state);
	ring_free(snapshot->ring);
	ring_free(snapshot->departed);
	access_free(snapshot->access);
	patterns_free(snapshot->repositories);
	limited_free(box->limited);
	free(box);
}

bool snapshot_is_shared(const struct snapshot *snapshot)
{
	return atomic_load_explicit(&((const struct snapshot_box *)snapshot)->refs, memory_order_acquire) > 1;
}

static struct snapshot *snapshot_box_new(void)
{
	struct snapshot_box *box = xnew(struct snapshot_box);

	atomic_init(&box->refs, 1);
	box->snapshot.self = RING_NOBODY;
	box->snapshot.lease_ms = LEASE_DEFAULT_MS;
	return &box->snapshot;
}

/* Those of the old one where they are the same: its values are the new state's, too. */
static struct patterns *repositories_of(const struct state *state, const struct snapshot *old)
{
	struct patterns *repositories;

	if (old && state_same_kind(old->state, state, ENTITY_REPOSITORY))
		return patterns_ref(old->repositories);
	repositories = patterns_new();
	for (size_t i = 0; i < state_count(state, ENTITY_REPOSITORY); i++) {
		struct entity *entity = state_at(state, ENTITY_REPOSITORY, i);

		(void)patterns_put(repositories, entity_id(entity), entity);
	}
	patterns_settle(repositories);
	return repositories;
}

const struct entity *snapshot_limits(const struct snapshot *snapshot, struct str name)
{
	return patterns_find(snapshot->repositories, name);
}

static struct limited *limited_new(const struct state *state)
{
	size_t len = state_count(state, ENTITY_GROUP);
	struct limited *limited = check_alloc(1, sizeof(*limited) + len * sizeof(*limited->at));

	atomic_init(&limited->refs, 1);
	for (size_t i = 0; i < len; i++) {
		const struct entity *group = state_at(state, ENTITY_GROUP, i);
		if (limits_has_any(group))
			limited->at[limited->len++] = group;
	}
	return limited;
}

/* A call asks each of these whether its user is in it: mostly there are none. The old one's where the groups are the same: they are the new
 * state's, too. */
static void find_limited(struct snapshot *snapshot, const struct snapshot *old)
{
	struct snapshot_box *box = (struct snapshot_box *)snapshot;

	if (old && state_same_kind(old->state, snapshot->state, ENTITY_GROUP)) {
		box->limited = ((const struct snapshot_box *)old)->limited;
		atomic_fetch_add_explicit(&box->limited->refs, 1, memory_order_relaxed);
	} else {
		box->limited = limited_new(snapshot->state);
	}
	snapshot->limited = box->limited->at;
	snapshot->limited_len = box->limited->len;
}

/* Who may do what, and what may be where, with the state that is there. old: or NULL. */
static bool obey(struct snapshot *snapshot, const struct snapshot *old, const struct snapshot_rules *rules,
	struct error *err)
{
	bool somebody = rules->led || rules->htpasswd || rules->certificates;

	snapshot->repositories = repositories_of(snapshot->state, old);
	find_limited(snapshot, old);
	snapshot->auth_required = somebody || rules->access_control;
	snapshot->rules_version = rules->version;
	if (old && old->rules_version == rules->version && access_obeys(old->access, snapshot->state)) {
		snapshot->access = access_ref(old->access);
		return true;
	}
	if (old && old->rules_version == rules->version)
		snapshot->access = access_new_over(old->access, snapshot->state);
	return snapshot->access ||
	       access_new(&snapshot->access, rules->access_control, snapshot->state, !somebody, err);
}

/* Takes over the ring's reference. */
bool snapshot_new_plain(struct snapshot **ret_snapshot, struct ring *ring, int self,
	const struct snapshot_rules *rules, bool isolated, struct error *err)
{
	AUTO(snapshot) *snapshot = snapshot_box_new();

	snapshot->ring = ring;
	snapshot->self = self;
	snapshot->isolated = isolated;
	snapshot->state = state_new();
	if (!obey(snapshot, NULL, rules, err))
		return false;
	*ret_snapshot = TAKE(snapshot);
	return true;
}

bool snapshot_new_rules(struct snapshot **ret_snapshot, const struct snapshot *old,
	const struct snapshot_rules *rules, struct error *err)
{
	AUTO(snapshot) *snapshot = snapshot_box_new();

	snapshot->state = state_ref(old->state);
	snapshot->ring = ring_ref(old->ring);
	snapshot->departed = old->departed ? ring_ref(old->departed) : NULL;
	snapshot->self = old->self;
	snapshot->isolated = old->isolated;
	snapshot->lease_ms = old->lease_ms;
	snapshot->peers = old->peers;
	if (!obey(snapshot, NULL, rules, err))
		return false;
	*ret_snapshot = TAKE(snapshot);
	return true;
}

static bool ring_from_state(const struct state *state, struct ring **ret_ring, struct error *err)
{
	static const uint8_t no_key[16];
	const struct entity *entity = state_find(state, ENTITY_RING, STR("ring"));
	struct ring_member members[RING_MEMBERS_MAX];
	const struct ring_body *body;
	uint8_t key[16];

	if (!entity)
		return ring_new(ret_ring, 0, RING_SLOTS_RENDEZVOUS, no_key, NULL, 0, err);
	body = entity_ring(entity);
	if (body->members_len > RING_MEMBERS_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL, "a ring of %zu members", body->members_len);
	if (!str_unhex(str_of(body->hash_key), key, sizeof(key)))
		return error_set(err, ERROR_INVALID, NULL, "the ring's hash key is not 32 hex digits");
	for (size_t i = 0; i < body->members_len; i++)
		members[i] = (struct ring_member){ .id = body->members[i].id,
			.url = body->members[i].url,
			.tenants = body->members[i].tenants,
			.active = !strcmp(body->members[i].state, "active") };
	return ring_new(
		ret_ring, (uint64_t)body->epoch, RING_SLOTS_RENDEZVOUS, key, members, body->members_len, err);
}

/* Those of `from` that the ring has not, behind the others. */
static size_t add_departed(
	const struct ring *ring, const struct ring *from, struct ring_member *members, size_t len)
{
	for (size_t i = 0; from && i < ring_len(from) && len < DEPARTED_MAX; i++) {
		struct ring_member member = *ring_at(from, i);
		bool known = ring_find(ring, str_of(member.id)) != RING_NOBODY;

		for (size_t k = 0; k < len && !known; k++)
			known = !strcmp(members[k].id, member.id);
		member.active = false;
		if (!known)
			members[len++] = member;
	}
	return len;
}

static bool find_departed(struct snapshot *snapshot, const struct snapshot *old, struct error *err)
{
	static const uint8_t no_key[16];
	struct ring_member members[DEPARTED_MAX];
	size_t len;

	if (!old)
		return true;
	if (old->ring == snapshot->ring) {
		snapshot->departed = old->departed ? ring_ref(old->departed) : NULL;
		return true;
	}
	len = add_departed(snapshot->ring, old->ring, members, 0);
	len = add_departed(snapshot->ring, old->departed, members, len);
	return !len || ring_new(&snapshot->departed, 0, RING_SLOTS_RENDEZVOUS, no_key, members, len, err);
}

static void settings_from_state(const struct state *state, struct snapshot *snapshot)
{
	const struct entity *entity = state_find(state, ENTITY_SETTINGS, STR("cluster"));

	if (!entity)
		return;
	snapshot->isolated = entity_settings(entity)->isolated;
	snapshot->lease_ms = entity_settings(entity)->lease_ms;
}

bool snapshot_new_state(struct snapshot **ret_snapshot, struct state *state, const char *self,
	const struct snapshot *old, const struct snapshot_rules *rules, struct error *err)
{
	AUTO(snapshot) *snapshot = snapshot_box_new();
	const struct entity *ring = state_find(state, ENTITY_RING, STR("ring"));

	snapshot->state = state_ref(state);
	settings_from_state(state, snapshot);
	if (old && ring && state_find(old->state, ENTITY_RING, STR("ring")) == ring)
		snapshot->ring = ring_ref(old->ring);
	else if (!ring_from_state(state, &snapshot->ring, err))
		return false;
	if (!find_departed(snapshot, old, err))
		return false;
	if (ring && !rules->own_peer_key)
		snapshot->peers = peer_keys_of(entity_ring(ring));
	snapshot->self = ring_find(snapshot->ring, str_of(self));
	if (!obey(snapshot, old, rules, err))
		return false;
	*ret_snapshot = TAKE(snapshot);
	return true;
}

bool snapshot_is_drained(const struct snapshot *snapshot)
{
	return snapshot->self != RING_NOBODY && !ring_at(snapshot->ring, (size_t)snapshot->self)->active;
}
