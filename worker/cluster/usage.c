/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/usage.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
#include "worker/cluster/ceiling_writer.h"
#include "worker/cluster/usage_admit.h"
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
		for (unsigned i = 0; i < LIMITS_KINDS; i++)
			limits_window((enum limits_kind)i, now, own->windows[i]);
	}
	return now;
}

/* ---- admission ---- */

/* Those of bytes, usage_bytes.h has. */
static size_t apply(const struct usage_loop *own, const struct admission_ask *ask, struct quotas_of *into)
{
	size_t len = 0;

	CHECK(ask->limits_len <= ADMISSION_LIMITS_MOST);
	for (size_t i = 0; i < ask->limits_len; i++)
		for (unsigned kind = 0; kind < LIMITS_BYTES; kind++)
			if (ask->limits[i].of[kind])
				into[len++] = (struct quotas_of){ .subject = ask->limits[i].subject,
					.window = own->windows[kind],
					.kind = (enum limits_kind)kind,
					.limit = ask->limits[i].of[kind],
					.units = 1 };
	return len;
}

/* A wait that is over by itself. */
struct pause {
	struct loop_timer timer;
	void (*resume)(void *arg);
	void *arg;
};

static void pause_over(void *arg)
{
	struct pause *pause = arg;

	pause->resume(pause->arg);
	free(pause);
}

static void pause_for(const struct admission_ask *ask, int64_t ms)
{
	struct pause *pause = xnew(struct pause);

	pause->resume = ask->resume;
	pause->arg = ask->arg;
	loop_timer_start(ask->loop, &pause->timer, ms, pause_over, pause);
}

enum admission usage_admit_of(struct usage *usage, const struct admission_ask *ask,
	const struct quotas_of *of, size_t len, struct admission_info *info)
{
	struct quotas_ask of_quota = { .loop = ask->loop,
		.of = of,
		.of_len = len,
		.now_s = usage_clock_s(&usage->clock),
		.wait = ask->wait,
		.resume = ask->resume,
		.arg = ask->arg };
	struct quotas_need need;
	enum admission admission = quotas_admit(usage->quotas, &of_quota, info, &need);

	if (admission == WAIT && info->wait_ms)
		pause_for(ask, info->wait_ms);
	usage_see_to(usage, need);
	return admission;
}

enum admission usage_admit(
	struct usage *usage, const struct admission_ask *ask, struct admission_info *ret_info)
{
	struct usage_loop *own = &usage->loops[loop_index(ask->loop)];
	struct quotas_of of[QUOTAS_OF_MOST];
	enum admission admission = ADMIT;
	size_t len;

	loop_assert(ask->loop);
	*ret_info = (struct admission_info){ 0 };
	if (!usage->on)
		return ADMIT;
	(void)see_day(usage, own);
	memcpy(ret_info->day, own->day, sizeof(ret_info->day));
	len = apply(own, ask, of);
	if (ask->bytes)
		len += usage_bytes_apply(ask->bytes, ask->body, of + len);
	if (len)
		admission = usage_admit_of(usage, ask, of, len, ret_info);
	if (admission == ADMIT && ask->bytes)
		usage_bytes_took(ask->bytes, ask->body);
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
