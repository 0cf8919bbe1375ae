/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_endpoint - jobs: collected, run on the pool, replied to from there, and those that cannot be.
 */
#include "http_rig.h"

#include "common/endpoint.h"
#include "common/pool.h"

struct world {
	struct rig rig;
	struct pool *pool;
	atomic_int freed, done, blocked, started;
};

static struct http_response *refuse(const struct error *err)
{
	unsigned status = err->kind == ERROR_TOO_LARGE ? 413 : err->kind == ERROR_BUSY ? 503 : 400;
	return http_response_copy(status, str_of(err->text));
}

static void run(struct endpoint_call *call)
{
	struct world *world = call->context;
	atomic_fetch_add(&world->started, 1);
	while (str_is(call->path, "/block") && atomic_load(&world->blocked))
		(void)poll(NULL, 0, 1);
	AUTO_FINI(buf) text = buf_limit(1000);
	const char *mark = http_headers_find(call->headers, "X-Mark");
	buf_format(&text, "%s %.*s %.*s %.*s %.*s %s", http_method_name(call->method), STR_ARGS(call->target),
		STR_ARGS(call->path), STR_ARGS(call->query), STR_ARGS(call->body), mark ? mark : "-");
	endpoint_reply(call, http_response_buf(200, &text));
}

static void context_free(void *context)
{
	struct world *world = context;
	atomic_fetch_add(&world->freed, 1);
}

static void on_request(void *arg, struct http_request *request)
{
	struct world *world = arg;
	endpoint_start_job(request, world->pool, 10, run, refuse, world, context_free);
}

static void on_done(void *arg, struct http_request *request)
{
	(void)request;
	struct world *world = arg;
	atomic_fetch_add(&world->done, 1);
}

static int set_up(void **state)
{
	struct world *world = xnew(struct world);
	struct error err;
	assert_true(pool_new(&world->pool, 1, 1, &err));
	uint16_t port = 0;
	rig_open(
		&world->rig, rig_listen(&port, false), (struct http_app){ world, on_request, on_done, NULL });
	rig_run(&world->rig);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;
	atomic_store(&world->blocked, 0);
	pool_free(world->pool);
	rig_close(&world->rig);
	assert_int_equal(atomic_load(&world->freed), atomic_load(&world->done));
	free(world);
	return 0;
}

static void test_a_job_sees_its_request(void **state)
{
	struct world *world = *state;
	static struct reply reply;
	int fd = dial(world->rig.port);
	put(fd, "PUT /a%20b?x=1 HTTP/1.1\r\nHost: x\r\nX-Mark: m\r\nContent-Length: 3\r\n\r\nabc");
	assert_true(take_reply(fd, &reply));
	assert_string_equal(reply.body, "PUT /a%20b?x=1 /a b x=1 abc m");
	put(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_string_equal(reply.body, "GET / /   -");
	(void)close(fd);
}

static void test_refusals(void **state)
{
	struct world *world = *state;
	static struct reply reply;
	int fd = dial(world->rig.port), first = dial(world->rig.port), second = dial(world->rig.port);
	put(fd, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\nabcdefghijk");
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 413);
	atomic_store(&world->blocked, 1);
	put(first, "GET /block HTTP/1.1\r\nHost: x\r\n\r\n");
	await(&world->started, 1);
	put(second, "GET /block HTTP/1.1\r\nHost: x\r\n\r\n");
	while (pool_stats(world->pool).queued < 1)
		(void)poll(NULL, 0, 1);
	put(fd, "GET /block HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(take_reply(fd, &reply));
	assert_int_equal(reply.status, 503);
	atomic_store(&world->blocked, 0);
	assert_true(take_reply(first, &reply));
	assert_true(take_reply(second, &reply));
	assert_int_equal(reply.status, 200);
	(void)close(fd);
	(void)close(first);
	(void)close(second);
}

static void test_clients_that_go(void **state)
{
	struct world *world = *state;
	int fd = dial(world->rig.port);
	put(fd, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
	(void)close(fd);
	await(&world->done, 1);
	await(&world->freed, 1);
	atomic_store(&world->blocked, 1);
	fd = dial(world->rig.port);
	put(fd, "GET /block HTTP/1.1\r\nHost: x\r\n\r\n");
	await(&world->started, 1);
	struct linger reset = { 1, 0 };
	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	(void)close(fd);
	atomic_store(&world->blocked, 0);
	await(&world->done, 2);
	await(&world->freed, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_job_sees_its_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_clients_that_go, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
