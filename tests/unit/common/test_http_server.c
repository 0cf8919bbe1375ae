/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_http_server - requests, bodies, replies and their ends, over real sockets.
 */
#include "http_rig.h"

#include <fcntl.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

/* The application: what the path says is done. Counters are read by the test's thread. */
#define ROOM_BYTES 3000000

struct app {
	struct rig rig;
	atomic_int requests, done, gone, ended, complete;
	atomic_int last_status;
	atomic_llong bytes_in, bytes_out;
	/* The parked request, its ticket, and the sink that takes nothing until told. */
	struct http_request *parked;
	struct http_ticket *ticket;
	atomic_int parked_n, answered_n;
	bool open;
	long long taken;
	/* The source of a pipe reply. */
	struct pipe *pipe;
	long long left;
	bool fails;
	/* A sink that says where bytes are to be, but for each third time. */
	char room[ROOM_BYTES];
	size_t in_room; /* that were put there */
	unsigned asked;
	char path[64];
	/* A second loop on the same port. */
	struct rig second;
};

static void reply_text(struct http_request *request, unsigned status, const char *text)
{
	struct http_response *response = http_response_copy(status, str_of(text));
	http_response_header(response, "Content-Type", "text/plain");
	http_request_reply(request, response);
}

static void on_collected(void *arg, struct http_request *request, struct str body, const struct error *err)
{
	(void)arg;
	if (err) {
		assert_int_equal(err->kind, ERROR_TOO_LARGE);
		reply_text(request, 413, "too large");
		return;
	}
	http_request_reply(request, http_response_copy(200, body));
}

/* A sink that is shut until /open. */

static size_t sink_bytes(void *arg, const void *bytes, size_t len)
{
	(void)bytes;
	struct app *app = arg;
	if (!app->open)
		return 0;
	app->taken += (long long)len;
	return len;
}

static void sink_end(void *arg)
{
	struct app *app = arg;
	atomic_fetch_add(&app->ended, 1);
	char text[32];
	(void)snprintf(text, sizeof(text), "%lld", app->taken);
	struct http_request *request = TAKE(app->parked);
	reply_text(request, 201, text);
}

static void sink_gone(void *arg)
{
	struct app *app = arg;
	app->parked = NULL;
	atomic_fetch_add(&app->gone, 1);
}

static void start_sink(struct app *app, struct http_request *request, bool open)
{
	app->open = open;
	app->taken = 0;
	app->parked = request;
	struct http_sink sink = { app, sink_bytes, sink_end, sink_gone, NULL };
	http_request_stream(request, sink);
	atomic_fetch_add(&app->parked_n, 1);
}

static void *sink_room(void *arg, size_t *ret_len)
{
	struct app *app = arg;

	*ret_len = sizeof(app->room) - (size_t)app->taken;
	return ++app->asked % 3 ? app->room + app->taken : NULL;
}

static size_t room_bytes(void *arg, const void *bytes, size_t len)
{
	struct app *app = arg;
	char *at = app->room + app->taken;

	assert_true(len <= sizeof(app->room) - (size_t)app->taken);
	if (bytes == at)
		app->in_room += len;
	else
		memcpy(at, bytes, len);
	return sink_bytes(arg, bytes, len);
}

static void start_room(struct app *app, struct http_request *request)
{
	app->open = true;
	app->taken = 0;
	app->in_room = 0;
	app->parked = request;
	memset(app->room, 0, sizeof(app->room));
	http_request_stream(request, (struct http_sink){ app, room_bytes, sink_end, sink_gone, sink_room });
}

/* A source for a pipe. */

static void pour(void *arg)
{
	struct app *app = arg;
	static const char block[16384];
	while (app->pipe && app->left > 0) {
		size_t want = app->left < (long long)sizeof(block) ? (size_t)app->left : sizeof(block);
		size_t taken = 0;
		enum pipe_step step = pipe_write(app->pipe, block, want, &taken);
		if (step == PIPE_AGAIN)
			return;
		if (step == PIPE_FAILED)
			break;
		app->left -= (long long)taken;
	}
	if (app->left == 0 && !app->fails)
		pipe_finish(app->pipe);
	pipe_unref_writer(TAKE(app->pipe));
}

static void start_source(
	struct app *app, struct http_request *request, long long total, int64_t announced, bool fails)
{
	app->pipe = pipe_new(http_request_loop(request), 256 * 1024);
	app->left = total;
	app->fails = fails;
	pipe_on_room(app->pipe, pour, app);
	http_request_reply(request, http_response_pipe(200, app->pipe, announced));
	pour(app);
}

static long long number_of(struct http_request *request)
{
	AUTO_FINI(buf) text = buf_limit(32);
	uint64_t n = 0;
	assert_int_equal(http_query_get(http_request_query(request), "n", &text), 1);
	assert_true(str_to_number(buf_str(&text), INT64_MAX, &n));
	return (long long)n;
}

