/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/standing.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/str.h"
#include "worker/cluster/complaints.h"

/* The complaint's text follows the clock in such steps. */
#define CLOCK_STEP_MS 2000

void standing_init(struct standing *standing, struct complaints *complaints, bool own_secret)
{
	*standing = (struct standing){ .complaints = complaints, .own_secret = own_secret };
}

/* ---- the clock ---- */

/* When the leader looked at its clock, give or take half of the way: ours, less what the leader said. */
static int64_t offset_ms(const struct report_result *result, int64_t *ret_unsure_ms)
{
	const struct trust_answer *times = &result->trust;
	int64_t way_ms = times->answered_ms - times->asked_ms;

	*ret_unsure_ms = way_ms / 2 + 1;
	return times->asked_wall_ms + way_ms / 2 - result->answer->now_ms;
}

static void say_clock(struct standing *standing, int64_t ahead_ms)
{
	if (standing->clock_said_ms && llabs(ahead_ms - standing->clock_said_ms) < CLOCK_STEP_MS)
		return;
	standing->clock_said_ms = ahead_ms;
	complaint_say(standing->complaints, COMPLAINT_CLOCK,
		"this worker's clock is %" PRId64
		" s %s the leader's: keep both right (NTP); from a minute on other workers refuse its calls",
		(int64_t)(llabs(ahead_ms) / 1000), ahead_ms > 0 ? "ahead of" : "behind");
}

static void judge_clock(struct standing *standing, int64_t ahead_ms, int64_t unsure_ms)
{
	if (llabs(ahead_ms) >= STANDING_CLOCK_MS + unsure_ms) {
		say_clock(standing, ahead_ms);
	} else if (llabs(ahead_ms) + unsure_ms < STANDING_CLOCK_MS && standing->clock_said_ms) {
		standing->clock_said_ms = 0;
		complaint_end(standing->complaints, COMPLAINT_CLOCK);
	}
}

/* ---- name and secret ---- */

static void end_taken(struct standing *standing)
{
	standing->taken_since_ms = 0;
	if (standing->taken_said)
		complaint_end(standing->complaints, COMPLAINT_NAME);
	standing->taken_said = false;
}

void standing_taken(struct standing *standing, struct str why, int64_t lease_ms, int64_t now_ms)
{
	if (!standing->taken_since_ms)
		standing->taken_since_ms = now_ms;
	if (now_ms - standing->taken_since_ms < lease_ms)
		return;
	standing->taken_said = true;
	complaint_say(standing->complaints, COMPLAINT_NAME, "%.*s", STR_ARGS(why));
}

static void judge_secret(struct standing *standing, bool other)
{
	if (other)
		complaint_say(standing->complaints, COMPLAINT_SECRET,
			"%s; give all workers the same, and restart",
			standing->own_secret
				? "ZOT_CLUSTER_SECRET of this worker is another than that of most workers, "
				  "or these have none"
				: "most workers have a ZOT_CLUSTER_SECRET, and this one has none");
	else
		complaint_end(standing->complaints, COMPLAINT_SECRET);
}

int64_t standing_heard(struct standing *standing, const struct report_result *result)
{
	int64_t unsure_ms, ahead_ms = 0;

	end_taken(standing);
	judge_secret(standing, result->answer->other_secret);
	if (result->answer->now_ms <= 0)
		return 0;
	ahead_ms = offset_ms(result, &unsure_ms);
	judge_clock(standing, ahead_ms, unsure_ms);
	return ahead_ms;
}
