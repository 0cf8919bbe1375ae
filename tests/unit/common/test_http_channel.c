/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many calls over one connection: our server and our client on one loop, then each of them against a scripted other side.
 */
#include "http_rig.h"
#include "tls_pems.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/http_channel.h"
#include "common/http_frame.h"

#define BIG ((size_t)4 * 1024 * 1024)

struct world {
	struct rig rig;
	struct http_channel *channel;
	atomic_int begun, done, opened, ended, answered_status;
	bool refuse; /* the answer that would open it */
	char why[ERROR_TEXT_MAX];
	struct http_request *held;
	int ends; /* of calls */
	char *big;
};

/* The server. */

static void on_collected(void *arg, struct http_request *request, struct str body, const struct error *err)
{
	(void)arg;
	http_request_reply(request, http_response_copy(err ? 413 : 200, body));
}

static struct pipe *filled(struct world *world, const char *bytes)
{
	struct pipe *pipe = pipe_new(world->rig.loop, 64 * 1024);
	size_t taken;

	assert_int_equal(pipe_write(pipe, bytes, strlen(bytes), &taken), PIPE_OK);
	return pipe;
}

static void reply_cut(struct world *world, struct http_request *request)
{
	struct pipe *pipe = filled(world, "half of it");
	struct error err;

	(void)error_set(&err, ERROR_INTERNAL, NULL, "broken");
	http_request_reply(request, http_response_pipe(200, pipe, 100));
	pipe_fail(pipe, &err);
	pipe_unref_writer(pipe);
}

static void reply_without_length(struct world *world, struct http_request *request)
{
	struct pipe *pipe = filled(world, "all of it");

	http_request_reply(request, http_response_pipe(200, pipe, -1));
	pipe_finish(pipe);
	pipe_unref_writer(pipe);
}

static void on_request(void *arg, struct http_request *request)
{
	struct world *world = arg;
	struct str path = http_request_path(request);

	world->begun++;
	if (str_is(path, "/channel") && http_request_may_upgrade(request))
		http_request_reply(request, http_response_upgrade());
	else if (str_is(path, "/big"))
		http_request_reply(request, http_response_shared(200, str_from(world->big, BIG), NULL, NULL));
	else if (str_is(path, "/hold"))
		world->held = request;
	else if (str_is(path, "/cut"))
		reply_cut(world, request);
	else if (str_is(path, "/unknown-length"))
		reply_without_length(world, request);
	else if (str_is(path, "/echo"))
		http_request_collect(request, BIG, on_collected, world);
	else
		http_request_reply(request, http_response_copy(200, http_request_target(request)));
}

static void on_done(void *arg, struct http_request *request)
{
	struct world *world = arg;

	if (world->held == request)
		world->held = NULL;
	world->done++;
}

static bool on_answer(void *arg, unsigned status, const struct http_headers *headers)
{
	struct world *world = arg;

	(void)headers;
	world->answered_status = (int)status;
	if (status == 101 && !world->refuse)
		world->opened++;
	return !world->refuse;
}

static void on_end(void *arg, const struct error *err)
{
	struct world *world = arg;

	world->channel = NULL;
	assert_true(str_copy(str_of(err->text), world->why, sizeof(world->why)));
	world->ended++;
}

/* On the loop. */

struct opening {
	struct world *world;
	uint16_t port;
	const char *scheme, *host, *ca;
	atomic_int posted;
};

static void do_open(void *arg)
{
	struct opening *opening = arg;
	char url[128];
	struct http_channel_spec spec = { .url = url, .target = "/channel", .ca_file = opening->ca };

	(void)snprintf(url, sizeof(url), "%s://%s:%u", opening->scheme, opening->host, opening->port);
	opening->world->channel = http_channel_open(opening->world->rig.client, &spec,
		(struct http_channel_events){ opening->world, on_answer, on_end });
	opening->posted = 1;
}

static void open_to(struct world *world, const char *scheme, const char *host, uint16_t port, const char *ca)
{
	struct opening opening = { .world = world, .scheme = scheme, .host = host, .port = port, .ca = ca };

	loop_post(world->rig.loop, do_open, &opening);
	await(&opening.posted, 1);
}

