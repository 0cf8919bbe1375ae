/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client - exchanges on a loop: one curl multi whose sockets are in the loop's epoll set.
 *
 * curl forbids adding and removing handles from inside its callbacks, and on_head runs in one. So
 * a call waits in `starting` for the next run of the stage, and a cancelled one lies in `dead`
 * until curl is not on the stack.
 */
#include "common/http_client_priv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
#include "common/pipe.h"

void http_client_init(void)
{
	CHECK(curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK);
}

void http_client_fini(void)
{
	curl_global_cleanup();
}

/* Lists. */

static void list_remove(struct http_call **list, struct http_call *call)
{
	if (call->prev)
		call->prev->next = call->next;
	else
		*list = call->next;
	if (call->next)
		call->next->prev = call->prev;
	call->prev = call->next = NULL;
}

static void list_add(struct http_call **list, struct http_call *call)
{
	call->next = *list;
	if (call->next)
		call->next->prev = call;
	*list = call;
}

static void leave_starting(struct http_client *client, struct http_call *call)
{
	struct http_call **at = &client->starting;
	while (*at != call)
		at = &(*at)->next_starting;
	*at = call->next_starting;
	if (!*at)
		client->starting_last = at;
	call->queued = false;
}

/* The end of a call's memory. */

static void call_free(struct http_call *call)
{
	struct http_client *client = call->client;
	if (call->added)
		CHECK(curl_multi_remove_handle(client->multi, call->transfer.easy) == CURLM_OK);
	if (call->queued)
		leave_starting(client, call);
	list_remove(&client->calls, call);
	loop_timer_stop(client->loop, &call->stall);
	http_splice_end(call);
	if (call->over_channel) {
		http_channel_forget_call(call);
	} else if (client->spare_len < HTTP_SPARE_MAX) {
		curl_easy_reset(call->transfer.easy);
		client->spare[client->spare_len++] = call->transfer.easy;
	} else {
		curl_easy_cleanup(call->transfer.easy);
	}
	http_transfer_fini(&call->transfer);
	pipe_unref_writer(call->into);
	buf_fini(&call->collected);
	free(call->body);
	call->magic = 0;
	free(call);
}

void http_client_enter(struct http_client *client)
{
	client->depth++;
}

void http_client_leave(struct http_client *client)
{
	CHECK(client->depth > 0);
	if (--client->depth > 0)
		return;
	http_splice_begin_all(client);
	while (client->dead) {
		struct http_call *call = client->dead;
		client->dead = call->next_dead;
		call_free(call);
	}
}

void http_call_cancel(struct http_call *call)
{
	CHECK(call && call->magic == HTTP_CALL_MAGIC);
	struct http_client *client = call->client;
	loop_assert(client->loop);
	if (call->cancelled || call->ending)
		return;
	call->cancelled = true;
	call->events = (struct http_call_events){ 0 };
	call->transfer.failed = true;
	(void)error_set(&call->transfer.err, ERROR_INTERNAL, NULL, "cancelled");
	if (call->into)
		pipe_fail(call->into, &call->transfer.err);
	call->next_dead = client->dead;
	client->dead = call;
	http_client_enter(client);
	http_client_leave(client);
}

/* Sockets and curl's timer. */

struct client_socket {
	struct http_client *client;
	int fd;
};

