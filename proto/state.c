/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state - for each kind a tree of entities by id, and the api keys twice more, by the hashes of their secrets. A change puts the few
 * entities that changed into trees that share the rest with the old ones; nothing of the old state is touched.
 */
#include "proto/state.h"

#include <stdatomic.h>

#include "common/check.h"
#include "common/password.h"
#include "proto/entity_tree.h"

struct state {
	atomic_uint refs;
	uint64_t revision;
	struct history history;
	struct entity_tree *kinds[ENTITY_KINDS];
	struct entity_tree *secrets, *secrets_before; /* of the API keys those that have one */
	unsigned password_cost;
	size_t admins, bytes;
	struct entity_hash sum;
	uint8_t digest[STATE_DIGEST_BYTES]; /* the sum as bytes */
};

static struct str own_secret(const struct entity *key)
{
	return str_of(entity_apikey(key)->secret_hash);
}

static struct str secret_before(const struct entity *key)
{
	return str_of(entity_apikey(key)->secret_hash_before);
}

static const struct entity_order by_id = { entity_id }, by_secret = { own_secret },
				 by_secret_before = { secret_before };

/* ---- life ---- */

struct state *state_new(void)
{
	struct state *state = xnew(struct state);

	atomic_init(&state->refs, 1);
	return state;
}

struct state *state_ref(struct state *state)
{
	if (state)
		atomic_fetch_add_explicit(&state->refs, 1, memory_order_relaxed);
	return state;
}