static void reply_file(struct app *app, struct http_request *request)
{
	int fd = open(app->path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	http_request_reply(request, http_response_file(206, fd, 1000, 50000));
}

/* A file of which half is there; the rest comes when the test says so, from the file or, where that is cut short, from a pipe. */

static void on_broken_file(void *arg)
{
	struct app *app = arg;
	struct pipe *pipe = pipe_new(app->rig.loop, 65536);
	char rest[50000];
	size_t sent = (size_t)http_request_stop(app->parked), taken = 0;

	memset(rest, 'p', sizeof(rest));
	http_request_go_on(app->parked, pipe);
	assert_int_equal(pipe_write(pipe, rest, sizeof(rest) - sent, &taken), PIPE_OK);
	assert_int_equal(taken, sizeof(rest) - sent);
	pipe_finish(pipe);
	pipe_unref_writer(pipe);
	atomic_fetch_add(&app->gone, 1);
}

static void reply_growing(struct app *app, struct http_request *request)
{
	struct http_growing growing = { .fd = open(app->path, O_RDONLY | O_CLOEXEC),
		.offset = 1000,
		.len = 50000,
		.there = 20000,
		.broken = on_broken_file,
		.arg = app };
	assert_true(growing.fd >= 0);
	app->parked = request;
	http_request_reply(request, http_response_growing(206, &growing));
	atomic_fetch_add(&app->parked_n, 1);
}

static void reply_list(struct http_request *request)
{
	AUTO_STR *own = NULL;
	const char *list = http_request_header_list(request, "X-List", &own);
	assert_int_equal(own != NULL, http_request_header_count(request, "X-List") > 1);
	reply_text(request, 200, list ? list : "(none)");
}

static void reply_to_client(struct http_request *request)
{
	struct ip client = { .at = { 0xfd, (uint8_t)number_of(request) } };
	http_request_set_client(request, &client);
	reply_text(request, 200, "hello");
}

static void on_request(void *arg, struct http_request *request)
{
	struct app *app = arg;
	struct str path = http_request_path(request);
	atomic_fetch_add(&app->requests, 1);
	if (str_is(path, "/hello"))
		reply_text(request, 200, "hello");
	else if (str_is(path, "/a b/\xc3\xa9"))
		reply_text(request, 200, "decoded");
	else if (str_is(path, "/list"))
		reply_list(request);
	else if (str_is(path, "/collect"))
		http_request_collect(request, 1000, on_collected, NULL);
	else if (str_is(path, "/denied"))
		reply_text(request, 401, "denied");
	else if (str_is(path, "/shut"))
		start_sink(app, request, false);
	else if (str_is(path, "/room"))
		start_room(app, request);
	else if (str_is(path, "/sink"))
		start_sink(app, request, true);
	else if (str_is(path, "/file"))
		reply_file(app, request);
	else if (str_is(path, "/growing"))
		reply_growing(app, request);
	else if (str_is(path, "/known"))
		start_source(app, request, number_of(request), number_of(request), false);
	else if (str_is(path, "/unknown"))
		start_source(app, request, number_of(request), -1, false);
	else if (str_is(path, "/broken"))
		start_source(app, request, number_of(request), -1, true);
	else if (str_is(path, "/short"))
		start_source(app, request, number_of(request), number_of(request) + 1, false);
	else if (str_is(path, "/of"))
		reply_to_client(request);
	else if (str_is(path, "/announce"))
		http_request_reply(request, http_response_announce(200, 123456789012));
	else if (str_is(path, "/park") || str_is(path, "/brief")) {
		app->parked = request;
		app->ticket = http_ticket_new(request);
		if (str_is(path, "/brief"))
			http_request_wait_limit(request, 50);
		atomic_fetch_add(&app->parked_n, 1);
	} else {
		reply_text(request, 404, "nothing here");
	}
}

static void on_done(void *arg, struct http_request *request)
{
	struct app *app = arg;
	if (app->parked == request)
		app->parked = NULL;
	atomic_store(&app->last_status, (int)http_request_status(request));
	atomic_fetch_add(&app->complete, http_request_is_complete(request));
	atomic_fetch_add(&app->bytes_in, (long long)http_request_bytes_in(request));
	atomic_fetch_add(&app->bytes_out, (long long)http_request_bytes_out(request));
	atomic_fetch_add(&app->done, 1);
}

/* What the server refuses by itself has the application's words. */
static struct http_response *refuse(void *arg, unsigned status, const char *why)
{
	(void)arg;
	struct http_response *response = http_response_copy(status, str_of(why));
	if (status == 503)
		http_response_header(response, "Retry-After", "1");
	return response;
}

static struct http_app app_of(struct app *app)
{
	return (struct http_app){
		.app = app, .on_request = on_request, .on_done = on_done, .refuse = refuse
	};
}

static int set_up_with(void **state, struct http_server_settings extra)
{
	struct app *app = xnew(struct app);
	uint16_t port = 0;
	struct http_server_settings settings = rig_listen(&port, false);
	extra.listen_fd = settings.listen_fd;
	rig_open(&app->rig, extra, app_of(app));
	rig_run(&app->rig);
	*state = app;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, (struct http_server_settings){ 0 });
}

static int set_up_hasty(void **state)
{
	struct http_server_settings hasty = { .head_timeout_ms = 200,
		.idle_timeout_ms = 200,
		.keepalive_timeout_ms = 200,
		.reply_timeout_ms = 200 };
	return set_up_with(state, hasty);
}

static int set_up_few(void **state)
{
	return set_up_with(state, (struct http_server_settings){ .connection_limit = 3 });
}

static int tear_down(void **state)
{
	struct app *app = *state;
	rig_halt(&app->rig);
	if (app->ticket)
		http_ticket_drop(app->ticket);
	pipe_unref_writer(app->pipe);
	rig_close(&app->rig);
	assert_int_equal(atomic_load(&app->requests), atomic_load(&app->done));
	if (*app->path)
		(void)unlink(app->path);
	free(app);
	return 0;
}

/* On the loop. */

static void open_sink(void *arg)
{
	struct app *app = arg;
	app->open = true;
	if (app->parked)
		http_request_more(app->parked);
}

static void reply_parked(void *arg)
{
	struct app *app = arg;
	http_ticket_reply(TAKE(app->ticket), http_response_copy(200, STR("late")));
	atomic_fetch_add(&app->answered_n, 1);
}

static void deny_parked(void *arg)
{
	struct app *app = arg;
	reply_text(TAKE(app->parked), 403, "over quota");
}

/* Requests one after the other. */

static void expect_hello(int fd, struct reply *reply)
{
	assert_true(take_reply(fd, reply));
	assert_int_equal(reply->status, 200);
	assert_string_equal(reply->body, "hello");
}

static void test_a_connection_is_kept(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	for (int i = 0; i < 100; i++) {
		put(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
		expect_hello(fd, &reply);
	}
	assert_non_null(reply_header(&reply, "Date"));
	assert_null(reply_header(&reply, "Server"));
	assert_string_equal(reply_header(&reply, "Content-Type"), "text/plain");
	(void)close(fd);
	await(&app->done, 100);
	assert_int_equal(atomic_load(&app->complete), 100);
	assert_int_equal(atomic_load(&app->bytes_out), 500);
}

static void test_pipelined_requests_are_answered_in_order(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\nPOST /collect HTTP/1.1\r\nHost: x\r\nContent-Length: "
		"3\r\n\r\nabc"
		"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\nGET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_hello(fd, &reply);
	assert_true(take_reply(fd, &reply));
	assert_string_equal(reply.body, "abc");
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 404);
	expect_hello(fd, &reply);
	(void)close(fd);
}

