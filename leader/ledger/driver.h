/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver - what a ledger is made of: one table of functions for each kind of ledger.
 *
 * The contract of each function is that of its namesake in leader/ledger.h. A driver's own struct begins with
 * a struct ledger.
 */
#pragma once

#include "leader/ledger.h"
#include "leader/ledger_follow.h"

struct ledger_driver {
	void (*close)(struct ledger *ledger);
	bool (*load_entities)(struct ledger *ledger, ledger_entity_f *fn, void *arg, struct ledger_loaded *ret, struct error *err);
	bool (*load_members)(struct ledger *ledger, ledger_member_f *fn, void *arg, struct error *err);
	bool (*load_grants)(struct ledger *ledger, const char *day, ledger_grant_f *fn, void *arg, struct error *err);
	bool (*load_pairs)(struct ledger *ledger, ledger_pair_f *fn, void *arg, struct error *err);
	bool (*put_pair)(struct ledger *ledger, const struct ledger_pair *pair, struct error *err);
	enum ledger_result (*write)(struct ledger *ledger, const struct ledger_change *changes, size_t len,
		const uint8_t digest[ENTITY_HASH_BYTES], uint64_t *ret_revision, size_t *ret_at, struct error *err);
	bool (*stage_begin)(struct ledger *ledger, struct error *err);
	bool (*stage_put)(struct ledger *ledger, struct str piece, struct error *err);
	enum ledger_result (*stage_publish)(struct ledger *ledger, uint64_t revision, const uint8_t digest[ENTITY_HASH_BYTES], struct error *err);
	bool (*stage_drop)(struct ledger *ledger, struct error *err);
	bool (*is_settled)(const struct ledger *ledger);
	bool (*settle)(struct ledger *ledger, bool *ret_more, struct error *err);
	bool (*load_gone)(struct ledger *ledger, size_t most, ledger_gone_f *fn, void *arg, struct error *err);
	bool (*begin_life)(struct ledger *ledger, ledger_life_f *fn, void *arg, bool *ret_joined, struct error *err);
	bool (*put_heard)(struct ledger *ledger, bool heard, struct error *err);
	bool (*boot)(struct ledger *ledger, const char *boot, struct ledger_boot *ret, struct error *err);
	bool (*merge_usage)(struct ledger *ledger, const struct ledger_merge *merge, struct ledger_merged *ret, struct error *err);
	bool (*fold)(struct ledger *ledger, size_t most, bool *ret_more, struct error *err);
	bool (*put_member)(struct ledger *ledger, const struct ledger_member *member, struct error *err);
	bool (*delete_member)(struct ledger *ledger, const char *name, const struct ledger_audit *audit, struct error *err);
	bool (*calls)(struct ledger *ledger, const struct ledger_key_day *at, size_t len, struct ledger_calls *ret,
		struct error *err);
	bool (*list_keys)(struct ledger *ledger, const struct ledger_keys *which, size_t max, ledger_usage_f *fn, void *arg,
		struct error *err);
	bool (*sum_keys)(struct ledger *ledger, const struct ledger_keys *which, struct ledger_usage *ret, struct error *err);
	bool (*list_repositories)(struct ledger *ledger, const char *name, size_t max, ledger_usage_f *fn, void *arg,
		struct error *err);
	bool (*put_audit)(struct ledger *ledger, const struct ledger_audit *rows, size_t len, struct error *err);
	bool (*expired)(struct ledger *ledger, int64_t *ret_upto_s, struct error *err);
	bool (*put_expired)(struct ledger *ledger, const struct ledger_expired *expired, bool *ret_put, struct error *err);
	bool (*list_audit)(struct ledger *ledger, const struct ledger_audit_ask *ask, size_t max, ledger_audit_f *fn, void *arg,
		struct error *err);
	bool (*sweep_audit)(struct ledger *ledger, const struct ledger_audit_kept *kept, bool *ret_more, struct error *err);
	/* NULL where no other leader may write. */
	bool (*follow)(struct ledger *ledger, ledger_entry_f *fn, void *arg, struct error *err);
	struct ledger_shared (*shared)(const struct ledger *ledger);
	bool (*tell)(struct ledger *ledger, struct str word, struct error *err);
	bool (*listen)(struct ledger *ledger, int64_t wait_ms, ledger_word_f *fn, void *arg, bool *ret_more, struct error *err);
	bool (*rescue)(struct ledger *ledger, const struct ledger_rescue *rescue, struct ledger_loaded *ret, struct error *err);
};

struct ledger {
	const struct ledger_driver *driver;
};

/* An entity as it is stored, into a buffer with such room. ERROR_TOO_LARGE. */
#define LEDGER_ENTITY_ROOM (2 * (size_t)ENTITY_BYTES_MAX)
bool ledger_entity_encode(const struct entity *entity, struct buf *into, struct error *err) MUST_CHECK;
