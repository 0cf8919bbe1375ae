/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/index/index_memo.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/crypto.h"

struct call {
	struct change_id id;
	int64_t at_ms;
};

struct condemned {
	struct digest digest;
	int64_t until_s;
};

struct gone {
	uint64_t key; /* the digest's beginning */
	int64_t at_s;
};

struct index_memo {
	atomic_uint refs;
	uint64_t removals;
	bool vacant;
	int64_t vacant_until_s; /* 0: that is over */
	int64_t forgot_ms;
	int64_t forgot_gone_s; /* when the last one was condemned that is not among `gone` any more; 0: all are */
	struct call *calls; /* in their order */
	size_t calls_len, calls_room;
	struct condemned *condemned;
	size_t condemned_len, condemned_room;
	struct gone *gone; /* in their order */
	size_t gone_len, gone_room;
};

struct index_memo *index_memo_ref(struct index_memo *memo)
{
	if (memo)
		atomic_fetch_add_explicit(&memo->refs, 1, memory_order_relaxed);
	return memo;
}

void index_memo_free(struct index_memo *memo)
{
	if (!memo || atomic_fetch_sub_explicit(&memo->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(memo->calls);
	free(memo->condemned);
	free(memo->gone);
	free(memo);
}

static void *grow(void *from, size_t len, size_t *room, size_t size)
{
	void *into;

	if (len < *room)
		return from;
	*room = len + len / 2 + 1;
	into = check_alloc(*room, size);
	if (len)
		memcpy(into, from, len * size);
	free(from);
	return into;
}

static struct index_memo *copy(const struct index_memo *from)
{
	struct index_memo *memo = xnew(struct index_memo);

	if (from)
		*memo = *from;
	atomic_init(&memo->refs, 1);
	memo->calls_room = memo->calls_len + 1;
	memo->condemned_room = memo->condemned_len + 1;
	memo->gone_room = memo->gone_len + 1;
	memo->calls = xnew_array(struct call, memo->calls_room);
	memo->condemned = xnew_array(struct condemned, memo->condemned_room);
	memo->gone = xnew_array(struct gone, memo->gone_room);
	if (memo->gone_len)
		memcpy(memo->gone, from->gone, memo->gone_len * sizeof(*memo->gone));
	if (memo->calls_len)
		memcpy(memo->calls, from->calls, memo->calls_len * sizeof(*memo->calls));
	if (memo->condemned_len)
		memcpy(memo->condemned, from->condemned, memo->condemned_len * sizeof(*memo->condemned));
	return memo;
}

/* One to write into, with room for one more: nobody else looks at *memo, or it is a copy from now on. */
static struct index_memo *own(struct index_memo **memo)
{
	struct index_memo *mine = *memo;

	if (!mine || atomic_load_explicit(&mine->refs, memory_order_acquire) != 1) {
		mine = copy(*memo);
		index_memo_free(*memo);
	}
	mine->calls = grow(mine->calls, mine->calls_len, &mine->calls_room, sizeof(*mine->calls));
	mine->condemned =
		grow(mine->condemned, mine->condemned_len, &mine->condemned_room, sizeof(*mine->condemned));
	mine->gone = grow(mine->gone, mine->gone_len, &mine->gone_room, sizeof(*mine->gone));
	*memo = mine;
	return mine;
}

/* ---- calls ---- */

static void forget_oldest(struct index_memo *memo)
{
	if (memo->calls[0].at_ms > memo->forgot_ms)
		memo->forgot_ms = memo->calls[0].at_ms;
	memo->calls_len--;
	memmove(memo->calls, memo->calls + 1, memo->calls_len * sizeof(*memo->calls));
}

void index_memo_add_call(struct index_memo **memo, const struct change_id *id, int64_t at_ms)
{
	struct index_memo *next;

	/* Who commits has looked; a log from elsewhere may say one twice. */
	if (index_memo_has_call(*memo, id))
		return;
	next = own(memo);
	if (next->calls_len == MEMO_CALLS_MAX)
		forget_oldest(next);
	next->calls[next->calls_len++] = (struct call){ *id, at_ms };
}

bool index_memo_has_call(const struct index_memo *memo, const struct change_id *id)
{
	for (size_t i = memo ? memo->calls_len : 0; i-- > 0;)
		if (memcmp(&memo->calls[i].id, id, sizeof(*id)) == 0)
			return true;
	return false;
}

int64_t index_memo_forgot_ms(const struct index_memo *memo)
{
	return memo ? memo->forgot_ms : 0;
}

/* ---- blobs ---- */

static bool is_past(int64_t until_s, int64_t now_s)
{
	return now_s > until_s + MEMO_GRACE_S;
}

static bool is_over(const struct condemned *condemned, int64_t now_s)
{
	return is_past(condemned->until_s, now_s);
}

bool index_memo_may_condemn(const struct index_memo *memo, int64_t now_s)
{
	size_t held = 0;

	for (size_t i = 0; memo && i < memo->condemned_len; i++)
		held += !is_over(&memo->condemned[i], now_s);
	return held < MEMO_CONDEMNED_MAX;
}

static void drop_condemned(struct index_memo *memo, const struct digest *digest)
{
	size_t kept = 0;

	for (size_t i = 0; i < memo->condemned_len; i++)
		if (!digest_equal(&memo->condemned[i].digest, digest))
			memo->condemned[kept++] = memo->condemned[i];
	memo->condemned_len = kept;
}

static void drop_over(struct index_memo *memo, int64_t now_s)
{
	size_t kept = 0;

	for (size_t i = 0; i < memo->condemned_len; i++)
		if (!is_over(&memo->condemned[i], now_s))
			memo->condemned[kept++] = memo->condemned[i];
	memo->condemned_len = kept;
}

static uint64_t key_of(const struct digest *digest)
{
	uint64_t key = 0;

	for (unsigned i = 0; i < 8; i++)
		key = key << 8 | digest->raw[i];
	return key;
}

/* Those of before that are too old, or one too many, go; the order is that of their times. */
static void add_gone(struct index_memo *memo, const struct digest *digest, int64_t at_s)
{
	size_t old = 0;

	while (old < memo->gone_len && memo->gone[old].at_s < at_s - MEMO_GONE_S)
		old++;
	if (!old && memo->gone_len == MEMO_GONE_MAX) {
		old = MEMO_GONE_MAX / 8;
		memo->forgot_gone_s = memo->gone[old - 1].at_s;
	}
	memo->gone_len -= old;
	memmove(memo->gone, memo->gone + old, memo->gone_len * sizeof(*memo->gone));
	memo->gone[memo->gone_len++] = (struct gone){ key_of(digest), at_s };
}

bool index_memo_may_be_gone(const struct index_memo *memo, const struct digest *digest, int64_t now_s)
{
	uint64_t key = key_of(digest);

	if (memo && memo->forgot_gone_s && now_s - memo->forgot_gone_s <= MEMO_GONE_S)
		return true;
	for (size_t i = memo ? memo->gone_len : 0; i-- > 0;)
		if (memo->gone[i].key == key && now_s - memo->gone[i].at_s <= MEMO_GONE_S)
			return true;
	return false;
}

void index_memo_condemn(struct index_memo **memo, const struct digest *digest, int64_t until_s)
{
	struct index_memo *next = own(memo);

	drop_condemned(next, digest);
	if (next->condemned_len >= MEMO_CONDEMNED_MAX)
		drop_over(next, until_s - MEMO_CONDEMN_S);
	next->condemned[next->condemned_len++] = (struct condemned){ *digest, until_s };
	next->removals++;
	add_gone(next, digest, until_s - MEMO_CONDEMN_S);
}

static const struct condemned *find(const struct index_memo *memo, const struct digest *digest)
{
	for (size_t i = 0; memo && i < memo->condemned_len; i++)
		if (digest_equal(&memo->condemned[i].digest, digest))
			return &memo->condemned[i];
	return NULL;
}

void index_memo_removed(struct index_memo **memo, const struct digest *digest, int64_t until_s)
{
	const struct condemned *condemned = find(*memo, digest);
	struct index_memo *next;

	if (!condemned || condemned->until_s != until_s)
		return;
	next = own(memo);
	drop_condemned(next, digest);
	/* Who saw the blob after it was condemned may have seen it before it was removed. */
	next->removals++;
}

bool index_memo_is_listed(const struct index_memo *memo, const struct digest *digest)
{
	return find(memo, digest) != NULL;
}

bool index_memo_is_condemned(const struct index_memo *memo, const struct digest *digest, int64_t now_s)
{
	const struct condemned *condemned = find(memo, digest);

	return condemned && !is_over(condemned, now_s);
}

uint64_t index_memo_removals(const struct index_memo *memo)
{
	return memo ? memo->removals : 0;
}

/* ---- the name ---- */

void index_memo_vacate(struct index_memo **memo, int64_t until_s)
{
	struct index_memo *next = own(memo);

	next->vacant = true;
	next->vacant_until_s = until_s;
}

void index_memo_vacated(struct index_memo **memo, int64_t until_s)
{
	if (index_memo_is_vacant(*memo) && (*memo)->vacant_until_s == until_s)
		own(memo)->vacant_until_s = 0;
}

void index_memo_fill(struct index_memo **memo)
{
	if (index_memo_is_vacant(*memo))
		own(memo)->vacant = false;
}

bool index_memo_is_vacant(const struct index_memo *memo)
{
	return memo && memo->vacant;
}

bool index_memo_is_vacating(const struct index_memo *memo, int64_t now_s)
{
	return index_memo_is_vacant(memo) && memo->vacant_until_s && !is_past(memo->vacant_until_s, now_s);
}

/* ---- text ---- */

bool index_memo_is_empty(const struct index_memo *memo)
{
	return !memo || (!memo->removals && !memo->vacant && !memo->forgot_ms && !memo->calls_len &&
				!memo->condemned_len && !memo->gone_len);
}

static void write_calls(const struct index_memo *memo, int64_t now_ms, struct json_writer *into)
{
	int64_t forgot_ms = memo->forgot_ms;
	char id[2 * sizeof(struct change_id) + 1];

	json_key(into, STR("calls"));
	json_open_object(into);
	for (size_t i = 0; i < memo->calls_len; i++) {
		const struct call *call = &memo->calls[i];

		if (now_ms - call->at_ms > MEMO_CALLS_FOR_MS) {
			forgot_ms = call->at_ms > forgot_ms ? call->at_ms : forgot_ms;
			continue;
		}
		str_hex(call->id.raw, sizeof(call->id.raw), id);
		json_put_int(into, id, call->at_ms);
	}
	json_close_object(into);
	if (forgot_ms)
		json_put_int(into, "forgot", forgot_ms);
}

static void write_condemned(const struct index_memo *memo, struct json_writer *into)
{
	char digest[DIGEST_TEXT_SIZE];

	json_key(into, STR("condemned"));
	json_open_object(into);
	for (size_t i = 0; i < memo->condemned_len; i++) {
		digest_format(&memo->condemned[i].digest, digest);
		json_put_int(into, digest, memo->condemned[i].until_s);
	}
	json_close_object(into);
}

/* Times, each with the keys of that second. */
static void write_gone(const struct index_memo *memo, struct json_writer *into)
{
	AUTO_FINI(buf) keys = buf_limit(MEMO_GONE_MAX * 16 + 1);
	char time[24];

	if (memo->forgot_gone_s)
		json_put_int(into, "forgotGone", memo->forgot_gone_s);
	json_key(into, STR("gone"));
	json_open_object(into);
	for (size_t i = 0; i < memo->gone_len; i++) {
		buf_format(&keys, "%016" PRIx64, memo->gone[i].key);
		if (i + 1 < memo->gone_len && memo->gone[i + 1].at_s == memo->gone[i].at_s)
			continue;
		(void)snprintf(time, sizeof(time), "%" PRId64, memo->gone[i].at_s);
		json_put_str(into, time, buf_str(&keys));
		buf_clear(&keys);
	}
	json_close_object(into);
}

void index_memo_write(const struct index_memo *memo, int64_t now_ms, struct json_writer *into)
{
	json_open_object(into);
	json_put_uint(into, "removals", memo->removals);
	if (memo->vacant)
		json_put_int(into, "vacant", memo->vacant_until_s);
	write_calls(memo, now_ms, into);
	write_condemned(memo, into);
	if (memo->gone_len || memo->forgot_gone_s)
		write_gone(memo, into);
	json_close_object(into);
}

static void read_calls(const struct json *node, struct index_memo *memo)
{
	const struct json *value;
	struct str key;

	memo->calls_room = MEMO_CALLS_MAX;
	memo->calls = xnew_array(struct call, memo->calls_room);
	for (void *it = NULL; memo->calls_len < MEMO_CALLS_MAX && json_next(node, &it, &key, &value);) {
		struct call *call = &memo->calls[memo->calls_len];

		if (key.len == 2 * sizeof(call->id.raw) && json_get_int(value, &call->at_ms) &&
			index_memo_is_time(call->at_ms) && str_unhex(key, call->id.raw, sizeof(call->id.raw)))
			memo->calls_len++;
	}
}

static void read_condemned(const struct json *node, struct index_memo *memo)
{
	const struct json *value;
	struct str key;

	memo->condemned_room = MEMO_CONDEMNED_MAX;
	memo->condemned = xnew_array(struct condemned, memo->condemned_room);
	for (void *it = NULL;
		memo->condemned_len < MEMO_CONDEMNED_MAX && json_next(node, &it, &key, &value);) {
		struct condemned *condemned = &memo->condemned[memo->condemned_len];

		if (digest_parse(key, &condemned->digest, NULL) && json_get_int(value, &condemned->until_s) &&
			index_memo_is_time(condemned->until_s))
			memo->condemned_len++;
	}
}

static void read_keys(struct str keys, int64_t at_s, struct index_memo *memo)
{
	uint8_t raw[8];
	struct digest digest = { .alg = HASH_SHA256 };

	for (; keys.len >= 16 && memo->gone_len < MEMO_GONE_MAX;
		keys = str_from(keys.at + 16, keys.len - 16)) {
		if (!str_unhex(str_from(keys.at, 16), raw, sizeof(raw)))
			return;
		memcpy(digest.raw, raw, sizeof(raw));
		memo->gone[memo->gone_len++] = (struct gone){ key_of(&digest), at_s };
	}
}

static int compare_gone(const void *a, const void *b)
{
	const struct gone *first = a, *second = b;

	return (first->at_s > second->at_s) - (first->at_s < second->at_s);
}

static void read_gone(const struct json *node, struct index_memo *memo)
{
	const struct json *value;
	struct str key, keys;
	uint64_t at_s;

	memo->gone_room = MEMO_GONE_MAX;
	memo->gone = xnew_array(struct gone, memo->gone_room);
	for (void *it = NULL; json_next(node, &it, &key, &value);)
		if (str_to_number(key, MEMO_TIME_MAX, &at_s) && json_get_str(value, &keys))
			read_keys(keys, (int64_t)at_s, memo);
	if (memo->gone_len)
		qsort(memo->gone, memo->gone_len, sizeof(*memo->gone), compare_gone);
}

struct index_memo *index_memo_read(const struct json *node)
{
	struct index_memo *memo;
	int64_t removals = 0;

	if (json_kind(node) != JSON_OBJECT)
		return NULL;
	memo = xnew(struct index_memo);
	atomic_init(&memo->refs, 1);
	(void)!json_get_int(json_find(node, "removals"), &removals);
	memo->removals = removals > 0 ? (uint64_t)removals : 0;
	if (!json_get_int(json_find(node, "forgot"), &memo->forgot_ms) ||
		!index_memo_is_time(memo->forgot_ms))
		memo->forgot_ms = 0;
	memo->vacant = json_get_int(json_find(node, "vacant"), &memo->vacant_until_s) &&
		       index_memo_is_time(memo->vacant_until_s);
	read_calls(json_find(node, "calls"), memo);
	read_condemned(json_find(node, "condemned"), memo);
	if (json_find(node, "gone"))
		read_gone(json_find(node, "gone"), memo);
	if (!json_get_int(json_find(node, "forgotGone"), &memo->forgot_gone_s) ||
		!index_memo_is_time(memo->forgot_gone_s))
		memo->forgot_gone_s = 0;
	return memo;
}
