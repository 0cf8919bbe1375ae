/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/chore_rows.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/json.h"
#include "common/map.h"
#include "proto/chore_view.h"
#include "worker/cluster/cluster_new.h"

#define ROW_BYTES (16 * 1024)

/* Never 0. */
static uint64_t hash_of(const struct usage_chore *chore)
{
	AUTO_FINI(buf) text = buf_limit(ROW_BYTES);
	struct json_writer w = json_writer(&text);

	chore_view_write(chore, &w);
	return map_hash(text.at, text.len) | 1;
}

static struct chore_row_told *told_of(struct chore_rows *rows, const char *name)
{
	size_t i = 0;

	while (i < rows->len && strcmp(rows->at[i].name, name) != 0)
		i++;
	if (i < rows->len)
		return &rows->at[i];
	CHECK(rows->len < USAGE_CHORES_MAX);
	rows->at[rows->len] = (struct chore_row_told){ .taken = 0 };
	CHECK(str_copy(str_of(name), rows->at[rows->len].name, sizeof(rows->at[0].name)));
	return &rows->at[rows->len++];
}

void chore_rows_put(
	struct chore_rows *rows, const struct cluster_run *run, int64_t now_ms, struct usage_report *report)
{
	struct usage_chore *all = xnew_array(struct usage_chore, USAGE_CHORES_MAX);
	size_t len = run->chores ? run->chores(run->arg, all) : 0;

	rows->sent_all = rows->want_all || !rows->all_ms || now_ms - rows->all_ms >= rows->again_ms;
	report->chores_whole = rows->sent_all && len;
	report->chores = all;
	for (size_t i = 0; i < len; i++) {
		struct chore_row_told *told = told_of(rows, all[i].name);

		told->sent = hash_of(&all[i]);
		if (rows->sent_all || told->sent != told->taken)
			all[report->chores_len++] = all[i];
		else
			usage_chore_fini(&all[i]);
	}
}

static int64_t least_ms(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void chore_rows_taken(struct chore_rows *rows, const struct cluster_run *run,
	const struct usage_answer *answer, int64_t now_ms)
{
	for (size_t i = 0; i < rows->len; i++)
		rows->at[i].taken = rows->at[i].sent;
	if (rows->sent_all) {
		rows->all_ms = now_ms;
		rows->again_ms = least_ms(2 * rows->again_ms, CHORE_ROWS_EVERY_MS);
	}
	rows->want_all = answer->tell_chores && !rows->sent_all;
	if (rows->want_all || !rows->again_ms)
		rows->again_ms = CHORE_ROWS_SOON_MS;
	for (size_t i = 0; run->order && i < answer->orders_len; i++)
		run->order(run->arg, &answer->orders[i]);
}
