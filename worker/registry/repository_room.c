/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/repository_room.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/crypto.h"
#include "common/map.h"
#include "worker/registry/coming_names.h"
#include "worker/storage/store.h"

#define TEXT_MAX     ((size_t)REPOSITORY_ROOM_MOST * COMING_NAMES_LINE_MAX)
#define GRACE_S      10 /* clocks of those who share a store may differ by so much */
#define ATTEMPTS_MAX 200
#define PAUSE_US     20000

struct repository_room {
	struct store *store;
	_Atomic uint64_t limit;
};

struct count {
	struct str name;
	struct map *coming; /* names that are on their way, each to itself until it was seen */
	uint64_t listed, coming_only, most;
	bool is_there; /* the name counts already */
};

struct repository_room *repository_room_new(struct store *store)
{
	struct repository_room *room = xnew(struct repository_room);

	room->store = store;
	atomic_init(&room->limit, 0);
	return room;
}

void repository_room_free(struct repository_room *room)
{
	free(room);
}

void repository_room_set(struct repository_room *room, uint64_t limit)
{
	atomic_store(&room->limit, limit);
}

uint64_t repository_room_limit(const struct repository_room *room)
{
	return atomic_load(&room->limit);
}

/* ---- who is on its way ---- */

/* Those that count still, without `name`, go into `kept` and the map. *ret_ended: the time of some is over. */
static size_t read_coming(struct str text, struct str name, int64_t now_s, struct map *coming,
	struct buf *kept, bool *ret_ended)
{
	struct coming_name one;
	size_t len = 0;

	while (coming_names_next(&text, &one)) {
		if (now_s > one.until_s + GRACE_S) {
			*ret_ended = true;
			continue;
		}
		if (map_put(coming, name_str(&one.name), coming))
			continue;
		len++;
		if (!str_equal(name_str(&one.name), name))
			coming_names_put(kept, name_str(&one.name), one.until_s);
	}
	return len;
}

/* ---- how many ---- */

static bool on_listed(void *arg, struct str name)
{
	struct count *count = arg;

	count->listed++;
	count->is_there = count->is_there || str_equal(name, count->name);
	if (map_delete(count->coming, name))
		count->coming_only--;
	return count->listed + count->coming_only <= count->most;
}

static bool too_many(uint64_t limit, struct error *err)
{
	return error_set(err, ERROR_BUSY, "TOOMANYREQUESTS",
		"there are %" PRIu64 " repositories, and may be no more (storage.maxRepos)", limit);
}

/* One that counts already makes none more. */
static bool check_room(const struct repository_room *room, struct str name, struct map *coming, size_t len,
	uint64_t limit, struct error *err)
{
	struct count count = { .name = name,
		.coming = coming,
		.coming_only = len,
		.most = limit,
		.is_there = map_find(coming, name) != NULL };

	if (!store_catalog_each(room->store, on_listed, &count, err))
		return error_add(err, "catalog");
	/* Of one that was listed not to its end it is not known whether the name is in it. */
	return count.is_there || count.listed + count.coming_only < limit || too_many(limit, err);
}

/* ---- one attempt ---- */

static enum store_step attempt(struct repository_room *room, struct str name, uint64_t limit,
	int64_t *ret_until_s, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(TEXT_MAX);
	AUTO_FINI(buf) kept = buf_limit(TEXT_MAX);
	AUTO(map) *coming = map_new();
	struct store_version version = { .text = "" };
	int64_t now_s, until_s;
	struct error cause;
	bool ended = false;
	size_t len;

	if (!store_coming_get(room->store, &text, &version, &cause) && cause.kind != ERROR_UNKNOWN) {
		*err = cause;
		return STORE_FAILED;
	}
	now_s = store_clock_s(room->store, STR_NONE);
	until_s = now_s + REPOSITORY_ROOM_S;
	len = read_coming(buf_str(&text), name, now_s, coming, &kept, &ended);
	if (len >= REPOSITORY_ROOM_MOST) {
		(void)error_set(
			err, ERROR_BUSY, NULL, "%u repositories are being made", REPOSITORY_ROOM_MOST);
		return STORE_FAILED;
	}
	if ((ended && !store_names_settle(room->store, err)) ||
		!check_room(room, name, coming, len, limit, err))
		return STORE_FAILED;
	coming_names_put(&kept, name, until_s);
	if (!buf_check(&kept, "the names of repositories that are being made", err))
		return STORE_FAILED;
	*ret_until_s = until_s;
	return store_coming_put(room->store, buf_str(&kept), &version, err);
}

bool repository_room_take(
	struct repository_room *room, struct str name, int64_t *ret_until_s, struct error *err)
{
	uint64_t limit = repository_room_limit(room);
	enum store_step step = STORE_CONFLICT;
	int64_t until_s = 0;

	for (unsigned i = 0; limit && i < ATTEMPTS_MAX; i++) {
		struct timespec pause = { .tv_nsec = (long)random_below(PAUSE_US) * 1000 };

		step = attempt(room, name, limit, &until_s, err);
		if (step != STORE_CONFLICT)
			break;
		(void)nanosleep(&pause, NULL);
	}
	if (limit && step == STORE_CONFLICT)
		return error_set(err, ERROR_BUSY, NULL, "too many repositories are being made at once");
	if (limit && step != STORE_OK)
		return false;
	*ret_until_s = until_s;
	return true;
}
