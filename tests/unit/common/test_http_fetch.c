/* SPDX-License-Identifier: Apache-2.0 */
/* http_fetch: bodies of 200 are taken as they come, others say why, and what is cut is no answer. */
#include "http_rig.h"

#include <unistd.h>

#include "common/file.h"
#include "common/http_fetch.h"

/* One connection: its request is read, `text` and `body_len` bytes of 'x' are sent, it is closed. */
struct origin {
	int listen_fd;
	const char *text;
	size_t body_len;
	char url[64];
	pthread_t thread;
};

static void *origin_main(void *arg)
{
	struct origin *origin = arg;
	static char block[65536];
	struct pollfd asked = { .fd = origin->listen_fd, .events = POLLIN };
	struct reply head;
	int fd;

	/* It is one that does not block. */
	CHECK(poll(&asked, 1, 20000) == 1);
	fd = accept4(origin->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	CHECK(fd >= 0);
	head.len = 0;
	do {
		ssize_t n = take(fd, head.text + head.len, 1);
		CHECK(n == 1);
		head.text[++head.len] = '\0';
	} while (!strstr(head.text, "\r\n\r\n"));
	memset(block, 'x', sizeof(block));
	(void)put_all(fd, origin->text, strlen(origin->text));
	for (size_t left = origin->body_len, n; left; left -= n) {
		n = left < sizeof(block) ? left : sizeof(block);
		if (!put_all(fd, block, n))
			break;
	}
	(void)close(fd);
	return NULL;
}

static struct http_call_spec origin_start(struct origin *origin, const char *text, size_t body_len)
{
	uint16_t port = 0;
	struct http_server_settings settings = rig_listen(&port, false);

	*origin = (struct origin){ .listen_fd = settings.listen_fd, .text = text, .body_len = body_len };
	(void)snprintf(origin->url, sizeof(origin->url), "http://127.0.0.1:%u/", port);
	assert_int_equal(pthread_create(&origin->thread, NULL, origin_main, origin), 0);
	return (struct http_call_spec){ .method = "GET", .url = origin->url, .body_fd = -1 };
}

static void origin_end(struct origin *origin)
{
	assert_int_equal(pthread_join(origin->thread, NULL), 0);
	(void)close(origin->listen_fd);
}

#define MUCH ((size_t)3 * 1024 * 1024 + 7)

static void test_a_long_body_is_in_the_file(void **state)
{
	struct origin origin;
	struct http_call_spec spec =
		origin_start(&origin, "HTTP/1.1 200 OK\r\nContent-Length: 3145735\r\n\r\n", MUCH);
	AUTO_FINI(http_fetched) fetched = { 0 };
	char path[] = "/tmp/fetched-XXXXXX";
	AUTO_FINI(buf) bytes = buf_limit(2 * MUCH);
	struct error err;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_true(http_fetch_file(&spec, fd, &fetched, &err));
	assert_int_equal(fetched.status, 200);
	assert_int_equal(fetched.why.len, 0);
	assert_true(file_read(path, &bytes, &err));
	assert_int_equal(bytes.len, MUCH);
	assert_null(memchr(bytes.at, 0, bytes.len));
	(void)close(fd);
	(void)unlink(path);
	origin_end(&origin);
}

struct taker {
	size_t pieces, bytes;
	bool full;
};

static bool take_some(void *arg, struct str piece, struct error *err)
{
	struct taker *taker = arg;

	taker->pieces++;
	taker->bytes += piece.len;
	return !taker->full || error_set(err, ERROR_FULL, NULL, "no room");
}

static void test_another_status_says_why(void **state)
{
	struct origin origin;
	struct http_call_spec spec =
		origin_start(&origin, "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nwhy: ", 0);
	struct taker taker = { 0 };
	const struct http_fetch_into into = { take_some, &taker };
	AUTO_FINI(http_fetched) fetched = { 0 };
	struct error err;

	(void)state;
	assert_true(http_fetch(&spec, &into, &fetched, &err));
	assert_int_equal(fetched.status, 404);
	assert_string_equal(buf_text(&fetched.why), "why: ");
	assert_int_equal(taker.pieces, 0);
	origin_end(&origin);
}

static void test_why_is_bounded(void **state)
{
	struct origin origin;
	struct http_call_spec spec =
		origin_start(&origin, "HTTP/1.1 500 Wrong\r\n\r\n", HTTP_FETCH_WHY_MAX + 1);
	struct taker taker = { 0 };
	const struct http_fetch_into into = { take_some, &taker };
	AUTO_FINI(http_fetched) fetched = { 0 };
	struct error err;

	(void)state;
	assert_false(http_fetch(&spec, &into, &fetched, &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
	assert_int_equal(fetched.status, 500);
	origin_end(&origin);
}

static void test_what_is_cut_is_no_answer(void **state)
{
	struct origin origin;
	struct http_call_spec spec =
		origin_start(&origin, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 999);
	struct taker taker = { 0 };
	const struct http_fetch_into into = { take_some, &taker };
	AUTO_FINI(http_fetched) fetched = { 0 };
	struct error err;

	(void)state;
	assert_false(http_fetch(&spec, &into, &fetched, &err));
	assert_int_equal(err.kind, ERROR_INTERNAL);
	assert_int_equal(fetched.status, 200);
	origin_end(&origin);
}

static void test_who_takes_no_more_ends_it(void **state)
{
	struct origin origin;
	struct http_call_spec spec = origin_start(&origin, "HTTP/1.1 200 OK\r\n\r\n", MUCH);
	struct taker taker = { .full = true };
	const struct http_fetch_into into = { take_some, &taker };
	AUTO_FINI(http_fetched) fetched = { 0 };
	struct error err;

	(void)state;
	assert_false(http_fetch(&spec, &into, &fetched, &err));
	assert_int_equal(err.kind, ERROR_FULL);
	assert_string_equal(err.text, "no room");
	assert_int_equal(taker.pieces, 1);
	origin_end(&origin);
}

static void test_nobody_there(void **state)
{
	uint16_t port = 0;
	struct http_server_settings settings = rig_listen(&port, false);
	struct taker taker = { 0 };
	const struct http_fetch_into into = { take_some, &taker };
	AUTO_FINI(http_fetched) fetched = { 0 };
	struct error err;
	char url[64];

	(void)state;
	(void)close(settings.listen_fd);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
	const struct http_call_spec spec = { .method = "GET", .url = url, .body_fd = -1 };
	assert_false(http_fetch(&spec, &into, &fetched, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_int_equal(fetched.status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_long_body_is_in_the_file),
		cmocka_unit_test(test_another_status_says_why),
		cmocka_unit_test(test_why_is_bounded),
		cmocka_unit_test(test_what_is_cut_is_no_answer),
		cmocka_unit_test(test_who_takes_no_more_ends_it),
		cmocka_unit_test(test_nobody_there),
	};

	http_client_init();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	http_client_fini();
	return failed;
}
