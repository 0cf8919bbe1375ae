/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moves_rig - one of two members of an isolated cluster, which has a store, and never reaches the other: a repository that is its own, and one that is not.
 */
#pragma once

#include "tests/unit/worker/registry/registry_rig.h"

#include "proto/ring.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/cluster_new.h"
#include "worker/moves/moves.h"

struct moves_rig {
	struct registry_rig rig;
	struct cluster *cluster;
	struct moves *moves;
	char ours[32], others[32]; /* repositories */
};

/* A name that this member owns, or does not. */
static inline void moves_rig_find_name(struct moves_rig *rig, bool is_ours, char *into, size_t size)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(rig->cluster);

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(into, size, "some/r%d", i);
		if ((ring_owner(snapshot->ring, str_of(into)) == snapshot->self) == is_ours)
			return;
	}
	fail_msg("no such name");
}

static inline int moves_rig_open(void **state)
{
	struct moves_rig *rig = xnew(struct moves_rig);
	const char *list[] = { "127.0.0.1:10", "127.0.0.1:9" };
	struct member_settings members = { .members = { list, 2 },
		.hash_key = "loremipsumdolors",
		.secret = "0123456789abcdef0123456789abcdef",
		.isolated = true };
	struct moves_settings settings = { 0 };
	struct error err;

	registry_rig_open(&rig->rig);
	if (!cluster_new(&rig->cluster, &members, 10, &err))
		fail_msg("%s", err.text);
	settings.cluster = rig->cluster;
	settings.registry = rig->rig.registry;
	settings.pool = rig->rig.pool;
	rig->moves = moves_new(&settings);
	moves_rig_find_name(rig, true, rig->ours, sizeof(rig->ours));
	moves_rig_find_name(rig, false, rig->others, sizeof(rig->others));
	*state = rig;
	return 0;
}

static inline int moves_rig_close(void **state)
{
	struct moves_rig *rig = *state;

	moves_stop(rig->moves);
	registry_rig_close(&rig->rig);
	moves_free(rig->moves);
	cluster_free(rig->cluster);
	free(rig);
	return 0;
}
