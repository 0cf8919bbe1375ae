/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/stored_entities.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define FIRST_ROOM 256

static void widen(struct stored_entities *entities)
{
	size_t room = entities->room ? entities->room * 2 : FIRST_ROOM;
	struct entity **wider = xnew_array(struct entity *, room);

	if (entities->len)
		memcpy(wider, entities->at, entities->len * sizeof(*wider));
	free(entities->at);
	entities->at = wider;
	entities->room = room;
}

static bool on_entity(void *arg, struct entity *entity)
{
	struct stored_entities *entities = arg;

	if (entities->len == entities->room)
		widen(entities);
	entities->at[entities->len++] = entity_ref(entity);
	return true;
}

static int by_revision(const void *a, const void *b)
{
	uint64_t left = entity_revision(*(struct entity *const *)a),
		 right = entity_revision(*(struct entity *const *)b);

	return left < right ? -1 : left > right;
}

bool stored_entities_read(struct stored_entities *ret, struct ledger *ledger, struct error *err)
{
	*ret = (struct stored_entities){ 0 };
	if (!ledger_load_entities(ledger, on_entity, ret, &ret->loaded, err))
		return false;
	if (ret->len)
		qsort(ret->at, ret->len, sizeof(*ret->at), by_revision);
	return true;
}

void stored_entities_fini(struct stored_entities *entities)
{
	for (size_t i = 0; i < entities->len; i++)
		entity_free(entities->at[i]);
	free(entities->at);
	*entities = (struct stored_entities){ 0 };
}
