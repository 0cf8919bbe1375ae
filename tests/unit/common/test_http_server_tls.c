/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_http_server_tls - HTTPS, client certificates, and a certificate changed while serving.
 */
#include "http_rig.h"
#include "tls_pems.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <unistd.h>

#define LARGE_FROM 777
#define LARGE_LEN  (5 * 1024 * 1024 + 12345)

struct world {
	struct rig rig;
	char folder[64];
	int large; /* a file; -1: none */
	atomic_int requests, done, reloaded, certified;
};

/* No two of its records are alike. */
static const char *large_bytes(void)
{
	static uint32_t words[(LARGE_FROM + LARGE_LEN) / 4 + 1];

	for (uint32_t i = 0; words[1] == 0 && i < sizeof(words) / 4; i++)
		words[i] = i * UINT32_C(2654435761);
	return (const char *)words;
}

static struct str large_body(void)
{
	return str_from(large_bytes() + LARGE_FROM, LARGE_LEN);
}

static void on_request(void *arg, struct http_request *request)
{
	struct world *world = arg;
	atomic_fetch_add(&world->requests, 1);
	atomic_fetch_add(&world->certified, http_request_client_cert(request).len > 0);
	if (str_is(http_request_path(request), "/denied"))
		http_request_reply(request, http_response_copy(401, STR("denied")));
	else if (str_is(http_request_path(request), "/file"))
		http_request_reply(
			request, http_response_file(200, dup(world->large), LARGE_FROM, LARGE_LEN));
	else if (str_is(http_request_path(request), "/bytes"))
		http_request_reply(request, http_response_shared(200, large_body(), NULL, NULL));
	else
		http_request_reply(request, http_response_copy(200, STR("hello")));
}

static void on_done(void *arg, struct http_request *request)
{
	(void)request;
	struct world *world = arg;
	atomic_fetch_add(&world->done, 1);
}

static const char *write_file(struct world *world, const char *name, const char *text)
{
	static char path[4][128];
	static unsigned at;
	char *to = path[at++ % 4];
	(void)snprintf(to, sizeof(path[0]), "%s/%s", world->folder, name);
	FILE *file = fopen(to, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	return to;
}

static int set_up_with(void **state, const char *client_ca)
{
	http_client_init();
	struct world *world = xnew(struct world);
	(void)snprintf(world->folder, sizeof(world->folder), "/tmp/test-tls-XXXXXX");
	assert_non_null(mkdtemp(world->folder));
	uint16_t port = 0;
	struct http_server_settings settings = rig_listen(&port, false);
	struct http_tls tls = { pem_one_cert, pem_one_key, client_ca };
	settings.tls = &tls;
	rig_open(&world->rig, settings, (struct http_app){ world, on_request, on_done, NULL });
	rig_run(&world->rig);
	*state = world;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, NULL);
}

static int set_up_mutual(void **state)
{
	return set_up_with(state, pem_client_cert);
}

