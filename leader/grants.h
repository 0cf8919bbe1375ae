/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grants - how a daily quota is dealt out to the workers so that their sum can never pass it.
 *
 *     available = quota - sum of granted over all (worker, boot) of the key and day
 *     give      = min(want, max(1, available / (2 * live workers))), nothing when none is available
 *
 * A finished boot counts what it used. granted is lowered only by a release or by the end of a boot, and only by a
 * push that is new: a copy of it that comes late must not take back what was granted since.
 * When a worker wants and nothing is available while other boots hold unused grants, those are
 * recalled: they learn it in their next answer, again and again until they release.
 *
 * Pure but for its own table; the caller stores what changed and serialises the calls.
 * Thread  one at a time.
 */
#pragma once

#include "leader/store.h"

struct grants;
struct grants *grants_new(void);
void grants_free(struct grants *grants);
AUTO_DEFINE(grants)
void grants_load(struct grants *grants, const struct store_grant *grant); /* from the store, at start */
/* Days before `oldest` are forgotten. */
void grants_forget(struct grants *grants, const char *oldest);

/* What a demand is judged by. */
struct grants_terms {
	uint64_t limit;         /* the key's daily quota now; 0: none, so it gets all that it wants */
	unsigned live_workers;
	bool repeated;          /* a copy of the newest push of (worker, boot): it takes nothing back */
};
/* One demand of (worker, boot). What stands now is *ret, borrowed until the next call; to be stored. */
void grants_demand(struct grants *grants, const char *worker, const char *boot, const struct usage_demand *demand,
		   const struct grants_terms *terms, const struct store_grant **ret);
/* The boot is over: each of its grants becomes what it used. fn sees each, to be stored. */
void grants_finish(struct grants *grants, const char *worker, const char *boot, store_grant_f *fn, void *arg);
/* Every grant that this boot holds, for its answer; recall is true where others are out. */
typedef void grants_each_f(void *arg, const struct store_grant *grant, bool recall);
void grants_each(struct grants *grants, const char *worker, const char *boot, grants_each_f *fn, void *arg);
uint64_t grants_granted(const struct grants *grants, const char *apikey, const char *day); /* sum over all boots */
