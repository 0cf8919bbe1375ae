/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_s3_credentials - a container's agent that answers what each test tells it to, the last for ever.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "s3/s3_credentials.h"

#define DATE "Sat, 22 Nov 2025 12:00:00 GMT"
/* Good for so many seconds from DATE on. */
#define KEYS(name, second)                                                                                   \
	"{\"AccessKeyId\":\"" name                                                                           \
	"\",\"SecretAccessKey\":\"hidden\",\"Token\":\"t\",\"Expiration\":\"2025-11-22T12:00:" #second       \
	"Z\"}"
#define REQUEST_MAX 4096

struct step {
	unsigned status; /* 0: silence */
	const char *body;
	size_t padding; /* bytes behind it */
};

static struct agent {
	const struct step *steps;
	size_t n;
	int fd;
	atomic_int silent; /* a connection on which nothing is said */
	pthread_t thread;
	atomic_size_t served;
	char last[REQUEST_MAX];
} agent;

static void answer(int fd, const struct step *step)
{
	char head[256];
	size_t len = strlen(step->body);
	AUTO_STR *padding = check_alloc(step->padding + 1, 1);
	int head_len = snprintf(head, sizeof head,
		"HTTP/1.1 %u x\r\nConnection: close\r\nDate: " DATE "\r\nContent-Length: %zu\r\n\r\n",
		step->status, len + step->padding);

	memset(padding, ' ', step->padding);
	(void)send(fd, head, (size_t)head_len, MSG_NOSIGNAL);
	(void)send(fd, step->body, len, MSG_NOSIGNAL);
	(void)send(fd, padding, step->padding, MSG_NOSIGNAL);
}

static void serve(int fd)
{
	size_t at = atomic_load(&agent.served), len = 0;
	const struct step *step = &agent.steps[at < agent.n ? at : agent.n - 1];
	char rest[64];

	while (len < REQUEST_MAX - 1) {
		ssize_t got = read(fd, agent.last + len, REQUEST_MAX - 1 - len);

		if (got <= 0)
			break;
		len += (size_t)got;
		agent.last[len] = '\0';
		if (strstr(agent.last, "\r\n\r\n"))
			break;
	}
	atomic_fetch_add(&agent.served, 1);
	if (step->status)
		answer(fd, step);
	atomic_store(&agent.silent, step->status ? 0 : fd);
	while (!step->status && read(fd, rest, sizeof rest) > 0)
		;
}

static void *run(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(agent.fd, NULL, NULL)) >= 0) {
		serve(fd);
		(void)close(fd);
	}
	return NULL;
}

