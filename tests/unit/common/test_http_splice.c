/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_http_splice - answers that go from socket to socket past us.
 *
 *     test's socket <-- front: server and client on a loop <-- store: a thread for each connection, which says what its paths are
 *
 * What the store sends differs at each place, so that a byte which is lost, doubled or moved is found.
 */
#include "http_rig.h"

#include "common/http_client_priv.h"

#define MIB    ((size_t)1024 * 1024)
#define BODY   (8 * MIB)
#define STORES 128

struct store {
	int listener;
	uint16_t port;
	pthread_t acceptor, threads[STORES];
	int fds[STORES];
	atomic_int accepted, ended, asked;
	atomic_bool halt, go;
};

struct world {
	struct rig front;
	struct store store;
	atomic_int done, failed;
	atomic_int kind; /* of the last failure */
	unsigned stall_ms, total_ms;
};

/* Made before the first thread. */
static unsigned char pattern[BODY];

static void make_pattern(void)
{
	for (size_t i = 0; i < BODY; i++)
		pattern[i] = (unsigned char)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

/* ---- the store ---- */

static bool send_body(int fd, size_t len)
{
	return put_all(fd, pattern, len);
}

static bool take_request(int fd, char *into, size_t room)
{
	size_t len = 0;

	while (len + 1 < room) {
		ssize_t n = recv(fd, into + len, 1, 0);
		if (n <= 0)
			return false;
		into[++len] = '\0';
		if (len >= 4 && !memcmp(into + len - 4, "\r\n\r\n", 4))
			return true;
	}
	return false;
}

/* False: the connection is over. */
static bool answer(struct store *store, int fd, const char *request)
{
	char head[256];
	bool is_head = !strncmp(request, "HEAD", 4);

	if (strstr(request, "/chunked")) {
		put(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		(void)snprintf(head, sizeof(head), "%zx\r\n", BODY);
		return put_all(fd, head, strlen(head)) && send_body(fd, BODY) &&
		       put_all(fd, "\r\n0\r\n\r\n", 7);
	}
	(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", BODY);
	if (!put_all(fd, head, strlen(head)) || is_head)
		return is_head;
	if (strstr(request, "/cut") || strstr(request, "/stops")) {
		(void)send_body(fd, BODY / 2);
		while (strstr(request, "/stops") && !atomic_load(&store->go))
			(void)poll(NULL, 0, 2);
		return false;
	}
	return send_body(fd, BODY);
}

static void *serve(void *arg)
{
	struct store *store = ((void **)arg)[0];
	int fd = (int)(intptr_t)((void **)arg)[1];
	char request[4096];

	free(arg);
	while (!atomic_load(&store->halt) && take_request(fd, request, sizeof(request))) {
		atomic_fetch_add(&store->asked, 1);
		if (!answer(store, fd, request))
			break;
	}
	(void)shutdown(fd, SHUT_RDWR);
	atomic_fetch_add(&store->ended, 1);
	return NULL;
}

static void *accept_all(void *arg)
{
	struct store *store = arg;

	for (;;) {
		int fd = accept(store->listener, NULL, NULL), n = atomic_load(&store->accepted);
		if (fd < 0)
			return NULL;
		assert_true(n < STORES);
		void **both = check_alloc(2, sizeof(void *));
		both[0] = store;
		both[1] = (void *)(intptr_t)fd;
		store->fds[n] = fd;
		assert_int_equal(pthread_create(&store->threads[n], NULL, serve, both), 0);
		atomic_fetch_add(&store->accepted, 1);
	}
}

static void store_open(struct store *store)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	store->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(store->listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(store->listener, 128), 0);
	assert_int_equal(getsockname(store->listener, (struct sockaddr *)&at, &len), 0);
	store->port = ntohs(at.sin_port);
	assert_int_equal(pthread_create(&store->acceptor, NULL, accept_all, store), 0);
}

static void store_close(struct store *store)
{
	atomic_store(&store->halt, true);
	atomic_store(&store->go, true);
	(void)shutdown(store->listener, SHUT_RDWR);
	assert_int_equal(pthread_join(store->acceptor, NULL), 0);
	(void)close(store->listener);
	for (int i = 0; i < atomic_load(&store->accepted); i++) {
		(void)shutdown(store->fds[i], SHUT_RDWR);
		assert_int_equal(pthread_join(store->threads[i], NULL), 0);
		(void)close(store->fds[i]);
	}
}

/* ---- the front ---- */

struct relay {
	struct world *world;
	struct http_request *request;
	struct http_call *call;
};

static void relay_head(void *arg, struct http_call *call)
{
	struct relay *relay = arg;
	struct pipe *pipe = pipe_new(http_request_loop(relay->request), 256 * 1024);

	http_call_into(call, pipe);
	http_request_reply(
		relay->request, http_response_pipe(http_call_status(call), pipe, http_call_length(call)));
}

static void relay_done(void *arg, struct http_call *call, const struct error *err)
{
	struct relay *relay = arg;

	(void)call;
	relay->call = NULL;
	if (err) {
		atomic_store(&relay->world->kind, (int)err->kind);
		atomic_fetch_add(&relay->world->failed, 1);
	}
	if (err && !http_request_is_replied(relay->request))
		http_request_reply(relay->request, http_response_copy(502, str_of(err->text)));
}

static void front_request(void *arg, struct http_request *request)
{
	struct world *world = arg;
	struct relay *relay = xnew(struct relay);
	char url[256];

	*relay = (struct relay){ .world = world, .request = request };
	http_request_set_context(request, relay);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%.*s", world->store.port,
		STR_ARGS(http_request_target(request)));
	struct http_call_spec spec = { .method = http_method_name(http_request_method(request)),
		.url = url,
		.stall_ms = world->stall_ms,
		.total_ms = world->total_ms };
	relay->call = http_call_start(
		world->front.client, &spec, (struct http_call_events){ relay, relay_head, relay_done });
}

static void front_done(void *arg, struct http_request *request)
{
	struct world *world = arg;
	struct relay *relay = http_request_context(request);

	if (relay->call)
		http_call_cancel(relay->call);
	free(relay);
	atomic_fetch_add(&world->done, 1);
}

static int set_up(void **state)
{
	struct world *world = xnew(struct world);
	uint16_t port = 0;

	http_client_init();
	store_open(&world->store);
	rig_open(&world->front, rig_listen(&port, false),
		(struct http_app){ world, front_request, front_done, NULL });
	rig_run(&world->front);
	*state = world;
	return 0;
}

/* Each test ends so: no call has a socket any more. */
static int tear_down(void **state)
{
	struct world *world = *state;

	rig_halt(&world->front);
	assert_int_equal(world->front.client->splices, 0);
	rig_close(&world->front);
	store_close(&world->store);
	free(world);
	http_client_fini();
	return 0;
}

/* ---- clients ---- */

static void ask(int fd, const char *path)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
	put(fd, text);
}

