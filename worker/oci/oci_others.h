/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_others - what lies at other workers, as endpoints see it: where a repository lies, and a piece of a blob there. Filled in by who knows
 * them (worker/front/front_others.h); storage that all share needs none of it.
 *
 * Thread  pool: read() waits for the other worker, for a bounded time.
 */
#pragma once

#include "common/buf.h"
#include "common/error.h"
#include "proto/digest.h"

struct mounts;
struct oci_ask;
struct ring_member;

struct oci_others {
	void *arg;
	struct mounts *mounts; /* that are under way */
	/* Another worker has the repository, and it may be asked; its member, borrowed from the snapshot. */
	bool (*find)(void *arg, const struct oci_ask *ask, struct str name, const struct ring_member **ret);
	/* The bytes from `at` on, as many as there is room in `into`, which is cleared first. *ret_size: of the whole blob. It is asked as the client,
	 * whose rights the other worker looks at too. ERROR_UNKNOWN, ERROR_DENIED, ERROR_UNAVAILABLE. */
	bool (*read)(void *arg, const struct oci_ask *ask, const struct ring_member *member, struct str name, const struct digest *digest,
		uint64_t at, struct buf *into, uint64_t *ret_size, struct error *err);
	bool (*is_leaving)(void *arg); /* this process: what takes long is given up */
};
