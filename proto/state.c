/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state - for each kind a tree of entities by id, and the api keys twice more, by the hashes of their secrets. A change puts the few
 * entities that changed into trees that share the rest with the old ones; nothing of the old state is touched.
 */
#include "proto/state.h"

#include <stdatomic.h>

#include "common/check.h"
#include "common/gentle.h"
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

static struct entity_list list_of(const struct entity_tree *tree)
{
	size_t len = entity_tree_len(tree);
	struct entity_list list = { xnew_array(struct entity *, len + 1), len };

	entity_tree_list(tree, list.at);
	return list;
}

/* The first that is not in both, or has not the same in both; the same ones are passed over without a look at them. */
static bool next_other(
	const struct entity_list *a, const struct entity_list *b, size_t *i, size_t *j, struct str *ret)
{
	int order;

	while (*i < a->len && *j < b->len && a->at[*i] == b->at[*j]) {
		++*i;
		++*j;
	}
	if (*i == a->len && *j == b->len)
		return false;
	order = *i == a->len   ? 1
		: *j == b->len ? -1
			       : str_compare(entity_id(a->at[*i]), entity_id(b->at[*j]));
	*ret = entity_id(order <= 0 ? a->at[*i] : b->at[*j]);
	*i += order <= 0;
	*j += order >= 0;
	return true;
}

bool state_differ(const struct state *a, const struct state *b, enum entity_kind kind, struct str *into,
	size_t most, size_t *ret_len)
{
	struct entity_list all_a = list_of(of_kind(a, kind)), all_b = list_of(of_kind(b, kind));
	size_t i = 0, j = 0, len = 0;
	struct str id;
	bool few = true;

	while (few && next_other(&all_a, &all_b, &i, &j, &id)) {
		few = len < most;
		if (few)
			into[len++] = id;
	}
	free(all_a.at);
	free(all_b.at);
	*ret_len = len;
	return few;
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
	struct entity *found = entity_tree_find(tree, &by_id, id, id);

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
	struct entity *found = entity_tree_find(tree, order, hash, STR_NONE);

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

/* The changed entities by (kind, id), of two with one name the later: a list for each kind. All borrowed. */
static struct entity_list *sort_changes(struct entity *const *changed, size_t len)
{
	struct entity_list *lists = xnew_array(struct entity_list, ENTITY_KINDS);
	size_t counts[ENTITY_KINDS] = { 0 }, kept;

	for (size_t i = 0; i < len; i++)
		counts[entity_kind(changed[i])]++;
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		if (counts[kind])
			lists[kind].at = xnew_array(struct entity *, counts[kind]);
	for (size_t i = 0; i < len; i++) {
		struct entity_list *list = &lists[entity_kind(changed[i])];
		list->at[list->len++] = changed[i];
	}
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++) {
		struct entity_list *list = &lists[kind];

		entity_list_sort(list, &by_id);
		kept = 0;
		for (size_t i = 0; i < list->len; i++)
			if (i + 1 == list->len ||
				!str_equal(entity_id(list->at[i]), entity_id(list->at[i + 1])))
				list->at[kept++] = list->at[i];
		list->len = kept;
	}
	return lists;
}

static void free_lists(struct entity_list *lists)
{
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		free(lists[kind].at);
	free(lists);
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

/* What goes out of the trees, and what comes into them. */
struct exchange {
	struct entity_list gone, came;
};

static struct exchange exchange_new(size_t most)
{
	return (struct exchange){ .gone.at = xnew_array(struct entity *, most + 1),
		.came.at = xnew_array(struct entity *, most + 1) };
}

static void exchange_fini(struct exchange *exchange)
{
	free(exchange->gone.at);
	free(exchange->came.at);
}

/* Those of a list that have a key in this order, sorted by it. */
static struct entity_list with_key(const struct entity_list *list, const struct entity_order *order)
{
	struct entity_list some = { xnew_array(struct entity *, list->len + 1), 0 };

	for (size_t i = 0; i < list->len; i++)
		if (order->key(list->at[i]).len)
			some.at[some.len++] = list->at[i];
	entity_list_sort(&some, order);
	return some;
}

static void change_tree_of_keys(
	struct entity_tree **tree, const struct entity_order *order, const struct exchange *exchange)
{
	struct exchange keyed = { with_key(&exchange->gone, order), with_key(&exchange->came, order) };

	entity_tree_merge(tree, order, &keyed.gone, &keyed.came);
	exchange_fini(&keyed);
}

/* Entities, and tombstones, take the places of what has their names. What is gone is held until it is out of all trees. */
static void change_kind(struct state *state, enum entity_kind kind, const struct entity_list *changed)
{
	struct exchange exchange = exchange_new(changed->len);
	struct entity_tree *before = entity_tree_ref(state->kinds[kind]);

	for (size_t i = 0; i < changed->len; i++) {
		gentle_step();
		struct entity *gone = find_in(before, entity_id(changed->at[i]));
		struct entity *came = entity_is_deleted(changed->at[i]) ? NULL : changed->at[i];

		if (gone)
			exchange.gone.at[exchange.gone.len++] = gone;
		if (came)
			exchange.came.at[exchange.came.len++] = came;
		change_counts(state, kind, gone, came);
		if (!entity_kind_is_leaders(kind))
			change_sum(&state->sum, gone, came);
	}
	entity_tree_merge(&state->kinds[kind], &by_id, &exchange.gone, &exchange.came);
	if (kind == ENTITY_APIKEY) {
		change_tree_of_keys(&state->secrets, &by_secret, &exchange);
		change_tree_of_keys(&state->secrets_before, &by_secret_before, &exchange);
	}
	exchange_fini(&exchange);
	entity_tree_free(before);
}

static unsigned most_expensive(unsigned cost, const struct entity_list *users)
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
	struct entity_list *lists = sort_changes(changed, len);
	struct state *state = copy(old);

	state->revision = revision;
	state->password_cost = most_expensive(old->password_cost, &lists[ENTITY_USER]);
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		if (lists[kind].len)
			change_kind(state, (enum entity_kind)kind, &lists[kind]);
	entity_hash_put(state->sum, state->digest);
	free_lists(lists);
	return state;
}
