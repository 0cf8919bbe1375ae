/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/usage_by.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/least.h"
#include "common/map.h"
#include "leader/leader.h"

struct sum {
	char *name;
	uint64_t keys, calls, bytes_in, bytes_out;
};

/* Names of groups, borrowed from the state. */
struct named {
	const char **at;
	size_t len;
};

struct summing {
	const struct usage_by *asked;
	const struct state *state;
	struct map *named; /* user -> struct named: the groups whose entities name the user */
	struct sum *at;    /* by name; room for one more than asked->n */
	size_t len;
	struct usage_by_told told;
};

/* Sums. */

static void add(uint64_t *sum, uint64_t more)
{
	*sum = least(INT64_MAX, *sum + least(more, INT64_MAX));
}

/* The place of the name, or where it belongs. */
static size_t place_of(const struct summing *summing, const char *name, bool *ret_there)
{
	size_t from = 0, to = summing->len;

	*ret_there = false;
	while (from < to && !*ret_there) {
		size_t middle = from + (to - from) / 2;
		int order = strcmp(summing->at[middle].name, name);

		*ret_there = order == 0;
		if (order == 0)
			return middle;
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static void drop_last(struct summing *summing)
{
	free(summing->at[--summing->len].name);
	summing->told.more = true;
}

/* NULL: it is not on this page. */
static struct sum *sum_of(struct summing *summing, const char *name)
{
	const struct usage_by *asked = summing->asked;
	bool there;
	size_t at;

	if (asked->last && strcmp(name, asked->last) <= 0)
		return NULL;
	at = place_of(summing, name, &there);
	if (there)
		return &summing->at[at];
	if (at == asked->n) {
		summing->told.more = true;
		return NULL;
	}
	memmove(&summing->at[at + 1], &summing->at[at], (summing->len - at) * sizeof(*summing->at));
	summing->at[at] = (struct sum){ .name = check_strdup(name) };
	if (++summing->len > asked->n)
		drop_last(summing);
	return &summing->at[at];
}

static void add_row(struct summing *summing, const char *name, const struct ledger_usage *usage)
{
	struct sum *sum = sum_of(summing, name);

	if (!sum)
		return;
	sum->keys++;
	add(&sum->calls, usage->calls);
	add(&sum->bytes_in, usage->bytes_in);
	add(&sum->bytes_out, usage->bytes_out);
}

/* Groups: those that users say themselves, and those that name them. Each once. */

static void add_named(struct summing *summing, const char *user, const char *group)
{
	struct named *named = map_find(summing->named, str_of(user));

	if (!named) {
		named = xnew(struct named);
		(void)map_put(summing->named, str_of(user), named);
	}
	named->at = reallocarray(named->at, named->len + 1, sizeof(*named->at));
	CHECK(named->at);
	named->at[named->len++] = group;
}

static void find_named(struct summing *summing)
{
	summing->named = map_new();
	for (size_t i = 0; i < state_count(summing->state, ENTITY_GROUP); i++) {
		const struct entity *group = state_at(summing->state, ENTITY_GROUP, i);
		const struct texts *users = &entity_group(group)->users;

		for (size_t k = 0; k < users->len; k++)
			add_named(summing, users->at[k], entity_id(group).at);
	}
}

static void add_to_groups(struct summing *summing, const struct ledger_usage *usage)
{
	const struct entity *user = state_find(summing->state, ENTITY_USER, str_of(usage->owner));
	const struct named *named = user ? map_find(summing->named, str_of(usage->owner)) : NULL;
	const struct texts *own = user ? &entity_user(user)->groups : NULL;

	for (size_t i = 0; own && i < own->len; i++)
		add_row(summing, own->at[i], usage);
	for (size_t i = 0; named && i < named->len; i++)
		if (!texts_have(own, str_of(named->at[i])))
			add_row(summing, named->at[i], usage);
}

static bool see_row(void *arg, const struct ledger_usage *usage)
{
	struct summing *summing = arg;

	add(&summing->told.sums.calls, usage->calls);
	add(&summing->told.sums.bytes_in, usage->bytes_in);
	add(&summing->told.sums.bytes_out, usage->bytes_out);
	if (summing->asked->groups)
		add_to_groups(summing, usage);
	else
		add_row(summing, usage->owner, usage);
	return true;
}

/* Telling. */

static void put_sums(const struct summing *summing, struct json_writer *w)
{
	json_open_array(w);
	for (size_t i = 0; i < summing->len; i++) {
		const struct sum *sum = &summing->at[i];

		json_open_object(w);
		json_put_text(w, summing->asked->groups ? "group" : "user", sum->name);
		json_put_uint(w, "keys", sum->keys);
		json_put_uint(w, "calls", sum->calls);
		json_put_uint(w, "bytesIn", sum->bytes_in);
		json_put_uint(w, "bytesOut", sum->bytes_out);
		json_close_object(w);
	}
	json_close_array(w);
}

static void summing_fini(struct summing *summing)
{
	void *each;

	for (size_t at = 0; summing->named && map_next(summing->named, &at, NULL, &each);) {
		struct named *named = each;
		free((void *)(uintptr_t)named->at);
		free(named);
	}
	map_free(summing->named);
	for (size_t i = 0; i < summing->len; i++)
		free(summing->at[i].name);
	free(summing->at);
}

bool usage_by_put_locked(struct leader *leader, const struct state *state, const struct usage_by *asked,
	struct json_writer *w, struct usage_by_told *ret, struct error *err)
{
	AUTO_FINI(summing) summing = { .asked = asked, .state = state };

	leader_assert_locked(leader);
	summing.at = xnew_array(struct sum, asked->n + 1);
	if (asked->groups)
		find_named(&summing);
	if (!ledger_list_keys(leader->ledger, asked->keys, LEDGER_ALL, see_row, &summing, err))
		return false;
	if (summing.len)
		CHECK(str_copy(str_of(summing.at[summing.len - 1].name), summing.told.last,
			sizeof(summing.told.last)));
	put_sums(&summing, w);
	*ret = summing.told;
	return true;
}
