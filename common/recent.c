/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recent - a table of chains, and a list of all in the order of their use.
 */
#include "common/recent.h"

#include <stdalign.h>
#include <stdlib.h>

#include "common/check.h"

struct entry {
	struct recent_key key;
	struct entry *next; /* of the chain */
	struct entry *newer, *older;
	alignas(16) char thing[];
};

struct recent {
	size_t max, size, len, heads_len;
	struct entry **heads;
	struct entry *newest, *oldest;
};

struct recent *recent_new(size_t max, size_t size)
{
	struct recent *recent = xnew(struct recent);

	CHECK(max > 0);
	recent->max = max;
	recent->size = size;
	recent->heads_len = 16;
	while (recent->heads_len < max)
		recent->heads_len *= 2;
	recent->heads = xnew_array(struct entry *, recent->heads_len);
	return recent;
}

void recent_free(struct recent *recent)
{
	struct entry *entry;

	if (!recent)
		return;
	while ((entry = recent->newest)) {
		recent->newest = entry->older;
		free(entry);
	}
	free(recent->heads);
	free(recent);
}

/* Where the entry of this key is linked, or would be. */
static struct entry **link_of(const struct recent *recent, struct recent_key key)
{
	struct entry **link = &recent->heads[key.half[0] & (recent->heads_len - 1)];

	while (*link && ((*link)->key.half[0] != key.half[0] || (*link)->key.half[1] != key.half[1]))
		link = &(*link)->next;
	return link;
}

static void unlink_use(struct recent *recent, struct entry *entry)
{
	*(entry->newer ? &entry->newer->older : &recent->newest) = entry->older;
	*(entry->older ? &entry->older->newer : &recent->oldest) = entry->newer;
}

static void link_newest(struct recent *recent, struct entry *entry)
{
	entry->newer = NULL;
	entry->older = recent->newest;
	*(entry->older ? &entry->older->newer : &recent->oldest) = entry;
	recent->newest = entry;
}

void *recent_find(struct recent *recent, struct recent_key key)
{
	struct entry *entry = *link_of(recent, key);

	if (!entry)
		return NULL;
	if (entry != recent->newest) {
		unlink_use(recent, entry);
		link_newest(recent, entry);
	}
	return entry->thing;
}

void recent_remove(struct recent *recent, struct recent_key key)
{
	struct entry **link = link_of(recent, key);
	struct entry *entry = *link;

	if (!entry)
		return;
	*link = entry->next;
	unlink_use(recent, entry);
	free(entry);
	recent->len--;
}

void *recent_put(struct recent *recent, struct recent_key key)
{
	void *found = recent_find(recent, key);
	struct entry *entry;

	if (found)
		return found;
	if (recent->len == recent->max)
		recent_remove(recent, recent->oldest->key);
	entry = check_alloc(1, sizeof(*entry) + recent->size);
	entry->key = key;
	*link_of(recent, key) = entry;
	link_newest(recent, entry);
	recent->len++;
	return entry->thing;
}

size_t recent_len(const struct recent *recent)
{
	return recent->len;
}
