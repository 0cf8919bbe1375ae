/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/trust.h"

#include <stdbool.h>

#define WALL_OFF_MS   1000
#define LEADER_OFF_MS 2000

static int64_t missed_by_wall(const struct trust *trust, int64_t ahead_ms)
{
	int64_t missed = ahead_ms - trust->ahead_ms;

	return missed > WALL_OFF_MS ? missed : 0;
}

/* Between the first question and the second answer lies all the time that may lie between two dates. */
static int64_t missed_by_leader(const struct trust *trust, const struct trust_answer *answer)
{
	int64_t missed = (answer->date_s - trust->date_s) * 1000 - (answer->answered_ms - trust->asked_ms);

	return missed > LEADER_OFF_MS ? missed : 0;
}

static bool can_compare(const struct trust *trust, const struct trust_answer *answer)
{
	return trust->lease_until_ms && trust->date_s >= 0 && answer->date_s >= 0 &&
	       trust->leader == answer->leader;
}

static int64_t at_most(int64_t ms, int64_t most)
{
	return ms < 0 ? 0 : ms < most ? ms : most;
}

void trust_begin(struct trust *trust, int64_t now_ms, int64_t wall_ms)
{
	trust->since_ms = now_ms;
	if (!trust->lease_until_ms)
		trust->ahead_ms = wall_ms - now_ms;
}

int64_t trust_renew(struct trust *trust, const struct trust_answer *answer)
{
	int64_t ahead = answer->asked_wall_ms - answer->asked_ms;
	int64_t by_wall = missed_by_wall(trust, ahead), by_leader = 0;

	if (can_compare(trust, answer))
		by_leader = missed_by_leader(trust, answer);
	if (by_wall || by_leader || !can_compare(trust, answer))
		trust->since_ms = answer->answered_ms;
	trust->lease_until_ms = answer->asked_ms + answer->lease_ms;
	trust->ahead_ms = ahead;
	trust->asked_ms = answer->asked_ms;
	trust->date_s = answer->date_s;
	trust->leader = answer->leader;
	return by_wall > by_leader ? by_wall : by_leader;
}

int64_t trust_ms(const struct trust *trust, int64_t now_ms, int64_t wall_ms, int64_t most_ms)
{
	if (now_ms >= trust->lease_until_ms || missed_by_wall(trust, wall_ms - now_ms))
		return 0;
	return at_most(now_ms - trust->since_ms, most_ms);
}

int64_t trust_alone_ms(struct trust *trust, int64_t now_ms, int64_t wall_ms, int64_t most_ms)
{
	if (missed_by_wall(trust, wall_ms - now_ms))
		trust->since_ms = now_ms;
	trust->ahead_ms = wall_ms - now_ms;
	return at_most(now_ms - trust->since_ms, most_ms);
}
