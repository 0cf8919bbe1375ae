/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/index/index_rows.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"

#define CHUNK_LEAST 4u
#define CHUNK_MAX   256u
#define CHUNK_BUILD 192u /* so that the first insertions split nothing */

struct index_chunk {
	atomic_uint refs;
	unsigned len, room;
	void *at[];
};

/* ---- chunks ---- */

static struct index_chunk *chunk_new(unsigned room)
{
	struct index_chunk *chunk = check_alloc(1, sizeof(*chunk) + room * sizeof(*chunk->at));

	atomic_init(&chunk->refs, 1);
	chunk->room = room;
	return chunk;
}

static void chunk_free(const struct index_rows *rows, struct index_chunk *chunk)
{
	if (atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned i = 0; rows->kind->unref && i < chunk->len; i++)
		rows->kind->unref(chunk->at[i]);
	free(chunk);
}

/* The chunk, ours alone, with room for `more`. */
static struct index_chunk *own(struct index_rows *rows, size_t c, unsigned more)
{
	struct index_chunk *there = rows->chunks[c], *copy;
	bool shared = atomic_load_explicit(&there->refs, memory_order_acquire) > 1;
	unsigned room = there->room;

	if (!shared && there->len + more <= room)
		return there;
	if (there->len + more > room)
		room = room * 2 < CHUNK_MAX ? room * 2 : CHUNK_MAX;
	CHECK(there->len + more <= room);
	copy = chunk_new(room);
	copy->len = there->len;
	memcpy(copy->at, there->at, there->len * sizeof(*there->at));
	rows->chunks[c] = copy;
	if (!shared) {
		free(there); /* its references have moved */
		return copy;
	}
	for (unsigned i = 0; rows->kind->ref && i < copy->len; i++)
		rows->kind->ref(copy->at[i]);
	chunk_free(rows, there);
	return copy;
}

/* ---- the array of chunks ---- */

static void *grow(void *at, size_t len, size_t room, size_t size)
{
	void *grown = check_alloc(room, size);

	if (len)
		memcpy(grown, at, len * size);
	free(at);
	return grown;
}

static void room_for(struct index_rows *rows, size_t n)
{
	size_t room = rows->chunks_room ? rows->chunks_room : 4;

	if (n <= rows->chunks_room)
		return;
	while (room < n)
		room *= 2;
	rows->chunks = grow(rows->chunks, rows->chunks_len, room, sizeof(*rows->chunks));
	rows->before = grow(rows->before, rows->chunks_len, room, sizeof(*rows->before));
	rows->chunks_room = room;
}

static void count_from(struct index_rows *rows, size_t c)
{
	for (; c < rows->chunks_len; c++)
		rows->before[c] = c ? rows->before[c - 1] + rows->chunks[c - 1]->len : 0;
}

static void insert_chunk(struct index_rows *rows, size_t c, struct index_chunk *chunk)
{
	room_for(rows, rows->chunks_len + 1);
	memmove(rows->chunks + c + 1, rows->chunks + c, (rows->chunks_len - c) * sizeof(*rows->chunks));
	rows->chunks[c] = chunk;
	rows->chunks_len++;
}

