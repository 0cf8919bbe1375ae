/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/usage.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
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
		usage_batch_init(&usage->loops[i].batch);
	}
	usage->quotas = quotas_new();
	*ret_usage = usage;
	return true;
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

enum admission usage_admit(struct usage *usage, struct loop *loop, const struct entity *apikey, bool waited,
	struct admission_info *ret_info, void (*resume)(void *arg), void *arg)
{
	const struct apikey *key = entity_apikey(apikey);
	enum admission admission;
	bool ask;

	*ret_info = (struct admission_info){ 0 };
	if (!usage->on || key->daily_quota <= 0)
		return ADMIT;
	AUTO_STR *id = str_dup(entity_id(apikey));
	admission = quotas_admit(usage->quotas, loop, id, (uint64_t)key->daily_quota, clock_wall_s(), waited,
		ret_info, resume, arg, &ask);
	if (ask && usage->kick)
		usage->kick(usage->kick_arg);
	return admission;
}

void usage_count(struct usage *usage, struct loop *loop, const struct usage_event *event)
{
	struct usage_loop *own = &usage->loops[loop_index(loop)];
	int64_t now = clock_wall_s();

	if (!usage->on || (!*event->apikey && !event->repository.len))
		return;
	if (now / 86400 != own->day_number) {
		own->day_number = now / 86400;
		clock_day(now, own->day);
	}
	usage_batch_count(&own->batch, event, own->day);
}
