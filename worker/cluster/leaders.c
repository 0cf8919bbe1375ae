/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/leaders.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/crypto.h"

void leaders_init(struct leaders *leaders, const struct member_settings *settings, int64_t cap_ms)
{
	*leaders = (struct leaders){ .urls = &settings->leader_urls,
		.delay_ms = settings->retry_delay_ms,
		.factor = settings->retry_factor,
		.cap_ms = cap_ms };
	leaders->pauses = xnew_array(struct leader_pause, settings->leader_urls.len);
	leaders->now = random_below(settings->leader_urls.len);
}

void leaders_fini(struct leaders *leaders)
{
	free(leaders->pauses);
}

const char *leaders_next(struct leaders *leaders, int64_t now_ms, int64_t *ret_wait_ms)
{
	int64_t soonest = INT64_MAX;

	for (size_t i = 0; i < leaders->urls->len; i++) {
		size_t at = (leaders->now + i) % leaders->urls->len;
		if (leaders->pauses[at].until_ms <= now_ms) {
			leaders->now = at;
			return leaders->urls->at[at];
		}
		if (leaders->pauses[at].until_ms < soonest)
			soonest = leaders->pauses[at].until_ms;
	}
	*ret_wait_ms = soonest - now_ms;
	return NULL;
}

void leaders_worked(struct leaders *leaders)
{
	leaders->pauses[leaders->now] = (struct leader_pause){ 0 };
}

void leaders_failed(struct leaders *leaders, int64_t now_ms)
{
	struct leader_pause *pause = &leaders->pauses[leaders->now];
	int64_t most = leaders->delay_ms;

	for (unsigned i = 0; i < pause->failures && most < leaders->cap_ms; i++)
		most *= leaders->factor;
	if (most > leaders->cap_ms)
		most = leaders->cap_ms;
	pause->failures++;
	pause->until_ms = now_ms + 1 + (int64_t)random_below((uint64_t)most);
	leaders->now = (leaders->now + 1) % leaders->urls->len;
}
