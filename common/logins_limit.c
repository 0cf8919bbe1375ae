/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logins_limit - token buckets of failures. Each is one number, the time at which all of its failures are
 * forgotten, as in the generic cell rate algorithm.
 */
#include "common/logins_priv.h"

#define FAILURES_MAX 30000
#define PLACES_MAX   10000
#define TRUSTED_MS   (24 * 3600 * (int64_t)1000)

void logins_limit_init(struct logins_limit *limit)
{
	limit->failures = recent_new(FAILURES_MAX, sizeof(int64_t));
	limit->places = recent_new(PLACES_MAX, sizeof(int64_t));
}

void logins_limit_fini(struct logins_limit *limit)
{
	recent_free(limit->failures);
	recent_free(limit->places);
}

/* How long until there may be one more, where `most` are allowed at once. */
static int64_t wait_of(
	struct logins_limit *limit, struct recent_key key, int64_t most, int64_t every_ms, int64_t now_ms)
{
	const int64_t *forgotten_ms = recent_find(limit->failures, key);
	int64_t wait = forgotten_ms ? *forgotten_ms - now_ms - (most - 1) * every_ms : 0;

	return wait > 0 ? wait : 0;
}

bool logins_limit_trusts(struct logins_limit *limit, const struct logins_who *who, int64_t now_ms)
{
	const int64_t *until = recent_find(limit->places, who->pair);

	return until && *until > now_ms;
}

int64_t logins_limit_wait(struct logins_limit *limit, const struct logins_who *who, int64_t now_ms)
{
	int64_t wait;

	if (logins_limit_trusts(limit, who, now_ms))
		return wait_of(limit, who->pair, LOGINS_PAIR_TRUSTED, LOGINS_PAIR_EVERY_MS, now_ms);
	wait = wait_of(limit, who->address, LOGINS_ADDRESS_FAILURES, LOGINS_ADDRESS_EVERY_MS, now_ms);
	if (wait || !wait_of(limit, who->account, LOGINS_ACCOUNT_FAILURES, LOGINS_ACCOUNT_EVERY_MS, now_ms))
		return wait;
	return wait_of(limit, who->pair, LOGINS_PAIR_FAILURES, LOGINS_PAIR_EVERY_MS, now_ms);
}

static void count(
	struct logins_limit *limit, struct recent_key key, int64_t most, int64_t every_ms, int64_t now_ms)
{
	int64_t *forgotten_ms = recent_put(limit->failures, key);

	*forgotten_ms = (*forgotten_ms > now_ms ? *forgotten_ms : now_ms) + every_ms;
	if (*forgotten_ms > now_ms + most * every_ms)
		*forgotten_ms = now_ms + most * every_ms;
}

void logins_limit_failed(struct logins_limit *limit, const struct logins_who *who, int64_t now_ms)
{
	count(limit, who->address, LOGINS_ADDRESS_FAILURES, LOGINS_ADDRESS_EVERY_MS, now_ms);
	count(limit, who->account, LOGINS_ACCOUNT_FAILURES, LOGINS_ACCOUNT_EVERY_MS, now_ms);
	count(limit, who->pair, LOGINS_PAIR_TRUSTED, LOGINS_PAIR_EVERY_MS, now_ms);
}

void logins_limit_succeeded(struct logins_limit *limit, const struct logins_who *who, int64_t now_ms)
{
	*(int64_t *)recent_put(limit->places, who->pair) = now_ms + TRUSTED_MS;
}
