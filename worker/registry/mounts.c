/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/mounts.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/lock.h"

struct flight {
	struct digest digest;
	char *client; /* NULL: none */
};

struct waiter {
	struct digest digest;
	mounts_again_f *again;
	void *arg;
};

struct mounts {
	struct lock lock;
	struct flight flights[MOUNTS_MOST];
	struct waiter waiters[MOUNTS_WAITING];
	size_t waiters_len;
};

struct mounts *mounts_new(void)
{
	struct mounts *mounts = xnew(struct mounts);

	lock_init(&mounts->lock);
	return mounts;
}

void mounts_free(struct mounts *mounts)
{
	if (!mounts)
		return;
	CHECK(!mounts->waiters_len);
	for (size_t i = 0; i < MOUNTS_MOST; i++)
		CHECK(!mounts->flights[i].client);
	lock_fini(&mounts->lock);
	free(mounts);
}

/* A place for it, or NULL: it has to wait. */
static struct flight *find_place_locked(struct mounts *mounts, const struct digest *digest, struct str client)
{
	struct flight *place = NULL;
	unsigned each = 0;

	lock_assert(&mounts->lock);
	for (size_t i = 0; i < MOUNTS_MOST; i++) {
		struct flight *flight = &mounts->flights[i];
		if (!flight->client) {
			place = flight;
			continue;
		}
		if (digest_equal(&flight->digest, digest))
			return NULL;
		each += str_is(client, flight->client);
	}
	return each < MOUNTS_EACH ? place : NULL;
}

static enum mounts_step enter_locked(
	struct mounts *mounts, const struct digest *digest, struct str client, const struct waiter *waiter)
{
	struct flight *place = find_place_locked(mounts, digest, client);

	if (place) {
		*place = (struct flight){ *digest, str_dup(client) };
		return MOUNTS_GO;
	}
	if (mounts->waiters_len == MOUNTS_WAITING)
		return MOUNTS_FULL;
	mounts->waiters[mounts->waiters_len++] = *waiter;
	return MOUNTS_WAITS;
}

enum mounts_step mounts_enter(struct mounts *mounts, const struct digest *digest, struct str client,
	mounts_again_f *again, void *arg)
{
	const struct waiter waiter = { *digest, again, arg };
	enum mounts_step step;

	lock_take(&mounts->lock);
	step = enter_locked(mounts, digest, client, &waiter);
	lock_drop(&mounts->lock);
	return step;
}

static void clear_locked(struct mounts *mounts, const struct digest *digest, struct str client)
{
	lock_assert(&mounts->lock);
	for (size_t i = 0; i < MOUNTS_MOST; i++) {
		struct flight *flight = &mounts->flights[i];
		if (!flight->client || !digest_equal(&flight->digest, digest))
			continue;
		CHECK(str_is(client, flight->client));
		free(TAKE(flight->client));
		return;
	}
	CHECK(!"it is under way");
}

void mounts_leave(struct mounts *mounts, const struct digest *digest, struct str client, bool failed)
{
	struct waiter *waiters = xnew_array(struct waiter, MOUNTS_WAITING);
	size_t len;

	lock_take(&mounts->lock);
	clear_locked(mounts, digest, client);
	len = mounts->waiters_len;
	memcpy(waiters, mounts->waiters, len * sizeof(*waiters));
	mounts->waiters_len = 0;
	lock_drop(&mounts->lock);
	for (size_t i = 0; i < len; i++)
		waiters[i].again(waiters[i].arg, failed && digest_equal(&waiters[i].digest, digest));
	free(waiters);
}
