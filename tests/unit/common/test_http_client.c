/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_http_client - calls on a loop, a proxy made of server and client, and blocking sends.
 *
 * Two rigs: `origin` answers, `front` hands everything on to it through pipes.
 */
#include "http_rig.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

struct origin {
	struct rig rig;
	atomic_int requests, done, parked;
	char method[16], host[64], accept[64];
	bool had_encoding;
	struct pipe *pipe;
	long long left;
};

struct world {
	struct origin origin;
	struct rig front;
	atomic_int front_done;
};

/* The origin. */

static void pour(void *arg)
{
	struct origin *origin = arg;
	static const char block[16384];
	while (origin->left > 0) {
		size_t taken = 0,
		       want = origin->left < (long long)sizeof(block) ? (size_t)origin->left : sizeof(block);
		enum pipe_step step = pipe_write(origin->pipe, block, want, &taken);
		if (step == PIPE_AGAIN)
			return;
		if (step == PIPE_FAILED)
			break;
		origin->left -= (long long)taken;
	}
	if (origin->left == 0)
		pipe_finish(origin->pipe);
	pipe_unref_writer(TAKE(origin->pipe));
}

static size_t count_bytes(void *arg, const void *bytes, size_t len)
{
	(void)bytes;
	(void)arg;
	return len;
}

static void count_end(void *arg)
{
	struct http_request *request = arg;
	char text[32];
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)http_request_bytes_in(request));
	struct http_response *response = http_response_copy(201, str_of(text));
	http_response_header(response, "X-Method", http_method_name(http_request_method(request)));
	http_request_reply(request, response);
}

static void count_gone(void *arg)
{
	(void)arg;
}

static void origin_request(void *arg, struct http_request *request)
{
	struct origin *origin = arg;
	struct str path = http_request_path(request);
	atomic_fetch_add(&origin->requests, 1);
	const char *host = http_request_header(request, "Host"),
		   *accept = http_request_header(request, "Accept");
	(void)snprintf(origin->host, sizeof(origin->host), "%s", host ? host : "none");
	(void)snprintf(origin->accept, sizeof(origin->accept), "%s", accept ? accept : "none");
	origin->had_encoding = http_request_header(request, "Transfer-Encoding") ||
			       http_request_header(request, "Expect") ||
			       http_request_header(request, "Accept-Encoding");
	if (str_is(path, "/count")) {
		struct http_sink sink = { request, count_bytes, count_end, count_gone, NULL };
		http_request_stream(request, sink);
	} else if (str_is(path, "/park") || str_is(path, "/park/more")) {
		atomic_fetch_add(&origin->parked, 1);
	} else if (str_is(path, "/big")) {
		origin->left = 256LL * 1024 * 1024;
		origin->pipe = pipe_new(http_request_loop(request), 256 * 1024);
		pipe_on_room(origin->pipe, pour, origin);
		http_request_reply(request, http_response_pipe(200, origin->pipe, origin->left));
		pour(origin);
	} else if (str_is(path, "/half")) { /* a head and a byte, then silence */
		origin->pipe = pipe_new(http_request_loop(request), 1024);
		assert_int_equal(pipe_write_whole(origin->pipe, "x", 1), PIPE_OK);
		http_request_reply(request, http_response_pipe(200, origin->pipe, 2));
	} else {
		struct http_response *response = http_response_copy(200, STR("hello"));
		http_response_header(response, "X-Twice", "a");
		http_response_header(response, "X-Twice", "b");
		http_request_reply(request, response);
	}
}

static void origin_done(void *arg, struct http_request *request)
{
	(void)request;
	struct origin *origin = arg;
	atomic_fetch_add(&origin->done, 1);
}

/* The front: a small proxy. */

struct relay {
	struct http_request *request;
	struct http_call *call;
	struct pipe *up; /* the body on its way to the origin */
	struct world *world;
};

static void relay_head(void *arg, struct http_call *call)
{
	struct relay *relay = arg;
	struct pipe *down = pipe_new(http_request_loop(relay->request), 256 * 1024);
	http_call_into(call, down);
	http_request_reply(
		relay->request, http_response_pipe(http_call_status(call), down, http_call_length(call)));
}

static void relay_done(void *arg, struct http_call *call, const struct error *err)
{
	(void)call;
	struct relay *relay = arg;
	relay->call = NULL;
	if (err && !http_request_is_replied(relay->request))
		http_request_reply(relay->request, http_response_copy(502, str_of(err->text)));
}

