/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/ring_plan.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/map.h"
#include "leader/ledger.h"
#include "leader/members.h"

struct gathering {
	bool isolated;
	const struct state *state;
	struct map *old; /* names in the ring at hand */
	struct ring_row *rows;
	size_t len, room;
	struct buf texts; /* four texts for each row, one after the other */
};

static struct map *names_of(const struct ring_body *ring)
{
	struct map *names = map_new();

	for (size_t i = 0; i < ring->members_len; i++)
		(void)map_put(names, str_of(ring->members[i].id), &ring->members[i]);
	return names;
}

/* The member's state in the ring, or NULL: it has no place there. */
static const char *state_in_ring(
	const struct gathering *gathering, const struct ledger_member *member, bool fit)
{
	bool drained = state_find(gathering->state, ENTITY_DRAIN, str_of(member->name));

	if (gathering->isolated && map_find(gathering->old, str_of(member->name)))
		return drained ? "draining" : "active";
	if (!fit || !strcmp(member->state, "joining"))
		return NULL;
	return drained || !strcmp(member->state, "draining") ? "draining" : "active";
}

static void put_text(struct buf *into, const char *text)
{
	buf_append(into, text, strlen(text) + 1);
}

static void gather(void *arg, const struct ledger_member *member, bool fit)
{
	struct gathering *gathering = arg;
	const char *state = state_in_ring(gathering, member, fit);

	if (!state || gathering->len == gathering->room)
		return;
	put_text(&gathering->texts, member->name);
	put_text(&gathering->texts, member->url);
	put_text(&gathering->texts, member->zone);
	put_text(&gathering->texts, state);
	gathering->len++;
}

static const char *next_text(const char **at)
{
	const char *text = *at;

	*at += strlen(text) + 1;
	return text;
}

static void set_rows(struct gathering *gathering, const char *texts)
{
	for (size_t i = 0; i < gathering->len; i++) {
		struct ring_row *row = &gathering->rows[i];
		row->id = next_text(&texts);
		row->url = next_text(&texts);
		row->zone = next_text(&texts);
		row->state = next_text(&texts);
	}
}

static bool same_rows(const struct ring_body *old, const struct gathering *new)
{
	if (old->members_len != new->len)
		return false;
	for (size_t i = 0; i < new->len; i++) {
		const struct ring_row *a = &old->members[i], *b = &new->rows[i];
		if (strcmp(a->id, b->id) != 0 || strcmp(a->url, b->url) != 0 ||
			strcmp(a->zone, b->zone) != 0 || strcmp(a->state, b->state) != 0)
			return false;
	}
	return true;
}

bool ring_plan(struct members *members, const struct state *state, bool isolated, const struct ring_body *old,
	struct ring_plan *ret_plan)
{
	AUTO(map) *names = names_of(old);
	struct gathering gathering = { .isolated = isolated,
		.state = state,
		.old = names,
		.room = MEMBERS_MAX,
		.texts = buf_limit(MEMBERS_MAX * (size_t)ENTITY_TEXT_MAX) };
	struct ring_plan plan = { .body = *old };
	size_t len;

	members_each(members, gather, &gathering);
	gathering.rows = xnew_array(struct ring_row, gathering.len + 1);
	plan.texts = buf_take(&gathering.texts, &len);
	set_rows(&gathering, plan.texts);
	plan.body.epoch = old->epoch + 1;
	plan.body.members = gathering.rows;
	plan.body.members_len = gathering.len;
	if (same_rows(old, &gathering)) {
		ring_plan_fini(&plan);
		return false;
	}
	*ret_plan = plan;
	return true;
}

void ring_plan_fini(struct ring_plan *plan)
{
	free(plan->body.members);
	free(plan->texts);
}
