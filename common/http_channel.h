/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_channel - many calls to one server over one lasting connection (http_frame.h), the caller's side.
 *
 *     open --connect--> (TLS) --"Upgrade: zot-channel/1"--> 101, and on_answer says yes --> calls of http_call_start() with .channel
 *                                                             anything else, or lost later --> on_end
 *
 * A call over a channel is a struct http_call as any other: the same events, deadlines, errors and pipes. Its body is bytes, or none. Calls do not
 * wait for each other, and what is written in one turn of the loop leaves in one write.
 * When the connection is lost its calls end: with ERROR_UNAVAILABLE where no byte of them has left, else with ERROR_INTERNAL, as the other side may have acted.
 * A channel does not come back by itself.
 *
 * Limits  HTTP_FRAME_CALLS calls at a time, HTTP_CHANNEL_OUT bytes that are not written, and HTTP_CHANNEL_HELD bytes of larger requests that wait for room,
 *         of all channels of a client HTTP_CHANNELS_HELD. http_channel_takes() says whether another one fits: if not, it is a call without a channel.
 * Time    connecting connect_ms, then HTTP_CHANNEL_OPEN_MS until it is open.
 * Thread  own loop of the client.
 */
#pragma once

#include "common/http_client.h"

#define HTTP_CHANNEL_OUT     ((size_t)1024 * 1024)
#define HTTP_CHANNEL_HELD    ((size_t)16 * 1024 * 1024)
#define HTTP_CHANNELS_HELD   ((size_t)64 * 1024 * 1024)
#define HTTP_CHANNEL_OPEN_MS 5000

struct http_channel;
/* Borrowed until http_channel_open() returns. */
struct http_channel_spec {
	const char *url;                    /* http:// or https://, an authority; what follows is the path of `target` */
	const char *target;                 /* that is asked for the channel */
	const struct http_headers *headers; /* besides Host, Upgrade and Connection */
	const char *ca_file, *cert_file, *key_file; /* as in http_call_spec */
	unsigned connect_ms;
};
struct http_channel_events {
	void *arg;
	/* It answered: is it who it should be? status 101: true opens the channel. Another: what is returned does not matter, on_end follows. */
	bool (*on_answer)(void *arg, unsigned status, const struct http_headers *headers);
	/* It could not be opened, or is lost, and its calls have ended. Once, from the loop; the channel is freed after this returns. */
	void (*on_end)(void *arg, const struct error *err);
};
struct http_channel *http_channel_open(struct http_client *client, const struct http_channel_spec *spec, struct http_channel_events events);
/* No on_end. Calls that are under way end as when it is lost. Not from inside of its own events. */
void http_channel_close(struct http_channel *channel);
/* It is open, the other side takes new calls, and there is room for one with such a body. */
bool http_channel_takes(const struct http_channel *channel, size_t body_len);
unsigned http_channel_calls(const struct http_channel *channel); /* under way */