/* How many bytes of a body came before the end; all of them are the right ones. */
static size_t take_body(int fd, size_t most)
{
	unsigned char block[65536];
	size_t got = 0;

	while (got < most) {
		ssize_t n = take(fd, block, most - got < sizeof(block) ? most - got : sizeof(block));
		if (n <= 0)
			break;
		if (memcmp(block, pattern + got, (size_t)n) != 0)
			fail_msg("the bytes from %zu on are others", got);
		got += (size_t)n;
	}
	return got;
}

static void pull(int fd, const char *path)
{
	struct reply *reply = xnew(struct reply);

	ask(fd, path);
	assert_true(take_head(fd, reply));
	if (reply->status != 200) {
		ssize_t n = take(fd, reply->body, 200);
		fail_msg("%u %.*s", reply->status, (int)(n > 0 ? n : 0), reply->body);
	}
	assert_int_equal(take_body(fd, BODY), BODY);
	free(reply);
}

/* Stops the front's loop, so that it may be looked at; how many bytes it never saw. */
static uint64_t spliced(struct world *world)
{
	rig_halt(&world->front);
	return world->front.client->spliced;
}

/* ---- tests ---- */

static void test_all_bytes_come(void **state)
{
	struct world *world = *state;
	int fd = dial(world->front.port);

	for (int i = 0; i < 5; i++)
		pull(fd, "/blob");
	(void)close(fd);
	assert_int_equal(atomic_load(&world->store.asked), 5);
	assert_int_equal(atomic_load(&world->failed), 0);
	assert_true(spliced(world) >= 5 * (BODY / 2));
}