struct ask {
	struct world *world;
	const char *method, *target;
	struct str body;
	size_t into; /* a pipe of so many bytes takes the answer; 0: it is collected */
	bool cancel_at_head;
	unsigned total_ms;
	struct pipe *pipe;
	struct http_call *call;
	unsigned status;
	size_t got;
	uint64_t sum;
	char body_text[64];
	struct error err;
	bool failed;
	int place; /* in the order of ends */
	atomic_int started, heads, over;
};

static uint64_t sum_of(uint64_t sum, const char *at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sum = sum * 31 + (unsigned char)at[i];
	return sum;
}

static void drain(void *arg)
{
	struct ask *ask = arg;
	char some[8192];
	size_t len;

	while (pipe_read(ask->pipe, some, sizeof(some), &len) == PIPE_OK) {
		ask->sum = sum_of(ask->sum, some, len);
		ask->got += len;
	}
}

static void on_head(void *arg, struct http_call *call)
{
	struct ask *ask = arg;

	ask->status = http_call_status(call);
	ask->heads++;
	if (ask->cancel_at_head) {
		http_call_cancel(call);
		ask->over = 1;
	} else if (ask->into) {
		ask->pipe = pipe_new(ask->world->rig.loop, ask->into);
		pipe_on_bytes(ask->pipe, drain, ask);
		http_call_into(call, ask->pipe);
		drain(ask);
	} else {
		http_call_collect(call, BIG);
	}
}

static void on_call_done(void *arg, struct http_call *call, const struct error *err)
{
	struct ask *ask = arg;
	struct str body = http_call_body(call);

	ask->place = ++ask->world->ends;
	if (err) {
		ask->failed = true;
		ask->err = *err;
	}
	if (ask->pipe) {
		drain(ask);
		pipe_unref_reader(ask->pipe);
	} else {
		ask->got = body.len;
		ask->sum = sum_of(0, body.at ? body.at : "", body.len);
		assert_true(str_copy(str_from(body.at, body.len < 63 ? body.len : 63), ask->body_text, 64));
	}
	ask->over = 1;
}

static void do_start(void *arg)
{
	struct ask *ask = arg;
	char url[256];
	struct http_call_spec spec = { .method = ask->method,
		.url = url,
		.body = ask->body,
		.has_body = ask->body.len,
		.total_ms = ask->total_ms,
		.channel = ask->world->channel };

	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", ask->world->rig.port, ask->target);
	assert_true(http_channel_takes(spec.channel, spec.body.len));
	ask->call = http_call_start(
		ask->world->rig.client, &spec, (struct http_call_events){ ask, on_head, on_call_done });
	ask->started = 1;
}

static void start(struct world *world, struct ask *ask)
{
	ask->world = world;
	loop_post(world->rig.loop, do_start, ask);
}

static void finish(struct world *world, struct ask *ask)
{
	start(world, ask);
	await(&ask->over, 1);
}

/* Worlds. */

static struct world *world_new(struct http_server_settings *settings, const struct http_tls *tls)
{
	struct world *world = xnew(struct world);
	uint16_t port = 0;
	struct http_server_settings listening = rig_listen(&port, false);

	http_client_init();
	settings->listen_fd = listening.listen_fd;
	settings->tls = tls;
	world->big = check_alloc(1, BIG);
	for (size_t i = 0; i < BIG; i++)
		world->big[i] = (char)(i * 2654435761u >> 13);
	rig_open(&world->rig, *settings, (struct http_app){ world, on_request, on_done, NULL });
	rig_run(&world->rig);
	return world;
}

static int set_up(void **state)
{
	struct http_server_settings settings = { 0 };
	struct world *world = world_new(&settings, NULL);

	open_to(world, "http", "127.0.0.1", world->rig.port, NULL);
	await(&world->opened, 1);
	*state = world;
	return 0;
}

static int set_up_closed(void **state)
{
	struct http_server_settings settings = { .keepalive_timeout_ms = 400, .send_timeout_ms = 400 };

	*state = world_new(&settings, NULL);
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	rig_close(&world->rig);
	free(world->big);
	free(world);
	http_client_fini();
	return 0;
}

/* Both sides are ours. */

