/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_splice - answers whose bytes go past us.
 *
 *     store --> socket --> pipe of the kernel --> socket --> client
 *
 * curl asks, and reads the head and what came with it. As soon as it is not on the stack it has handed over all that it received, unless it was told to pause,
 * so the rest of the body can be taken from under it: we keep a descriptor of its socket, and curl, which closes its
 * own, is out of it. What is left is known by its length, and nobody here sees it.
 *
 * The connection is lost to curl, and closed behind the answer: it can be given one that is connected (CURL_SOCKOPT_ALREADY_CONNECTED),
 * but Debian 12's tries to connect it once more and fails. So it is done for large answers only.
 *
 * Limits  SPLICES_MOST on each loop, PIPE_SPLICE_ROOM each; the others go through memory.
 */
#include "common/http_client_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/check.h"
#include "common/pipe.h"

#define SPLICES_MOST 64U
#define SPLICE_LEAST ((uint64_t)4 * 1024 * 1024)

static void give_up(struct http_call *call, enum error_kind kind, const char *text)
{
	struct error err;

	(void)error_set(&err, kind, NULL, "%s", text);
	err.sys = EREMOTEIO;
	http_call_over(call, false, &err);
}

#define WATCHED (EPOLLIN | EPOLLRDHUP | EPOLLONESHOT)

/* False: the call is over, and gone. */
static bool move(struct http_call *call, enum pipe_step *ret_step)
{
	struct http_client *client = call->client;
	size_t n = 0;

	*ret_step = pipe_splice(call->into, call->splice.fd,
		call->splice.left < SIZE_MAX ? (size_t)call->splice.left : SIZE_MAX, &n);
	call->splice.left -= n;
	client->spliced += n;
	switch (*ret_step) {
	case PIPE_OK:
		call->transfer.moved_ms = call->transfer.now_ms(call);
		if (call->splice.left > 0)
			return true;
		http_call_over(call, true, NULL);
		return false;
	case PIPE_AGAIN:
		return true;
	case PIPE_END:
		give_up(call, ERROR_INTERNAL, "the answer was cut");
		return false;
	case PIPE_FAILED:
		break;
	}
	give_up(call, ERROR_INTERNAL, "nobody reads the answer any more");
	return false;
}

/* Either the socket wakes us or the pipe: with all that is in it gone, what is missing is the store's. So a store that is faster than the
 * client does not wake us with each packet. */
void http_splice_go_on(struct http_call *call)
{
	enum pipe_step step = PIPE_OK;

	if (call->cancelled || call->ending)
		return;
	while (step == PIPE_OK)
		if (!move(call, &step))
			return;
	call->transfer.write_paused = pipe_len(call->into) > 0;
	if (!call->transfer.write_paused && !loop_rewatch(call->client->loop, call->splice.fd, WATCHED, NULL))
		give_up(call, ERROR_INTERNAL, "the answer cannot be watched");
}

static void on_ready(void *arg, uint32_t events)
{
	(void)events;
	http_splice_go_on(OBJ_CAST(http_call, HTTP_CALL_MAGIC, arg));
}

static bool is_plain(CURL *easy)
{
	char *scheme = NULL;

	return curl_easy_getinfo(easy, CURLINFO_SCHEME, &scheme) == CURLE_OK && scheme &&
	       !strcasecmp(scheme, "http");
}

/* What is left of the body; 0: not known, or not worth it. */
static uint64_t left_of(const struct http_transfer *transfer)
{
	uint64_t left = transfer->length < 0 ? 0 : (uint64_t)transfer->length - transfer->got;

	if (http_headers_find(transfer->headers, "Transfer-Encoding"))
		return 0;
	return left < SPLICE_LEAST ? 0 : left;
}

void http_splice_ask(struct http_call *call)
{
	if (call->over_channel || call->timed || call->splice.asked)
		return;
	call->splice.asked = true;
	call->splice.next = call->client->splicing;
	call->client->splicing = call;
}

static void begin(struct http_call *call)
{
	struct http_client *client = call->client;
	struct http_transfer *transfer = &call->transfer;
	int own;

	if (call->cancelled || !call->added || transfer->failed || transfer->write_paused ||
		client->splices == SPLICES_MOST || !left_of(transfer) || !is_plain(transfer->easy))
		return;
	own = fcntl(call->socket, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return;
	if (!pipe_open_splice(call->into)) {
		(void)close(own);
		return;
	}
	call->splice = (struct http_splice){ .begun = true, .fd = own, .left = left_of(transfer) };
	client->splices++;
	CHECK(curl_multi_remove_handle(client->multi, transfer->easy) == CURLM_OK);
	call->added = false;
	if (!loop_watch(client->loop, own, WATCHED, on_ready, call, NULL)) {
		(void)close(own);
		call->splice.fd = -1;
		give_up(call, ERROR_INTERNAL, "the answer cannot be watched");
	}
}

void http_splice_begin_all(struct http_client *client)
{
	struct http_call *call;

	while ((call = client->splicing)) {
		client->splicing = call->splice.next;
		call->splice.asked = false;
		begin(call);
	}
}

void http_splice_end(struct http_call *call)
{
	if (!call->splice.begun)
		return;
	call->client->splices--;
	if (call->splice.fd < 0)
		return;
	loop_unwatch(call->client->loop, call->splice.fd);
	(void)close(call->splice.fd);
}
