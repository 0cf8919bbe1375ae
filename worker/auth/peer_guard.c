/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/auth/peer_guard.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "worker/auth/peer_seen.h"

struct peer_guard {
	char *key;
	size_t key_len;
	struct peer_answer self;
	int64_t start_ms;
	struct peer_seen *seen;
};

struct peer_guard *peer_guard_new(
	struct str key, const char *name, const uint8_t process[PEER_PROCESS_BYTES], int64_t start_ms)
{
	struct peer_guard *guard = xnew(struct peer_guard);

	guard->key = check_strndup(key.len ? key.at : "", key.len);
	guard->key_len = key.len;
	CHECK(str_copy(str_of(name), guard->self.name, sizeof(guard->self.name)));
	memcpy(guard->self.process, process, sizeof(guard->self.process));
	guard->start_ms = start_ms;
	guard->seen = peer_seen_new();
	return guard;
}

void peer_guard_free(struct peer_guard *guard)
{
	if (!guard)
		return;
	explicit_bzero(guard->key, guard->key_len);
	free(guard->key);
	peer_seen_free(guard->seen);
	free(guard);
}

static bool is_for_us(const struct peer_guard *guard, const struct peer_claims *claims, struct error *err)
{
	if (!strcmp(claims->receiver, guard->self.name))
		return true;
	return error_set(err, ERROR_DENIED, "UNAUTHORIZED",
		"a call of %.60s is meant for %.60s, and this is %.60s", claims->sender, claims->receiver,
		guard->self.name);
}

static bool is_of_now(const struct peer_guard *guard, const struct peer_claims *claims, struct peer_now now,
	struct error *err)
{
	int64_t age_ms = now.wall_ms - claims->issued_ms;

	if (age_ms < -PEER_SKEW_MS)
		return error_set(err, ERROR_DENIED, "UNAUTHORIZED",
			"a call of %.60s was signed %" PRId64 " ms from now: a clock is wrong",
			claims->sender, -age_ms);
	if (age_ms > PEER_LIFE_MS + PEER_SKEW_MS)
		return error_set(err, ERROR_DENIED, "UNAUTHORIZED",
			"a call of %.60s was signed %" PRId64 " ms ago: it is late, or a clock is wrong",
			claims->sender, age_ms);
	if (age_ms > now.boot_ms - guard->start_ms)
		return error_set(err, ERROR_DENIED, "UNAUTHORIZED",
			"a call of %.60s was signed before this worker was started, or a clock is wrong",
			claims->sender);
	return true;
}

static bool is_first(struct peer_guard *guard, const struct peer_claims *claims, struct error *err)
{
	switch (peer_seen_take(guard->seen, claims->process, claims->sequence, claims->issued_ms)) {
	case PEER_SEEN_NEW:
		return true;
	case PEER_SEEN_EARLY:
		return error_set(err, ERROR_DENIED, "UNAUTHORIZED",
			"a call of %.60s is of a process that was forgotten meanwhile", claims->sender);
	case PEER_SEEN_USED:
		break;
	}
	return error_set(
		err, ERROR_CONFLICT, "UNAUTHORIZED", "a call of %.60s came a second time", claims->sender);
}

/* By which of the keys it is signed; NULL: by none of them. */
static const struct str *parse(const struct str *keys, unsigned len, const struct peer_came *asked,
	struct peer_claims *ret, struct error *err)
{
	for (unsigned i = 0; i < len; i++)
		if (peer_token_parse(keys[i], asked->request, asked->header, ret, err))
			return &keys[i];
	return NULL;
}

bool peer_guard_admit(
	struct peer_guard *guard, const struct peer_came *asked, struct peer_claims *ret, struct error *err)
{
	struct str key = str_from(guard->key, guard->key_len);

	return peer_guard_admit_by(guard, &key, 1, asked, ret, err);
}

bool peer_guard_admit_by(struct peer_guard *guard, const struct str *keys, unsigned keys_len,
	const struct peer_came *asked, struct peer_claims *ret, struct error *err)
{
	struct peer_claims claims;
	const struct str *key;

	CHECK(keys_len);
	key = parse(keys, keys_len, asked, &claims, err);
	if (!key)
		return false;
	if (asked->answer)
		peer_answer_format(*key, asked->header, &guard->self, asked->answer);
	if (!is_for_us(guard, &claims, err) || !is_of_now(guard, &claims, asked->now, err) ||
		!is_first(guard, &claims, err)) {
		peer_claims_fini(&claims);
		return false;
	}
	*ret = claims;
	return true;
}