static void relay_room(void *arg)
{
	struct relay *relay = arg;
	http_request_more(relay->request);
}

static size_t relay_bytes(void *arg, const void *bytes, size_t len)
{
	struct relay *relay = arg;
	size_t taken = 0;
	enum pipe_step step = pipe_write(relay->up, bytes, len, &taken);
	return step == PIPE_FAILED ? len : taken;
}

static void relay_end(void *arg)
{
	struct relay *relay = arg;
	pipe_finish(relay->up);
}

static void front_request(void *arg, struct http_request *request)
{
	struct world *world = arg;
	struct relay *relay = xnew(struct relay);
	relay->request = request;
	relay->world = world;
	http_request_set_context(request, relay);
	char url[256];
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%.*s", world->origin.rig.port,
		STR_ARGS(http_request_target(request)));
	struct http_call_spec spec = { .method = http_method_name(http_request_method(request)), .url = url };
	if (http_request_length(request) != 0) {
		relay->up = pipe_new(http_request_loop(request), 256 * 1024);
		pipe_on_room(relay->up, relay_room, relay);
		spec.body_pipe = relay->up;
		spec.body_pipe_len = http_request_length(request);
		struct http_sink sink = { relay, relay_bytes, relay_end, count_gone, NULL };
		http_request_stream(request, sink);
	}
	struct http_call_events events = { relay, relay_head, relay_done };
	relay->call = http_call_start(world->front.client, &spec, events);
}

static void front_done(void *arg, struct http_request *request)
{
	struct world *world = arg;
	struct relay *relay = http_request_context(request);
	if (relay->call)
		http_call_cancel(relay->call);
	pipe_unref_writer(relay->up);
	free(relay);
	atomic_fetch_add(&world->front_done, 1);
}

static int set_up(void **state)
{
	http_client_init();
	struct world *world = xnew(struct world);
	uint16_t port = 0;
	rig_open(&world->origin.rig, rig_listen(&port, false),
		(struct http_app){ &world->origin, origin_request, origin_done, NULL });
	port = 0;
	rig_open(&world->front, rig_listen(&port, false),
		(struct http_app){ world, front_request, front_done, NULL });
	rig_run(&world->origin.rig);
	rig_run(&world->front);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	rig_halt(&world->front);
	rig_halt(&world->origin.rig);
	pipe_unref_writer(world->origin.pipe);
	rig_close(&world->front);
	rig_close(&world->origin.rig);
	assert_int_equal(atomic_load(&world->origin.requests), atomic_load(&world->origin.done));
	free(world);
	http_client_fini();
	return 0;
}

/* A call from the test's own loop, run here until it is over. */

struct probe {
	struct loop *loop;
	struct http_client *client;
	struct http_call *call;
	struct http_call_spec spec;
	char url[256];
	unsigned status;
	int heads, dones;
	bool ok;
	enum error_kind kind;
	char body[64];
	int64_t length;
	size_t collect;
	enum { CANCEL_NEVER, CANCEL_IN_HEAD, CANCEL_IN_DONE } cancel;
	struct pipe *into;
};

static void probe_head(void *arg, struct http_call *call)
{
	struct probe *probe = arg;
	probe->heads++;
	probe->status = http_call_status(call);
	probe->length = http_call_length(call);
	if (probe->into)
		http_call_into(call, TAKE(probe->into));
	else if (probe->collect)
		http_call_collect(call, probe->collect);
	if (probe->cancel == CANCEL_IN_HEAD)
		http_call_cancel(call);
}

static void probe_done(void *arg, struct http_call *call, const struct error *err)
{
	struct probe *probe = arg;
	probe->dones++;
	probe->ok = !err;
	probe->kind = err ? err->kind : ERROR_INTERNAL;
	assert_true(str_copy(http_call_body(call), probe->body, sizeof(probe->body)));
	if (probe->cancel == CANCEL_IN_DONE)
		http_call_cancel(call);
}

static void probe_open(struct probe *probe, uint16_t port, const char *method, const char *path)
{
	struct error err;
	*probe = (struct probe){ .collect = 1000 };
	assert_true(loop_new(&probe->loop, "probe", &err));
	assert_true(http_client_new(&probe->client, probe->loop, NULL, &err));
	(void)snprintf(probe->url, sizeof(probe->url), "http://127.0.0.1:%u%s", port, path);
	probe->spec = (struct http_call_spec){ .method = method, .url = probe->url };
}