static void calls_are_answered(void **state)
{
	struct ask get = { .method = "GET", .target = "/x?y=1" }, head = { .method = "HEAD", .target = "/x" },
		   put = { .method = "PUT", .target = "/echo", .body = STR("some bytes") },
		   length = { .method = "GET", .target = "/unknown-length" };

	finish(*state, &get);
	assert_false(get.failed);
	assert_int_equal(get.status, 200);
	assert_string_equal(get.body_text, "/x?y=1");
	finish(*state, &head);
	assert_false(head.failed);
	assert_int_equal(head.got, 0);
	finish(*state, &put);
	assert_string_equal(put.body_text, "some bytes");
	finish(*state, &length);
	assert_false(length.failed);
	assert_string_equal(length.body_text, "all of it");
}

static void a_thousand_at_once_each_get_their_own_answer(void **state)
{
	struct ask *asks = xnew_array(struct ask, 1000);
	char targets[1000][24];

	for (int i = 0; i < 1000; i++) {
		(void)snprintf(targets[i], sizeof(targets[i]), "/call-%d", i);
		asks[i] = (struct ask){ .method = "GET", .target = targets[i] };
		start(*state, &asks[i]);
	}
	for (int i = 0; i < 1000; i++) {
		await(&asks[i].over, 1);
		assert_false(asks[i].failed);
		assert_string_equal(asks[i].body_text, targets[i]);
	}
	free(asks);
}

static void large_bodies_go_both_ways_and_small_calls_pass_them(void **state)
{
	struct world *world = *state;
	uint64_t sum = sum_of(0, world->big, BIG);
	struct ask down = { .method = "GET", .target = "/big", .into = 64 * 1024 },
		   up = { .method = "PUT", .target = "/echo", .body = str_from(world->big, BIG) },
		   small = { .method = "GET", .target = "/small" };

	start(world, &down);
	start(world, &up);
	finish(world, &small);
	assert_false(small.failed);
	await(&down.over, 1);
	await(&up.over, 1);
	assert_int_equal(small.place, 1);
	assert_false(down.failed || up.failed);
	assert_int_equal(down.got, BIG);
	assert_true(down.sum == sum);
	assert_int_equal(up.got, BIG);
	assert_true(up.sum == sum);
}

static void do_release(void *arg)
{
	struct world *world = arg;

	http_request_reply(world->held, http_response_copy(200, STR("at last")));
}

static void a_slow_call_holds_nobody_up(void **state)
{
	struct world *world = *state;
	struct ask slow = { .method = "GET", .target = "/hold" },
		   fast = { .method = "GET", .target = "/fast" };

	start(world, &slow);
	finish(world, &fast);
	assert_int_equal(slow.over, 0);
	loop_post(world->rig.loop, do_release, world);
	await(&slow.over, 1);
	assert_string_equal(slow.body_text, "at last");
}

static void do_cancel(void *arg)
{
	struct ask *ask = arg;

	http_call_cancel(ask->call);
	ask->over = 1;
}

static void one_that_is_cancelled_ends_at_the_server_too(void **state)
{
	struct world *world = *state;
	struct ask held = { .method = "GET", .target = "/hold" },
		   at_head = { .method = "GET", .target = "/big", .cancel_at_head = true },
		   after = { .method = "GET", .target = "/after" };

	start(world, &held);
	await(&world->begun, 2);
	loop_post(world->rig.loop, do_cancel, &held);
	await(&world->done, 2); /* that of the channel's own request, and this */
	finish(world, &at_head);
	await(&world->done, 3);
	finish(world, &after);
	assert_false(after.failed);
}

static void one_that_is_cut_fails_alone(void **state)
{
	struct ask cut = { .method = "GET", .target = "/cut" },
		   after = { .method = "GET", .target = "/after" };

	finish(*state, &cut);
	assert_true(cut.failed);
	assert_int_equal(cut.err.kind, ERROR_INTERNAL);
	finish(*state, &after);
	assert_false(after.failed);
}

static void one_without_an_answer_has_a_time(void **state)
{
	struct world *world = *state;
	struct ask late = { .method = "GET", .target = "/hold", .total_ms = 50 };

	finish(world, &late);
	assert_true(late.failed);
	assert_int_equal(late.err.kind, ERROR_TIMEOUT);
	await(&world->done, 2);
}

struct takes {
	struct world *world;
	atomic_int yes, no;
};

static void do_ask_takes(void *arg)
{
	struct takes *takes = arg;

	if (http_channel_takes(takes->world->channel, 0))
		takes->yes = 1;
	else
		takes->no = 1;
}

static void do_wind_down(void *arg)
{
	http_server_wind_down(((struct world *)arg)->rig.server);
}

