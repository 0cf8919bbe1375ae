/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_frame - many HTTP exchanges over one connection: how their bytes are cut up.
 *
 *     type 1 byte | length of the payload 3 bytes | id of the call 4 bytes | payload         numbers most significant byte first
 *
 *   BYTES  some bytes of a call's message, an HTTP/1.1 request or its answer as they would stand on a connection of their own
 *   LAST   the same, and the message ends with them (they may be none)
 *   ROOM   the sender has used so many bytes of the call (4 bytes): as many more may come
 *   DROP   nobody waits for the rest of this call any more, or there will be none: the caller has gone, the answer was cut
 *   AWAY   id 0: no new calls, please; those that are under way are served
 *
 * The caller chooses ids: 1, 2, 3 and so on, each once. The first BYTES or LAST of an id begins its call. Of each message HTTP_FRAME_WINDOW bytes may
 * be on their way that no ROOM has told of, so nobody's answer stands in another's way and each side knows what a call can cost it.
 * Frames of a call that is over are dropped: they crossed its end. Anything else that is out of order ends the connection.
 * An answer without a length ends with its LAST; one that ends with DROP is not whole.
 *
 * Version  HTTP_FRAME_PROTOCOL names it; a frame of another type is an error, as both have agreed on what there is.
 * Thread   any; pure.
 */
#pragma once

#include "common/buf.h"
#include "common/error.h"

#define HTTP_FRAME_PROTOCOL "zot-channel/1"
#define HTTP_FRAME_HEAD     ((size_t)8)
#define HTTP_FRAME_MAX      ((size_t)16 * 1024) /* of a payload */
#define HTTP_FRAME_WINDOW   ((size_t)64 * 1024)
#define HTTP_FRAME_CALLS    1024u               /* under way at a time */
#define HTTP_FRAME_ID_MAX   UINT32_MAX

enum http_frame_type { HTTP_FRAME_BYTES = 1, HTTP_FRAME_LAST, HTTP_FRAME_ROOM, HTTP_FRAME_DROP, HTTP_FRAME_AWAY };

struct http_frame {
	enum http_frame_type type;
	uint32_t id;
	uint32_t room;    /* ROOM: 1..HTTP_FRAME_WINDOW */
	struct str bytes; /* BYTES, LAST */
};

enum http_frame_step { HTTP_FRAME_MORE, HTTP_FRAME_WHOLE, HTTP_FRAME_BAD };
/* Takes the first frame off *bytes; *ret points into them. MORE: it is not all there, nothing was taken. BAD: err says why. */
enum http_frame_step http_frame_next(struct str *bytes, struct http_frame *ret, struct error *err);

/* The head of BYTES or LAST with so much behind it, at most HTTP_FRAME_MAX. */
void http_frame_head(enum http_frame_type type, uint32_t id, size_t len, uint8_t into[HTTP_FRAME_HEAD]);
/* A whole frame, appended. bytes are for BYTES and LAST, room for ROOM. */
void http_frame_put(const struct http_frame *frame, struct buf *into);

/* How much of a message that has used so much may still be sent in one frame. */
static inline size_t http_frame_fits(size_t left, size_t window)
{
	size_t most = left < window ? left : window;

	return most < HTTP_FRAME_MAX ? most : HTTP_FRAME_MAX;
}

/* Calls by their ids, of one side of one connection. */
struct http_frame_call {
	struct http_frame_call *next;
	uint32_t id; /* 0: in no table */
};
struct http_frame_calls {
	struct http_frame_call *rows[256];
	unsigned len;
};
struct http_frame_call *http_frame_calls_find(const struct http_frame_calls *calls, uint32_t id); /* or NULL */
void http_frame_calls_put(struct http_frame_calls *calls, struct http_frame_call *call, uint32_t id);
void http_frame_calls_drop(struct http_frame_calls *calls, struct http_frame_call *call); /* in none: fine */
struct http_frame_call *http_frame_calls_any(const struct http_frame_calls *calls);       /* NULL: it is empty */
