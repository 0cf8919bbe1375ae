/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota_second - which second of the leader it is, and what was admitted in it.
 *
 * An answer says the leader's clock of a moment between its question and its arrival. So its clock is ahead of ours by
 * something between two bounds, which each answer can only bring nearer to each other. While both bounds mean the same
 * second it is sure; a call that comes about the turn waits for some milliseconds. So no two workers admit in one second
 * of the leader's out of two of theirs.
 */
#include "worker/cluster/quota_priv.h"

#include "common/clock.h"
#include "common/least.h"

/* Two clocks drift apart by a millisecond in so long, at most. */
#define DRIFT_MS 5000
/* A clock that is further back was set. */
#define BACK_MOST_S 5
/* Of a leader that is slower to answer it is never sure: then half a second is as good as it gets. */
#define DOUBT_MOST_MS 500

void quotas_hear_clock(struct quotas *quotas, int64_t sent_ms, int64_t now_ms)
{
	int64_t now = clock_ms(), drift = (now - quotas->heard_ms) / DRIFT_MS;
	/* Both clocks are cut to milliseconds. */
	int64_t at_least = now_ms - now - 1, at_most = now_ms + 1 - sent_ms;

	if (now_ms <= 0)
		return;
	if (quotas->heard_ms) {
		int64_t least_before = quotas->ahead_least_ms - drift;
		int64_t most_before = quotas->ahead_most_ms + drift;
		bool fits = at_least <= most_before && least_before <= at_most;

		/* A clock that was set, or another leader's, begins anew. */
		at_least = fits && least_before > at_least ? least_before : at_least;
		at_most = fits && most_before < at_most ? most_before : at_most;
	}
	quotas->ahead_least_ms = at_least;
	quotas->ahead_most_ms = at_most < at_least + DOUBT_MOST_MS ? at_most : at_least + DOUBT_MOST_MS;
	if (drift || !quotas->heard_ms)
		quotas->heard_ms = now;
}

int64_t quotas_second(const struct quotas *quotas, int64_t now, int64_t *ret_second)
{
	int64_t earliest = now + quotas->ahead_least_ms, latest = now + quotas->ahead_most_ms;

	*ret_second = latest / 1000;
	return earliest / 1000 == latest / 1000 ? 0 : latest / 1000 * 1000 - earliest;
}

int64_t quotas_next_second_ms(const struct quotas *quotas, int64_t now)
{
	int64_t within = (now + quotas->ahead_least_ms) % 1000;

	return 1000 - (within > 0 ? within : 0);
}

/* One that we have been in already is not begun again, where clocks of leaders differ by a little. */
void quota_roll(struct quota *quota, int64_t second)
{
	if (second <= quota->second && quota->second - second < BACK_MOST_S)
		return;
	quota->tried_before = second == quota->second + 1 ? quota->tried : 0;
	quota->tried = quota->in_second = 0;
	quota->second = second;
	/* What others do not use in it may come. */
	quota->dry_since_ms = quota->empty_until_ms = 0;
	if (quota->ends)
		quota->granted = 0;
	quota->ends = false;
}

/* It keeps what came in this second or the last one, and half as much. */
void quota_shrink(struct quota *quota)
{
	uint64_t came = most(quota->tried, quota->tried_before);
	uint64_t keep = most(came + (came + 1) / 2, quota->in_second);

	if (quota->kind != LIMITS_SECOND || quota->asked || quota->waiting || quota->granted <= keep)
		return;
	quota->granted = keep;
	quota->release = true;
	quota->released = false;
}

void quotas_roll(struct quotas *quotas, struct quota *quota, int64_t now)
{
	int64_t second;

	if (quota->kind == LIMITS_SECOND && !quotas_second(quotas, now, &second))
		quota_roll(quota, second);
}
