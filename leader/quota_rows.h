/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota_rows - quotas as people see them: how much of each is used, what workers hold of it, what remains, and until when.
 *
 *     quota_rows_add() of each entity --> quota_rows_read_locked(): one question to the ledger --> quota_row_write()
 *
 * Those that are set now, in the windows of now. Of calls a second nothing is used for longer than a second: what no worker has is what
 * remains.
 *
 * Thread  pool; own memory.
 */
#pragma once

#include "common/error.h"
#include "common/json.h"
#include "proto/limits.h"

struct leader;

struct quota_row {
	char *subject;
	char window[LIMITS_WINDOW_SIZE];
	enum limits_kind kind;
	uint64_t limit;
	int64_t reset_s;                   /* when the next window begins */
	uint64_t used, granted, remaining; /* once they are read */
};

struct quota_rows {
	struct quota_row *at;
	size_t len, max;
	bool more;   /* than max */
	int64_t now_s;
};
void quota_rows_init(struct quota_rows *rows, size_t max, int64_t now_s);
void quota_rows_fini(struct quota_rows *rows);
/* All that a key, a user or a group has; of others none. */
void quota_rows_add(struct quota_rows *rows, const struct entity *entity);
void quota_rows_add_one(struct quota_rows *rows, const char *subject, enum limits_kind kind, uint64_t limit);
/* Under leader_lock(). */
bool quota_rows_read_locked(struct leader *leader, struct quota_rows *rows, struct error *err) MUST_CHECK;
/* The members of an object that is open. */
void quota_row_write(const struct quota_row *row, struct json_writer *w);
