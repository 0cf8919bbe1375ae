/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/history.h"

#include <inttypes.h>
#include <string.h>

static const char *const positions[] = {
	[HISTORY_KNOWN] = "known", [HISTORY_OLDER] = "older", [HISTORY_UNKNOWN] = "unknown"
};

static const char *const verdicts[] = { [HISTORY_FOLLOW] = "follow",
	[HISTORY_REWOUND] = "rewound",
	[HISTORY_BEFORE] = "before",
	[HISTORY_FOREIGN] = "foreign",
	[HISTORY_SILENT] = "silent" };

bool history_same(const struct history *a, const struct history *b)
{
	return a->generation == b->generation && !strcmp(a->cluster, b->cluster);
}

bool history_set(struct history *history, struct str cluster, uint64_t generation)
{
	uint8_t raw[16];

	if (!str_unhex(cluster, raw, sizeof(raw)) || !generation || generation > INT64_MAX)
		return false;
	str_hex(raw, sizeof(raw), history->cluster);
	history->generation = generation;
	return true;
}

const char *history_position_name(enum history_position position)
{
	return positions[position];
}

bool history_position_parse(const char *name, enum history_position *ret)
{
	for (size_t i = 0; name && i < sizeof(positions) / sizeof(positions[0]); i++) {
		if (strcmp(name, positions[i]) != 0)
			continue;
		*ret = (enum history_position)i;
		return true;
	}
	return false;
}

static enum history_verdict judge_same(const struct history *own, const struct history_claim *leader)
{
	if (leader->history.generation != own->generation)
		return leader->history.generation > own->generation ? HISTORY_FOLLOW : HISTORY_BEFORE;
	return leader->position == HISTORY_UNKNOWN ? HISTORY_REWOUND : HISTORY_FOLLOW;
}

enum history_verdict history_judge(
	const struct history *own, uint64_t revision, const struct history_claim *leader)
{
	if (!*leader->history.cluster)
		return revision && *own->cluster ? HISTORY_SILENT : HISTORY_FOLLOW;
	if (!revision || (*leader->replaces && !strcmp(own->cluster, leader->replaces)))
		return HISTORY_FOLLOW;
	if (!*own->cluster)
		return leader->position == HISTORY_UNKNOWN ? HISTORY_FOREIGN : HISTORY_FOLLOW;
	if (strcmp(own->cluster, leader->history.cluster) != 0)
		return HISTORY_FOREIGN;
	return judge_same(own, leader);
}

static const char *const meanings[] = { [HISTORY_FOLLOW] = "it may follow",
	[HISTORY_REWOUND] =
		"the leader has lost what it had written: an older copy of its data was put back by hand",
	[HISTORY_BEFORE] = "the leader's data is from before a restore",
	[HISTORY_FOREIGN] = "the leader's data was deleted, or it is another cluster's leader",
	[HISTORY_SILENT] = "the leader is of an older version than before, or its headers are taken away" };

static void put_history(const struct history *history, uint64_t revision, struct buf *into)
{
	buf_format(into, "revision %" PRIu64, revision);
	if (*history->cluster)
		buf_format(
			into, " of cluster %s, generation %" PRIu64, history->cluster, history->generation);
	else
		buf_puts(into, " of a cluster that was not said");
}

void history_explain(enum history_verdict verdict, const struct history *own, uint64_t revision,
	const struct history_claim *leader, uint64_t leader_revision, struct buf *into)
{
	buf_puts(into, "the worker has ");
	put_history(own, revision, into);
	buf_puts(into, "; the leader has ");
	put_history(&leader->history, leader_revision, into);
	buf_format(into, ": %s", meanings[verdict]);
}

const char *history_verdict_name(enum history_verdict verdict)
{
	return verdicts[verdict];
}
