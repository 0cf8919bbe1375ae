/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver - what a store is made of: one table of functions for each kind of store.
 *
 * The contract of each function is that of its namesake in leader/store.h. A driver's own struct begins with
 * a struct store.
 */
#pragma once

#include "leader/store.h"

struct store_driver {
	void (*close)(struct store *store);
	bool (*load_entities)(struct store *store, store_entity_f *fn, void *arg, struct store_loaded *ret, struct error *err);
	bool (*load_members)(struct store *store, store_member_f *fn, void *arg, struct error *err);
	bool (*load_grants)(struct store *store, const char *day, store_grant_f *fn, void *arg, struct error *err);
	enum store_result (*write)(struct store *store, const struct store_change *changes, size_t len,
		uint64_t *ret_revision, size_t *ret_at, struct error *err);
	bool (*load_gone)(struct store *store, size_t most, store_gone_f *fn, void *arg, struct error *err);
	bool (*begin_life)(struct store *store, store_life_f *fn, void *arg, struct error *err);
	bool (*put_heard)(struct store *store, bool heard, struct error *err);
	bool (*boot)(struct store *store, const char *boot, struct store_boot *ret, struct error *err);
	bool (*merge_usage)(struct store *store, const struct store_merge *merge, struct store_merged *ret, struct error *err);
	bool (*fold)(struct store *store, size_t most, bool *ret_more, struct error *err);
	bool (*put_member)(struct store *store, const struct store_member *member, struct error *err);
	bool (*delete_member)(struct store *store, const char *name, struct error *err);
	bool (*calls)(struct store *store, const char *apikey, const char *day, struct store_calls *ret, struct error *err);
	bool (*list_keys)(struct store *store, const char *apikey, const char *window, size_t max, store_usage_f *fn,
		void *arg, struct error *err);
	bool (*list_repositories)(struct store *store, const char *name, size_t max, store_usage_f *fn, void *arg,
		struct error *err);
};

struct store {
	const struct store_driver *driver;
};