static void do_quiesce(void *arg)
{
	http_server_quiesce(((struct world *)arg)->rig.server);
}

static void a_server_that_ends_serves_what_is_under_way(void **state)
{
	struct world *world = *state;
	struct ask held = { .method = "GET", .target = "/hold" };
	struct takes takes = { .world = world };

	start(world, &held);
	await(&world->begun, 2);
	loop_post(world->rig.loop, do_wind_down, world);
	while (!takes.no) {
		atomic_store(&takes.yes, 0);
		loop_post(world->rig.loop, do_ask_takes, &takes);
		while (!takes.no && !takes.yes)
			(void)poll(NULL, 0, 1);
	}
	loop_post(world->rig.loop, do_quiesce, world);
	loop_post(world->rig.loop, do_release, world);
	await(&held.over, 1);
	assert_false(held.failed);
	assert_string_equal(held.body_text, "at last");
	await(&world->ended, 1);
}

static void do_fill(void *arg)
{
	struct ask *asks = arg;
	unsigned n = 0;

	while (http_channel_takes(asks[0].world->channel, 0)) {
		asks[n].world = asks[0].world;
		do_start(&asks[n++]);
	}
	assert_int_equal(n, HTTP_FRAME_CALLS);
	assert_false(http_channel_takes(asks[0].world->channel, 0));
	for (unsigned i = 0; i < n; i++)
		do_cancel(&asks[i]);
	assert_true(http_channel_takes(asks[0].world->channel, 0));
	assert_false(http_channel_takes(asks[0].world->channel, HTTP_CHANNEL_HELD));
	asks[0].over = 2;
}

static void it_takes_so_many_and_no_more(void **state)
{
	struct ask *asks = xnew_array(struct ask, HTTP_FRAME_CALLS + 1);

	for (unsigned i = 0; i <= HTTP_FRAME_CALLS; i++)
		asks[i] = (struct ask){ .world = *state, .method = "GET", .target = "/hold" };
	loop_post(((struct world *)*state)->rig.loop, do_fill, asks);
	await(&asks[0].over, 2);
	free(asks);
}

static void one_that_rests_is_closed(void **state)
{
	struct world *world = *state;

	open_to(world, "http", "127.0.0.1", world->rig.port, NULL);
	await(&world->opened, 1);
	await(&world->ended, 1);
	assert_non_null(strstr(world->why, "closed"));
}

static void who_is_not_there_or_does_not_know_it_is_told(void **state)
{
	struct world *world = *state;
	int fd;
	uint16_t port = 0;
	struct http_server_settings nobody = rig_listen(&port, false);

	fd = nobody.listen_fd;
	(void)close(fd);
	open_to(world, "http", "127.0.0.1", port, NULL);
	await(&world->ended, 1);
	open_to(world, "ftp", "127.0.0.1", port, NULL);
	await(&world->ended, 2);
	world->refuse = true;
	open_to(world, "http", "127.0.0.1", world->rig.port, NULL);
	await(&world->ended, 3);
	assert_int_equal(world->answered_status, 101);
}

/* TLS. */

static void over_tls(void **state)
{
	struct http_tls tls = { pem_one_cert, pem_one_key, NULL };
	struct http_server_settings settings = { 0 };
	struct world *world = world_new(&settings, &tls);
	char ca[] = "/tmp/test-channel-XXXXXX", other[] = "/tmp/test-channel-XXXXXX";
	struct ask get = { .method = "GET", .target = "/x" },
		   down = { .method = "GET", .target = "/big", .into = 64 * 1024 };
	int ca_fd = mkstemp(ca), other_fd = mkstemp(other);

	*state = world;
	assert_int_equal(write(ca_fd, pem_one_cert, strlen(pem_one_cert)), strlen(pem_one_cert));
	assert_int_equal(write(other_fd, pem_client_cert, strlen(pem_client_cert)), strlen(pem_client_cert));
	open_to(world, "https", "127.0.0.1", world->rig.port, other);
	await(&world->ended, 1);
	assert_non_null(strstr(world->why, "TLS"));
	open_to(world, "https", "localhost", world->rig.port, ca); /* the certificate is of the address */
	await(&world->ended, 2);
	open_to(world, "https", "127.0.0.1", world->rig.port, "/nowhere");
	await(&world->ended, 3);
	open_to(world, "https", "127.0.0.1", world->rig.port, ca);
	await(&world->opened, 1);
	finish(world, &get);
	assert_string_equal(get.body_text, "/x");
	finish(world, &down);
	assert_false(down.failed);
	assert_true(down.sum == sum_of(0, world->big, BIG));
	(void)close(ca_fd);
	(void)close(other_fd);
	(void)unlink(ca);
	(void)unlink(other);
}