/* The chunk of a place; a place behind all items belongs to the last chunk. */
static size_t chunk_of(const struct index_rows *rows, size_t at)
{
	size_t low = 0, high = rows->chunks_len;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (rows->before[middle] <= at)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static void split(struct index_rows *rows, size_t c)
{
	struct index_chunk *left = own(rows, c, 0), *right = chunk_new(CHUNK_MAX);
	unsigned half = left->len / 2;

	right->len = left->len - half;
	memcpy(right->at, left->at + half, right->len * sizeof(*right->at));
	left->len = half;
	insert_chunk(rows, c + 1, right);
	count_from(rows, c + 1);
}

/* ---- life ---- */

void index_rows_fini(struct index_rows *rows)
{
	for (size_t c = 0; c < rows->chunks_len; c++)
		chunk_free(rows, rows->chunks[c]);
	free(rows->chunks);
	free(rows->before);
	*rows = (struct index_rows){ .kind = rows->kind };
}

void index_rows_copy(struct index_rows *into, const struct index_rows *from)
{
	CHECK(!into->chunks_len);
	into->kind = from->kind;
	room_for(into, from->chunks_len + 1);
	for (size_t c = 0; c < from->chunks_len; c++) {
		atomic_fetch_add_explicit(&from->chunks[c]->refs, 1, memory_order_relaxed);
		into->chunks[c] = from->chunks[c];
		into->before[c] = from->before[c];
	}
	into->chunks_len = from->chunks_len;
	into->len = from->len;
}

void index_rows_build(struct index_rows *rows, void *const *items, size_t len)
{
	CHECK(!rows->chunks_len);
	while (rows->len < len) {
		size_t n = len - rows->len < CHUNK_BUILD ? len - rows->len : CHUNK_BUILD;
		struct index_chunk *chunk = chunk_new(n < CHUNK_BUILD ? (unsigned)n : CHUNK_MAX);

		memcpy(chunk->at, items + rows->len, n * sizeof(*items));
		chunk->len = (unsigned)n;
		insert_chunk(rows, rows->chunks_len, chunk);
		rows->len += n;
	}
	count_from(rows, 0);
}

/* ---- reading ---- */

void *index_rows_at(const struct index_rows *rows, size_t at)
{
	size_t c;

	CHECK(at < rows->len);
	c = chunk_of(rows, at);
	return rows->chunks[c]->at[at - rows->before[c]];
}

size_t index_rows_shared(const struct index_rows *a, size_t at_a, const struct index_rows *b, size_t at_b)
{
	size_t c, d;

	if (at_a >= a->len || at_b >= b->len)
		return 0;
	c = chunk_of(a, at_a);
	d = chunk_of(b, at_b);
	if (a->chunks[c] != b->chunks[d] || at_a - a->before[c] != at_b - b->before[d])
		return 0;
	return a->chunks[c]->len - (at_a - a->before[c]);
}

static bool is_before(const void *item, index_rows_compare_f *compare, const void *key, bool past)
{
	int order = compare(item, key);

	return order < 0 || (past && order == 0);
}

size_t index_rows_place(
	const struct index_rows *rows, index_rows_compare_f *compare, const void *key, bool past)
{
	size_t low = 0, high = rows->chunks_len;
	const struct index_chunk *chunk;
	size_t c;

	/* The first chunk whose last item is not before the key, then the place in it. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		chunk = rows->chunks[middle];
		if (is_before(chunk->at[chunk->len - 1], compare, key, past))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == rows->chunks_len)
		return rows->len;
	c = low;
	chunk = rows->chunks[c];
	for (low = 0, high = chunk->len; low < high;) {
		size_t middle = low + (high - low) / 2;

		if (is_before(chunk->at[middle], compare, key, past))
			low = middle + 1;
		else
			high = middle;
	}
	return rows->before[c] + low;
}

void *index_rows_find(
	const struct index_rows *rows, index_rows_compare_f *compare, const void *key, size_t *ret_at)
{
	size_t at = index_rows_place(rows, compare, key, false);
	void *item = at < rows->len ? index_rows_at(rows, at) : NULL;

	if (ret_at)
		*ret_at = at;
	return item && compare(item, key) == 0 ? item : NULL;
}

/* ---- changing ---- */

void index_rows_insert(struct index_rows *rows, size_t at, void *item)
{
	struct index_chunk *chunk;
	size_t c, place;

	CHECK(at <= rows->len);
	if (!rows->chunks_len) {
		insert_chunk(rows, 0, chunk_new(CHUNK_LEAST));
		count_from(rows, 0);
	}
	c = chunk_of(rows, at);
	if (rows->chunks[c]->len == CHUNK_MAX) {
		split(rows, c);
		c = chunk_of(rows, at);
	}
	chunk = own(rows, c, 1);
	place = at - rows->before[c];
	memmove(chunk->at + place + 1, chunk->at + place, (chunk->len - place) * sizeof(*chunk->at));
	chunk->at[place] = item;
	chunk->len++;
	rows->len++;
	count_from(rows, c + 1);
}

void *index_rows_set(struct index_rows *rows, size_t at, void *item)
{
	size_t c = chunk_of(rows, at);
	struct index_chunk *chunk;
	void *before;

	CHECK(at < rows->len);
	chunk = own(rows, c, 0);
	before = chunk->at[at - rows->before[c]];
	chunk->at[at - rows->before[c]] = item;
	return before;
}

void *index_rows_remove(struct index_rows *rows, size_t at)
{
	size_t c = chunk_of(rows, at), place;
	struct index_chunk *chunk;
	void *item;

	CHECK(at < rows->len);
	chunk = own(rows, c, 0);
	place = at - rows->before[c];
	item = chunk->at[place];
	chunk->len--;
	memmove(chunk->at + place, chunk->at + place + 1, (chunk->len - place) * sizeof(*chunk->at));
	rows->len--;
	if (!chunk->len) {
		chunk_free(rows, chunk);
		rows->chunks_len--;
		memmove(rows->chunks + c, rows->chunks + c + 1,
			(rows->chunks_len - c) * sizeof(*rows->chunks));
	}
	count_from(rows, c);
	return item;
}

size_t index_rows_bytes(const struct index_rows *rows)
{
	size_t bytes = rows->chunks_room * (sizeof(*rows->chunks) + sizeof(*rows->before));

	for (size_t c = 0; c < rows->chunks_len; c++)
		bytes += sizeof(struct index_chunk) + rows->chunks[c]->room * sizeof(void *);
	return bytes;
}
