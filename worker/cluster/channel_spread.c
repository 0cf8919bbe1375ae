/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/channel_spread.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/lock.h"
#include "common/map.h"

struct row {
	unsigned all;
	unsigned at[CHANNEL_LOOPS_MAX];
};

struct channel_spread {
	struct lock lock;
	struct map *rows; /* by URL; those without a channel are gone */
};

struct channel_spread *channel_spread_new(void)
{
	struct channel_spread *spread = xnew(struct channel_spread);

	lock_init(&spread->lock);
	spread->rows = map_new();
	return spread;
}

void channel_spread_free(struct channel_spread *spread)
{
	void *row;

	if (!spread)
		return;
	for (size_t at = 0; map_next(spread->rows, &at, NULL, &row);)
		free(row);
	map_free(spread->rows);
	lock_fini(&spread->lock);
	free(spread);
}

static unsigned least(const struct row *row, unsigned loops)
{
	unsigned found = row->at[0];

	for (unsigned i = 1; i < loops; i++)
		found = row->at[i] < found ? row->at[i] : found;
	return found;
}

bool channel_spread_take(
	struct channel_spread *spread, const char *url, unsigned loop, unsigned loops, unsigned tries)
{
	struct row *row;
	bool taken;

	CHECK(loop < loops && loops <= CHANNEL_LOOPS_MAX);
	lock_take(&spread->lock);
	row = map_find(spread->rows, str_of(url));
	taken = !row || row->at[loop] == least(row, loops) || tries >= CHANNEL_TRIES_MOST;
	if (taken && !row) {
		row = xnew(struct row);
		*row = (struct row){ 0 };
		(void)map_put(spread->rows, str_of(url), row);
	}
	if (taken) {
		row->at[loop]++;
		row->all++;
	}
	lock_drop(&spread->lock);
	return taken;
}

void channel_spread_give(struct channel_spread *spread, const char *url, unsigned loop)
{
	struct row *row;

	lock_take(&spread->lock);
	row = map_find(spread->rows, str_of(url));
	CHECK(row && loop < CHANNEL_LOOPS_MAX && row->at[loop]);
	row->at[loop]--;
	if (!--row->all)
		free(map_delete(spread->rows, str_of(url)));
	lock_drop(&spread->lock);
}

bool channel_spread_parse(const char *header, unsigned *ret_loop, unsigned *ret_loops)
{
	struct str rest = str_of(header), loop;
	uint64_t at, all;

	if (!header || !str_until(&rest, ' ', &loop) || !str_to_number(loop, CHANNEL_LOOPS_MAX, &at) ||
		!str_to_number(rest, CHANNEL_LOOPS_MAX, &all) || at >= all)
		return false;
	*ret_loop = (unsigned)at;
	*ret_loops = (unsigned)all;
	return true;
}
