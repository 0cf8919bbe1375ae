/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/absent_manifests.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/lock.h"

struct absent_manifests {
	struct lock lock;
	atomic_uint len; /* changed under the lock */
	unsigned oldest; /* the next to go, where all places are taken */
	struct digest at[ABSENT_MAX];
};

struct absent_manifests *absent_manifests_new(void)
{
	struct absent_manifests *absent = xnew(struct absent_manifests);

	lock_init(&absent->lock);
	return absent;
}

void absent_manifests_free(struct absent_manifests *absent)
{
	if (!absent)
		return;
	lock_fini(&absent->lock);
	free(absent);
}

/* Its place, or `len`. */
static unsigned find_locked(const struct absent_manifests *absent, const struct digest *digest, unsigned len)
{
	unsigned at = 0;

	lock_assert(&absent->lock);
	while (at < len && !digest_equal(&absent->at[at], digest))
		at++;
	return at;
}

void absent_manifests_add(struct absent_manifests *absent, const struct digest *digest)
{
	unsigned len;

	lock_take(&absent->lock);
	len = atomic_load(&absent->len);
	if (find_locked(absent, digest, len) == len) {
		if (len < ABSENT_MAX) {
			absent->at[len] = *digest;
			atomic_store(&absent->len, len + 1);
		} else {
			absent->at[absent->oldest] = *digest;
			absent->oldest = (absent->oldest + 1) % ABSENT_MAX;
		}
	}
	lock_drop(&absent->lock);
}

bool absent_manifests_has(struct absent_manifests *absent, const struct digest *digest)
{
	unsigned len;
	bool has;

	if (!atomic_load_explicit(&absent->len, memory_order_relaxed))
		return false;
	lock_take(&absent->lock);
	len = atomic_load(&absent->len);
	has = find_locked(absent, digest, len) < len;
	lock_drop(&absent->lock);
	return has;
}

void absent_manifests_forget(struct absent_manifests *absent, const struct digest *digest)
{
	unsigned len, at;

	lock_take(&absent->lock);
	len = atomic_load(&absent->len);
	at = find_locked(absent, digest, len);
	if (at < len) {
		absent->at[at] = absent->at[len - 1];
		absent->oldest = 0;
		atomic_store(&absent->len, len - 1);
	}
	lock_drop(&absent->lock);
}