/* The server, against who does not keep to the rules. */

static int dial_channel(struct world *world)
{
	int fd = dial(world->rig.port);
	struct reply reply;

	put(fd, "GET /channel HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: "
		"zot-channel/1\r\n\r\n");
	assert_true(take_head(fd, &reply));
	assert_int_equal(reply.status, 101);
	assert_string_equal(reply_header(&reply, "Upgrade"), "zot-channel/1");
	return fd;
}

static void put_frame(int fd, enum http_frame_type type, uint32_t id, struct str bytes, uint32_t room)
{
	AUTO_FINI(buf) wire = buf_limit(HTTP_FRAME_MAX + 64);

	http_frame_put(&(struct http_frame){ .type = type, .id = id, .bytes = bytes, .room = room }, &wire);
	(void)put_all(fd, wire.at, wire.len);
}

#define GET_X STR("GET /x HTTP/1.1\r\nHost: x\r\n\r\n")

static void the_server_ends_a_channel_that_makes_no_sense(void **state)
{
	struct world *world = *state;
	static char zeros[HTTP_FRAME_MAX];
	char some[4096];

	for (int way = 0; way < 8; way++) {
		int fd = dial_channel(world);
		switch (way) {
		case 0:
			assert_true(put_all(fd, "GET / HTTP/1.1\r\n\r\n", 18));
			break;
		case 1: /* a call goes on behind its end */
			put_frame(fd, HTTP_FRAME_LAST, 1, STR("POST /hold HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
			put_frame(fd, HTTP_FRAME_BYTES, 1, STR("x"), 0);
			break;
		case 2: /* over the window, and over what the server may hold of a body that nobody reads */
			put_frame(fd, HTTP_FRAME_BYTES, 1,
				STR("PUT /hold HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n"), 0);
			for (int i = 0; i < 60; i++)
				put_frame(fd, HTTP_FRAME_BYTES, 1, str_from(zeros, sizeof(zeros)), 0);
			break;
		case 3:
			put_frame(fd, HTTP_FRAME_ROOM, 1, STR_NONE, 1);
			break;
		case 4:
			put_frame(fd, HTTP_FRAME_DROP, 5, STR_NONE, 0);
			break;
		case 5: /* room for what was never sent */
			put_frame(fd, HTTP_FRAME_LAST, 1, STR("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
			put_frame(fd, HTTP_FRAME_ROOM, 1, STR_NONE, 1);
			break;
		case 6: /* more calls than there may be */
			for (uint32_t id = 1; id <= HTTP_FRAME_CALLS + 1; id++)
				put_frame(fd, HTTP_FRAME_LAST, id,
					STR("GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
			break;
		case 7:
			assert_true(put_all(fd, "\x01\xff\xff\xff\0\0\0\1", 8));
			break;
		}
		while (take(fd, some, sizeof(some)) > 0)
			;
		(void)close(fd);
	}
}

static void a_frame_of_a_call_that_is_over_is_let_pass(void **state)
{
	int fd = dial_channel(*state);
	char some[4096];
	size_t len = 0;

	put_frame(fd, HTTP_FRAME_LAST, 1, GET_X, 0);
	for (struct http_frame frame = { .type = HTTP_FRAME_BYTES }; frame.type != HTTP_FRAME_LAST;) {
		ssize_t n = take(fd, some + len, sizeof(some) - len);
		struct str rest;
		assert_true(n > 0);
		len += (size_t)n;
		rest = str_from(some, len);
		while (http_frame_next(&rest, &frame, NULL) == HTTP_FRAME_WHOLE &&
			frame.type != HTTP_FRAME_LAST)
			;
	}
	put_frame(fd, HTTP_FRAME_ROOM, 1, STR_NONE, 10);
	put_frame(fd, HTTP_FRAME_DROP, 1, STR_NONE, 0);
	put_frame(fd, HTTP_FRAME_BYTES, 1, STR("x"), 0);
	put_frame(fd, HTTP_FRAME_LAST, 2, GET_X, 0);
	assert_true(take(fd, some, sizeof(some)) > 0);
	(void)close(fd);
}

static void who_never_reads_is_given_up(void **state)
{
	struct world *world = *state;
	int fd = dial_channel(world), small = 4096;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	for (uint32_t id = 1; id <= 200; id++)
		put_frame(fd, HTTP_FRAME_LAST, id, STR("GET /big HTTP/1.1\r\nHost: x\r\n\r\n"), 0);
	await(&world->begun, 201);
	await(&world->done, 201);
	(void)close(fd);
}

static void who_asks_without_the_words_gets_no_channel(void **state)
{
	struct world *world = *state;
	const char *asks[] = { "GET /channel HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /channel HTTP/1.1\r\nHost: x\r\nUpgrade: zot-channel/1\r\n\r\n",
		"GET /channel HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: zot-channel/2\r\n\r\n",
		"GET /channel HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: "
		"zot-channel/1\r\n\r\n",
		"PUT /channel HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: "
		"zot-channel/1\r\nContent-Length: 1\r\n\r\nx" };
	struct reply reply;

	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		int fd = dial(world->rig.port);
		put(fd, asks[i]);
		assert_true(take_reply(fd, &reply));
		assert_int_equal(reply.status, 200);
		(void)close(fd);
	}
}

static void a_channel_is_no_door_to_another_one(void **state)
{
	int fd = dial_channel(*state);
	char some[4096] = "";
	struct http_frame frame;
	struct str rest;

	put_frame(fd, HTTP_FRAME_LAST, 1,
		STR("GET /channel HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: "
		    "zot-channel/1\r\n\r\n"),
		0);
	rest = str_from(some, (size_t)take(fd, some, sizeof(some) - 1));
	assert_int_equal(http_frame_next(&rest, &frame, NULL), HTTP_FRAME_WHOLE);
	assert_true(str_starts(frame.bytes, "HTTP/1.1 200 "));
	(void)close(fd);
}

/* The client, against who does not keep to the rules. */

struct script {
	int listening;
	uint16_t port;
	struct str answer; /* behind the request's first frame */
	char asked[16384]; /* the first bytes of calls that came at once */
	ssize_t asked_len;
	pthread_t thread;
};

static void *play(void *arg)
{
	struct script *script = arg;
	int fd = accept(script->listening, NULL, NULL);
	char some[16384];
	static const char yes[] =
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: zot-channel/1\r\nConnection: Upgrade\r\n\r\n";

	(void)take(fd, some, sizeof(some));
	(void)put_all(fd, yes, sizeof(yes) - 1);
	script->asked_len = take(fd, script->asked, sizeof(script->asked));
	(void)put_all(fd, script->answer.at, script->answer.len);
	(void)shutdown(fd, SHUT_WR);
	while (recv(fd, some, sizeof(some), 0) > 0)
		;
	(void)close(fd);
	return NULL;
}

static void begin_script(struct world *world, struct script *script)
{
	struct http_server_settings settings = rig_listen(&script->port, false);
	int opened = world->opened;

	script->listening = settings.listen_fd;
	assert_int_equal(fcntl(script->listening, F_SETFL, 0), 0);
	assert_int_equal(pthread_create(&script->thread, NULL, play, script), 0);
	open_to(world, "http", "127.0.0.1", script->port, NULL);
	await(&world->opened, opened + 1);
}

static void end_script(struct world *world, struct script *script, int ended)
{
	await(&world->ended, ended + 1);
	assert_int_equal(pthread_join(script->thread, NULL), 0);
	(void)close(script->listening);
}

/* The call's error, or "" where it was answered. */
static void against(struct world *world, struct str answer, struct ask *ask)
{
	struct script script = { .answer = answer };
	int ended = world->ended;

	begin_script(world, &script);
	finish(world, ask);
	end_script(world, &script, ended);
}

static void do_start_two(void *arg)
{
	struct ask *ask = arg;

	do_start(ask);
	loop_post(ask->world->rig.loop, do_start, ask + 1); /* in the next turn */
}

static void calls_of_one_moment_leave_together(void **state)
{
	struct world *world = *state;
	struct ask asks[] = { { .world = world, .method = "GET", .target = "/a" },
		{ .world = world, .method = "GET", .target = "/b" } };
	struct script script = { .answer = STR("") };
	int ended = world->ended;
	struct http_frame frame;
	struct str rest;

	begin_script(world, &script);
	loop_post(world->rig.loop, do_start_two, asks);
	end_script(world, &script, ended);
	await(&asks[1].over, 1);
	rest = str_from(script.asked, (size_t)script.asked_len);
	for (unsigned id = 1; id <= 2; id++) {
		assert_int_equal(http_frame_next(&rest, &frame, NULL), HTTP_FRAME_WHOLE);
		assert_int_equal(frame.id, id);
	}
	assert_int_equal(rest.len, 0);
}

static void the_client_ends_a_channel_that_makes_no_sense(void **state)
{
	struct world *world = *state;
	const struct {
		struct str answer;
		const char *why;
	} cases[] = {
		{ STR("HTTP/1.1 200 OK\r\n\r\n"), "type 72" },
		{ STR("\x02\xff\xff\xff\0\0\0\1"), "16777215 bytes" },
		{ STR("\x02\0\0\0\0\0\0\2"), "which nobody made" },
		{ STR("\x03\0\0\4\0\0\0\1\0\0\0\1"), "makes room" },
		{ STR("\x02\0\0\0\0\0\0\1"), "no head" },
		{ STR("\x02\0\0\4\0\0\0\1oops"), "no head" },
		{ STR("\x02\0\0\x0c\0\0\0\1oops\r\nno\r\n\r\n"), "does not begin" },
		{ STR("\x04\0\0\0\0\0\0\1"), "cut" },
		{ STR("\x02\0\0\x2a\0\0\0\1HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nlong"), "more bytes" },
		{ STR("\x02\0\0\x29\0\0\0\1HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsho"), "shorter" },
		{ STR("\x01\0\0\x26\0\0\0\1HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), "lost" },
		{ STR(""), "lost" },
		{ STR("\x02\0\0"), "lost" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ask ask = { .method = "GET", .target = "/x" };
		against(world, cases[i].answer, &ask);
		assert_true(ask.failed);
		assert_int_equal(ask.err.kind, i == 6 ? ERROR_INVALID : ERROR_INTERNAL);
		if (!strstr(ask.err.text, cases[i].why))
			fail_msg("case %zu: \"%s\" says nothing of \"%s\"", i, ask.err.text, cases[i].why);
	}
}

static void an_answer_that_goes_on_behind_its_end_is_told_once(void **state)
{
	struct ask ask = { .method = "GET", .target = "/x" };

	against(*state,
		STR("\x02\0\0\x28\0\0\0\1HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
		    "\x02\0\0\x28\0\0\0\1HTTP/1.1 500 OK\r\nContent-Length: 2\r\n\r\nno"),
		&ask);
	assert_false(ask.failed);
	assert_int_equal(ask.heads, 1);
	assert_string_equal(ask.body_text, "ok");
}

#define TEST(name)        cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_CLOSED(name) cmocka_unit_test_setup_teardown(name, set_up_closed, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(calls_are_answered),
		TEST(a_thousand_at_once_each_get_their_own_answer),
		TEST(large_bodies_go_both_ways_and_small_calls_pass_them),
		TEST(a_slow_call_holds_nobody_up),
		TEST(one_that_is_cancelled_ends_at_the_server_too),
		TEST(one_that_is_cut_fails_alone),
		TEST(one_without_an_answer_has_a_time),
		TEST(a_server_that_ends_serves_what_is_under_way),
		TEST(it_takes_so_many_and_no_more),
		TEST_CLOSED(one_that_rests_is_closed),
		TEST_CLOSED(who_is_not_there_or_does_not_know_it_is_told),
		cmocka_unit_test_teardown(over_tls, tear_down),
		TEST_CLOSED(the_server_ends_a_channel_that_makes_no_sense),
		TEST_CLOSED(a_frame_of_a_call_that_is_over_is_let_pass),
		TEST_CLOSED(who_never_reads_is_given_up),
		TEST_CLOSED(who_asks_without_the_words_gets_no_channel),
		TEST_CLOSED(a_channel_is_no_door_to_another_one),
		TEST_CLOSED(the_client_ends_a_channel_that_makes_no_sense),
		TEST_CLOSED(calls_of_one_moment_leave_together),
		TEST_CLOSED(an_answer_that_goes_on_behind_its_end_is_told_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