/* The socket's struct may be gone when curl returns. */
static void on_socket_ready(void *arg, uint32_t events)
{
	struct client_socket *socket = arg;
	struct http_client *client = socket->client;
	int mask = (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
		   (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
	int running = 0;
	http_client_enter(client);
	(void)curl_multi_socket_action(client->multi, socket->fd, mask, &running);
	http_client_leave(client);
}

static int forget_socket(struct http_client *client, struct client_socket *socket)
{
	if (!socket)
		return 0;
	loop_unwatch(client->loop, socket->fd);
	(void)curl_multi_assign(client->multi, socket->fd, NULL);
	free(socket);
	return 0;
}

/* Of several that are being connected the one that is read from in the end. */
static void note_socket(CURL *easy, curl_socket_t fd)
{
	char *owner = NULL;

	CHECK(curl_easy_getinfo(easy, CURLINFO_PRIVATE, &owner) == CURLE_OK && owner);
	OBJ_CAST(http_call, HTTP_CALL_MAGIC, (void *)owner)->socket = fd;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http_client *client = arg;
	struct client_socket *socket = socket_arg;
	if (what == CURL_POLL_REMOVE)
		return forget_socket(client, socket);
	if (what & CURL_POLL_IN)
		note_socket(easy, fd);
	uint32_t events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
			  (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
	if (socket)
		return loop_rewatch(client->loop, fd, events, NULL) ? 0 : -1;
	socket = xnew(struct client_socket);
	socket->client = client;
	socket->fd = fd;
	if (!loop_watch(client->loop, fd, events, on_socket_ready, socket, NULL)) {
		free(socket);
		return -1;
	}
	CHECK(curl_multi_assign(client->multi, fd, socket) == CURLM_OK);
	return 0;
}

static int on_timer(CURLM *multi, long in_ms, void *arg)
{
	(void)multi;
	struct http_client *client = arg;
	client->due_ms = in_ms < 0 ? -1 : clock_ms() + in_ms;
	return 0;
}

/* The transfer's events. */

static int64_t now_of_call(void *owner)
{
	struct http_call *call = owner;
	loop_moved(call->client->loop);
	return loop_now(call->client->loop);
}

static void on_head(void *owner)
{
	struct http_call *call = OBJ_CAST(http_call, HTTP_CALL_MAGIC, owner);
	if (call->events.on_head)
		call->events.on_head(call->events.arg, call);
}

static void too_large(struct http_call *call)
{
	call->transfer.failed = true;
	(void)error_set(&call->transfer.err, ERROR_TOO_LARGE, NULL, "the answer is over %zu bytes",
		call->collected.max);
}

/* curl hands over all of it again after a pause: all or nothing. */
size_t http_call_take_body(struct http_call *call, const char *bytes, size_t len)
{
	if (call->collects) {
		buf_append(&call->collected, bytes, len);
		if (call->collected.failed)
			too_large(call);
		return call->collected.failed ? 0 : len;
	}
	if (call->take) {
		call->transfer.failed =
			!call->take(call->take_arg, str_from(bytes, len), &call->transfer.err);
		return call->transfer.failed ? 0 : len;
	}
	if (!call->into)
		return len;
	switch (pipe_write_whole(call->into, bytes, len)) {
	case PIPE_OK:
		http_splice_ask(call);
		return len;
	case PIPE_AGAIN:
		return CURL_WRITEFUNC_PAUSE;
	case PIPE_END:
	case PIPE_FAILED:
		break;
	}
	call->transfer.failed = true;
	(void)error_set(&call->transfer.err, ERROR_INTERNAL, NULL, "nobody reads the answer any more");
	return 0;
}

static size_t on_body(void *owner, const char *bytes, size_t len)
{
	return http_call_take_body(OBJ_CAST(http_call, HTTP_CALL_MAGIC, owner), bytes, len);
}

/* Both come from the loop's inbox, where curl is not on the stack. The flags go first: curl may
 * call the write callback, which may pause anew, before it returns. */
static void unpause(struct http_call *call)
{
	int mask = (call->transfer.write_paused ? CURLPAUSE_RECV : 0) |
		   (call->transfer.read_paused ? CURLPAUSE_SEND : 0);
	if (!call->added || call->cancelled || call->ending)
		return;
	call->transfer.moved_ms = loop_now(call->client->loop);
	http_client_enter(call->client);
	(void)curl_easy_pause(call->transfer.easy, mask);
	http_client_leave(call->client);
	loop_wake_stages(call->client->loop);
}

static void on_room(void *owner)
{
	struct http_call *call = OBJ_CAST(http_call, HTTP_CALL_MAGIC, owner);
	call->transfer.write_paused = false;
	if (call->splice.begun)
		http_splice_go_on(call);
	else if (call->over_channel)
		http_channel_resume_call(call);
	else
		unpause(call);
}

static void on_bytes(void *owner)
{
	struct http_call *call = OBJ_CAST(http_call, HTTP_CALL_MAGIC, owner);
	call->transfer.read_paused = false;
	unpause(call);
}

/* Start and end. */

void http_call_over(struct http_call *call, bool done, const struct error *err)
{
	call->ending = true;
	if (call->into && done)
		pipe_finish(call->into);
	else if (call->into)
		pipe_fail(call->into, err);
	if (call->events.on_done)
		call->events.on_done(call->events.arg, call, done ? NULL : err);
	call_free(call);
}

/* Connected: a socket of our own, which stays when curl closes its. */
static void end_dialling(struct http_call *call, CURLcode code)
{
	curl_socket_t fd = CURL_SOCKET_BAD;
	struct error err;
	int own = -1;

	if (code == CURLE_OK &&
		curl_easy_getinfo(call->transfer.easy, CURLINFO_ACTIVESOCKET, &fd) == CURLE_OK &&
		fd != CURL_SOCKET_BAD)
		own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		(void)error_set(&err, ERROR_UNAVAILABLE, NULL, "%s",
			*call->transfer.reason ? call->transfer.reason : curl_easy_strerror(code));
	call->ending = true;
	call->dialled(call->events.arg, own, own < 0 ? &err : NULL);
	call_free(call);
}

static void call_end_with(struct http_call *call, CURLcode code)
{
	struct error err;

	if (call->dialled) {
		end_dialling(call, code);
		return;
	}
	bool done = http_transfer_result(&call->transfer, code, &err);
	http_call_over(call, done, &err);
}

static void on_stall(void *arg)
{
	struct http_call *call = OBJ_CAST(http_call, HTTP_CALL_MAGIC, arg);
	if (call->cancelled)
		return;
	int64_t left = http_transfer_stalls_in(&call->transfer);
	if (left > 0)
		loop_timer_start(call->client->loop, &call->stall, left, on_stall, call);
	else
		call_end_with(call, CURLE_OPERATION_TIMEDOUT);
}

static CURL *take_easy(struct http_client *client)
{
	CURL *easy = client->spare_len > 0 ? client->spare[--client->spare_len] : curl_easy_init();
	CHECK(easy);
	return easy;
}

static struct str copy_body(struct http_call *call, struct str body)
{
	if (body.len == 0)
		return STR_NONE;
	call->body = check_alloc(1, body.len);
	memcpy(call->body, body.at, body.len);
	return str_from(call->body, body.len);
}

static struct http_call *call_new(struct http_client *client, struct http_call_events events)
{
	struct http_call *call = xnew(struct http_call);

	loop_assert(client->loop);
	call->magic = HTTP_CALL_MAGIC;
	call->client = client;
	call->events = events;
	call->transfer.owner = call;
	call->transfer.now_ms = now_of_call;
	list_add(&client->calls, call);
	return call;
}

static void queue_call(struct http_call *call)
{
	struct http_client *client = call->client;

	call->queued = true;
	*client->starting_last = call;
	client->starting_last = &call->next_starting;
	loop_wake_stages(client->loop);
}

struct http_call *http_call_start(
	struct http_client *client, const struct http_call_spec *spec, struct http_call_events events)
{
	struct http_call *call = call_new(client, events);
	struct http_call_spec own = *spec;

	if (spec->channel) {
		http_channel_begin_call(call, spec);
		return call;
	}
	call->transfer.easy = take_easy(client);
	call->timed = spec->total_ms > 0;
	call->transfer.on_head = on_head;
	call->transfer.on_body = on_body;
	own.body = copy_body(call, spec->body);
	call->transfer.failed = !http_transfer_setup(&call->transfer, &own, &call->transfer.err);
	if (call->transfer.pipe)
		pipe_on_bytes(call->transfer.pipe, on_bytes, call);
	queue_call(call);
	return call;
}

struct http_call *http_client_dial(
	struct http_client *client, const char *url, unsigned connect_ms, http_dialled_f *dialled, void *arg)
{
	struct http_call *call = call_new(client, (struct http_call_events){ .arg = arg });
	struct http_call_spec spec = { .method = "GET", .url = url, .connect_ms = connect_ms };

	call->dialled = dialled;
	call->transfer.easy = take_easy(client);
	call->transfer.failed = !http_transfer_setup(&call->transfer, &spec, &call->transfer.err);
	CHECK(curl_easy_setopt(call->transfer.easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK);
	queue_call(call);
	return call;
}

static void call_begin(struct http_call *call)
{
	struct http_client *client = call->client;
	if (call->transfer.failed) {
		call_end_with(call, CURLE_FAILED_INIT);
		return;
	}
	http_client_enter(client);
	CHECK(curl_multi_add_handle(client->multi, call->transfer.easy) == CURLM_OK);
	call->added = true;
	http_client_leave(client);
	loop_timer_start(client->loop, &call->stall, call->transfer.stall_ms, on_stall, call);
}

static void begin_all(struct http_client *client)
{
	struct http_call *call;
	while ((call = client->starting)) {
		client->starting = call->next_starting;
		if (!client->starting)
			client->starting_last = &client->starting;
		call->queued = false;
		call_begin(call);
	}
}

/* The stage. */

static int64_t stage_timeout(void *arg)
{
	struct http_client *client = arg;
	if (client->starting || http_channel_has_work(client))
		return 0;
	if (client->due_ms < 0)
		return -1;
	int64_t left = client->due_ms - clock_ms();
	return left > 0 ? left : 0;
}

static void run_due(struct http_client *client)
{
	if (client->due_ms < 0 || client->due_ms > clock_ms())
		return;
	client->due_ms = -1;
	int running = 0;
	http_client_enter(client);
	(void)curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	http_client_leave(client);
}

static void end_finished(struct http_client *client)
{
	CURLcode code;
	void *owner;
	while (http_transfer_next_over(client->multi, &owner, &code)) {
		struct http_call *call = OBJ_CAST(http_call, HTTP_CALL_MAGIC, owner);
		if (!call->cancelled)
			call_end_with(call, code);
	}
}

static void stage_run(void *arg)
{
	struct http_client *client = arg;
	begin_all(client);
	run_due(client);
	end_finished(client);
	http_channel_run_all(client);
}

/* Life. */

bool http_client_new(struct http_client **ret_client, struct loop *loop,
	const struct http_client_settings *settings, struct error *err)
{
	loop_assert(loop);
	CURLM *multi = curl_multi_init();
	if (!multi)
		return error_set(err, ERROR_INTERNAL, NULL, "curl_multi_init");
	struct http_client *client = xnew(struct http_client);
	client->loop = loop;
	client->multi = multi;
	client->due_ms = -1;
	client->starting_last = &client->starting;
	client->message = buf_limit(HTTP_CHANNEL_HELD);
	list_init(&client->channels);
	list_init(&client->dirty);
	long max_idle = settings && settings->max_idle ? (long)settings->max_idle : 64L;
	CHECK(curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK);
	CHECK(curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client) == CURLM_OK);
	CHECK(curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK);
	CHECK(curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client) == CURLM_OK);
	CHECK(curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, max_idle) == CURLM_OK);
	CHECK(curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) == CURLM_OK);
	loop_add_stage(loop, (struct loop_stage){ stage_timeout, stage_run, client });
	*ret_client = client;
	return true;
}

