/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/index/index_who.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/lock.h"
#include "common/map.h"
#include "worker/index/index_memo.h"

struct index_who {
	atomic_uint refs; /* the last goes under the lock */
	char name[];
};

static struct lock names_lock = LOCK_INIT;
static struct map *names; /* struct index_who, by name; NULL: there are none */

/* ---- names ---- */

static struct index_who *who_new(struct str name)
{
	struct index_who *who = check_alloc(1, sizeof(*who) + name.len + 1);

	atomic_init(&who->refs, 0);
	memcpy(who->name, name.at, name.len);
	return who;
}

struct index_who *index_who_get(struct str name)
{
	struct index_who *who;

	if (!name.len || name.len > INDEX_WHO_MAX || memchr(name.at, '\0', name.len))
		return NULL;
	lock_take(&names_lock);
	if (!names)
		names = map_new();
	who = map_find(names, name);
	if (!who) {
		who = who_new(name);
		(void)map_put(names, name, who);
	}
	atomic_fetch_add_explicit(&who->refs, 1, memory_order_relaxed);
	lock_drop(&names_lock);
	return who;
}

struct index_who *index_who_ref(struct index_who *who)
{
	if (who)
		atomic_fetch_add_explicit(&who->refs, 1, memory_order_relaxed);
	return who;
}

/* False: it may be the last one. */
static bool drop_one_of_many(struct index_who *who)
{
	unsigned refs = atomic_load_explicit(&who->refs, memory_order_relaxed);

	while (refs > 1)
		if (atomic_compare_exchange_weak_explicit(
			    &who->refs, &refs, refs - 1, memory_order_acq_rel, memory_order_relaxed))
			return true;
	return false;
}

void index_who_free(struct index_who *who)
{
	bool last;

	if (!who || drop_one_of_many(who))
		return;
	lock_take(&names_lock);
	last = atomic_fetch_sub_explicit(&who->refs, 1, memory_order_acq_rel) == 1;
	if (last)
		CHECK(map_delete(names, str_of(who->name)) == who);
	if (last && !map_len(names)) {
		map_free(names);
		names = NULL;
	}
	lock_drop(&names_lock);
	if (last)
		free(who);
}

const char *index_who_text(const struct index_who *who)
{
	return who ? who->name : "";
}

/* ---- pushes ---- */

struct index_push index_push_new(int64_t ms, struct str name)
{
	struct index_push push = { .at_ms = index_memo_is_time(ms) ? ms : 0 };

	if (push.at_ms)
		push.who = index_who_get(name);
	return push;
}

struct index_push index_push_ref(const struct index_push *push)
{
	return (struct index_push){ push->at_ms, index_who_ref(push->who) };
}

void index_push_fini(struct index_push *push)
{
	index_who_free(push->who);
	*push = (struct index_push){ .at_ms = 0 };
}

bool index_push_equal(const struct index_push *a, const struct index_push *b)
{
	return a->at_ms == b->at_ms && a->who == b->who; /* one name is one object */
}

void index_push_write(const struct index_push *push, struct buf *into)
{
	buf_format(into, "%" PRId64, push->at_ms);
	if (push->who)
		buf_format(into, " %s", push->who->name);
}

struct index_push index_push_read(const char *text)
{
	struct str rest = str_of(text), number = STR_NONE;
	uint64_t ms;

	if (!str_until(&rest, ' ', &number)) {
		number = rest;
		rest = STR_NONE;
	}
	if (!str_to_number(number, MEMO_TIME_MAX, &ms))
		return (struct index_push){ .at_ms = 0 };
	return index_push_new((int64_t)ms, rest);
}
