/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/storage/frames.h"

#include <string.h>

#include "common/check.h"
#include "common/crypto.h"

#define SUM_LEN 8u

static void sum_of(struct str payload, uint8_t sum[SUM_LEN])
{
	uint8_t hash[HASH_MAX];

	hash_bytes(HASH_SHA256, payload.at, payload.len, hash);
	memcpy(sum, hash, SUM_LEN);
}

void frame_add(struct buf *into, struct str payload)
{
	uint8_t head[FRAME_HEAD];

	CHECK(payload.len && payload.len <= FRAME_MAX);
	for (unsigned i = 0; i < 4; i++)
		head[i] = (uint8_t)(payload.len >> (8 * i));
	sum_of(payload, head + 4);
	buf_append(into, head, sizeof(head));
	buf_add(into, payload);
}

bool frame_next(struct str *rest, struct str *ret_payload)
{
	const uint8_t *head = (const uint8_t *)rest->at;
	uint8_t sum[SUM_LEN];
	struct str payload;
	size_t len;

	if (rest->len < FRAME_HEAD)
		return false;
	len = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
	if (!len || len > FRAME_MAX || len > rest->len - FRAME_HEAD)
		return false;
	payload = str_from(rest->at + FRAME_HEAD, len);
	sum_of(payload, sum);
	if (memcmp(sum, head + 4, SUM_LEN) != 0)
		return false;
	*ret_payload = payload;
	*rest = str_from(payload.at + len, rest->len - FRAME_HEAD - len);
	return true;
}

size_t frames_len(struct str bytes)
{
	struct str rest = bytes, payload;

	while (frame_next(&rest, &payload))
		continue;
	return bytes.len - rest.len;
}
