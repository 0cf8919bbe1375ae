/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/usage_bytes.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/least.h"
#include "common/loop.h"
#include "worker/cluster/usage_admit.h"

struct usage_bytes {
	struct usage *usage;
	char window[LIMITS_WINDOW_SIZE];
	bool of_key; /* the first is its key's */
	size_t len;
	struct {
		char subject[LIMITS_SUBJECT_MAX + 1];
		uint64_t limit, taken;
	} at[];
};

static size_t count(const struct limits *limits, size_t len)
{
	size_t found = 0;

	for (size_t i = 0; i < len; i++)
		found += limits[i].of[LIMITS_BYTES] > 0;
	return found;
}

static void add(struct usage_bytes *bytes, const struct limits *limits)
{
	bytes->of_key |= limits_who(limits->subject) == LIMITS_OF_KEY;
	memcpy(bytes->at[bytes->len].subject, limits->subject, sizeof(limits->subject));
	bytes->at[bytes->len++].limit = limits->of[LIMITS_BYTES];
}

struct usage_bytes *usage_bytes_new(
	struct usage *usage, struct loop *loop, const struct limits *limits, size_t len)
{
	size_t found = count(limits, len);
	struct usage_bytes *bytes;

	loop_assert(loop);
	if (!usage->on || !found)
		return NULL;
	bytes = check_alloc(1, sizeof(*bytes) + found * sizeof(bytes->at[0]));
	bytes->usage = usage;
	limits_window(LIMITS_BYTES, usage_clock_s(&usage->clock), bytes->window);
	for (size_t i = 0; i < len; i++)
		if (limits[i].of[LIMITS_BYTES])
			add(bytes, &limits[i]);
	return bytes;
}

static struct quotas_of of(const struct usage_bytes *bytes, size_t i, uint64_t units)
{
	return (struct quotas_of){ .subject = bytes->at[i].subject,
		.window = bytes->window,
		.kind = LIMITS_BYTES,
		.limit = bytes->at[i].limit,
		.units = units };
}

size_t usage_bytes_apply(const struct usage_bytes *bytes, uint64_t units, struct quotas_of *into)
{
	for (size_t i = 0; i < bytes->len; i++)
		into[i] = of(bytes, i, units);
	return bytes->len;
}

void usage_bytes_took(struct usage_bytes *bytes, uint64_t units)
{
	for (size_t i = 0; i < bytes->len; i++)
		bytes->at[i].taken += units;
}

enum admission usage_bytes_take(struct usage_bytes *bytes, uint64_t more, const struct admission_ask *ask,
	struct admission_info *ret_info)
{
	struct quotas_of quotas[ADMISSION_LIMITS_MOST];
	size_t len = usage_bytes_apply(bytes, more, quotas);
	enum admission admission;

	*ret_info = (struct admission_info){ 0 };
	admission = usage_admit_of(bytes->usage, ask, quotas, len, ret_info);
	if (admission == ADMIT)
		usage_bytes_took(bytes, more);
	return admission;
}

uint64_t usage_bytes_end(struct usage_bytes *bytes, uint64_t moved)
{
	uint64_t of_key = bytes->of_key ? least(moved, bytes->at[0].taken) : 0;

	for (size_t i = 0; i < bytes->len; i++) {
		struct quotas_of quota = of(bytes, i, bytes->at[i].taken);
		struct quotas_need need;
		quotas_settle(bytes->usage->quotas, &quota, moved, &need);
		usage_see_to(bytes->usage, need);
	}
	free(bytes);
	return of_key;
}
