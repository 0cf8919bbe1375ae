/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/push.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "worker/cluster/beat.h"
#include "worker/cluster/counts.h"
#include "worker/cluster/push_call.h"
#include "worker/cluster/usage_priv.h"
#include "worker/worker.h"

struct push {
	struct push_self self;
	struct usage *usage;
	struct beat *beat;
	struct counts *counts;
};

struct push *push_start(struct cluster *cluster, struct worker *worker)
{
	struct push *push = xnew(struct push);

	push_self_init(&push->self, cluster, worker);
	push->usage = worker->usage;
	push->counts = counts_start(&push->self, worker->usage);
	push->beat = beat_start(&push->self, worker->usage);
	push->usage->kick = beat_kick;
	push->usage->kick_arg = push->beat;
	return push;
}

/* Who leaves says so with the last of the counts: until then it drains, and after it nothing more is said. */
void push_say(struct push *push, const char *state)
{
	if (strcmp(state, "left") != 0) {
		push->self.state = state;
		beat_kick(push->beat);
		return;
	}
	beat_stop(push->beat);
	counts_finish(push->counts);
}

void push_state_changed(struct push *push, const struct state *state)
{
	if (push)
		usage_state_changed(push->usage, state);
}

bool push_is_over(const struct push *push)
{
	return counts_is_over(push->counts);
}

void push_stop(struct push *push)
{
	if (!push)
		return;
	beat_stop(push->beat);
	counts_stop(push->counts);
}

void push_free(struct push *push)
{
	if (!push)
		return;
	beat_free(push->beat);
	counts_free(push->counts);
	free(push);
}
