/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/room.h"

#include <string.h>

#include "common/lock.h"

/* Of the whole process, as there is one leader in it. */
static struct lock lock = LOCK_INIT;
static struct room_held *holders;

static bool has_room_locked(const struct room_held *asking)
{
	uint64_t all = asking->bytes, own = asking->bytes;

	lock_assert(&lock);
	for (const struct room_held *held = holders; held; held = held->next) {
		all += held->bytes;
		if (!strcmp(held->who, asking->who))
			own += held->bytes;
	}
	return all <= ROOM_BYTES && (!*asking->who || own <= ROOM_EACH);
}

bool room_take(struct room_held *held, const char *who, int64_t length, uint64_t most)
{
	bool has;

	*held = (struct room_held){ .who = who, .bytes = length < 0 ? most : (uint64_t)length };
	/* What is over its bound is refused for that, and holds nothing. */
	if (held->bytes <= ROOM_SMALL || held->bytes > most) {
		held->bytes = 0;
		return true;
	}
	lock_take(&lock);
	has = has_room_locked(held);
	if (has) {
		held->next = holders;
		holders = held;
	} else {
		held->bytes = 0;
	}
	lock_drop(&lock);
	return has;
}

void room_leave(struct room_held *held)
{
	if (!held->bytes)
		return;
	lock_take(&lock);
	for (struct room_held **at = &holders; *at; at = &(*at)->next) {
		if (*at != held)
			continue;
		*at = held->next;
		break;
	}
	lock_drop(&lock);
	held->bytes = 0;
}