static int tear_down(void **state)
{
	struct world *world = *state;
	const char *names[] = { "one", "two", "client", "key" };
	rig_close(&world->rig);
	for (int i = 0; i < 4; i++) {
		char path[128];
		(void)snprintf(path, sizeof(path), "%s/%s", world->folder, names[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(world->folder), 0);
	free(world);
	http_client_fini();
	return 0;
}

/* 0: no answer. */
static unsigned send_to(struct world *world, const char *path, struct http_call_spec spec)
{
	char url[128];
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", world->rig.port, path);
	spec.url = url;
	spec.method = spec.has_body ? "PUT" : "GET";
	struct http_result result;
	struct error err;
	http_result_init(&result, 1000);
	bool ok = http_send(&spec, &result, &err);
	/* In TLS 1.3 a client hears that its certificate is refused when it has sent its request. */
	if (!ok && !spec.cert_file)
		assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	unsigned status = ok ? result.status : 0;
	http_result_fini(&result);
	return status;
}

static void test_the_certificate_is_checked(void **state)
{
	struct world *world = *state;
	struct http_call_spec right = { .ca_file = write_file(world, "one", pem_one_cert) };
	struct http_call_spec wrong = { .ca_file = write_file(world, "two", pem_two_cert) };
	struct http_call_spec careless = { .insecure = true };
	assert_int_equal(send_to(world, "/", right), 200);
	assert_int_equal(send_to(world, "/", wrong), 0);
	assert_int_equal(send_to(world, "/", careless), 200);
}

static void test_an_early_reply_to_a_long_body(void **state)
{
	struct world *world = *state;
	static char zeros[5000000];
	struct http_call_spec spec = { .insecure = true, .has_body = true, .body = { zeros, sizeof(zeros) } };
	char url[128];
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u/denied", world->rig.port);
	spec.url = url;
	spec.method = "PUT";
	struct http_result result;
	http_result_init(&result, 1000);
	/* With TLS the reply may be lost to the close when the client does not look for it in time;
	 * what counts is that the server goes on. */
	(void)!http_send(&spec, &result, NULL);
	http_result_fini(&result);
	struct http_call_spec plain = { .insecure = true };
	assert_int_equal(send_to(world, "/", plain), 200);
}

static void test_client_certificates_are_asked_for(void **state)
{
	struct world *world = *state;
	const char *key = write_file(world, "key", pem_client_key);
	struct http_call_spec none = { .insecure = true };
	struct http_call_spec right = {
		.insecure = true, .cert_file = write_file(world, "client", pem_client_cert), .key_file = key
	};
	assert_int_equal(send_to(world, "/", none), 200);
	assert_int_equal(atomic_load(&world->certified), 0);
	assert_int_equal(send_to(world, "/", right), 200);
	assert_int_equal(atomic_load(&world->certified), 1);
	key = write_file(world, "key", pem_two_key);
	struct http_call_spec wrong = {
		.insecure = true, .cert_file = write_file(world, "two", pem_two_cert), .key_file = key
	};
	assert_int_equal(send_to(world, "/", wrong), 0);
	assert_int_equal(atomic_load(&world->requests), 2);
}

/* More than a socket holds, so records are begun and ended at another time. */
static void test_a_long_reply_is_whole(void **state)
{
	struct world *world = *state;
	const char *paths[] = { "/file", "/bytes" };
	char file[128], url[128];

	(void)snprintf(file, sizeof(file), "%s/large", world->folder);
	world->large = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(
		pwrite(world->large, large_bytes(), LARGE_FROM + LARGE_LEN, 0), LARGE_FROM + LARGE_LEN);
	for (int i = 0; i < 2; i++) {
		struct http_call_spec spec = { .insecure = true, .method = "GET", .url = url };
		struct http_result result;
		struct error err;
		(void)snprintf(url, sizeof(url), "https://127.0.0.1:%u%s", world->rig.port, paths[i]);
		http_result_init(&result, LARGE_LEN);
		assert_true(http_send(&spec, &result, &err));
		assert_true(str_equal(buf_str(&result.body), large_body()));
		http_result_fini(&result);
	}
	assert_int_equal(close(world->large), 0);
}

/* A client of TLS that waits for nothing: its server has no thread of its own. */

static SSL *begin_client(SSL_CTX *context, int fd)
{
	SSL *ssl = SSL_new(context);
	assert_non_null(ssl);
	if (fd >= 0)
		assert_int_equal(SSL_set_fd(ssl, fd), 1);
	SSL_set_connect_state(ssl);
	return ssl;
}

/* What a client says first. */
static size_t make_hello(SSL_CTX *context, char *into, size_t max)
{
	SSL *ssl = begin_client(context, -1);
	BIO *out = BIO_new(BIO_s_mem());
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
	assert_int_equal(SSL_do_handshake(ssl), -1);
	int len = BIO_read(out, into, (int)max);
	assert_true(len > 0);
	SSL_free(ssl);
	return (size_t)len;
}

static unsigned count_answered(const int *fds, unsigned len)
{
	unsigned answered = 0;
	char byte;
	for (unsigned i = 0; i < len; i++)
		answered += recv(fds[i], &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
	return answered;
}

#define STRANGERS 100
#define REQUESTS  1500

/* All that comes, until there is so much of it. */
static void read_all(struct world *world, SSL *ssl, size_t len)
{
	char reply[4096];

	for (size_t got = 0, n; got < len; got += n)
		if (SSL_read_ex(ssl, reply, sizeof(reply), &n) != 1) {
			n = 0;
			loop_turn(world->rig.loop, 10);
		}
}

/* One address begins handshakes without end: those who are served meanwhile lose a quarter of the loop to it, and not more. A handshake
 * costs several requests; without turns there would be one behind each of them. */
static void test_handshakes_take_turns_with_requests(void **state)
{
	static const char get[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
	struct world world = { .large = -1 };
	struct http_tls tls = { pem_one_cert, pem_one_key, NULL };
	uint16_t port = 0;
	struct http_server_settings settings = rig_listen(&port, false);
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	char hello[2048], requests[REQUESTS * (sizeof(get) - 1)], reply[1024];
	int strangers[STRANGERS], served = dial(port), len;
	SSL *ssl = begin_client(context, served);
	size_t hello_len = make_hello(context, hello, sizeof(hello));

	(void)state;
	assert_int_equal(fcntl(served, F_SETFL, O_NONBLOCK), 0);
	http_client_init();
	settings.tls = &tls;
	rig_open(&world.rig, settings, (struct http_app){ &world, on_request, on_done, NULL });
	while (SSL_do_handshake(ssl) != 1)
		loop_turn(world.rig.loop, 10);
	assert_int_equal(SSL_write(ssl, get, sizeof(get) - 1), sizeof(get) - 1);
	while ((len = SSL_read(ssl, reply, sizeof(reply))) <= 0)
		loop_turn(world.rig.loop, 10);
	for (int i = 0; i < STRANGERS; i++) {
		strangers[i] = dial_from(port, INADDR_LOOPBACK + 1);
		while (http_server_connections(world.rig.server) < (unsigned)i + 2)
			loop_turn(world.rig.loop, 10);
	}
	for (int i = 0; i < REQUESTS; i++)
		memcpy(requests + (size_t)i * (sizeof(get) - 1), get, sizeof(get) - 1);
	/* At once, so that there is one to be served in each turn. */
	assert_int_equal(SSL_write(ssl, requests, sizeof(requests)), sizeof(requests));
	for (int i = 0; i < STRANGERS; i++)
		assert_int_equal(send(strangers[i], hello, hello_len, 0), hello_len);
	read_all(&world, ssl, REQUESTS * (size_t)len);
	assert_in_range(count_answered(strangers, STRANGERS), 1, STRANGERS / 2);
	while (count_answered(strangers, STRANGERS) < STRANGERS) /* they have the whole loop now */
		loop_turn(world.rig.loop, 10);
	for (int i = 0; i < STRANGERS; i++)
		(void)close(strangers[i]);
	SSL_free(ssl);
	SSL_CTX_free(context);
	(void)close(served);
	rig_close(&world.rig);
	http_client_fini();
}

static void reload(void *arg)
{
	struct world *world = arg;
	struct http_tls broken = { "no certificate", pem_two_key, NULL };
	struct http_tls two = { pem_two_cert, pem_two_key, NULL };
	struct error err;
	assert_false(http_server_reload_tls(world->rig.server, &broken, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
	for (int i = 0; i < 12; i++)
		assert_true(http_server_reload_tls(world->rig.server, &two, &err));
	atomic_store(&world->reloaded, 1);
}

static void test_a_new_certificate_for_new_connections(void **state)
{
	struct world *world = *state;
	struct http_call_spec one = { .ca_file = write_file(world, "one", pem_one_cert) };
	struct http_call_spec two = { .ca_file = write_file(world, "two", pem_two_cert) };
	assert_int_equal(http_server_stats(world->rig.server).certificate_end_s, PEM_ONE_END_S);
	assert_int_equal(send_to(world, "/", one), 200);
	assert_int_equal(send_to(world, "/", two), 0);
	loop_post(world->rig.loop, reload, world);
	await(&world->reloaded, 1);
	assert_int_equal(send_to(world, "/", two), 200);
	assert_int_equal(send_to(world, "/", one), 200); /* over the connection that it has */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_certificate_is_checked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_long_reply_is_whole, set_up, tear_down),
		cmocka_unit_test(test_handshakes_take_turns_with_requests),
		cmocka_unit_test_setup_teardown(test_an_early_reply_to_a_long_body, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_client_certificates_are_asked_for, set_up_mutual, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_new_certificate_for_new_connections, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
