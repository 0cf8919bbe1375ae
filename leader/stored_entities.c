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

bool stored_entities_read(struct stored_entities *ret, struct ledger *ledger, struct error *err)
{
	*ret = (struct stored_entities){ 0 };
	return ledger_load_entities(ledger, on_entity, ret, &ret->loaded, err);
}

void stored_entities_fini(struct stored_entities *entities)
{
	for (size_t i = 0; i < entities->len; i++)
		entity_free(entities->at[i]);
	free(entities->at);
	*entities = (struct stored_entities){ 0 };
}
