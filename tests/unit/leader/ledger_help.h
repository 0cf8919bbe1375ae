/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ledger_help - what tests of ledgers write and read.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/check.h"
#include "leader/ledger.h"
#include "leader/ledger/ledger_piece.h"
#include "proto/entity_table.h"

static const uint8_t some_digest[ENTITY_HASH_BYTES] = { 7 };

static inline struct entity *make_user(const char *name, bool enabled)
{
	struct user user;

	table_defaults(entity_table(ENTITY_USER), &user);
	user.enabled = enabled;
	return entity_new(ENTITY_USER, str_of(name), 0, &user);
}

static inline struct entity *entity_with_revision_of(const char *name, uint64_t revision)
{
	AUTO(entity) *user = make_user(name, true);

	return entity_with_revision(user, revision);
}

static inline enum ledger_result put(
	struct ledger *ledger, struct entity *entity, bool check, uint64_t expected, uint64_t *ret_revision)
{
	struct ledger_change change = { .entity = entity, .check = check, .expected = expected };
	struct error err;
	size_t at = 99;
	enum ledger_result result = ledger_write(ledger, &change, 1, some_digest, ret_revision, &at, &err);

	entity_free(entity);
	return result;
}

struct seen {
	unsigned count, deleted;
	uint64_t last; /* the highest revision */
	struct ledger_loaded loaded;
};

static inline bool see(void *arg, struct entity *entity)
{
	struct seen *seen = arg;

	seen->count++;
	seen->deleted += entity_is_deleted(entity);
	seen->last = entity_revision(entity) > seen->last ? entity_revision(entity) : seen->last;
	return true;
}

static inline struct seen load(struct ledger *ledger)
{
	struct seen seen = { 0 };
	struct error err;

	assert_true(ledger_load_entities(ledger, see, &seen, &seen.loaded, &err));
	return seen;
}

static inline struct ledger_merge merge_of(uint64_t after, uint64_t seq, struct usage_row *row)
{
	return (struct ledger_merge){ .worker = "w",
		.process = "p",
		.boot = "b",
		.after = after,
		.seq = seq,
		.rows = row,
		.rows_len = 1 };
}

static inline struct ledger_merged merged(struct ledger *ledger, const struct ledger_merge *merge)
{
	struct ledger_merged result;
	struct error err;

	assert_true(ledger_merge_usage(ledger, merge, &result, &err));
	return result;
}

static inline struct ledger_boot boot_of(struct ledger *ledger, const char *boot)
{
	struct ledger_boot known;
	struct error err;

	assert_true(ledger_boot(ledger, boot, &known, &err));
	return known;
}

struct sums {
	uint64_t granted, used, rows;
};

static inline bool take_grant(void *arg, const struct ledger_grant *grant)
{
	struct sums *into = arg;

	into->granted += grant->granted;
	into->used += grant->used;
	into->rows++;
	return true;
}

static inline struct sums sums_of(struct ledger *ledger)
{
	struct sums sums = { 0 };
	struct error err;

	assert_true(ledger_load_grants(ledger, "2026-01-01", take_grant, &sums, &err));
	return sums;
}

struct told_pairs {
	size_t len;
	struct ledger_pair first, last;
};

static inline bool see_pair(void *arg, const struct ledger_pair *pair)
{
	struct told_pairs *pairs = arg;

	assert_true(!pairs->len || pair->revision >= pairs->last.revision);
	if (!pairs->len++)
		pairs->first = *pair;
	pairs->last = *pair;
	return true;
}

static inline struct told_pairs pairs_of(struct ledger *ledger)
{
	struct told_pairs pairs = { 0 };
	struct error err;

	assert_true(ledger_load_pairs(ledger, see_pair, &pairs, &err));
	return pairs;
}

/* Large writes: users "<name>0000" and so on, of this revision, each with a row of the audit where that is wanted. */
static inline void put_aside(struct ledger *ledger, const char *name, unsigned len, uint64_t revision, bool audit)
{
	for (unsigned i = 0; i < len;) {
		struct entity *users[LEDGER_PIECE_ROWS];
		struct ledger_change changes[LEDGER_PIECE_ROWS];
		const struct ledger_audit row = { .user = "ann",
			.apikey = "",
			.from = "",
			.kind = "user",
			.id = name,
			.how = "created",
			.count = 1,
			.detail = "{}" };
		AUTO_FINI(buf) piece = buf_limit(LEDGER_PIECE_MAX);
		size_t some = len - i < LEDGER_PIECE_ROWS ? len - i : LEDGER_PIECE_ROWS, taken;
		struct error err;

		for (size_t k = 0; k < some; k++) {
			char id[64];

			(void)snprintf(id, sizeof(id), "%s%04u", name, i + (unsigned)k);
			AUTO(entity) *user = make_user(id, true);
			users[k] = entity_with_revision(user, revision);
			changes[k] = (struct ledger_change){ .entity = users[k], .audit = audit ? &row : NULL };
		}
		assert_true(ledger_piece_encode(changes, some, &piece, &taken, &err));
		assert_int_equal(taken, some);
		if (!ledger_stage_put(ledger, buf_str(&piece), &err))
			fail_msg("%s", err.text);
		for (size_t k = 0; k < some; k++)
			entity_free(users[k]);
		i += (unsigned)some;
	}
}

static inline void stage(struct ledger *ledger, const char *name, unsigned len, uint64_t revision, bool audit)
{
	struct error err;

	if (!ledger_stage_begin(ledger, &err))
		fail_msg("%s", err.text);
	put_aside(ledger, name, len, revision, audit);
}

static inline unsigned settle_all(struct ledger *ledger)
{
	unsigned pieces = 0;
	struct error err;

	for (bool more = true; more; pieces++)
		if (!ledger_settle(ledger, &more, &err))
			fail_msg("%s", err.text);
	return pieces;
}
