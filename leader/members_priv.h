/* SPDX-License-Identifier: Apache-2.0 */
/*
 * members_priv - the table of members, for members.c, members_stage.c and members_look.c.
 *
 * Thread  under `lock`, but for what never changes.
 */
#pragma once

#include <pthread.h>
#include <string.h>

#include "leader/ledger.h"
#include "leader/member_chores.h"
#include "leader/members.h"

struct member {
	struct ledger_member data;
	uint64_t number; /* the highest of its process */
	uint64_t came;   /* dealings of the leader's life with its registration; 0 = before that life */
	uint64_t echo;   /* the most of them that it has told of, and 1 */
	int64_t seen_ms;
	int64_t registered_ms; /* 0: before the leader's life */
	int64_t stored_ms;
	bool unstored; /* the ledger has it otherwise */
	bool live;
	bool met;        /* all others knew of it, when it was first dealt to */
	bool makes_room; /* for another: to be forgotten */
	bool empty;      /* members_note_empty() */
	bool wanted;     /* it is to be told that a report of it is wanted now */
	int64_t told_ms; /* when it was last */
	struct member_chores chores; /* of its process */
	uint64_t chores_number;      /* of the report that told of them last */
};

struct past;
struct members {
	pthread_mutex_t lock;
	struct member **at; /* sorted by name */
	size_t len, room, making_room;
	unsigned live;
	bool keep;
	int64_t started_ms, swept_ms;
	struct past *past;
};

struct member *members_find(const struct members *members, const char *name);
/* It is not there yet. */
struct member *members_insert(struct members *members, const char *name);
/* Whoever comes next under its name, or under none: its copies are known. */
void members_remember(struct members *members, const struct member *member);
void members_set_live(struct members *members, struct member *member, bool live);

static inline bool member_is_left(const char *state)
{
	return !strcmp(state, "left");
}

static inline bool member_holds_nothing(const struct member *member, uint64_t epoch)
{
	const struct usage_stats *stats = &member->data.stats;

	return stats->moves && stats->moves_epoch >= epoch && !stats->moves_held;
}

static inline bool member_is_process(const struct member *member, const char *process)
{
	return !strcmp(member->data.process, process);
}
