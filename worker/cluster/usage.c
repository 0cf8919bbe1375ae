/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/usage.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
#include "worker/cluster/ceiling_writer.h"
#include "worker/cluster/usage_new.h"
#include "worker/cluster/usage_priv.h"

bool usage_new(struct usage **ret_usage, unsigned loops_len, bool on, struct error *err)
{
	struct usage *usage = xnew(struct usage);

	(void)err;
	usage->on = on;
	usage->loops_len = loops_len;
	usage->loops = xnew_array(struct usage_loop, loops_len);
	for (unsigned i = 0; i < loops_len; i++) {
		usage->loops[i].usage = usage;
		usage->loops[i].day_number = -1;
		usage_batch_init(&usage->loops[i].batch, loops_len);
	}
	usage->quotas = quotas_new();
	*ret_usage = usage;
	return true;
}

void usage_set_loop(struct usage *usage, unsigned at, struct loop *loop)
{
	CHECK(at < usage->loops_len);
	usage->loops[at].loop = loop;
}

void usage_free(struct usage *usage)
{
	if (!usage)
		return;
	for (unsigned i = 0; i < usage->loops_len; i++)
		usage_batch_fini(&usage->loops[i].batch);
	free(usage->loops);
	quotas_free(usage->quotas);
	free(usage);
}

void usage_see_to(struct usage *usage, struct quotas_need need)
{
	if (need.beat && usage->kick)
		usage->kick(usage->kick_arg);
	if (need.ceilings && usage->writer)
		ceiling_writer_kick(usage->writer);
}

/* The clock's second; `own` has its day. */
static int64_t see_day(struct usage *usage, struct usage_loop *own)
{
	int64_t now = usage_clock_s(&usage->clock);

	if (now / 86400 != own->day_number) {
		own->day_number = now / 86400;
		clock_day(now, own->day);
	}
	return now;
}

enum admission usage_admit(
	struct usage *usage, const struct admission_ask *ask, struct admission_info *ret_info)
{
	const struct apikey *key = entity_apikey(ask->apikey);
	struct usage_loop *own = &usage->loops[loop_index(ask->loop)];
	struct quotas_need need;
	enum admission admission;
	int64_t now;

	loop_assert(ask->loop);
	*ret_info = (struct admission_info){ 0 };
	if (!usage->on)
		return ADMIT;
	now = see_day(usage, own);
	memcpy(ret_info->day, own->day, sizeof(ret_info->day));
	if (key->daily_quota <= 0)
		return ADMIT;
	AUTO_STR *id = str_dup(entity_id(ask->apikey));
	struct quotas_ask of_quota = { .loop = ask->loop,
		.apikey = id,
		.limit = (uint64_t)key->daily_quota,
		.day = own->day,
		.day_left_s = clock_next_day_s(now) - now,
		.wait = ask->wait,
		.resume = ask->resume,
		.arg = ask->arg };
	admission = quotas_admit(usage->quotas, &of_quota, ret_info, &need);
	usage_see_to(usage, need);
	return admission;
}

void usage_state_changed(struct usage *usage, const struct state *state)
{
	usage_see_to(usage, (struct quotas_need){ .beat = quotas_state(usage->quotas, state) });
}

void usage_count(struct usage *usage, struct loop *loop, const struct usage_event *event)
{
	struct usage_loop *own = &usage->loops[loop_index(loop)];

	loop_assert(loop);
	if (!usage->on || (!*event->apikey && !event->repository.len))
		return;
	(void)see_day(usage, own);
	usage_batch_count(&own->batch, event, *event->day ? event->day : own->day);
}

int64_t usage_waits_ms(const struct usage *usage)
{
	int64_t since = __atomic_load_n(&usage->waits_since_ms, __ATOMIC_RELAXED);
	int64_t now = clock_ms();

	return since && now > since ? now - since : 0;
}
