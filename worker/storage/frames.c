/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/storage/frames.h"

#include <string.h>

#include "common/check.h"
#include "common/crypto.h"

#define MARK_LENGTH 0xffffffffu

static void sum_of(struct str payload, uint8_t sum[FRAME_SUM])
{
	uint8_t hash[HASH_MAX];

	hash_bytes(HASH_SHA256, payload.at, payload.len, hash);
	memcpy(sum, hash, FRAME_SUM);
}

static void put_head(uint32_t length, const uint8_t sum[FRAME_SUM], struct buf *into)
{
	uint8_t head[FRAME_HEAD];

	for (unsigned i = 0; i < 4; i++)
		head[i] = (uint8_t)(length >> (8 * i));
	memcpy(head + 4, sum, FRAME_SUM);
	buf_append(into, head, sizeof(head));
}

static uint32_t length_of(const void *frame)
{
	const uint8_t *head = frame;

	return (uint32_t)head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
}

void frame_add(struct buf *into, struct str payload)
{
	uint8_t sum[FRAME_SUM];

	CHECK(payload.len && payload.len <= FRAME_MAX);
	sum_of(payload, sum);
	put_head((uint32_t)payload.len, sum, into);
	buf_add(into, payload);
}

/* A payload of 1 to `most` bytes is whole; its sum is not looked at. */
static bool is_whole(struct str rest, size_t most, struct str *ret_payload)
{
	size_t len = rest.len < FRAME_HEAD ? 0 : length_of(rest.at);

	if (!len || len > most || len > rest.len - FRAME_HEAD)
		return false;
	*ret_payload = str_from(rest.at + FRAME_HEAD, len);
	return true;
}

bool frame_next(struct str *rest, struct str *ret_payload)
{
	uint8_t sum[FRAME_SUM];
	struct str payload;

	if (!is_whole(*rest, FRAME_MAX, &payload))
		return false;
	sum_of(payload, sum);
	if (memcmp(sum, rest->at + 4, FRAME_SUM) != 0)
		return false;
	*ret_payload = payload;
	*rest = str_from(payload.at + payload.len, rest->len - FRAME_HEAD - payload.len);
	return true;
}

size_t frames_len(struct str bytes)
{
	struct str rest = bytes, payload;

	while (frame_next(&rest, &payload))
		continue;
	return bytes.len - rest.len;
}

/* ---- chains ---- */

struct frame_chain frame_chain_begin(struct str name)
{
	struct frame_chain chain;

	sum_of(name, chain.sum);
	return chain;
}

/* Kind and payload behind this sum. */
static struct frame_chain after(const struct frame_chain *chain, char kind, struct str payload)
{
	AUTO(hasher) *hasher = hasher_new(HASH_SHA256);
	uint8_t hash[HASH_MAX];
	struct frame_chain next;

	hasher_add(hasher, chain->sum, sizeof(chain->sum));
	hasher_add(hasher, &kind, 1);
	hasher_add(hasher, payload.at, payload.len);
	hasher_result(hasher, hash);
	memcpy(next.sum, hash, sizeof(next.sum));
	return next;
}

void frame_chain_add(struct buf *into, struct frame_chain *chain, struct str payload)
{
	CHECK(payload.len && payload.len <= FRAME_ENTRY_MAX);
	*chain = after(chain, 'e', payload);
	put_head((uint32_t)payload.len, chain->sum, into);
	buf_add(into, payload);
}

void frame_chain_mark(struct buf *into, struct frame_chain *chain)
{
	*chain = after(chain, 'm', STR_NONE);
	put_head(MARK_LENGTH, chain->sum, into);
}

enum frame_kind frame_chain_next(struct str *rest, struct frame_chain *chain, struct str *ret_payload)
{
	bool is_mark = rest->len >= FRAME_HEAD && length_of(rest->at) == MARK_LENGTH;
	struct str payload = STR_NONE;
	struct frame_chain next;

	if (!is_mark && !is_whole(*rest, FRAME_ENTRY_MAX, &payload))
		return FRAME_NONE;
	next = after(chain, is_mark ? 'm' : 'e', payload);
	if (memcmp(next.sum, rest->at + 4, FRAME_SUM) != 0)
		return FRAME_NONE;
	*chain = next;
	*rest = str_from(rest->at + FRAME_HEAD + payload.len, rest->len - FRAME_HEAD - payload.len);
	if (is_mark)
		return FRAME_MARK;
	*ret_payload = payload;
	return FRAME_ENTRY;
}

bool frame_chain_is_at(const struct frame_chain *chain, const void *mark)
{
	return length_of(mark) == MARK_LENGTH && memcmp((const char *)mark + 4, chain->sum, FRAME_SUM) == 0;
}
