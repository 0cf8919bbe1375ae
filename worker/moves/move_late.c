/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move_late - blobs of uploads that ended here though another member owns the repository by now: each is handed to the owner.
 *
 *     an upload ends here --not ours?--> remembered, and counted as held --the chore--> POST fetch to the owner --it has it--> forgotten
 *                         `-ours, not here yet-'                         `-ours by now?-> the repository comes here -----------'
 *
 * tests/model/moves_late.pml searches it.
 *
 * Until then an evacuation waits: a client that was told 201 pushes its manifest to the owner, who would find nobody to ask when this worker is gone.
 * In memory, at most MOVES_LATE_MAX; an owner of a version before does not know the question, and looks for the blob here when a push names it, as it did.
 */
#include <stdlib.h>

#include "common/check.h"
#include "common/log.h"
#include "worker/cluster/cluster.h"
#include "worker/moves/moves_priv.h"
#include "worker/storage/store.h"

#define LATE_AT_ONCE 256
#define FETCH_MS     60000

struct late {
	struct digest digest;
	char name[];
};

static void forget(struct moves *moves, const char *key)
{
	moves_lock(moves);
	free(map_delete(moves->late, str_of(key)));
	moves_unlock(moves);
}

/* What is ours by the ring alone may be another's again before it came. */
static bool is_here(struct moves *moves, const struct snapshot *snapshot, struct str name)
{
	return moves_owns(snapshot, name) && moves_is_ready(moves, snapshot, name, MOVES_INDEX);
}

void moves_late_add(struct moves *moves, struct str name, const struct digest *digest)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(moves->settings.cluster);
	AUTO_FINI(buf) key = buf_limit(1024);
	struct late *late;
	bool full;

	if (!snapshot->isolated || snapshot->self == RING_NOBODY || is_here(moves, snapshot, name))
		return;
	moves_blob_key(name, digest, &key);
	late = check_alloc(1, sizeof(*late) + name.len + 1);
	late->digest = *digest;
	memcpy(late->name, name.at, name.len);
	moves_lock(moves);
	full = map_len(moves->late) >= MOVES_LATE_MAX && !map_find(moves->late, buf_str(&key));
	if (!full)
		late = map_put(moves->late, buf_str(&key), late);
	moves_unlock(moves);
	free(late);
	if (full)
		log_warn("move.late",
			"repository=%s what=\"too many uploads ended here that are another member's; it "
			"finds this one when a push names it\"",
			log_quote(name));
}

static struct late *late_dup(const struct late *late)
{
	size_t len = sizeof(*late) + strlen(late->name) + 1;
	struct late *copy = check_alloc(1, len);

	memcpy(copy, late, len);
	return copy;
}

/* Some of them; each the caller's. */
static size_t take_some(struct moves *moves, struct late *into[LATE_AT_ONCE])
{
	size_t len = 0;
	void *late;

	moves_lock(moves);
	for (size_t at = 0; len < LATE_AT_ONCE && map_next(moves->late, &at, NULL, &late);)
		into[len++] = late_dup(late);
	moves_unlock(moves);
	return len;
}

static bool ask_owner(
	struct moves *moves, struct snapshot *snapshot, const struct late *late, struct error *err)
{
	AUTO_FINI(buf) target = buf_limit(4096);
	char digest[DIGEST_TEXT_SIZE];
	struct move_call call = { .snapshot = snapshot,
		.member = moves_owner(snapshot, str_of(late->name)),
		.method = "POST",
		.total_ms = FETCH_MS };
	struct http_result result;
	bool ok;

	if (!call.member)
		return error_set(err, ERROR_UNAVAILABLE, NULL, "nobody owns %s", late->name);
	digest_format(&late->digest, digest);
	moves_target("fetch", str_of(late->name), &target);
	buf_format(&target, "&digest=%s", digest);
	call.target = buf_text(&target);
	http_result_init(&result, 4096);
	/* 400: it is of a version before. 404: deleted, here or there. */
	ok = move_call(&moves->caller, &call, &result, err) &&
	     (result.status == 200 || result.status == 400 || result.status == 404 ||
		     error_set(err, ERROR_UNAVAILABLE, NULL, "member %s, asked to fetch %s of %s, answers %u",
			     call.member->id, digest, late->name, result.status));
	http_result_fini(&result);
	return ok;
}

static bool hand_over(
	struct moves *moves, struct snapshot *snapshot, const struct late *late, struct error *err)
{
	AUTO_FINI(buf) key = buf_limit(1024);

	if (!(moves_owns(snapshot, str_of(late->name)) ? moves_bring(moves, str_of(late->name), err)
						       : ask_owner(moves, snapshot, late, err)))
		return false;
	moves_blob_key(str_of(late->name), &late->digest, &key);
	forget(moves, buf_text(&key));
	return true;
}

bool moves_hand_over(struct moves *moves, struct snapshot *snapshot, struct error *err)
{
	struct late *some[LATE_AT_ONCE];
	size_t len = take_some(moves, some);
	bool ok = true;

	for (size_t i = 0; i < len; i++) {
		if (ok && atomic_load(&moves->stopping))
			ok = error_set(err, ERROR_UNAVAILABLE, NULL, "this worker ends");
		ok = ok && hand_over(moves, snapshot, some[i], err);
		free(some[i]);
	}
	return ok;
}

size_t moves_late_len(struct moves *moves)
{
	size_t len;

	moves_lock(moves);
	len = map_len(moves->late);
	moves_unlock(moves);
	return len;
}

void moves_free_late(struct moves *moves)
{
	void *late;

	for (size_t at = 0; map_next(moves->late, &at, NULL, &late);)
		free(late);
	map_free(moves->late);
}