static void probe_start(struct probe *probe)
{
	probe->heads = probe->dones = 0;
	struct http_call_events events = { probe, probe_head, probe_done };
	probe->call = http_call_start(probe->client, &probe->spec, events);
}

static void probe_await(struct probe *probe)
{
	for (int64_t end = clock_ms() + 20000; probe->dones == 0;) {
		assert_true(clock_ms() < end);
		loop_turn(probe->loop, 100);
	}
}

static void probe_close(struct probe *probe)
{
	http_client_free(probe->client);
	loop_free(probe->loop);
}

static void test_get_head_and_put(void **state)
{
	struct world *world = *state;
	struct probe probe;
	probe_open(&probe, world->origin.rig.port, "GET", "/hello");
	probe_start(&probe);
	probe_await(&probe);
	assert_true(probe.ok && probe.heads == 1 && probe.dones == 1);
	assert_int_equal(probe.status, 200);
	assert_int_equal(probe.length, 5);
	assert_string_equal(probe.body, "hello");
	assert_string_equal(world->origin.accept, "none");
	assert_false(world->origin.had_encoding);

	probe.spec.method = "HEAD";
	probe_start(&probe);
	probe_await(&probe);
	assert_true(probe.ok);
	assert_int_equal(probe.length, 5);
	assert_string_equal(probe.body, "");

	(void)snprintf(probe.url, sizeof(probe.url), "http://127.0.0.1:%u/count", world->origin.rig.port);
	AUTO(http_headers) *headers = http_headers_new();
	assert_true(http_headers_add(headers, STR("Host"), STR("elsewhere")));
	assert_true(http_headers_add(headers, STR("Content-Length"), STR("77")));
	probe.spec.headers = headers;
	const char *methods[] = { "PUT", "POST", "PATCH", "DELETE" };
	for (int i = 0; i < 4; i++) {
		probe.spec.method = methods[i];
		probe.spec.body = i == 3 ? STR_NONE : STR("abc");
		probe_start(&probe);
		probe_await(&probe);
		assert_true(probe.ok);
		assert_string_equal(probe.body, i == 3 ? "0" : "3");
		assert_false(world->origin.had_encoding);
	}
	assert_string_equal(world->origin.host, "elsewhere");
	probe.spec.method = "PUT";
	probe.spec.has_body = true;
	probe_start(&probe);
	probe_await(&probe);
	assert_string_equal(probe.body, "0");
	assert_false(world->origin.had_encoding);
	probe_close(&probe);
}

static void test_connections_are_reused(void **state)
{
	struct world *world = *state;
	struct probe probe;
	probe_open(&probe, world->origin.rig.port, "GET", "/hello");
	for (int i = 0; i < 50; i++) {
		probe_start(&probe);
		probe_await(&probe);
		assert_true(probe.ok);
	}
	rig_halt(&world->origin.rig);
	assert_int_equal(http_server_connections(world->origin.rig.server), 1);
	probe_close(&probe);
}

static void test_a_limit_on_the_answer(void **state)
{
	struct world *world = *state;
	struct probe probe;
	probe_open(&probe, world->origin.rig.port, "GET", "/hello");
	probe.collect = 4;
	probe_start(&probe);
	probe_await(&probe);
	assert_false(probe.ok);
	assert_int_equal(probe.kind, ERROR_TOO_LARGE);
	probe_close(&probe);
}

static void test_refused_and_unusable(void **state)
{
	(void)state;
	uint16_t port = 0;
	struct http_server_settings unused = rig_listen(&port, false);
	(void)close(unused.listen_fd);
	struct probe probe;
	probe_open(&probe, port, "GET", "/");
	probe_start(&probe);
	assert_int_equal(probe.dones, 0); /* never from inside */
	probe_await(&probe);
	assert_int_equal(probe.kind, ERROR_UNAVAILABLE);
	probe.spec.url = "ftp://127.0.0.1/";
	probe_start(&probe);
	probe_await(&probe);
	assert_int_equal(probe.kind, ERROR_INVALID);
	probe_close(&probe);
}

