/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_input - bytes that have come and were not used yet.
 *
 * They are read into one block of the server, and mostly used up within the same turn. What is left at its
 * end is copied, so a connection that waits for nothing has no buffer. A copy grows to what one block holds:
 * it is part of a head, or what a sink did not take. A sink that once took less is likely to do so again:
 * what is left of its body is read into that copy's place.
 */
#include <string.h>

#include "common/check.h"
#include "common/http_server_priv.h"

#define ROOM_LEAST ((size_t)512)

struct str http_input_str(const struct http_conn *conn)
{
	const struct http_input *in = &conn->in;

	return str_from(in->at ? in->at + in->begin : NULL, in->end - in->begin);
}

void http_input_took(struct http_conn *conn, size_t n)
{
	struct http_input *in = &conn->in;

	CHECK(n <= in->end - in->begin);
	in->begin += n;
	if (in->begin == in->end)
		in->begin = in->end = 0;
}

void http_input_fini(struct http_conn *conn)
{
	if (conn->in.is_own)
		free(conn->in.at);
	conn->in = (struct http_input){ 0 };
}

/* A copy of at least `room` bytes, what is there at its front. */
static void move_to_own(struct http_conn *conn, size_t room)
{
	struct http_input *in = &conn->in;
	struct str rest = http_input_str(conn);
	char *own = check_aligned(16, room);

	CHECK(room >= rest.len);
	if (rest.len > 0)
		memcpy(own, rest.at, rest.len);
	if (in->is_own)
		free(in->at);
	*in = (struct http_input){ .at = own, .end = rest.len, .room = room, .is_own = true };
}

static void make_room(struct http_conn *conn)
{
	struct http_input *in = &conn->in;
	size_t len = in->end - in->begin;

	if (len == 0 && in->is_own && in->room == HTTP_WIRE_BLOCK) {
		in->begin = in->end = 0;
	} else if (len == 0) {
		http_input_fini(conn);
		*in = (struct http_input){ .at = conn->server->in_block, .room = HTTP_WIRE_BLOCK };
	} else if (in->end == in->room || !in->is_own) {
		size_t room = len * 2 > ROOM_LEAST ? len * 2 : ROOM_LEAST;
		move_to_own(conn, room < HTTP_WIRE_BLOCK ? room : HTTP_WIRE_BLOCK);
	}
}

enum http_io http_input_fill(struct http_conn *conn)
{
	struct http_input *in = &conn->in;
	size_t len = 0;

	CHECK(in->end - in->begin < HTTP_WIRE_BLOCK);
	if (!conn->wire.readable)
		return HTTP_IO_AGAIN;
	make_room(conn);
	enum http_io io = http_wire_read(&conn->wire, in->at + in->end, in->room - in->end, &len);
	in->end += len;
	return io;
}

void http_input_keep(struct http_conn *conn)
{
	size_t len = conn->in.end - conn->in.begin;
	bool more = conn->state == HTTP_REQUEST && !conn->framing.over;

	if (len == 0 && !(conn->in.is_own && more))
		http_input_fini(conn);
	else if (!conn->in.is_own)
		move_to_own(conn, more ? HTTP_WIRE_BLOCK : len);
}
