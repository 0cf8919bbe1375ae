/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota - this worker's grants: a call of a key with a daily quota is admitted only out of one.
 *
 *   admit --- a grant at hand --------------------------------> used + 1
 *     `------ none: the request waits, a push asks for more --> answered: again, once
 *
 * used never passes granted, granted only follows what a leader said (proto/usage.h), and a day that
 * ended takes its grants with it: so the sum over all workers never passes the quota.
 * Thread  any; one lock, held for a few lines.
 */
#pragma once

#include "proto/usage.h"
#include "worker/cluster/usage.h"

struct quotas;
struct quotas *quotas_new(void);
void quotas_free(struct quotas *quotas); /* nobody waits any more */
AUTO_DEFINE(quotas)

/* *ret_ask: a push should ask for more now. */
enum admission quotas_admit(struct quotas *quotas, struct loop *loop, const char *apikey, uint64_t limit, int64_t now_s, bool waited,
			    struct admission_info *ret_info, void (*resume)(void *arg), void *arg, bool *ret_ask);

/* What to ask for in the push that is being made. all: every key of today, for the last push of a boot. */
void quotas_demand(struct quotas *quotas, int64_t now_s, bool all, struct usage_push *push);
/* True when a grant was recalled: push again at once. */
bool quotas_answer(struct quotas *quotas, const struct usage_answer *answer);
/* The push is over, however it ended: those that waited for it go on. */
void quotas_wake(struct quotas *quotas);
bool quotas_has_waiters(struct quotas *quotas);
/* What this boot used, as demands, for the journal. */
void quotas_used(struct quotas *quotas, struct usage_push *push);