void state_free(struct state *state)
{
	if (!state || atomic_fetch_sub_explicit(&state->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		entity_tree_free(state->kinds[kind]);
	entity_tree_free(state->secrets);
	entity_tree_free(state->secrets_before);
	free(state);
}

/* ---- looking ---- */

uint64_t state_revision(const struct state *state)
{
	return state->revision;
}

const uint8_t *state_digest(const struct state *state)
{
	return state->digest;
}

void state_digest_hex(const struct state *state, char into[STATE_DIGEST_TEXT])
{
	str_hex(state->digest, sizeof(state->digest), into);
}

bool state_is(const struct state *state, uint64_t revision, const uint8_t digest[STATE_DIGEST_BYTES])
{
	return state->revision == revision && memcmp(state->digest, digest, sizeof(state->digest)) == 0;
}

const struct history *state_history(const struct state *state)
{
	return &state->history;
}

void state_set_history(struct state *state, const struct history *history)
{
	CHECK(atomic_load_explicit(&state->refs, memory_order_relaxed) == 1);
	state->history = *history;
}

bool state_same(const struct state *a, const struct state *b)
{
	return state_is(a, b->revision, b->digest);
}

static const struct entity_tree *of_kind(const struct state *state, enum entity_kind kind)
{
	CHECK((unsigned)kind < ENTITY_KINDS);
	return state->kinds[kind];
}

bool state_same_kind(const struct state *a, const struct state *b, enum entity_kind kind)
{
	return of_kind(a, kind) == of_kind(b, kind);
}

struct state *state_only(const struct state *state, unsigned kinds)
{
	struct state *only = state_new();

	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		if (kinds & 1u << kind)
			only->kinds[kind] = entity_tree_ref(state->kinds[kind]);
	return only;
}

size_t state_count(const struct state *state, enum entity_kind kind)
{
	return entity_tree_len(of_kind(state, kind));
}

struct entity *state_at(const struct state *state, enum entity_kind kind, size_t at)
{
	return entity_tree_at(of_kind(state, kind), at);
}

static struct entity *find_in(const struct entity_tree *tree, struct str id)
{
	struct entity *found = entity_tree_at(tree, entity_tree_place(tree, &by_id, id, id));

	return found && str_equal(entity_id(found), id) ? found : NULL;
}

struct entity *state_find(const struct state *state, enum entity_kind kind, struct str id)
{
	return find_in(of_kind(state, kind), id);
}

size_t state_after(const struct state *state, enum entity_kind kind, struct str after)
{
	const struct entity_tree *tree = of_kind(state, kind);
	size_t place = entity_tree_place(tree, &by_id, after, after);
	const struct entity *there = entity_tree_at(tree, place);

	return there && str_equal(entity_id(there), after) ? place + 1 : place;
}

size_t state_admins(const struct state *state)
{
	return state->admins;
}

size_t state_entities(const struct state *state)
{
	size_t len = 0;

	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		len += entity_tree_len(state->kinds[kind]);
	return len;
}

size_t state_bytes(const struct state *state)
{
	return state->bytes;
}

/* The first that has this secret. */
static struct entity *find_secret_in(
	const struct entity_tree *tree, const struct entity_order *order, struct str hash)
{
	struct entity *found = entity_tree_at(tree, entity_tree_place(tree, order, hash, STR_NONE));

	return found && str_equal(order->key(found), hash) ? found : NULL;
}

/* Of two keys with one secret, the one whose own it is comes first. */
struct entity *state_find_secret(const struct state *state, struct str secret_hash_hex)
{
	struct entity *found;

	if (!secret_hash_hex.len)
		return NULL;
	found = find_secret_in(state->secrets, &by_secret, secret_hash_hex);
	return found ? found : find_secret_in(state->secrets_before, &by_secret_before, secret_hash_hex);
}

unsigned state_password_cost(const struct state *state)
{
	return state->password_cost;
}

/* ---- changing ---- */

struct entities {
	struct entity **at;
	size_t len;
};

struct change {
	struct entity *entity;
	size_t order; /* place in the caller's list */
};

static int change_compare(const void *a, const void *b)
{
	const struct change *x = a;
	const struct change *y = b;
	int order = (int)entity_kind(x->entity) - (int)entity_kind(y->entity);

	if (!order)
		order = str_compare(entity_id(x->entity), entity_id(y->entity));
	if (!order)
		order = (x->order > y->order) - (x->order < y->order);
	return order;
}

static bool same_name(const struct entity *a, const struct entity *b)
{
	return entity_kind(a) == entity_kind(b) && str_equal(entity_id(a), entity_id(b));
}

/* The changed entities by (kind, id), of two with one name the later. All borrowed. */
static struct entities sort_changes(struct entity *const *changed, size_t len)
{
	struct change *changes = xnew_array(struct change, len + 1);
	struct entities sorted = { xnew_array(struct entity *, len + 1), 0 };

	for (size_t i = 0; i < len; i++)
		changes[i] = (struct change){ changed[i], i };
	qsort(changes, len, sizeof(*changes), change_compare);
	for (size_t i = 0; i < len; i++) {
		if (i + 1 == len || !same_name(changes[i].entity, changes[i + 1].entity))
			sorted.at[sorted.len++] = changes[i].entity;
	}
	free(changes);
	return sorted;
}

/* The run of one kind in a list sorted by kind. */
static struct entities run_of(const struct entities *sorted, enum entity_kind kind)
{
	size_t start = 0;
	size_t end;

	while (start < sorted->len && entity_kind(sorted->at[start]) < kind)
		start++;
	for (end = start; end < sorted->len && entity_kind(sorted->at[end]) == kind;)
		end++;
	return (struct entities){ sorted->at + start, end - start };
}

static void remove_key(struct state *state, const struct entity *key)
{
	entity_tree_remove(&state->secrets, &by_secret, own_secret(key), entity_id(key));
	entity_tree_remove(&state->secrets_before, &by_secret_before, secret_before(key), entity_id(key));
}

static void put_key(struct state *state, struct entity *key)
{
	if (own_secret(key).len)
		entity_tree_put(&state->secrets, &by_secret, key);
	if (secret_before(key).len)
		entity_tree_put(&state->secrets_before, &by_secret_before, key);
}

static void change_keys(struct state *state, const struct entity *gone, struct entity *came)
{
	if (gone)
		remove_key(state, gone);
	if (came)
		put_key(state, came);
}

static void change_sum(struct entity_hash *sum, struct entity *gone, struct entity *came)
{
	if (gone)
		entity_hash_subtract(sum, entity_hash(gone));
	if (came)
		entity_hash_add(sum, entity_hash(came));
}

static bool is_admin(const struct entity *user)
{
	return user && entity_user(user)->enabled && texts_have(&entity_user(user)->roles, STR("admin"));
}

static void change_counts(
	struct state *state, enum entity_kind kind, struct entity *gone, struct entity *came)
{
	if (kind == ENTITY_USER)
		state->admins = state->admins + is_admin(came) - is_admin(gone);
	state->bytes += came ? entity_bytes(came) : 0;
	state->bytes -= gone ? entity_bytes(gone) : 0;
}

/* The entity, or the tombstone, takes the place of what has its name. */
static void change_one(struct state *state, enum entity_kind kind, struct entity *changed)
{
	struct entity_tree **tree = &state->kinds[kind];
	AUTO(entity) *gone = entity_ref(find_in(*tree, entity_id(changed)));
	struct entity *came = entity_is_deleted(changed) ? NULL : changed;

	if (came)
		entity_tree_put(tree, &by_id, came);
	else
		entity_tree_remove(tree, &by_id, entity_id(changed), entity_id(changed));
	if (kind == ENTITY_APIKEY)
		change_keys(state, gone, came);
	change_counts(state, kind, gone, came);
	if (!entity_kind_is_leaders(kind))
		change_sum(&state->sum, gone, came);
}

static unsigned most_expensive(unsigned cost, const struct entities *users)
{
	for (size_t i = 0; i < users->len; i++) {
		const struct entity *user = users->at[i];
		unsigned own =
			entity_is_deleted(user) ? 0 : password_cost(str_of(entity_user(user)->password_hash));

		if (own > cost)
			cost = own;
	}
	return cost;
}

static struct state *copy(const struct state *old)
{
	struct state *state = state_new();

	state->history = old->history;
	state->sum = old->sum;
	state->admins = old->admins;
	state->bytes = old->bytes;
	state->password_cost = old->password_cost;
	state->secrets = entity_tree_ref(old->secrets);
	state->secrets_before = entity_tree_ref(old->secrets_before);
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		state->kinds[kind] = entity_tree_ref(old->kinds[kind]);
	return state;
}

struct state *state_change(
	const struct state *old, struct entity *const *changed, size_t len, uint64_t revision)
{
	struct entities sorted = sort_changes(changed, len);
	struct entities users = run_of(&sorted, ENTITY_USER);
	struct state *state = copy(old);

	state->revision = revision;
	state->password_cost = most_expensive(old->password_cost, &users);
	for (size_t i = 0; i < sorted.len; i++)
		change_one(state, entity_kind(sorted.at[i]), sorted.at[i]);
	entity_hash_put(state->sum, state->digest);
	free(sorted.at);
	return state;
}
