/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/upload_owners.h"

#include "common/check.h"
#include "common/map.h"

#define RANKS 64

struct upload_owners {
	struct map *by_key;
	struct list ranks[RANKS];
};

struct upload_owners *upload_owners_new(void)
{
	struct upload_owners *owners = xnew(struct upload_owners);

	owners->by_key = map_new();
	for (unsigned i = 0; i < RANKS; i++)
		list_init(&owners->ranks[i]);
	return owners;
}

void upload_owners_free(struct upload_owners *owners)
{
	if (!owners)
		return;
	CHECK(!map_len(owners->by_key));
	map_free(owners->by_key);
	free(owners);
}

struct upload_owner *upload_owners_find(const struct upload_owners *owners, struct str key)
{
	return map_find(owners->by_key, key);
}

static struct upload_owner *owner_new(struct upload_owners *owners, struct str key)
{
	struct upload_owner *owner = xnew(struct upload_owner);

	owner->key = str_dup(key);
	list_init(&owner->idle);
	list_init(&owner->moved);
	CHECK(!map_put(owners->by_key, key, owner));
	return owner;
}

struct upload_owner *upload_owners_join(struct upload_owners *owners, struct str key)
{
	struct upload_owner *owner = upload_owners_find(owners, key);

	if (!owner)
		owner = owner_new(owners, key);
	owner->sessions++;
	return owner;
}

void upload_owners_leave(struct upload_owners *owners, struct upload_owner *owner)
{
	CHECK(owner->sessions);
	if (--owner->sessions)
		return;
	CHECK(!owner->files && !owner->bytes && !list_first(&owner->idle) && !list_first(&owner->moved));
	CHECK(map_delete(owners->by_key, str_of(owner->key)) == owner);
	free(owner->key);
	free(owner);
}

static unsigned rank_of(uint64_t bytes)
{
	return 63u - (unsigned)__builtin_clzll(bytes);
}

void upload_owners_count(struct upload_owners *owners, struct upload_owner *owner, uint64_t bytes)
{
	bool moves = !owner->bytes || !bytes || rank_of(owner->bytes) != rank_of(bytes);

	owner->bytes = bytes;
	if (!moves)
		return;
	list_drop(&owner->in_rank);
	if (bytes)
		list_push(&owners->ranks[rank_of(bytes)], &owner->in_rank);
}

struct upload_owner *upload_owners_most(const struct upload_owners *owners)
{
	for (unsigned i = RANKS; i-- > 0;)
		if (list_first(&owners->ranks[i]))
			return LIST_OF(struct upload_owner, in_rank, list_first(&owners->ranks[i]));
	return NULL;
}

size_t upload_owners_len(const struct upload_owners *owners)
{
	return map_len(owners->by_key);
}