static struct s3_credentials *start(const struct step *steps, size_t n)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	struct s3_credentials *credentials;
	struct s3_identity identity = { .container_token = "Basic secret" };
	char url[64];
	struct error err;

	memset(&agent, 0, sizeof agent);
	agent.steps = steps;
	agent.n = n;
	agent.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(agent.fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(agent.fd, 16), 0);
	assert_int_equal(getsockname(agent.fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(pthread_create(&agent.thread, NULL, run, NULL), 0);
	snprintf(url, sizeof url, "http://127.0.0.1:%u/keys?x=y", ntohs(at.sin_port));
	identity.container_url = url;
	if (!s3_credentials_new(&credentials, &identity, "eu-west-3", &err))
		fail_msg("%s", err.text);
	return credentials;
}

#define START(...)                                                                                           \
	static const struct step steps[] = { __VA_ARGS__ };                                                  \
	struct s3_credentials *credentials = start(steps, sizeof steps / sizeof steps[0]);                   \
	(void)state

static void stop(struct s3_credentials *credentials)
{
	if (atomic_load(&agent.silent))
		(void)shutdown(atomic_load(&agent.silent), SHUT_RDWR);
	s3_credentials_free(credentials);
	(void)shutdown(agent.fd, SHUT_RDWR);
	assert_int_equal(pthread_join(agent.thread, NULL), 0);
	(void)close(agent.fd);
}

/* The number; 0: none, and why. */
static uint64_t now(struct s3_credentials *credentials, const char *access_key, struct error *err)
{
	const struct s3_lent *lent = s3_credentials_now(credentials, err);
	uint64_t number = lent ? lent->number : 0;

	if (lent && access_key)
		assert_string_equal(lent->loan.access_key, access_key);
	if (lent)
		s3_credentials_drop(credentials, lent);
	return number;
}

static void sleep_ms(int ms)
{
	(void)poll(NULL, 0, ms);
}

static void keys_of_the_settings(void **state)
{
	const struct s3_identity identity = { .access_key = "a", .secret_key = "s" };
	struct s3_credentials *credentials;
	struct error err;

	(void)state;
	assert_true(s3_credentials_new(&credentials, &identity, "eu-west-3", &err));
	assert_int_equal(now(credentials, "a", &err), 1);
	assert_false(s3_credentials_refused(credentials, 1, 1000));
	assert_int_equal(s3_credentials_others(credentials, 1, true), S3_OTHERS_NONE);
	assert_string_equal(s3_credentials_source(credentials), "settings (keys)");
	s3_credentials_free(credentials);
}

static void *need(void *arg)
{
	struct error err;

	s3_credentials_await(arg, 20000);
	return now(arg, "one", &err) == 1 ? arg : NULL;
}

static void asked_once_for_all(void **state)
{
	pthread_t threads[8];
	void *fine;

	START({ 200, KEYS("one", 59), 0 });
	assert_int_equal(atomic_load(&agent.served), 0);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, need, credentials), 0);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(pthread_join(threads[i], &fine), 0);
		assert_non_null(fine);
	}
	assert_int_equal(atomic_load(&agent.served), 1);
	assert_non_null(strstr(agent.last, "GET /keys?x=y HTTP"));
	assert_non_null(strstr(agent.last, "\r\nAuthorization: Basic secret\r\n"));
	stop(credentials);
}

static void renewed_before_they_end(void **state)
{
	uint64_t number = 1;
	struct error err;

	START({ 200, KEYS("one", 04), 0 }, { 200, KEYS("two", 59), 0 });
	s3_credentials_await(credentials, 20000);
	assert_int_equal(now(credentials, "one", &err), 1);
	while (number == 1) {
		number = now(credentials, NULL, &err);
		if (!number)
			fail_msg("%s", err.text);
		sleep_ms(5);
	}
	assert_int_equal(now(credentials, "two", &err), 2);
	stop(credentials);
}

static void good_until_they_end(void **state)
{
	struct error err;
	int64_t begun = clock_ms();

	START({ 200, KEYS("one", 02), 0 }, { 500, "<Error><Code>Oops</Code></Error>", 0 });
	s3_credentials_await(credentials, 20000);
	assert_int_equal(now(credentials, "one", &err), 1);
	while (now(credentials, NULL, &err))
		sleep_ms(5);
	assert_true(clock_ms() - begun >= 1500);
	assert_true(atomic_load(&agent.served) >= 2);
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "no more keys for S3"));
	assert_non_null(strstr(err.text, "500 Oops"));
	stop(credentials);
}

static void comes_back(void **state)
{
	struct error err;

	START({ 503, "", 0 }, { 200, KEYS("one", 59), 0 });
	s3_credentials_await(credentials, 20000);
	assert_int_equal(now(credentials, NULL, &err), 0);
	assert_non_null(strstr(err.text, "AWS_CONTAINER_CREDENTIALS_FULL_URI"));
	while (!now(credentials, NULL, &err))
		sleep_ms(5);
	assert_int_equal(now(credentials, "one", &err), 1);
	stop(credentials);
}

