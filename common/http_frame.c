/* SPDX-License-Identifier: Apache-2.0 */
#include "common/http_frame.h"

#include <string.h>

#include "common/check.h"

#define ROOM_BYTES 4

static uint32_t number(const uint8_t *at, unsigned bytes)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < bytes; i++)
		n = n << 8 | at[i];
	return n;
}

static void put_number(uint32_t n, unsigned bytes, uint8_t *into)
{
	for (unsigned i = bytes; i-- > 0; n >>= 8)
		into[i] = (uint8_t)n;
}

/* What the first eight bytes say, before the payload is there. */
static bool read_head(const uint8_t *at, struct http_frame *ret, size_t *ret_len, struct error *err)
{
	size_t len = number(at + 1, 3);

	ret->id = number(at + 4, 4);
	*ret_len = len;
	switch (at[0]) {
	case HTTP_FRAME_BYTES:
	case HTTP_FRAME_LAST:
		if (len > HTTP_FRAME_MAX || (len == 0 && at[0] == HTTP_FRAME_BYTES))
			return error_set(err, ERROR_INVALID, NULL,
				"a frame has %zu bytes: 1 to %zu are allowed", len, HTTP_FRAME_MAX);
		break;
	case HTTP_FRAME_ROOM:
		if (len != ROOM_BYTES)
			return error_set(err, ERROR_INVALID, NULL, "a frame ROOM has %zu bytes, not 4", len);
		break;
	case HTTP_FRAME_DROP:
	case HTTP_FRAME_AWAY:
		if (len != 0)
			return error_set(err, ERROR_INVALID, NULL, "a frame of type %u has %zu bytes, not 0",
				at[0], len);
		break;
	default:
		return error_set(err, ERROR_INVALID, NULL,
			"a frame is of type %u, which " HTTP_FRAME_PROTOCOL " does not have", at[0]);
	}
	if ((ret->id == 0) != (at[0] == HTTP_FRAME_AWAY))
		return error_set(
			err, ERROR_INVALID, NULL, "a frame of type %u is of call %u", at[0], ret->id);
	ret->type = (enum http_frame_type)at[0];
	return true;
}

enum http_frame_step http_frame_next(struct str *bytes, struct http_frame *ret, struct error *err)
{
	struct http_frame frame = { 0 };
	size_t len;

	if (bytes->len < HTTP_FRAME_HEAD)
		return HTTP_FRAME_MORE;
	if (!read_head((const uint8_t *)bytes->at, &frame, &len, err))
		return HTTP_FRAME_BAD;
	if (bytes->len - HTTP_FRAME_HEAD < len)
		return HTTP_FRAME_MORE;
	frame.bytes = str_from(bytes->at + HTTP_FRAME_HEAD, len);
	if (frame.type == HTTP_FRAME_ROOM) {
		frame.room = number((const uint8_t *)frame.bytes.at, ROOM_BYTES);
		frame.bytes = STR_NONE;
		if (frame.room == 0 || frame.room > HTTP_FRAME_WINDOW) {
			(void)error_set(err, ERROR_INVALID, NULL,
				"a frame makes room for %u bytes: 1 to %zu are allowed", frame.room,
				HTTP_FRAME_WINDOW);
			return HTTP_FRAME_BAD;
		}
	}
	bytes->at += HTTP_FRAME_HEAD + len;
	bytes->len -= HTTP_FRAME_HEAD + len;
	*ret = frame;
	return HTTP_FRAME_WHOLE;
}

void http_frame_head(enum http_frame_type type, uint32_t id, size_t len, uint8_t into[HTTP_FRAME_HEAD])
{
	CHECK(len <= HTTP_FRAME_MAX);
	into[0] = (uint8_t)type;
	put_number((uint32_t)len, 3, into + 1);
	put_number(id, 4, into + 4);
}

void http_frame_put(const struct http_frame *frame, struct buf *into)
{
	uint8_t head[HTTP_FRAME_HEAD], room[ROOM_BYTES];
	struct str payload = frame->bytes;

	if (frame->type == HTTP_FRAME_ROOM) {
		put_number(frame->room, ROOM_BYTES, room);
		payload = str_from((const char *)room, ROOM_BYTES);
	}
	http_frame_head(frame->type, frame->id, payload.len, head);
	buf_append(into, head, sizeof(head));
	buf_add(into, payload);
}

/* Calls. */

static struct http_frame_call **row_of(const struct http_frame_calls *calls, uint32_t id)
{
	size_t at = id % (sizeof(calls->rows) / sizeof(calls->rows[0]));

	return (struct http_frame_call **)(uintptr_t)&calls->rows[at];
}

struct http_frame_call *http_frame_calls_find(const struct http_frame_calls *calls, uint32_t id)
{
	struct http_frame_call *call = *row_of(calls, id);

	while (call && call->id != id)
		call = call->next;
	return call;
}

void http_frame_calls_put(struct http_frame_calls *calls, struct http_frame_call *call, uint32_t id)
{
	struct http_frame_call **row = row_of(calls, id);

	CHECK(id != 0 && call->id == 0);
	*call = (struct http_frame_call){ .next = *row, .id = id };
	*row = call;
	calls->len++;
}

void http_frame_calls_drop(struct http_frame_calls *calls, struct http_frame_call *call)
{
	struct http_frame_call **at = row_of(calls, call->id);

	if (call->id == 0)
		return;
	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	*call = (struct http_frame_call){ 0 };
	calls->len--;
}

struct http_frame_call *http_frame_calls_any(const struct http_frame_calls *calls)
{
	for (size_t at = 0; calls->len && at < sizeof(calls->rows) / sizeof(calls->rows[0]); at++)
		if (calls->rows[at])
			return calls->rows[at];
	return NULL;
}