static void test_a_stalled_answer(void **state)
{
	struct world *world = *state;
	struct probe probe;
	const char *paths[] = { "/park", "/half" };
	for (int i = 0; i < 2; i++) {
		probe_open(&probe, world->origin.rig.port, "GET", paths[i]);
		probe.spec.stall_ms = 100;
		int64_t begin = clock_ms();
		probe_start(&probe);
		probe_await(&probe);
		assert_true(clock_ms() - begin < 5000);
		assert_int_equal(probe.heads, i);
		assert_int_equal(probe.kind, ERROR_TIMEOUT);
		probe_close(&probe);
	}
	probe_open(&probe, world->origin.rig.port, "GET", "/park");
	probe.spec.total_ms = 100;
	probe_start(&probe);
	probe_await(&probe);
	assert_int_equal(probe.kind, ERROR_TIMEOUT);
	probe_close(&probe);
}

static void test_cancel_in_each_phase(void **state)
{
	struct world *world = *state;
	struct probe probe;
	probe_open(&probe, world->origin.rig.port, "GET", "/hello");
	probe_start(&probe); /* before it began */
	http_call_cancel(probe.call);
	probe_start(&probe);
	loop_turn(probe.loop, 0); /* connecting */
	http_call_cancel(probe.call);
	probe.cancel = CANCEL_IN_HEAD;
	probe_start(&probe);
	while (probe.heads == 0)
		loop_turn(probe.loop, 100);
	for (int i = 0; i < 3; i++)
		loop_turn(probe.loop, 5);
	assert_int_equal(probe.dones, 0);
	probe.cancel = CANCEL_IN_DONE;
	probe_start(&probe);
	probe_await(&probe);
	probe.cancel = CANCEL_NEVER;
	(void)snprintf(probe.url, sizeof(probe.url), "http://127.0.0.1:%u/park", world->origin.rig.port);
	probe_start(&probe); /* waiting for the head */
	for (int64_t end = clock_ms() + 20000; atomic_load(&world->origin.parked) == 0 && clock_ms() < end;)
		loop_turn(probe.loop, 5);
	http_call_cancel(probe.call);
	(void)snprintf(probe.url, sizeof(probe.url), "http://127.0.0.1:%u/half", world->origin.rig.port);
	probe_start(&probe); /* in the body; freed with the client */
	while (probe.heads == 0)
		loop_turn(probe.loop, 100);
	assert_int_equal(probe.dones, 0);
	probe_close(&probe);
}

static void test_a_reader_that_lets_go(void **state)
{
	struct world *world = *state;
	struct probe probe;
	probe_open(&probe, world->origin.rig.port, "GET", "/big");
	struct pipe *pipe = pipe_new(probe.loop, 64 * 1024);
	probe.into = pipe;
	probe_start(&probe);
	while (pipe_len(pipe) == 0)
		loop_turn(probe.loop, 100);
	pipe_unref_reader(pipe);
	probe_await(&probe);
	assert_false(probe.ok);
	probe_close(&probe);
}

static void test_a_body_pipe_that_fails(void **state)
{
	struct world *world = *state;
	struct probe probe;
	for (int way = 0; way < 2; way++) {
		probe_open(&probe, world->origin.rig.port, "PUT", "/count");
		struct pipe *pipe = pipe_new(probe.loop, 64 * 1024);
		probe.spec.body_pipe = pipe;
		probe.spec.body_pipe_len = 10;
		probe_start(&probe);
		for (int i = 0; i < 5; i++)
			loop_turn(probe.loop, 5);
		assert_int_equal(pipe_write_whole(pipe, "abc", 3), PIPE_OK);
		if (way == 0)
			pipe_finish(pipe); /* shorter than announced */
		else
			pipe_fail(pipe, NULL);
		probe_await(&probe);
		assert_false(probe.ok);
		assert_int_equal(probe.kind, ERROR_INTERNAL);
		pipe_unref_writer(pipe);
		probe_close(&probe);
	}
}

/* A server that closes each connection after `serve` requests, without a word. */
struct rude {
	int listen_fd;
	int serve;
	bool dies; /* with the first connection */
};

