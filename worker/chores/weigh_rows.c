/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/chores/weigh_rows.h"

#include "common/check.h"
#include "common/least.h"
#include "common/lock.h"
#include "common/map.h"
#include "worker/storage/store.h"

#define PLACES_FIRST 1024u
#define WALK_MASK    0x3fffffffu

struct slot {
	uint64_t key; /* hash of the name; 0: free */
	uint64_t bytes;
	uint32_t blobs, manifests, tags;
	uint32_t walk : 30; /* that saw it last */
	uint32_t is_set : 1;
	uint32_t is_stale : 1;
};

struct weigh_rows {
	struct lock lock; /* of all below */
	struct slot *slots;
	size_t places, len; /* places: a power of two, a quarter of them free at least */
	uint32_t walk;
};

struct weigh_rows *weigh_rows_new(void)
{
	struct weigh_rows *rows = xnew(struct weigh_rows);

	lock_init(&rows->lock);
	rows->places = PLACES_FIRST;
	rows->slots = xnew_array(struct slot, rows->places);
	return rows;
}

void weigh_rows_free(struct weigh_rows *rows)
{
	if (!rows)
		return;
	lock_fini(&rows->lock);
	free(rows->slots);
	free(rows);
}

static uint64_t key_of(struct str name)
{
	uint64_t key = map_hash(name.at, name.len);

	return key ? key : 1;
}

/* Its own, or the free one where it belongs. */
static struct slot *place_of(struct slot *slots, size_t places, uint64_t key)
{
	size_t at = key & (places - 1);

	while (slots[at].key && slots[at].key != key)
		at = (at + 1) & (places - 1);
	return &slots[at];
}

static struct slot *find_locked(struct weigh_rows *rows, struct str name)
{
	struct slot *slot;

	lock_assert(&rows->lock);
	slot = place_of(rows->slots, rows->places, key_of(name));
	return slot->key ? slot : NULL;
}

/* Into a table of so many places: all, or those alone that this walk saw. */
static void rebuild_locked(struct weigh_rows *rows, size_t places, bool seen_alone)
{
	struct slot *old = rows->slots;
	size_t old_places = rows->places;

	lock_assert(&rows->lock);
	rows->slots = xnew_array(struct slot, places);
	rows->places = places;
	rows->len = 0;
	for (size_t i = 0; i < old_places; i++) {
		if (!old[i].key || (seen_alone && old[i].walk != rows->walk))
			continue;
		*place_of(rows->slots, places, old[i].key) = old[i];
		rows->len++;
	}
	free(old);
}

void weigh_rows_begin(struct weigh_rows *rows, bool again)
{
	lock_take(&rows->lock);
	rows->walk = (rows->walk + 1) & WALK_MASK;
	for (size_t i = 0; again && i < rows->places; i++)
		rows->slots[i].is_stale = true;
	lock_drop(&rows->lock);
}

static struct weigh_row row_of(const struct slot *slot)
{
	return (struct weigh_row){ slot->bytes, slot->blobs, slot->manifests, slot->tags };
}

bool weigh_rows_same(
	struct weigh_rows *rows, struct str name, const struct store_usage *usage, struct weigh_row *ret)
{
	struct slot *slot;
	bool same;

	lock_take(&rows->lock);
	slot = find_locked(rows, name);
	same = slot && slot->is_set && !slot->is_stale && slot->bytes == usage->bytes &&
	       slot->blobs == usage->blobs;
	if (same) {
		slot->walk = rows->walk & WALK_MASK;
		*ret = row_of(slot);
	}
	lock_drop(&rows->lock);
	return same;
}

void weigh_rows_open(struct weigh_rows *rows, struct str name)
{
	struct slot *slot;

	lock_take(&rows->lock);
	if (rows->len >= rows->places / 4 * 3 && rows->len < WEIGH_ROWS_MAX)
		rebuild_locked(rows, rows->places * 2, false);
	slot = place_of(rows->slots, rows->places, key_of(name));
	if (!slot->key && rows->len < WEIGH_ROWS_MAX) {
		*slot = (struct slot){ .key = key_of(name) };
		rows->len++;
	}
	slot->is_stale = false;
	lock_drop(&rows->lock);
}

static uint32_t narrow(uint64_t value)
{
	return (uint32_t)least(value, UINT32_MAX);
}

void weigh_rows_set(struct weigh_rows *rows, struct str name, const struct weigh_row *row)
{
	struct slot *slot;

	lock_take(&rows->lock);
	slot = find_locked(rows, name);
	if (slot) {
		slot->bytes = row->bytes;
		slot->blobs = narrow(row->blobs);
		slot->manifests = narrow(row->manifests);
		slot->tags = narrow(row->tags);
		slot->walk = rows->walk & WALK_MASK;
		slot->is_set = true;
	}
	lock_drop(&rows->lock);
}

void weigh_rows_end(struct weigh_rows *rows)
{
	lock_take(&rows->lock);
	rebuild_locked(rows, rows->places, true);
	lock_drop(&rows->lock);
}

void weigh_rows_changed(struct weigh_rows *rows, struct str name)
{
	struct slot *slot;

	lock_take(&rows->lock);
	slot = find_locked(rows, name);
	if (slot)
		slot->is_stale = true;
	lock_drop(&rows->lock);
}

bool weigh_rows_find(struct weigh_rows *rows, struct str name, struct weigh_row *ret)
{
	const struct slot *slot;

	lock_take(&rows->lock);
	slot = find_locked(rows, name);
	if (slot && slot->is_set)
		*ret = row_of(slot);
	else
		slot = NULL;
	lock_drop(&rows->lock);
	return slot != NULL;
}
