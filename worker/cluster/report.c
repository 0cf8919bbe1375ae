/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/report.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/loop.h"
#include "worker/cluster/beat.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/counts.h"
#include "worker/cluster/report_call.h"
#include "worker/cluster/usage_priv.h"

struct report {
	struct report_self self;
	struct usage *usage;
	struct beat *beat;
	struct counts *counts;
};

struct report *report_start(struct cluster *cluster)
{
	struct report *report = xnew(struct report);

	loop_assert(cluster->run.loop);
	report_self_init(&report->self, cluster);
	report->usage = cluster->run.usage;
	report->counts = counts_start(&report->self);
	report->beat = beat_start(&report->self);
	report->usage->kick = beat_kick;
	report->usage->kick_arg = report->beat;
	return report;
}

void report_joined(struct report *report)
{
	loop_assert(report->self.cluster->run.loop);
	if (strcmp(report->self.state, "joining") != 0)
		return;
	report->self.state = "active";
	beat_kick(report->beat);
}

/* Who leaves says so with the last of the counts: until then it drains, and after it nothing more is said. */
void report_say(struct report *report, const char *state)
{
	loop_assert(report->self.cluster->run.loop);
	if (strcmp(state, "left") != 0) {
		report->self.state = state;
		beat_kick(report->beat);
		return;
	}
	beat_stop(report->beat);
	counts_finish(report->counts);
}

void report_state_changed(struct report *report, const struct state *state)
{
	if (!report)
		return;
	loop_assert(report->self.cluster->run.loop);
	usage_state_changed(report->usage, state);
}

void report_now(struct report *report)
{
	if (!report)
		return;
	loop_assert(report->self.cluster->run.loop);
	beat_kick(report->beat);
}

bool report_is_over(const struct report *report)
{
	return counts_is_over(report->counts);
}

void report_stop(struct report *report)
{
	if (!report)
		return;
	loop_assert(report->self.cluster->run.loop);
	beat_stop(report->beat);
	counts_stop(report->counts);
}

void report_free(struct report *report)
{
	if (!report)
		return;
	beat_free(report->beat);
	counts_free(report->counts);
	free(report);
}