static void *rude_main(void *arg)
{
	struct rude *rude = arg;
	for (;;) {
		struct pollfd at = { .fd = rude->listen_fd, .events = POLLIN };
		(void)poll(&at, 1, 20000);
		int fd = accept(rude->listen_fd, NULL, NULL);
		if (fd < 0)
			return NULL;
		char bytes[4096];
		for (int i = 0; i <= rude->serve; i++) {
			if (recv(fd, bytes, sizeof(bytes), 0) <= 0 || i == rude->serve)
				break;
			static const char ok[] =
				"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
			(void)put_all(fd, ok, sizeof(ok) - 1);
		}
		if (rude->dies)
			(void)close(rude->listen_fd);
		(void)close(fd);
		if (rude->dies)
			return NULL;
	}
}

static void test_a_server_that_hangs_up(void **state)
{
	(void)state;
	uint16_t port = 0;
	struct http_server_settings settings = rig_listen(&port, false);
	struct rude rude = { settings.listen_fd, 0, false };
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, rude_main, &rude), 0);
	struct probe probe;
	probe_open(&probe, port, "GET", "/");
	probe_start(&probe);
	probe_await(&probe);
	assert_false(probe.ok);
	assert_int_equal(probe.kind, ERROR_INTERNAL); /* it may have acted */
	probe_close(&probe);
	(void)shutdown(settings.listen_fd, SHUT_RDWR);
	assert_int_equal(pthread_join(thread, NULL), 0);
	(void)close(settings.listen_fd);
}

/* It has the second request when it dies. The library sends that once more, and is refused then: this does
 * not make it a request that was never sent. */
static void test_a_server_that_dies_with_a_kept_connection(void **state)
{
	static const char *const methods[] = { "DELETE", "PUT" };
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint16_t port = 0;
		struct http_server_settings settings = rig_listen(&port, false);
		struct rude rude = { settings.listen_fd, 1, true };
		pthread_t thread;
		assert_int_equal(pthread_create(&thread, NULL, rude_main, &rude), 0);
		struct probe probe;
		probe_open(&probe, port, "GET", "/");
		probe_start(&probe);
		probe_await(&probe);
		assert_true(probe.ok);
		probe.spec.method = methods[i];
		probe.spec.body = i ? STR("body") : STR_NONE;
		probe_start(&probe);
		probe_await(&probe);
		assert_false(probe.ok);
		assert_int_equal(probe.kind, ERROR_INTERNAL);
		probe_start(&probe);
		probe_await(&probe);
		assert_int_equal(probe.kind, ERROR_UNAVAILABLE);
		probe_close(&probe);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
}

/* Through the proxy. */

