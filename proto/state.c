/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state - for each kind an array of counted entities sorted by id, and the api keys once more,
 * sorted by the hashes of their secrets. A change is one linear merge of the old arrays with the few
 * entities that changed; nothing of the old state is touched.
 */
#include "proto/state.h"

#include <stdatomic.h>

#include "common/check.h"
#include "common/password.h"

struct entities {
	struct entity **at;
	size_t len;
};

/* What opens an API key, by its hash. */
struct secret {
	const char *hash; /* of the key's entity */
	struct entity *key;
};

struct secrets {
	struct secret *at;
	size_t len;
};

struct state {
	atomic_uint refs;
	uint64_t revision;
	struct history history;
	struct entities kinds[ENTITY_KINDS];
	struct secrets secrets; /* borrowed from kinds[ENTITY_APIKEY]; by hash */
	unsigned password_cost;
	struct entity_hash sum;
	uint8_t digest[STATE_DIGEST_BYTES]; /* the sum as bytes */
};

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
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++) {
		for (size_t i = 0; i < state->kinds[kind].len; i++)
			entity_free(state->kinds[kind].at[i]);
		free(state->kinds[kind].at);
	}
	free(state->secrets.at);
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

static const struct entities *of_kind(const struct state *state, enum entity_kind kind)
{
	CHECK((unsigned)kind < ENTITY_KINDS);
	return &state->kinds[kind];
}

size_t state_count(const struct state *state, enum entity_kind kind)
{
	return of_kind(state, kind)->len;
}

struct entity *state_at(const struct state *state, enum entity_kind kind, size_t at)
{
	const struct entities *entities = of_kind(state, kind);

	return at < entities->len ? entities->at[at] : NULL;
}

/* The first place whose id is not before `id`. */
static size_t place_of(const struct entities *entities, struct str id)
{
	size_t low = 0;
	size_t high = entities->len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (str_compare(entity_id(entities->at[middle]), id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct entity *find_in(const struct entities *entities, struct str id)
{
	size_t at = place_of(entities, id);

	return at < entities->len && str_equal(entity_id(entities->at[at]), id) ? entities->at[at] : NULL;
}

struct entity *state_find(const struct state *state, enum entity_kind kind, struct str id)
{
	return find_in(of_kind(state, kind), id);
}

size_t state_after(const struct state *state, enum entity_kind kind, struct str after)
{
	const struct entities *entities = of_kind(state, kind);
	size_t at = place_of(entities, after);

	return at < entities->len && str_equal(entity_id(entities->at[at]), after) ? at + 1 : at;
}

struct entity *state_find_secret(const struct state *state, struct str secret_hash_hex)
{
	size_t low = 0;
	size_t high = state->secrets.len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (str_compare(str_of(state->secrets.at[middle].hash), secret_hash_hex) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == state->secrets.len || !str_is(secret_hash_hex, state->secrets.at[low].hash))
		return NULL;
	return state->secrets.at[low].key;
}

unsigned state_password_cost(const struct state *state)
{
	return state->password_cost;
}

/* ---- changing ---- */

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

static void append(struct entities *into, struct entity *entity)
{
	into->at[into->len++] = entity;
}

/* What goes and what comes of the entities of a kind. */
static void count(struct entity_hash *sum, const struct entities *old, const struct entities *changes)
{
	for (size_t i = 0; i < changes->len; i++) {
		struct entity *gone = find_in(old, entity_id(changes->at[i]));

		if (gone)
			entity_hash_subtract(sum, entity_hash(gone));
		if (!entity_is_deleted(changes->at[i]))
			entity_hash_add(sum, entity_hash(changes->at[i]));
	}
}

static struct entities merge(const struct entities *old, const struct entities *changes)
{
	struct entities merged = { xnew_array(struct entity *, old->len + changes->len + 1), 0 };
	size_t at = 0;

	for (size_t i = 0; i < changes->len; i++) {
		struct entity *change = changes->at[i];
		int order = -1;

		while (at < old->len && (order = str_compare(entity_id(old->at[at]), entity_id(change))) < 0)
			append(&merged, entity_ref(old->at[at++]));
		if (at < old->len && !order)
			at++;
		if (!entity_is_deleted(change))
			append(&merged, entity_ref(change));
	}
	while (at < old->len)
		append(&merged, entity_ref(old->at[at++]));
	return merged;
}

static bool is_before(const struct secret *secret)
{
	return secret->hash == entity_apikey(secret->key)->secret_hash_before;
}

/* Of two keys with one secret, the one whose own it is comes first. */
static int secret_compare(const void *a, const void *b)
{
	const struct secret *x = a, *y = b;
	int order = strcmp(x->hash, y->hash);

	if (!order)
		order = is_before(x) - is_before(y);
	return order ? order : str_compare(entity_id(x->key), entity_id(y->key));
}

static void append_secret(struct secrets *into, struct entity *key, const char *hash)
{
	if (*hash)
		into->at[into->len++] = (struct secret){ hash, key };
}

static struct secrets sort_secrets(const struct entities *changes)
{
	struct secrets sorted = { xnew_array(struct secret, 2 * changes->len + 1), 0 };

	for (size_t i = 0; i < changes->len; i++) {
		struct entity *key = changes->at[i];

		if (entity_is_deleted(key))
			continue;
		append_secret(&sorted, key, entity_apikey(key)->secret_hash);
		append_secret(&sorted, key, entity_apikey(key)->secret_hash_before);
	}
	qsort(sorted.at, sorted.len, sizeof(*sorted.at), secret_compare);
	return sorted;
}

/* The old secrets without those of keys that changed, merged with the changed keys' secrets. */
static struct secrets merge_secrets(const struct secrets *old, const struct entities *changes)
{
	struct secrets sorted = sort_secrets(changes);
	struct secrets merged = { xnew_array(struct secret, old->len + sorted.len + 1), 0 };
	size_t next = 0;

	for (size_t i = 0; i < old->len; i++) {
		if (changes->len && find_in(changes, entity_id(old->at[i].key)))
			continue;
		while (next < sorted.len && secret_compare(&sorted.at[next], &old->at[i]) < 0)
			merged.at[merged.len++] = sorted.at[next++];
		merged.at[merged.len++] = old->at[i];
	}
	while (next < sorted.len)
		merged.at[merged.len++] = sorted.at[next++];
	free(sorted.at);
	return merged;
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

struct state *state_change(
	const struct state *old, struct entity *const *changed, size_t len, uint64_t revision)
{
	struct entities sorted = sort_changes(changed, len);
	struct state *state = state_new();

	state->revision = revision;
	state->history = old->history;
	state->sum = old->sum;
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++) {
		struct entities changes = run_of(&sorted, (enum entity_kind)kind);

		state->kinds[kind] = merge(&old->kinds[kind], &changes);
		if (kind == ENTITY_APIKEY)
			state->secrets = merge_secrets(&old->secrets, &changes);
		if (kind == ENTITY_USER)
			state->password_cost = most_expensive(old->password_cost, &changes);
		if (!entity_kind_is_leaders((enum entity_kind)kind))
			count(&state->sum, &old->kinds[kind], &changes);
	}
	entity_hash_put(state->sum, state->digest);
	free(sorted.at);
	return state;
}