static unsigned status_of(struct app *app, const char *text)
{
	static struct reply reply;
	int fd = dial(app->rig.port);
	(void)put_all(fd, text, strlen(text));
	unsigned status = take_reply(fd, &reply) ? reply.status : 0;
	(void)close(fd);
	return status;
}

static void test_targets_are_decoded_once(void **state)
{
	struct app *app = *state;
	assert_int_equal(status_of(app, "GET /a%20b/%C3%A9?x=%zz HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
	assert_int_equal(status_of(app, "GET /%68ello HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
	assert_int_equal(status_of(app, "GET /%2568ello HTTP/1.1\r\nHost: x\r\n\r\n"), 404);
	assert_int_equal(status_of(app, "GET http://else/hello HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
	assert_int_equal(status_of(app, "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
	assert_int_equal(status_of(app, "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
	assert_int_equal(status_of(app, "PROPFIND /hello HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
}

static void test_lines_of_a_header_are_one_list(void **state)
{
	static const struct {
		const char *lines, *wanted;
	} samples[] = {
		{ "", "(none)" },
		{ "X-List: one\r\n", "one" },
		{ "X-List: a, b\r\nOther: x\r\nx-list: c\r\nX-LIST: d\r\n", "a, b, c, d" },
	};
	struct app *app = *state;
	int fd = dial(app->rig.port);
	struct reply reply;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		put(fd, "GET /list HTTP/1.1\r\nHost: x\r\n");
		put(fd, samples[i].lines);
		put(fd, "\r\n");
		assert_true(take_reply(fd, &reply));
		assert_string_equal(reply.body, samples[i].wanted);
	}
	(void)close(fd);
}

static void test_heads_are_bounded(void **state)
{
	struct app *app = *state;
	static char text[200000];
	for (int over = 0; over < 2; over++) {
		int n = snprintf(
			text, sizeof(text), "GET /%0*d HTTP/1.1\r\nHost: x\r\n\r\n", over ? 8192 : 8191, 0);
		assert_true(n > 0);
		assert_int_equal(status_of(app, text), over ? 414 : 404);
		n = snprintf(text, sizeof(text), "GET /hello HTTP/1.1\r\nHost: x\r\nA: %0*d\r\n\r\n",
			over ? 16400 : 16200, 0);
		assert_true(n > 0);
		assert_int_equal(status_of(app, text), over ? 431 : 200);
	}
	(void)snprintf(text, sizeof(text), "GET /hello HTTP/1.1\r\nHost: x\r\nA: %0*d\r\n\r\n", 190000, 0);
	assert_in_set(status_of(app, text), ((const uintmax_t[]){ 431, 0 }), 2);
	assert_int_equal(status_of(app, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
}

static void test_framing_is_read_strictly(void **state)
{
	struct app *app = *state;
	const char *both = "POST /collect HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: "
			   "chunked\r\n\r\n0\r\n\r\n";
	const char *twice =
		"POST /collect HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd";
	const char *gzip = "POST /collect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n";
	const char *huge = "POST /collect HTTP/1.1\r\nHost: x\r\nContent-Length: 9223372036854775807\r\n\r\n";
	const char *minus = "POST /collect HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n";
	assert_int_equal(status_of(app, both), 400);
	assert_int_equal(status_of(app, twice), 400);
	assert_int_equal(status_of(app, gzip), 501);
	assert_int_equal(status_of(app, huge), 413);
	assert_int_equal(status_of(app, minus), 400);
	assert_int_equal(status_of(app, "nonsense\r\n\r\n"), 400);
	assert_int_equal(atomic_load(&app->requests), 0);
}

static void test_http_1_0_closes(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "GET /hello HTTP/1.0\r\n\r\n");
	expect_hello(fd, &reply);
	assert_true(is_closed(fd));
	(void)close(fd);
	fd = dial(app->rig.port);
	put(fd, "GET /unknown?n=70000 HTTP/1.0\r\n\r\n");
	assert_true(take_head(fd, &reply));
	assert_null(reply_header(&reply, "Transfer-Encoding"));
	ssize_t n, total = 0;
	while ((n = take(fd, reply.text, sizeof(reply.text))) > 0)
		total += n;
	assert_int_equal(total, 70000);
	(void)close(fd);
}

/* Bodies. */

static void test_a_body_is_collected(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "POST /collect HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc");
	put(fd, "def");
	assert_true(take_reply(fd, &reply));
	assert_string_equal(reply.body, "abcdef");
	put(fd, "POST /collect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	put(fd, "5;x=y\r\ndefgh\r\n0\r\nTrailer: x\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_string_equal(reply.body, "abcdefgh");
	put(fd, "POST /collect HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.body_len, 0);
	put(fd, "GET /collect HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 200);
	put(fd, "POST /collect HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
	assert_true(take_head(fd, &reply));
	assert_int_equal(reply.status, 100);
	put(fd, "abc");
	assert_true(take_reply(fd, &reply));
	assert_string_equal(reply.body, "abc");
	(void)close(fd);
	await(&app->done, 5);
	assert_int_equal(atomic_load(&app->bytes_in), 17);
}

static void put_zeros(int fd, size_t len)
{
	static const char zeros[65536];
	while (len > 0) {
		size_t n = len < sizeof(zeros) ? len : sizeof(zeros);
		if (!put_all(fd, zeros, n))
			return;
		len -= n;
	}
}

static void test_a_body_over_the_limit_gets_413(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "POST /collect HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
	put_zeros(fd, 1001);
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 413);
	put(fd, "POST /collect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n"); /* 2048 */
	put_zeros(fd, 2048);
	put(fd, "\r\n0\r\n\r\n");
	assert_true(take_reply(fd, &reply)); /* the short rest was read: the connection goes on */
	assert_int_equal(reply.status, 413);
	put(fd, "POST /collect HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n");
	assert_true(take_reply(fd, &reply)); /* no 100 first */
	assert_int_equal(reply.status, 413);
	(void)close(fd);
}

static void test_early_401_for_a_short_and_a_long_body(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "PUT /denied HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n");
	put_zeros(fd, 500000);
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 401);
	put(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_hello(fd, &reply);
	put(fd, "PUT /denied HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n");
	put_zeros(fd, 50000000);
	assert_true(take_reply(fd, &reply)); /* not lost to a reset */
	assert_int_equal(reply.status, 401);
	assert_string_equal(reply.body, "denied");
	assert_string_equal(reply_header(&reply, "Connection"), "close");
	assert_string_equal(reply_header(&reply, "Content-Type"), "text/plain");
	assert_true(is_closed(fd));
	(void)close(fd);
	fd = dial(app->rig.port);
	put(fd, "PUT /denied HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFF\r\n");
	put_zeros(fd, 0xFFFFFF);
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 401);
	(void)close(fd);
	await(&app->done, 4);
	assert_int_equal(atomic_load(&app->complete), 4);
	assert_int_equal(atomic_load(&app->bytes_out), 3 * 6 + 5);
}

static void test_early_401_instead_of_100(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "PUT /denied HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: "
		"50000000\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 401);
	assert_true(is_closed(fd));
	(void)close(fd);
}

static void test_a_shut_sink_stops_the_client(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "PUT /shut HTTP/1.1\r\nHost: x\r\nContent-Length: 33554432\r\n\r\n");
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	static const char zeros[65536];
	size_t sent = 0;
	struct pollfd at = { .fd = fd, .events = POLLOUT };
	while (poll(&at, 1, 300) == 1 && sent < 33554432) {
		ssize_t n = send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
	}
	assert_true(sent < 33554432); /* the kernel's buffers are full */
	(void)fcntl(fd, F_SETFL, 0);
	loop_post(app->rig.loop, open_sink, app);
	put_zeros(fd, 33554432 - sent);
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 201);
	assert_string_equal(reply.body, "33554432");
	(void)close(fd);
}

static void test_a_body_is_put_where_the_sink_wants_it(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	char *body = check_alloc(1, ROOM_BYTES);
	int fd = dial(app->rig.port);

	for (size_t i = 0; i < ROOM_BYTES; i++)
		body[i] = (char)(i * 7 + i / 1000);
	for (int turn = 0; turn < 2; turn++) {
		put(fd, "PUT /room HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n");
		assert_true(put_all(fd, body, ROOM_BYTES));
		assert_true(take_reply(fd, &reply));
		assert_string_equal(reply.body, "3000000");
		assert_memory_equal(app->room, body, ROOM_BYTES);
		assert_true(app->in_room > 0);
	}
	/* What follows the body is no part of it. */
	put(fd, "PUT /room HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /hello HTTP/1.1\r\nHost: "
		"x\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_string_equal(reply.body, "3");
	assert_memory_equal(app->room, "abc\0", 4);
	assert_true(take_reply(fd, &reply));
	/* Of chunks nobody knows where their bytes begin. */
	put(fd, "PUT /room HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	put(fd, "5\r\nhello\r\n");
	put(fd, "6\r\n world\r\n0\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_string_equal(reply.body, "11");
	assert_memory_equal(app->room, "hello world", 12);
	assert_int_equal(app->in_room, 0);
	free(body);
	(void)close(fd);
}

static void test_a_reply_in_the_middle_of_a_body(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	for (int shut = 0; shut < 2; shut++) {
		int fd = dial(app->rig.port);
		put(fd, shut ? "PUT /shut HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n"
			     : "PUT /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n");
		put_zeros(fd, 100000);
		await(&app->parked_n, shut + 1);
		loop_post(app->rig.loop, deny_parked, app);
		put_zeros(fd, 49900000);
		assert_true(take_reply(fd, &reply));
		assert_int_equal(reply.status, 403);
		assert_string_equal(reply.body, "over quota");
		(void)close(fd);
	}
	assert_int_equal(atomic_load(&app->gone), 0);
	assert_int_equal(atomic_load(&app->ended), 0);
}

/* Replies. */

static void test_head_announces_the_body(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "HEAD /hello HTTP/1.1\r\nHost: x\r\n\r\nHEAD /announce HTTP/1.1\r\nHost: x\r\n\r\nGET /hello "
		"HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_head(fd, &reply));
	assert_string_equal(reply_header(&reply, "Content-Length"), "5");
	assert_true(take_head(fd, &reply));
	assert_string_equal(reply_header(&reply, "Content-Length"), "123456789012");
	expect_hello(fd, &reply);
	(void)close(fd);
	await(&app->done, 3);
	assert_int_equal(atomic_load(&app->bytes_out), 5);
}

static void all_is_there(void *arg)
{
	struct app *app = arg;
	if (app->parked)
		http_request_there(app->parked, 50000);
}

static void cut_it(void *arg)
{
	struct app *app = arg;
	if (app->parked)
		http_request_cut(app->parked);
}

static void make_file(struct app *app, size_t size)
{
	char bytes[51000];
	memset(bytes, 'f', sizeof(bytes));
	(void)snprintf(app->path, sizeof(app->path), "/tmp/test-http-server-XXXXXX");
	int file = mkstemp(app->path);
	assert_int_equal(write(file, bytes, size), (ssize_t)size);
	(void)close(file);
}

/* What is there is sent at once, the rest when it is there; a client that waits costs no turn. */
static void test_a_file_that_grows(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	static char got[20000];
	make_file(app, 51000);
	int fd = dial(app->rig.port);
	put(fd, "GET /growing HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_head(fd, &reply));
	assert_int_equal(reply.status, 206);
	for (size_t n = reply.body_len; n < 20000;) {
		ssize_t more = take(fd, got, 20000 - n);
		assert_true(more > 0);
		n += (size_t)more;
	}
	loop_post(app->rig.loop, all_is_there, app);
	size_t left = 30000;
	for (ssize_t more; left > 0; left -= (size_t)more)
		assert_true((more = take(fd, got, left < sizeof(got) ? left : sizeof(got))) > 0);
	await(&app->complete, 1);
	assert_int_equal(atomic_load(&app->bytes_out), 50000);
	put(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 200);
	(void)close(fd);
}

/* A file whose rest comes from elsewhere. */
static void get_growing(struct app *app, size_t len, loop_post_f *then, struct reply *reply)
{
	int fd;

	make_file(app, len);
	fd = dial(app->rig.port);
	put(fd, "GET /growing HTTP/1.1\r\nHost: x\r\n\r\n");
	await(&app->parked_n, 1);
	loop_post(app->rig.loop, then, app);
	assert_true(take_reply(fd, reply));
	assert_int_equal(reply->body_len, 50000);
	(void)close(fd);
	await(&app->complete, 1);
}

/* The file ends before what was said to be there: the rest comes from elsewhere, to the byte. */
static void test_a_file_that_breaks(void **state)
{
	struct app *app = *state;
	static struct reply reply;

	get_growing(app, 31000, all_is_there, &reply);
	for (size_t i = 0; i < 50000; i++)
		assert_int_equal(reply.body[i], i < 30000 ? 'f' : 'p');
	assert_int_equal(atomic_load(&app->gone), 1);
}

static void go_on_elsewhere(void *arg)
{
	struct app *app = arg;
	http_request_there(app->parked, 40000);
	on_broken_file(app);
	http_request_there(app->parked, 50000);
}

/* Whoever gave the file says that no more of it is to be sent, whatever is there. */
static void test_a_file_that_is_given_up(void **state)
{
	struct app *app = *state;
	static struct reply reply;

	get_growing(app, 51000, go_on_elsewhere, &reply);
	for (size_t i = 1; i < 50000; i++)
		assert_true(reply.body[i] == reply.body[i - 1] || (i <= 20000 && reply.body[i] == 'p'));
	assert_int_equal(reply.body[49999], 'p');
}

static void test_a_growing_file_is_cut(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	make_file(app, 51000);
	int fd = dial(app->rig.port);
	put(fd, "GET /growing HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_head(fd, &reply));
	loop_post(app->rig.loop, cut_it, app);
	await(&app->done, 1);
	assert_int_equal(atomic_load(&app->complete), 0);
	(void)close(fd);
}

/* Nothing is there to be sent, and the client has left: nobody waits for a deadline. */
static void test_who_left_is_not_waited_for(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	make_file(app, 51000);
	int fd = dial(app->rig.port);
	put(fd, "GET /growing HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_head(fd, &reply));
	struct linger now = { .l_onoff = 1 };
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	(void)close(fd);
	await(&app->done, 1);
	assert_int_equal(atomic_load(&app->complete), 0);
}

static void test_a_part_of_a_file(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	(void)snprintf(app->path, sizeof(app->path), "/tmp/test-http-server-XXXXXX");
	int file = mkstemp(app->path);
	for (uint32_t i = 0; i < 25000; i++)
		assert_int_equal(write(file, &i, 4), 4);
	(void)close(file);
	int fd = dial(app->rig.port);
	put(fd, "GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 206);
	assert_int_equal(reply.body_len, 50000);
	for (uint32_t i = 0; i < 12500; i++) {
		uint32_t got;
		memcpy(&got, reply.body + (size_t)i * 4, 4);
		assert_int_equal(got, 250 + i);
	}
	put(fd, "HEAD /file HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_head(fd, &reply));
	(void)close(fd);
	await(&app->done, 2);
	assert_int_equal(atomic_load(&app->bytes_out), 50000);
}

static void test_a_pipe_of_known_length(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	for (int i = 0; i < 3; i++) {
		put(fd, "GET /known?n=80000 HTTP/1.1\r\nHost: x\r\n\r\n");
		assert_true(take_reply(fd, &reply));
		assert_int_equal(reply.body_len, 80000);
	}
	put(fd, "GET /known?n=0 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	(void)close(fd);
	await(&app->done, 4);
	assert_int_equal(atomic_load(&app->complete), 4);
	assert_int_equal(atomic_load(&app->bytes_out), 240000);
}

/* Reads a chunked body; -1 when it is cut. */
static long long take_chunks(int fd)
{
	static char bytes[65536];
	long long total = 0;
	for (;;) {
		char line[32];
		size_t n = 0;
		while (n < 2 || line[n - 1] != '\n') {
			if (take(fd, line + n, 1) != 1)
				return -1;
			CHECK(++n < sizeof(line));
		}
		line[n] = '\0';
		unsigned left = 0;
		assert_int_equal(sscanf(line, "%x", &left), 1);
		total += left;
		bool last = left == 0;
		for (left += 2; left > 0;) {
			ssize_t got = take(fd, bytes, left < sizeof(bytes) ? left : sizeof(bytes));
			if (got <= 0)
				return -1;
			left -= (unsigned)got;
		}
		if (last)
			return total;
	}
}

static void test_a_pipe_of_unknown_length_is_chunked(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "GET /unknown?n=3000000 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_head(fd, &reply));
	assert_string_equal(reply_header(&reply, "Transfer-Encoding"), "chunked");
	assert_int_equal(take_chunks(fd), 3000000);
	put(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_hello(fd, &reply);
	(void)close(fd);
}

static void test_a_pipe_that_fails_cuts(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "GET /broken?n=3000000 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_head(fd, &reply));
	assert_int_equal(take_chunks(fd), -1);
	(void)close(fd);
	fd = dial(app->rig.port);
	put(fd, "GET /short?n=50000 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_false(take_reply(fd, &reply));
	(void)close(fd);
	await(&app->done, 2);
	assert_int_equal(atomic_load(&app->complete), 0);
}

static void test_a_ticket_replies_later(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	for (int body = 0; body < 2; body++) {
		int fd = dial(app->rig.port);
		put(fd, body ? "PUT /park HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
			     : "GET /park HTTP/1.1\r\nHost: x\r\n\r\n");
		await(&app->parked_n, body + 1);
		loop_post(app->rig.loop, reply_parked, app);
		assert_true(take_reply(fd, &reply));
		assert_string_equal(reply.body, "late");
		put(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
		expect_hello(fd, &reply);
		(void)close(fd);
	}
}

/* Clients that go, or say nothing. */

static void test_a_client_that_vanishes_while_it_waits(void **state)
{
	struct app *app = *state;
	int fd = dial(app->rig.port);
	put(fd, "GET /park HTTP/1.1\r\nHost: x\r\n\r\n");
	await(&app->parked_n, 1);
	struct linger reset = { 1, 0 };
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)close(fd);
	loop_post(app->rig.loop, reply_parked, app);
	await(&app->answered_n, 1);
	await(&app->done, 1);
	assert_int_equal(status_of(app, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
}

static void test_a_client_that_vanishes_in_the_middle_of_its_body(void **state)
{
	struct app *app = *state;
	for (int shut = 0; shut < 2; shut++) {
		int fd = dial(app->rig.port);
		put(fd, shut ? "PUT /shut HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc"
			     : "PUT /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc");
		await(&app->parked_n, shut + 1);
		(void)close(fd);
		if (shut)
			loop_post(app->rig.loop, open_sink, app);
		await(&app->gone, shut + 1);
		await(&app->done, shut + 1);
	}
	assert_int_equal(atomic_load(&app->ended), 0);
	assert_int_equal(atomic_load(&app->last_status), 0);
	assert_int_equal(status_of(app, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"), 200);
}

static void test_every_wait_has_an_end(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int silent = dial(app->rig.port), half = dial(app->rig.port), body = dial(app->rig.port);
	int shut = dial(app->rig.port), park = dial(app->rig.port), kept = dial(app->rig.port);
	put(half, "GET /hello HTTP/1.1\r\nHo");
	put(body, "PUT /collect HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
	put(shut, "PUT /shut HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc");
	put(park, "GET /park HTTP/1.1\r\nHost: x\r\n\r\n");
	put(kept, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_hello(kept, &reply);
	assert_true(take_reply(park, &reply));
	assert_int_equal(reply.status, 503);
	assert_non_null(reply_header(&reply, "Retry-After"));
	int all[] = { silent, half, body, shut, park, kept };
	for (int i = 0; i < 6; i++) {
		assert_true(is_closed(all[i]));
		(void)close(all[i]);
	}
	await(&app->done, 4);
	assert_int_equal(atomic_load(&app->gone), 1);
}

static void test_a_slow_reader_and_a_stalled_one(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	/* Each pause is well under the limit, the whole is over it: progress is what counts. */
	int fd = dial(app->rig.port);
	put(fd, "GET /unknown?n=400000 HTTP/1.1\r\nHost: x\r\n\r\n");
	for (int i = 0; i < 10; i++) {
		(void)poll(NULL, 0, 60);
		assert_true(take(fd, reply.text, 1000) > 0);
	}
	(void)close(fd);
	await(&app->done, 1);
	int complete = atomic_load(&app->complete);
	fd = dial(app->rig.port);
	put(fd, "GET /unknown?n=400000000 HTTP/1.1\r\nHost: x\r\n\r\n");
	await(&app->done, 2); /* nobody reads */
	assert_int_equal(atomic_load(&app->complete), complete);
	(void)close(fd);
}

static void test_the_wait_limit_of_one_request(void **state)
{
	struct app *app = *state;
	int64_t begin = clock_ms();
	assert_int_equal(status_of(app, "GET /brief HTTP/1.1\r\nHost: x\r\n\r\n"), 503);
	assert_true(clock_ms() - begin < 2000);
	loop_post(app->rig.loop, reply_parked, app); /* too late, dropped */
	await(&app->answered_n, 1);
	await(&app->done, 1);
}

static void quiesce(void *arg)
{
	struct app *app = arg;
	http_server_quiesce(app->rig.server);
	reply_parked(app);
}

static void test_quiesce_lets_requests_end(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int idle = dial(app->rig.port), busy = dial(app->rig.port);
	put(idle, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_hello(idle, &reply);
	put(busy, "GET /park HTTP/1.1\r\nHost: x\r\n\r\n");
	await(&app->parked_n, 1);
	loop_post(app->rig.loop, quiesce, app);
	assert_true(is_closed(idle));
	assert_true(take_reply(busy, &reply));
	assert_string_equal(reply.body, "late");
	assert_string_equal(reply_header(&reply, "Connection"), "close");
	assert_true(is_closed(busy));
	(void)close(idle);
	(void)close(busy);
}

static void wind_down(void *arg)
{
	struct app *app = arg;
	http_server_wind_down(app->rig.server);
	atomic_fetch_add(&app->answered_n, 1);
}

/* Served as before, on old connections and new ones, each for the last time. */
static void test_winding_down_ends_connections_with_their_reply(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int kept = dial(app->rig.port), fresh;
	put(kept, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_hello(kept, &reply);
	assert_null(reply_header(&reply, "Connection"));
	loop_post(app->rig.loop, wind_down, app);
	await(&app->answered_n, 1);
	fresh = dial(app->rig.port);
	put(fresh, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_hello(fresh, &reply);
	assert_string_equal(reply_header(&reply, "Connection"), "close");
	assert_true(is_closed(fresh));
	put(kept, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_hello(kept, &reply);
	assert_string_equal(reply_header(&reply, "Connection"), "close");
	assert_true(is_closed(kept));
	(void)close(kept);
	(void)close(fresh);
}

static void test_stop_with_requests_in_flight(void **state)
{
	struct app *app = *state;
	int fds[4];
	const char *texts[] = { "GET /park HTTP/1.1\r\nHost: x\r\n\r\n",
		"PUT /shut HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
		"GET /unknown?n=100000000 HTTP/1.1\r\nHost: x\r\n\r\n", "GET /he" };
	for (int i = 0; i < 4; i++) {
		fds[i] = dial(app->rig.port);
		put(fds[i], texts[i]);
	}
	await(&app->requests, 3);
	rig_halt(&app->rig);
	http_ticket_drop(TAKE(app->ticket));
	http_server_free(TAKE(app->rig.server));
	assert_int_equal(atomic_load(&app->done), 3);
	assert_int_equal(atomic_load(&app->gone), 1);
	for (int i = 0; i < 4; i++)
		(void)close(fds[i]);
}

/* Much, and many. */

#define MUCH (256LL * 1024 * 1024)

static void test_a_large_pull_takes_no_memory(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "GET /known?n=4000000 HTTP/1.1\r\nHost: x\r\n\r\n"); /* warms buffers up */
	assert_true(take_head(fd, &reply));
	long long total = (long long)reply.body_len;
	while (total < 4000000)
		total += take(fd, reply.text, sizeof(reply.text));
	long before = peak_kib();
	put(fd, "GET /known?n=268435456 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_head(fd, &reply));
	total = (long long)reply.body_len;
	for (int burst = 0; total < MUCH; burst++) {
		if (burst % 400 == 0)
			(void)poll(NULL, 0, 50); /* the pipe fills meanwhile */
		ssize_t n = take(fd, reply.text, sizeof(reply.text));
		assert_true(n > 0);
		total += n;
	}
	assert_int_equal(total, MUCH);
	if (!SANITIZED)
		assert_true(peak_kib() - before < 2048);
	(void)close(fd);
	await(&app->done, 2);
	assert_int_equal(atomic_load(&app->bytes_out), MUCH + 4000000);
}

static void test_a_large_push_takes_no_memory(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "PUT /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n");
	put_zeros(fd, 4000000);
	assert_true(take_reply(fd, &reply));
	long before = peak_kib();
	put(fd, "PUT /sink HTTP/1.1\r\nHost: x\r\nContent-Length: 268435456\r\n\r\n");
	put_zeros(fd, MUCH);
	assert_true(take_reply(fd, &reply));
	assert_string_equal(reply.body, "268435456");
	if (!SANITIZED)
		assert_true(peak_kib() - before < 2048);
	(void)close(fd);
}

static int set_up_two(void **state)
{
	struct app *app = xnew(struct app);
	uint16_t port = 0;
	rig_open(&app->rig, rig_listen(&port, true), app_of(app));
	rig_open(&app->second, rig_listen(&port, true), app_of(app));
	rig_run(&app->rig);
	rig_run(&app->second);
	*state = app;
	return 0;
}

static int tear_down_two(void **state)
{
	struct app *app = *state;
	rig_close(&app->second);
	return tear_down(state);
}

static void test_two_hundred_connections_on_two_loops(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	enum { N = 200, ROUNDS = 5 };
	int fds[N];
	for (int i = 0; i < N; i++)
		fds[i] = dial(app->rig.port);
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < N; i++)
			put(fds[i], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
		for (int i = 0; i < N; i++)
			expect_hello(fds[i], &reply);
	}
	await(&app->done, N * ROUNDS);
	rig_halt(&app->rig);
	rig_halt(&app->second);
	unsigned first = http_server_connections(app->rig.server),
		 second = http_server_connections(app->second.server);
	assert_int_equal(first + second, N);
	assert_true(first > 0 && second > 0);
	for (int i = 0; i < N; i++)
		(void)close(fds[i]);
}

static int dial_hello(struct app *app, struct reply *reply)
{
	int fd = dial(app->rig.port);
	put(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_hello(fd, reply);
	return fd;
}

static void test_a_full_server_closes_who_waits_longest(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int first = dial_hello(app, &reply), second = dial_hello(app, &reply), third = dial(app->rig.port);
	put(third, "GET /hello HT"); /* a head that does not come on */
	put(first, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_hello(first, &reply);
	int fourth = dial_hello(app, &reply);
	assert_true(is_closed(second));
	int fifth = dial_hello(app, &reply);
	assert_true(is_closed(third));
	put(first, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_hello(first, &reply);
	/* A client has its reply before the server has come to rest. */
	struct http_server_stats stats = http_server_stats(app->rig.server);
	for (int64_t end = clock_ms() + 20000;
		(stats.connections != 3 || stats.waiting != 3) && clock_ms() < end;) {
		(void)poll(NULL, 0, 2);
		stats = http_server_stats(app->rig.server);
	}
	assert_int_equal(stats.connections, 3);
	assert_int_equal(stats.waiting, 3);
	assert_int_equal(stats.accepted, 5);
	assert_int_equal(stats.shed, 2);
	int all[] = { first, second, third, fourth, fifth };
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		(void)close(all[i]);
}

static void test_a_full_server_ends_no_request(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	static const char part[] = "POST /collect HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab";
	int busy[3] = { dial(app->rig.port), dial(app->rig.port), dial(app->rig.port) };
	put(busy[0], "GET /park HTTP/1.1\r\nHost: x\r\n\r\n");
	put(busy[1], part);
	put(busy[2], part);
	await(&app->requests, 3);
	for (int i = 0; i < 20; i++) {
		int over = dial(app->rig.port);
		assert_true(is_closed(over));
		(void)close(over);
	}
	loop_post(app->rig.loop, reply_parked, app);
	assert_true(take_reply(busy[0], &reply));
	assert_string_equal(reply.body, "late");
	put(busy[1], "cde");
	assert_true(take_reply(busy[1], &reply));
	assert_string_equal(reply.body, "abcde");
	int next = dial_hello(app, &reply);
	(void)close(next);
	for (size_t i = 0; i < 3; i++)
		(void)close(busy[i]);
}

static void test_a_refusal_has_the_applications_words(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 400);
	assert_non_null(strstr(reply.body, "not %XX"));
	assert_true(is_closed(fd));
	(void)close(fd);
}

/* What one client can do to others. */

static void test_a_chunk_line_that_does_not_end(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	static char text[30000];
	const char *heads[] = { "POST /collect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;",
		"POST /denied HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5;",
		"POST /collect HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ",
		"POST /sink HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX" };
	const unsigned wanted[] = { 431, 401, 431, 400 };
	memset(text, 'a', sizeof(text));
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		int fd = dial(app->rig.port);
		put(fd, heads[i]);
		(void)put_all(fd, text, sizeof(text));
		assert_true(take_reply(fd, &reply));
		assert_int_equal(reply.status, wanted[i]);
		(void)close(fd);
		await(&app->done, (int)i + 1);
	}
	assert_int_equal(atomic_load(&app->gone), 1);
	while (http_server_stats(app->rig.server).connections > 0)
		(void)poll(NULL, 0, 2);
	assert_int_equal(loop_spins(app->rig.loop), 0);
}

/* The rest of a body that nobody wants has its time in all, however it trickles. */
static void test_what_is_drained_has_an_end(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fd = dial(app->rig.port);
	put(fd, "PUT /denied HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 401);
	int64_t end = clock_ms() + 20000;
	while (put_all(fd, "x", 1) && clock_ms() < end)
		(void)poll(NULL, 0, 20);
	assert_true(clock_ms() < end);
	(void)close(fd);
	await(&app->done, 1);
}

/* Who has most connections loses some, not who waits longest. */
static void test_a_full_server_closes_those_of_who_has_most(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int kept = dial_hello(app, &reply);
	int strange[20];
	for (int i = 0; i < 20; i++)
		strange[i] = dial_from(app->rig.port, INADDR_LOOPBACK + 1);
	while (http_server_stats(app->rig.server).shed < 18)
		(void)poll(NULL, 0, 2);
	put(kept, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_hello(kept, &reply);
	for (int i = 0; i < 20; i++)
		(void)close(strange[i]);
	(void)close(kept);
}

/* Behind a proxy it is the client who has most, not the proxy. */
static void test_a_full_server_knows_clients_behind_a_proxy(void **state)
{
	struct app *app = *state;
	static struct reply reply;
	int fds[3], late;
	for (int i = 0; i < 3; i++) {
		fds[i] = dial(app->rig.port);
		put(fds[i], i == 0 ? "GET /of?n=1 HTTP/1.1\r\nHost: x\r\n\r\n"
				   : "GET /of?n=2 HTTP/1.1\r\nHost: x\r\n\r\n");
		expect_hello(fds[i], &reply);
	}
	late = dial_from(app->rig.port, INADDR_LOOPBACK + 1);
	assert_true(is_closed(fds[1])); /* the second is the first of who has two */
	put(fds[0], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_hello(fds[0], &reply);
	for (int i = 0; i < 3; i++)
		(void)close(fds[i]);
	(void)close(late);
}

/* The order in which addresses are served, by their last byte. */
struct order {
	unsigned len;
	uint8_t last[64];
};

static void on_request_of_order(void *arg, struct http_request *request)
{
	struct order *order = arg;
	CHECK(order->len < sizeof(order->last));
	order->last[order->len++] = http_request_ip(request).at[15];
	reply_text(request, 200, "hello");
}

static void on_done_of_order(void *arg, struct http_request *request)
{
	(void)arg;
	(void)request;
}

/* Forty connections of one client ask before one of another does: that one is served second. */
static void test_turns_go_round_the_addresses(void **state)
{
	struct order order = { 0 };
	struct rig rig = { 0 };
	uint16_t port = 0;
	int fds[41];
	(void)state;
	rig_open(&rig, rig_listen(&port, false),
		(struct http_app){ &order, on_request_of_order, on_done_of_order, NULL });
	for (int i = 0; i < 41; i++)
		fds[i] = dial_from(port, INADDR_LOOPBACK + (i < 40));
	while (http_server_connections(rig.server) < 41)
		loop_turn(rig.loop, 1000);
	for (int i = 0; i < 41; i++)
		put(fds[i], "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
	while (order.len < 41)
		loop_turn(rig.loop, 1000);
	assert_true(order.last[0] == 1 || order.last[1] == 1);
	for (int i = 0; i < 41; i++)
		(void)close(fds[i]);
	rig_close(&rig);
}

#define TEST(name)  cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
#define HASTY(name) cmocka_unit_test_setup_teardown(test_##name, set_up_hasty, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_connection_is_kept),
		TEST(pipelined_requests_are_answered_in_order),
		TEST(targets_are_decoded_once),
		TEST(lines_of_a_header_are_one_list),
		TEST(heads_are_bounded),
		TEST(framing_is_read_strictly),
		TEST(http_1_0_closes),
		TEST(a_body_is_collected),
		TEST(a_body_over_the_limit_gets_413),
		TEST(early_401_for_a_short_and_a_long_body),
		TEST(early_401_instead_of_100),
		TEST(a_shut_sink_stops_the_client),
		TEST(a_body_is_put_where_the_sink_wants_it),
		TEST(a_reply_in_the_middle_of_a_body),
		TEST(head_announces_the_body),
		TEST(a_part_of_a_file),
		TEST(a_file_that_grows),
		TEST(a_file_that_breaks),
		TEST(a_file_that_is_given_up),
		TEST(a_growing_file_is_cut),
		TEST(who_left_is_not_waited_for),
		TEST(a_pipe_of_known_length),
		TEST(a_pipe_of_unknown_length_is_chunked),
		TEST(a_pipe_that_fails_cuts),
		TEST(a_ticket_replies_later),
		TEST(a_client_that_vanishes_while_it_waits),
		TEST(a_client_that_vanishes_in_the_middle_of_its_body),
		HASTY(every_wait_has_an_end),
		HASTY(a_slow_reader_and_a_stalled_one),
		TEST(the_wait_limit_of_one_request),
		cmocka_unit_test_setup_teardown(
			test_a_full_server_closes_who_waits_longest, set_up_few, tear_down),
		cmocka_unit_test_setup_teardown(test_a_full_server_ends_no_request, set_up_few, tear_down),
		TEST(a_refusal_has_the_applications_words),
		TEST(a_chunk_line_that_does_not_end),
		HASTY(what_is_drained_has_an_end),
		cmocka_unit_test_setup_teardown(
			test_a_full_server_closes_those_of_who_has_most, set_up_few, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_full_server_knows_clients_behind_a_proxy, set_up_few, tear_down),
		cmocka_unit_test(test_turns_go_round_the_addresses),
		TEST(quiesce_lets_requests_end),
		TEST(winding_down_ends_connections_with_their_reply),
		TEST(stop_with_requests_in_flight),
		TEST(a_large_pull_takes_no_memory),
		TEST(a_large_push_takes_no_memory),
		cmocka_unit_test_setup_teardown(
			test_two_hundred_connections_on_two_loops, set_up_two, tear_down_two),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
