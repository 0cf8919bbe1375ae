/* SPDX-License-Identifier: Apache-2.0 */
#include "s3/s3_outage.h"

bool s3_outage_silent(struct s3_outage *outage, int64_t begun_ms, int64_t now_ms)
{
	int_least64_t none = 0;

	(void)atomic_compare_exchange_strong(&outage->since_ms, &none, begun_ms);
	return s3_outage_is_on(outage, now_ms) && !atomic_exchange(&outage->told, true);
}

bool s3_outage_answered(struct s3_outage *outage, int64_t *ret_since_ms)
{
	/* The usual case is a look alone. */
	if (!atomic_load(&outage->since_ms))
		return false;
	*ret_since_ms = atomic_exchange(&outage->since_ms, 0);
	return atomic_exchange(&outage->told, false);
}

int64_t s3_outage_ms(const struct s3_outage *outage, int64_t now_ms)
{
	int64_t since = atomic_load(&outage->since_ms);

	return !since ? 0 : now_ms > since ? now_ms - since : 1;
}

bool s3_outage_is_on(const struct s3_outage *outage, int64_t now_ms)
{
	return s3_outage_ms(outage, now_ms) >= S3_OUTAGE_GRACE_MS;
}

bool s3_outage_enter(struct s3_outage *outage, int64_t now_ms, bool *ret_counted)
{
	*ret_counted = s3_outage_is_on(outage, now_ms);
	if (!*ret_counted || atomic_fetch_add(&outage->tries, 1) < S3_OUTAGE_TRIES)
		return true;
	s3_outage_leave(outage, true);
	return false;
}

void s3_outage_leave(struct s3_outage *outage, bool counted)
{
	if (counted)
		atomic_fetch_sub(&outage->tries, 1);
}
