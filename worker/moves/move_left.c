/* SPDX-License-Identifier: Apache-2.0 */
/*
 * move_left - what a copy that was given away still answers for: after `done`, the blobs that ended here behind its owner's last list, and no others.
 *
 *     its owner begins to list what lies here      from now on what ends here is remembered
 *     done                                         what was listed is with the owner, who may have deleted it since
 *
 * In memory: after a restart all that lies here is answered for, as before `done`.
 */
#include <stdlib.h>

#include "common/check.h"
#include "worker/moves/moves_priv.h"

struct left {
	struct map *ended; /* digests; NULL: too many */
};

static int here; /* its address is the value of sets */

static struct str key_of(const struct digest *digest)
{
	return str_from(digest->raw, hash_size(digest->alg));
}

static void left_free(struct left *left)
{
	if (!left)
		return;
	map_free(left->ended);
	free(left);
}

void moves_forget_left_locked(struct moves *moves, struct str name)
{
	lock_assert(&moves->lock);
	left_free(map_delete(moves->left, name));
}

void moves_begin_left(struct moves *moves, struct str name)
{
	const struct move_record *record;
	struct left *left;

	moves_lock(moves);
	record = map_find(moves->records, name);
	if (record && record->state == MOVE_GIVEN) {
		left = xnew(struct left);
		left->ended = map_new();
		left_free(map_put(moves->left, name, left));
	}
	moves_unlock(moves);
}

void moves_ended(void *arg, struct str name, const struct digest *digest)
{
	struct moves *moves = arg;
	struct left *left;

	moves_lock(moves);
	left = map_find(moves->left, name);
	if (left && left->ended && map_len(left->ended) == MOVES_ENDED_MAX &&
		!map_find(left->ended, key_of(digest))) {
		map_free(left->ended);
		left->ended = NULL;
	}
	if (left && left->ended)
		(void)map_put(left->ended, key_of(digest), &here);
	moves_unlock(moves);
	moves_late_add(moves, name, digest);
}

bool moves_tells(struct moves *moves, struct str name, const struct digest *digest)
{
	const struct move_record *record;
	const struct left *left;
	bool tells;

	moves_lock(moves);
	record = map_find(moves->records, name);
	left = map_find(moves->left, name);
	tells = !record || record->state != MOVE_GIVEN || !record->done_s || !left || !left->ended ||
		map_find(left->ended, key_of(digest));
	moves_unlock(moves);
	return tells;
}

void moves_free_left(struct moves *moves)
{
	void *left;

	for (size_t at = 0; map_next(moves->left, &at, NULL, &left);)
		left_free(left);
	map_free(moves->left);
}