static void test_pipes_carry_bodies_both_ways(void **state)
{
	struct world *world = *state;
	static struct reply reply;
	int fd = dial(world->front.port);
	put(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_string_equal(reply.body, "hello");
	put(fd, "PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 40000000\r\n\r\n");
	static const char zeros[400000];
	for (int i = 0; i < 100; i++)
		assert_true(put_all(fd, zeros, sizeof(zeros)));
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 201);
	assert_string_equal(reply.body, "40000000");
	put(fd, "PUT /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n61A80\r\n");
	assert_true(put_all(fd, zeros, sizeof(zeros)));
	put(fd, "\r\n0\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_string_equal(reply.body, "400000");
	put(fd, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_head(fd, &reply));
	assert_string_equal(reply_header(&reply, "Content-Length"), "5");
	assert_true(take_reply(fd, &reply));
	assert_string_equal(reply.body, "hello");
	(void)close(fd);
}

static void test_a_slow_client_of_the_proxy_costs_no_memory(void **state)
{
	struct world *world = *state;
	static struct reply reply;
	int fd = dial(world->front.port);
	long before = 0;
	for (int round = 0; round < 2; round++) {
		put(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_true(take_head(fd, &reply));
		long long total = (long long)reply.body_len, wanted = 256LL * 1024 * 1024;
		for (int burst = 0; total < wanted; burst++) {
			if (burst % 1000 == 0)
				(void)poll(NULL, 0, 30);
			size_t most = wanted - total < (long long)sizeof(reply.text)
					      ? (size_t)(wanted - total)
					      : sizeof(reply.text);
			ssize_t n = take(fd, reply.text, most);
			assert_true(n > 0);
			total += n;
		}
		if (round == 0)
			before = peak_kib();
	}
	if (!SANITIZED)
		assert_true(peak_kib() - before < 2048);
	(void)close(fd);
}

static void test_clients_of_the_proxy_that_go(void **state)
{
	struct world *world = *state;
	const char *texts[] = { "GET /big HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /count HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc" };
	static struct reply reply;
	for (int i = 0; i < 2; i++) {
		int fd = dial(world->front.port);
		put(fd, texts[i]);
		await(&world->origin.requests, i + 1);
		if (i == 0)
			assert_true(take_head(fd, &reply));
		(void)close(fd);
		await(&world->front_done, i + 1);
		await(&world->origin.done, i + 1);
	}
}

static void test_the_proxy_says_502(void **state)
{
	struct world *world = *state;
	rig_halt(&world->origin.rig);
	http_server_free(TAKE(world->origin.rig.server));
	static struct reply reply;
	int fd = dial(world->front.port);
	put(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	for (int i = 0; i < 2; i++) {
		assert_true(take_reply(fd, &reply));
		assert_int_equal(reply.status, 502);
	}
	(void)close(fd);
}

/* Blocking. */

static void test_send_blocks_for_the_answer(void **state)
{
	struct world *world = *state;
	char url[256];
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/hello", world->origin.rig.port);
	struct http_call_spec spec = { .method = "GET", .url = url };
	struct error err;
	struct http_result result;
	http_result_init(&result, 100);
	for (int i = 0; i < 20; i++) {
		assert_true(http_send(&spec, &result, &err));
		assert_int_equal(result.status, 200);
		assert_true(str_is(buf_str(&result.body), "hello"));
		assert_string_equal(http_headers_find(result.headers, "x-twice"), "a");
	}
	http_result_fini(&result);
	http_result_init(&result, 3);
	assert_false(http_send(&spec, &result, &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
	http_result_fini(&result);
	http_result_init(&result, 100);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/park", world->origin.rig.port);
	spec.stall_ms = 100;
	assert_false(http_send(&spec, &result, &err));
	assert_int_equal(err.kind, ERROR_TIMEOUT);
	http_result_fini(&result);
}

static void *send_from_a_thread(void *arg)
{
	struct http_call_spec *spec = arg;
	struct http_result result;
	http_result_init(&result, 100);
	for (int i = 0; i < 20; i++)
		assert_true(http_send(spec, &result, NULL));
	http_result_fini(&result);
	return NULL;
}

static void test_threads_send_side_by_side(void **state)
{
	struct world *world = *state;
	char url[256];
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/count", world->origin.rig.port);
	struct http_call_spec spec = { .method = "POST", .url = url, .body = STR("abc") };
	pthread_t threads[4];
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_from_a_thread, &spec), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&world->origin.requests), 80);
}

static void test_send_many_at_a_time(void **state)
{
	struct world *world = *state;
	enum { N = 40 };
	static char urls[N][64];
	struct http_call_spec specs[N];
	struct http_result results[N];
	bool ok[N];
	for (int i = 0; i < N; i++) {
		(void)snprintf(urls[i], sizeof(urls[i]),
			i == 7 ? "http://127.0.0.1:%u/park" : "http://127.0.0.1:%u/hello",
			world->origin.rig.port);
		specs[i] = (struct http_call_spec){
			.method = "GET", .url = urls[i], .stall_ms = i == 7 ? 100 : 0
		};
		http_result_init(&results[i], 100);
	}
	struct error err;
	assert_false(http_send_many(specs, N, 8, results, ok, &err));
	assert_int_equal(err.kind, ERROR_TIMEOUT);
	for (int i = 0; i < N; i++) {
		assert_int_equal(ok[i], i != 7);
		assert_true(i == 7 || str_is(buf_str(&results[i].body), "hello"));
		http_result_fini(&results[i]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(get_head_and_put),
		TEST(connections_are_reused),
		TEST(a_limit_on_the_answer),
		TEST(refused_and_unusable),
		TEST(a_stalled_answer),
		TEST(cancel_in_each_phase),
		TEST(a_reader_that_lets_go),
		TEST(a_body_pipe_that_fails),
		TEST(a_server_that_hangs_up),
		TEST(a_server_that_dies_with_a_kept_connection),
		TEST(pipes_carry_bodies_both_ways),
		TEST(a_slow_client_of_the_proxy_costs_no_memory),
		TEST(clients_of_the_proxy_that_go),
		TEST(the_proxy_says_502),
		TEST(send_blocks_for_the_answer),
		TEST(threads_send_side_by_side),
		TEST(send_many_at_a_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
