/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/accounts/prefs.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/map.h"
#include "worker/accounts/own_prefs.h"

#define DIFFER_MOST 1024 /* lists; of more all are counted anew */

struct prefs {
	struct own_prefs *own; /* NULL: the leaders have them */
	pthread_mutex_t lock;
	struct state *counted; /* the stars alone, as they were when `stars` was made; NULL: it was not */
	struct map *stars;     /* repository -> how many, as a pointer; none is 0 */
};

struct prefs *prefs_new(struct own_prefs *own)
{
	struct prefs *prefs = xnew(struct prefs);

	prefs->own = own;
	CHECK(pthread_mutex_init(&prefs->lock, NULL) == 0);
	return prefs;
}

void prefs_free(struct prefs *prefs)
{
	if (!prefs)
		return;
	map_free(prefs->stars);
	state_free(prefs->counted);
	pthread_mutex_destroy(&prefs->lock);
	free(prefs);
}

struct state *prefs_view(struct prefs *prefs, struct state *led)
{
	return prefs->own ? own_prefs_state(prefs->own) : state_ref(led);
}

bool prefs_has(const struct state *view, enum entity_kind kind, struct str user, struct str repository)
{
	CHECK(prefs_is_kind(kind));
	return prefs_contain(state_find(view, kind, user), repository);
}

const struct texts *prefs_list(const struct state *view, enum entity_kind kind, struct str user)
{
	CHECK(prefs_is_kind(kind));
	return prefs_repositories(state_find(view, kind, user));
}

/* Counting. */

static void add(struct map *stars, const struct entity *list, int by)
{
	const struct texts *names = prefs_repositories(list);

	for (size_t i = 0; i < names->len; i++) {
		struct str name = str_of(names->at[i]);
		uintptr_t now = (uintptr_t)map_find(stars, name) + (uintptr_t)by;

		if (now)
			(void)map_put(stars, name, (void *)now); /* NOLINT: a number */
		else
			(void)map_delete(stars, name);
	}
}

static void count_all(struct prefs *prefs, const struct state *view)
{
	map_free(prefs->stars);
	prefs->stars = map_new();
	for (size_t i = 0; i < state_count(view, ENTITY_STAR); i++)
		add(prefs->stars, state_at(view, ENTITY_STAR, i), 1);
}

static void count(struct prefs *prefs, const struct state *view)
{
	struct str *changed = xnew_array(struct str, DIFFER_MOST);
	size_t len = 0;

	if (!prefs->counted || !state_differ(prefs->counted, view, ENTITY_STAR, changed, DIFFER_MOST, &len))
		count_all(prefs, view);
	else
		for (size_t i = 0; i < len; i++) {
			add(prefs->stars, state_find(prefs->counted, ENTITY_STAR, changed[i]), -1);
			add(prefs->stars, state_find(view, ENTITY_STAR, changed[i]), 1);
		}
	free(changed);
	state_free(prefs->counted);
	prefs->counted = state_only(view, 1u << ENTITY_STAR);
}

uint64_t prefs_stars(struct prefs *prefs, struct state *view, struct str repository)
{
	uint64_t stars;

	pthread_mutex_lock(&prefs->lock);
	if (!prefs->counted || !state_same_kind(prefs->counted, view, ENTITY_STAR))
		count(prefs, view);
	stars = (uintptr_t)map_find(prefs->stars, repository);
	pthread_mutex_unlock(&prefs->lock);
	return stars;
}
