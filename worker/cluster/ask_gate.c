/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/ask_gate.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/lock.h"
#include "common/map.h"

struct ask_gate {
	struct lock lock;
	struct map *clients; /* size_t: what each has; those that have something */
	size_t all;
};

struct ask_gate *ask_gate_new(void)
{
	struct ask_gate *gate = xnew(struct ask_gate);

	lock_init(&gate->lock);
	gate->clients = map_new();
	return gate;
}

void ask_gate_free(struct ask_gate *gate)
{
	void *held;

	if (!gate)
		return;
	for (size_t at = 0; map_next(gate->clients, &at, NULL, &held);)
		free(held);
	map_free(gate->clients);
	lock_fini(&gate->lock);
	free(gate);
}

size_t ask_weight(size_t members, size_t answer_max)
{
	return members * (answer_max > ASK_WEIGHT_LEAST ? answer_max : ASK_WEIGHT_LEAST);
}

static enum ask_entered enter_locked(struct ask_gate *gate, struct str client, size_t weight)
{
	size_t *held = map_find(gate->clients, client);

	lock_assert(&gate->lock);
	if (held && *held + weight > ASK_WEIGHT_EACH)
		return ASK_CLIENT_HAS_MANY;
	if (gate->all && gate->all + weight > ASK_WEIGHT_ALL)
		return ASK_ALL_HAVE_MANY;
	if (!held) {
		held = xnew(size_t);
		(void)map_put(gate->clients, client, held);
	}
	*held += weight;
	gate->all += weight;
	return ASK_MAY;
}

enum ask_entered ask_gate_enter(struct ask_gate *gate, struct str client, size_t weight)
{
	enum ask_entered entered;

	lock_take(&gate->lock);
	entered = enter_locked(gate, client, weight);
	lock_drop(&gate->lock);
	return entered;
}

void ask_gate_leave(struct ask_gate *gate, struct str client, size_t weight)
{
	size_t *held;

	lock_take(&gate->lock);
	held = map_find(gate->clients, client);
	CHECK(held && *held >= weight && gate->all >= weight);
	gate->all -= weight;
	*held -= weight;
	if (!*held)
		free(map_delete(gate->clients, client));
	lock_drop(&gate->lock);
}