static void refused_by_the_store(void **state)
{
	struct error err;

	START({ 200, KEYS("one", 59), 0 }, { 200, KEYS("two", 59), 0 }, { 200, KEYS("three", 59), 0 });
	s3_credentials_await(credentials, 20000);
	assert_int_equal(now(credentials, "one", &err), 1);
	assert_true(s3_credentials_refused(credentials, 1, 20000));
	assert_int_equal(now(credentials, "two", &err), 2);
	/* Somebody else had the old ones too. */
	assert_true(s3_credentials_refused(credentials, 1, 20000));
	/* Not again so soon. */
	assert_false(s3_credentials_refused(credentials, 2, 20000));
	assert_int_equal(atomic_load(&agent.served), 2);
	stop(credentials);
}

static void others_without_waiting(void **state)
{
	struct error err;

	START({ 200, KEYS("one", 59), 0 }, { 200, KEYS("two", 59), 0 }, { 0, NULL, 0 });
	assert_int_equal(s3_credentials_others(credentials, 0, false), S3_OTHERS_NONE);
	assert_int_equal(now(credentials, NULL, &err), 0);
	while (s3_credentials_others(credentials, 0, false) == S3_OTHERS_ASKED_FOR)
		sleep_ms(1);
	assert_int_equal(s3_credentials_others(credentials, 0, false), S3_OTHERS_THERE);
	/* Nobody refused them, so nobody asks for others. */
	assert_int_equal(s3_credentials_others(credentials, 1, false), S3_OTHERS_NONE);
	assert_int_equal(atomic_load(&agent.served), 1);
	assert_int_equal(s3_credentials_others(credentials, 1, true), S3_OTHERS_ASKED_FOR);
	while (s3_credentials_others(credentials, 1, true) == S3_OTHERS_ASKED_FOR)
		sleep_ms(1);
	assert_int_equal(s3_credentials_others(credentials, 1, true), S3_OTHERS_THERE);
	assert_int_equal(now(credentials, "two", &err), 2);
	/* Not again so soon. */
	assert_int_equal(s3_credentials_others(credentials, 2, true), S3_OTHERS_NONE);
	assert_int_equal(atomic_load(&agent.served), 2);
	stop(credentials);
}

static void fails(const struct step *steps, const char *word)
{
	struct s3_credentials *credentials = start(steps, 1);
	struct error err;

	s3_credentials_await(credentials, 20000);
	assert_int_equal(now(credentials, NULL, &err), 0);
	if (!strstr(err.text, word) || strstr(err.text, "hidden"))
		fail_msg("%s", err.text);
	stop(credentials);
}

static void answers_that_are_none(void **state)
{
	static const struct step wrong[] = { { 200, "<html>", 0 }, { 200, KEYS("a b", 59), 0 },
		{ 200, KEYS("one", 00), 0 }, { 200, KEYS("one", 59), 1024 * 1024 },
		{ 403, "{\"code\":\"AccessDenied\",\"message\":\"the pod has no association\"}", 0 } };
	static const char *const words[] = { "no JSON", "access key has a character", "ended already", "over",
		"403: the pod has no association" };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		fails(&wrong[i], words[i]);
}

static void nobody_waits_longer_than_told(void **state)
{
	struct error err;

	START({ 0, NULL, 0 });
	s3_credentials_await(credentials, 50);
	assert_int_equal(now(credentials, NULL, &err), 0);
	assert_non_null(strstr(err.text, "no keys for S3"));
	stop(credentials);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_the_settings),
		cmocka_unit_test(asked_once_for_all),
		cmocka_unit_test(renewed_before_they_end),
		cmocka_unit_test(good_until_they_end),
		cmocka_unit_test(comes_back),
		cmocka_unit_test(refused_by_the_store),
		cmocka_unit_test(others_without_waiting),
		cmocka_unit_test(answers_that_are_none),
		cmocka_unit_test(nobody_waits_longer_than_told),
	};

	return cmocka_run_group_tests_name("s3_credentials", tests, NULL, NULL);
}