void http_client_free(struct http_client *client)
{
	if (!client)
		return;
	loop_assert(client->loop);
	CHECK(client->depth == 0);
	while (client->calls)
		http_call_cancel(client->calls);
	http_channel_close_all(client);
	buf_fini(&client->message);
	while (client->spare_len > 0)
		curl_easy_cleanup(client->spare[--client->spare_len]);
	CHECK(curl_multi_cleanup(client->multi) == CURLM_OK);
	loop_remove_stage(client->loop, client);
	free(client);
}

/* The call, for its events. */

static void call_assert(const struct http_call *call)
{
	loop_assert(call->client->loop);
}

unsigned http_call_status(const struct http_call *call)
{
	call_assert(call);
	return call->transfer.head_done ? call->transfer.status : 0;
}

const struct http_headers *http_call_headers(const struct http_call *call)
{
	call_assert(call);
	return call->transfer.headers;
}

int64_t http_call_length(const struct http_call *call)
{
	call_assert(call);
	return call->transfer.length;
}

void http_call_into(struct http_call *call, struct pipe *pipe)
{
	call_assert(call);
	CHECK(!call->into && !call->take && !call->collects);
	call->into = pipe;
	pipe_on_room(pipe, on_room, call);
}

void http_call_take(struct http_call *call, http_take_f *take, void *arg)
{
	call_assert(call);
	CHECK(!call->into && !call->take && !call->collects && !call->over_channel);
	call->take = take;
	call->take_arg = arg;
}

void http_call_collect(struct http_call *call, size_t max)
{
	call_assert(call);
	CHECK(!call->into && !call->take && !call->collects);
	call->collects = true;
	call->collected = buf_limit(max);
}

void http_call_give_body(struct http_call *call, struct buf *into)
{
	call_assert(call);
	CHECK(!into->at);
	*into = call->collected;
	call->collected = buf_limit(0);
}

struct str http_call_body(const struct http_call *call)
{
	call_assert(call);
	return buf_str(&call->collected);
}
