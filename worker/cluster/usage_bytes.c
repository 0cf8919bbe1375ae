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
	struct quotas_of of[2]; /* units: taken so far */
	size_t len;
	bool of_key; /* the first is its key's */
	char window[LIMITS_WINDOW_SIZE];
	char key[LIMITS_SUBJECT_MAX + 1], user[LIMITS_SUBJECT_MAX + 1];
};

static void add(struct usage_bytes *bytes, const char *subject, uint64_t limit)
{
	bytes->of[bytes->len++] = (struct quotas_of){
		.subject = subject, .window = bytes->window, .kind = LIMITS_BYTES, .limit = limit
	};
}

static void add_key(struct usage_bytes *bytes, const struct entity *key, uint64_t limit)
{
	CHECK(str_copy(entity_id(key), bytes->key, sizeof(bytes->key)));
	add(bytes, bytes->key, limit);
	bytes->of_key = true;
}

static void add_user(struct usage_bytes *bytes, const struct entity *user, uint64_t limit)
{
	AUTO_FINI(buf) subject = buf_limit(sizeof(bytes->user));

	limits_subject_of_user(entity_id(user), &subject);
	CHECK(str_copy(buf_str(&subject), bytes->user, sizeof(bytes->user)));
	add(bytes, bytes->user, limit);
}

struct usage_bytes *usage_bytes_new(
	struct usage *usage, struct loop *loop, const struct entity *apikey, const struct entity *user)
{
	uint64_t of_key = apikey ? limits_of_key(entity_apikey(apikey), LIMITS_BYTES) : 0;
	uint64_t of_user = user ? limits_of_user(entity_user(user), LIMITS_BYTES) : 0;
	struct usage_bytes *bytes;

	loop_assert(loop);
	if (!usage->on || (!of_key && !of_user))
		return NULL;
	bytes = xnew(struct usage_bytes);
	bytes->usage = usage;
	limits_window(LIMITS_BYTES, usage_clock_s(&usage->clock), bytes->window);
	if (of_key)
		add_key(bytes, apikey, of_key);
	if (of_user)
		add_user(bytes, user, of_user);
	return bytes;
}

size_t usage_bytes_apply(const struct usage_bytes *bytes, uint64_t units, struct quotas_of *into)
{
	for (size_t i = 0; i < bytes->len; i++) {
		into[i] = bytes->of[i];
		into[i].units = units;
	}
	return bytes->len;
}

void usage_bytes_took(struct usage_bytes *bytes, uint64_t units)
{
	for (size_t i = 0; i < bytes->len; i++)
		bytes->of[i].units += units;
}

enum admission usage_bytes_take(struct usage_bytes *bytes, uint64_t more, const struct admission_ask *ask,
	struct admission_info *ret_info)
{
	struct quotas_of of[2];
	size_t len = usage_bytes_apply(bytes, more, of);
	enum admission admission;

	*ret_info = (struct admission_info){ 0 };
	admission = usage_admit_of(bytes->usage, ask, of, len, ret_info);
	if (admission == ADMIT)
		usage_bytes_took(bytes, more);
	return admission;
}

uint64_t usage_bytes_end(struct usage_bytes *bytes, uint64_t moved)
{
	uint64_t of_key = bytes->of_key ? least(moved, bytes->of[0].units) : 0;

	for (size_t i = 0; i < bytes->len; i++)
		quotas_settle(bytes->usage->quotas, &bytes->of[i], moved);
	free(bytes);
	return of_key;
}
