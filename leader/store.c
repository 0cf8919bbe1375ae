/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/store.h"

#include <stdlib.h>

#include "common/check.h"
#include "leader/store/driver.h"

void store_member_fini(struct store_member *member)
{
	free(member->name);
	free(member->process);
	free(member->boot);
	free(member->url);
	free(member->zone);
	free(member->version);
	free(member->state);
	*member = (struct store_member){ 0 };
}

static char *dup_or_empty(const char *text)
{
	return check_strdup(text ? text : "");
}

void store_member_copy(const struct store_member *member, struct store_member *into)
{
	*into = *member;
	into->name = dup_or_empty(member->name);
	into->process = dup_or_empty(member->process);
	into->boot = dup_or_empty(member->boot);
	into->url = dup_or_empty(member->url);
	into->zone = dup_or_empty(member->zone);
	into->version = dup_or_empty(member->version);
	into->state = dup_or_empty(member->state);
}

void store_close(struct store *store)
{
	if (store)
		store->driver->close(store);
}

bool store_load_entities(
	struct store *store, store_entity_f *fn, void *arg, struct store_loaded *ret, struct error *err)
{
	return store->driver->load_entities(store, fn, arg, ret, err);
}

bool store_load_members(struct store *store, store_member_f *fn, void *arg, struct error *err)
{
	return store->driver->load_members(store, fn, arg, err);
}

bool store_load_grants(struct store *store, const char *day, store_grant_f *fn, void *arg, struct error *err)
{
	return store->driver->load_grants(store, day, fn, arg, err);
}

bool store_load_gone(struct store *store, size_t most, store_gone_f *fn, void *arg, struct error *err)
{
	return store->driver->load_gone(store, most, fn, arg, err);
}

bool store_begin_life(struct store *store, store_life_f *fn, void *arg, struct error *err)
{
	return store->driver->begin_life(store, fn, arg, err);
}

bool store_put_heard(struct store *store, bool heard, struct error *err)
{
	return store->driver->put_heard(store, heard, err);
}

enum store_result store_write(struct store *store, const struct store_change *changes, size_t len,
	uint64_t *ret_revision, size_t *ret_at, struct error *err)
{
	return store->driver->write(store, changes, len, ret_revision, ret_at, err);
}

bool store_boot(struct store *store, const char *boot, struct store_boot *ret, struct error *err)
{
	return store->driver->boot(store, boot, ret, err);
}

bool store_merge_usage(
	struct store *store, const struct store_merge *merge, struct store_merged *ret, struct error *err)
{
	return store->driver->merge_usage(store, merge, ret, err);
}

bool store_fold(struct store *store, size_t most, bool *ret_more, struct error *err)
{
	return store->driver->fold(store, most, ret_more, err);
}

bool store_put_member(struct store *store, const struct store_member *member, struct error *err)
{
	return store->driver->put_member(store, member, err);
}

bool store_delete_member(struct store *store, const char *name, struct error *err)
{
	return store->driver->delete_member(store, name, err);
}

bool store_calls(
	struct store *store, const char *apikey, const char *day, struct store_calls *ret, struct error *err)
{
	return store->driver->calls(store, apikey, day, ret, err);
}

bool store_list_keys(struct store *store, const char *apikey, const char *window, size_t max,
	store_usage_f *fn, void *arg, struct error *err)
{
	return store->driver->list_keys(store, apikey, window, max, fn, arg, err);
}

bool store_list_repositories(
	struct store *store, const char *name, size_t max, store_usage_f *fn, void *arg, struct error *err)
{
	return store->driver->list_repositories(store, name, max, fn, arg, err);
}
