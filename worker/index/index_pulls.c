/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/index/index_pulls.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/least.h"
#include "worker/index/index_memo.h"

#define KEY_GUESS 72 /* a sha256 digest; tags are shorter */

struct row {
	atomic_uint refs;
	uint64_t count;
	int64_t last_ms;
	char key[];
};

static void ref_row(void *item)
{
	struct row *row = item;

	atomic_fetch_add_explicit(&row->refs, 1, memory_order_relaxed);
}

static void unref_row(void *item)
{
	struct row *row = item;

	if (atomic_fetch_sub_explicit(&row->refs, 1, memory_order_acq_rel) == 1)
		free(row);
}

const struct index_rows_kind index_pulls_kind = { ref_row, unref_row };

static int compare(const void *item, const void *key)
{
	const struct row *row = item;

	return str_compare(str_of(row->key), *(const struct str *)key);
}

static struct row *row_new(const struct index_pull *pull)
{
	struct row *row = check_alloc(1, sizeof(*row) + pull->key.len + 1);

	atomic_init(&row->refs, 1);
	row->count = least(pull->count, INDEX_PULLS_MAX);
	row->last_ms = pull->last_ms;
	memcpy(row->key, pull->key.at, pull->key.len);
	return row;
}

void index_pulls_add(struct index_rows *rows, const struct index_pull *pull)
{
	struct index_pull sum = *pull;
	const struct row *before;
	size_t at;

	before = index_rows_find(rows, compare, &pull->key, &at);
	if (!before) {
		index_rows_insert(rows, at, row_new(pull));
		return;
	}
	sum.count = least(sum.count, INDEX_PULLS_MAX) + before->count;
	if (before->last_ms > sum.last_ms)
		sum.last_ms = before->last_ms;
	unref_row(index_rows_set(rows, at, row_new(&sum)));
}

void index_pulls_drop(struct index_rows *rows, struct str key)
{
	size_t at;

	if (index_rows_find(rows, compare, &key, &at))
		unref_row(index_rows_remove(rows, at));
}

static struct index_pull pull_of(const struct row *row)
{
	return (struct index_pull){ .key = str_of(row->key), .count = row->count, .last_ms = row->last_ms };
}

struct index_pull index_pulls_find(const struct index_rows *rows, struct str key)
{
	const struct row *row = index_rows_find(rows, compare, &key, NULL);

	return row ? pull_of(row) : (struct index_pull){ .count = 0 };
}

size_t index_pulls_bytes(const struct index_rows *rows)
{
	return index_rows_bytes(rows) + rows->len * (sizeof(struct row) + KEY_GUESS);
}

void index_pulls_write(const struct index_pull *pull, struct json_writer *into)
{
	json_key(into, pull->key);
	json_open_array(into);
	json_value_int(into, (int64_t)pull->count);
	json_value_int(into, pull->last_ms);
	json_close_array(into);
}

void index_pulls_write_all(const struct index_rows *rows, struct json_writer *into)
{
	for (size_t i = 0; i < rows->len; i++) {
		struct index_pull pull = pull_of(index_rows_at(rows, i));

		index_pulls_write(&pull, into);
	}
}

bool index_pulls_read(struct str key, const struct json *value, struct index_pull *ret)
{
	int64_t count, last_ms;

	if (!json_get_int(json_at(value, 0), &count) || !json_get_int(json_at(value, 1), &last_ms) ||
		count <= 0 || count > (int64_t)INDEX_PULLS_MAX || !index_memo_is_time(last_ms))
		return false;
	*ret = (struct index_pull){ .key = key, .count = (uint64_t)count, .last_ms = last_ms };
	return true;
}