/* A chunk's head is no byte of the body, and a client of HTTP/1.0 is told the end by the end. */
static void test_bodies_without_a_length_go_through_memory(void **state)
{
	struct world *world = *state;
	struct reply *reply = xnew(struct reply);
	int fd = dial(world->front.port);

	put(fd, "GET /chunked HTTP/1.0\r\n\r\n");
	assert_true(take_head(fd, reply));
	assert_int_equal(take_body(fd, BODY), BODY);
	assert_true(is_closed(fd));
	(void)close(fd);
	free(reply);
	assert_int_equal(spliced(world), 0);
}

static void test_a_head_alone_is_no_body(void **state)
{
	struct world *world = *state;
	struct reply *reply = xnew(struct reply);
	int fd = dial(world->front.port);

	put(fd, "HEAD /blob HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_head(fd, reply));
	pull(fd, "/blob");
	(void)close(fd);
	free(reply);
	assert_true(spliced(world) >= BODY / 2);
}

/* The head comes, and at most half of the body, before the pull fails so. */
static void pull_in_vain(struct world *world, const char *path, enum error_kind kind)
{
	struct reply *reply = xnew(struct reply);
	int fd = dial(world->front.port);

	ask(fd, path);
	assert_true(take_head(fd, reply));
	assert_true(take_body(fd, BODY) <= BODY / 2);
	await(&world->failed, 1);
	assert_int_equal(atomic_load(&world->kind), kind);
	(void)close(fd);
	free(reply);
}

static void test_an_answer_that_is_cut(void **state)
{
	pull_in_vain(*state, "/cut", ERROR_INTERNAL);
}

static void test_a_store_that_stops(void **state)
{
	struct world *world = *state;

	world->stall_ms = 200;
	pull_in_vain(world, "/stops", ERROR_TIMEOUT);
}

static void test_a_deadline_for_all_of_it_is_kept(void **state)
{
	struct world *world = *state;

	world->total_ms = 300;
	pull_in_vain(world, "/stops", ERROR_TIMEOUT);
	assert_int_equal(spliced(world), 0);
}

/* For longer than a store may: who does not fetch his bytes is no store that stops, and the store is not read from meanwhile. */
static void test_a_client_that_rests(void **state)
{
	struct world *world = *state;
	struct reply *reply = xnew(struct reply);
	int fd = dial(world->front.port);
	int64_t until;

	world->stall_ms = 100;
	ask(fd, "/blob");
	assert_true(take_head(fd, reply));
	for (until = clock_ms() + 400; clock_ms() < until;)
		(void)poll(NULL, 0, 20);
	assert_int_equal(take_body(fd, BODY), BODY);
	assert_int_equal(atomic_load(&world->failed), 0);
	(void)close(fd);
	free(reply);
}

static void test_a_client_that_goes(void **state)
{
	struct world *world = *state;
	struct reply *reply = xnew(struct reply);

	for (int i = 0; i < 5; i++) {
		int fd = dial(world->front.port);
		ask(fd, "/blob");
		assert_true(take_head(fd, reply));
		assert_int_equal(take_body(fd, MIB + (size_t)i * MIB / 2), MIB + (size_t)i * MIB / 2);
		(void)close(fd);
		await(&world->done, i + 1);
	}
	await(&world->store.ended, 5);
	free(reply);
}

static void *pull_one(void *arg)
{
	struct world *world = arg;
	int fd = dial(world->front.port);

	pull(fd, "/blob");
	(void)close(fd);
	return NULL;
}

/* More than there may be, so that some go through memory. */
static void test_many_at_once(void **state)
{
	struct world *world = *state;
	pthread_t threads[80];

	for (int i = 0; i < 80; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, pull_one, world), 0);
	for (int i = 0; i < 80; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(atomic_load(&world->failed), 0);
	assert_true(spliced(world) > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_bytes_come),
		TEST(bodies_without_a_length_go_through_memory),
		TEST(a_head_alone_is_no_body),
		TEST(an_answer_that_is_cut),
		TEST(a_store_that_stops),
		TEST(a_deadline_for_all_of_it_is_kept),
		TEST(a_client_that_rests),
		TEST(a_client_that_goes),
		TEST(many_at_once),
	};
	make_pattern();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
