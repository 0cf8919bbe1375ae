/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_s3_client - a store that says what each test tells it to, in turn: failures, lost answers, lies.
 *
 * Each step of a script serves one connection: it reads a whole request, notes it, and answers, cuts
 * the connection, or keeps silent until the client leaves.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "proto/digest.h"
#include "worker/storage/s3_priv.h"

#define STEPS_MAX   20
#define REQUEST_MAX 8192

enum act { ANSWER, CUT, SILENCE, DRIP };
struct step {
	const char *method; /* that we expect */
	enum act act;
	unsigned status;
	const char *headers; /* each with its line end */
	const char *body;
	uint64_t length; /* for HEAD: the Content-Length, without a body */
};

struct seen {
	char text[REQUEST_MAX];
};

struct script {
	const struct step *steps;
	size_t n;
	int fd;
	unsigned port;
	pthread_t thread;
	size_t served;
	struct seen seen[STEPS_MAX];
};

static struct script script;
static struct store *store;

/* ---- the server ---- */

static size_t read_request(int fd, char *into)
{
	size_t len = 0, want = 0;

	while (len < REQUEST_MAX - 1) {
		ssize_t got = read(fd, into + len, REQUEST_MAX - 1 - len);
		char *end;

		if (got <= 0)
			break;
		len += (size_t)got;
		into[len] = '\0';
		end = strstr(into, "\r\n\r\n");
		if (!end)
			continue;
		struct str length = str_of(strcasestr(into, "\r\nContent-Length: "));
		uint64_t body = 0;
		if (length.at && length.at < end) {
			length = str_from(length.at + 18, length.len - 18);
			CHECK(str_number(&length, REQUEST_MAX, &body));
		}
		want = (size_t)(end - into) + 4 + (size_t)body;
		if (len >= want)
			break;
	}
	return len;
}

static void answer(int fd, const struct step *step)
{
	char text[4096];
	const char *body = step->body ? step->body : "";
	size_t length = step->length ? (size_t)step->length : strlen(body);
	int len = snprintf(text, sizeof text,
		"HTTP/1.1 %u x\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s", step->status, length,
		step->headers ? step->headers : "", body);

	CHECK(write(fd, text, (size_t)len) == len);
}

/* Never silent for long, and never done. */
static void drip(int fd)
{
	static const char head[] = "HTTP/1.1 200 x\r\nETag: \"e\"\r\nContent-Length: 50000\r\n\r\n";
	struct pollfd gone = { .fd = fd, .events = POLLIN };
	ssize_t n = send(fd, head, sizeof head - 1, MSG_NOSIGNAL);

	while (n > 0 && poll(&gone, 1, 20) == 0)
		n = send(fd, "x", 1, MSG_NOSIGNAL);
}

static void serve(int fd)
{
	static const struct step unexpected = { .status = 418 };
	const struct step *step = script.served < script.n ? &script.steps[script.served] : &unexpected;
	char rest[256];

	if (script.served < STEPS_MAX)
		(void)read_request(fd, script.seen[script.served].text);
	script.served++;
	if (step->act == ANSWER)
		answer(fd, step);
	else if (step->act == SILENCE)
		while (read(fd, rest, sizeof rest) > 0)
			;
	else if (step->act == DRIP)
		drip(fd);
}

static void *server(void *arg)
{
	int fd;

	(void)arg;
	while ((fd = accept(script.fd, NULL, NULL)) >= 0) {
		serve(fd);
		(void)shutdown(fd, SHUT_WR);
		(void)close(fd);
	}
	return NULL;
}

static void start_as(const struct step *steps, size_t n, const struct s3_identity *identity)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	struct s3_settings settings = {
		.region = "us-east-1",
		.bucket = "bucket",
		.prefix = "root",
		.access_key = "key",
		.secret_key = "secret",
		.session_token = "token",
		.path_style = true,
		.retries = 3,
		.single_put_max = 8,
		.encryption = "aws:kms",
		.encryption_key = "its-id",
		.storage_class = "STANDARD_IA",
		.user_agent = "tests",
	};
	char endpoint[64];
	struct error err = { 0 };

	if (identity) {
		settings.access_key = settings.secret_key = settings.session_token = NULL;
		settings.identity = identity;
	}
	memset(&script, 0, sizeof script);
	script.steps = steps;
	script.n = n;
	script.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(script.fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(script.fd, 16), 0);
	assert_int_equal(getsockname(script.fd, (struct sockaddr *)&at, &len), 0);
	assert_int_equal(pthread_create(&script.thread, NULL, server, NULL), 0);
	snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u/", ntohs(at.sin_port));
	settings.endpoint = endpoint;
	if (!store_s3_open(&store, &settings, &err))
		fail_msg("%s", err.text);
	s3_store_of(store)->client.backoff_ms = 1;
	s3_store_of(store)->client.stall_ms = 300;
}

static void start(const struct step *steps, size_t n)
{
	start_as(steps, n, NULL);
}

#define SCRIPT(...)                                                                                          \
	static const struct step steps[] = { __VA_ARGS__ };                                                  \
	(void)state;                                                                                         \
	start(steps, sizeof steps / sizeof steps[0])

/* All steps were played, no more, by the methods that were expected. */
static void stop(void)
{
	assert_int_equal(store->driver->requests(store), script.n);
	store->driver->free(store);
	(void)shutdown(script.fd, SHUT_RDWR);
	assert_int_equal(pthread_join(script.thread, NULL), 0);
	(void)close(script.fd);
	assert_int_equal(script.served, script.n);
	for (size_t i = 0; i < script.n; i++)
		if (!str_starts(str_of(script.seen[i].text), script.steps[i].method))
			fail_msg("step %zu: %.40s", i, script.seen[i].text);
}

static void expect_sent(size_t at, const char *line)
{
	if (!strstr(script.seen[at].text, line))
		fail_msg("no \"%s\" in: %s", line, script.seen[at].text);
}

#define SLOW_DOWN "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
#define OLD       "ETag: \"old\"\r\n"
#define NEW       "ETag: \"new\"\r\n"
#define OTHER     "ETag: \"other\"\r\n"
/* Seconds of one minute, of a store whose clock is years behind ours. */
#define AT(second) "Date: Fri, 24 May 2013 00:00:" #second " GMT\r\n"
#define MIDNIGHT   INT64_C(1369353600)

static const struct store_version old = { .text = "old" }, nothing = { .text = "" };

/* ---- keys ---- */

#define ENDED "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"

static void write_keys(const char *path, const char *name)
{
	char text[128];
	struct error err;

	snprintf(text, sizeof text, "[default]\naws_access_key_id=%s\naws_secret_access_key=s\n", name);
	if (!file_write_durable(path, str_of(text), 0600, &err))
		fail_msg("%s", err.text);
}

static void get_with_keys_of(const char *wanted, enum error_kind kind)
{
	AUTO_FINI(buf) into = buf_limit(100);
	struct store_version version;
	struct error err = { 0 };
	bool ok = store->driver->get(store, "x", &into, &version, &err);

	if (ok != (wanted != NULL) || (!ok && err.kind != kind))
		fail_msg("%s", err.text);
	if (wanted)
		assert_string_equal(buf_text(&into), wanted);
}

/* Each of these refusals comes for keys that were changed meanwhile. */
static void refused_keys_are_renewed_once(void **state)
{
	static const struct step again[] = { { "GET", ANSWER, 200, NEW, "before", 0 },
		{ "GET", ANSWER, 403, NULL, ENDED, 0 }, { "GET", ANSWER, 200, NEW, "hello", 0 } };
	static const struct step in_vain[] = { { "GET", ANSWER, 400, NULL, ENDED, 0 } };
	static const struct step denied[] = { { "GET", ANSWER, 403, NULL,
		"<Error><Code>AccessDenied</Code></Error>", 0 } };
	char folder[] = "/tmp/zot-keys-XXXXXX", path[64];
	struct s3_identity identity = { .credentials_file = path, .metadata_off = true };

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/credentials", folder);
	write_keys(path, "ONE");
	start_as(again, 3, &identity);
	get_with_keys_of("before", ERROR_INTERNAL);
	write_keys(path, "TWO");
	get_with_keys_of("hello", ERROR_INTERNAL);
	stop();
	expect_sent(1, "Credential=ONE/");
	expect_sent(2, "Credential=TWO/");
	/* The same ones again: they are not tried again. */
	start_as(in_vain, 1, &identity);
	get_with_keys_of(NULL, ERROR_INTERNAL);
	stop();
	write_keys(path, "THREE");
	start_as(denied, 1, &identity);
	get_with_keys_of(NULL, ERROR_UNAVAILABLE);
	stop();
	(void)unlink(path);
	(void)rmdir(folder);
}

static void without_keys_nothing_is_sent(void **state)
{
	static const struct step none[1];
	const struct s3_identity identity = { .token_file = "/nowhere", .role = "arn:aws:iam::1:role/r" };

	(void)state;
	start_as(none, 0, &identity);
	get_with_keys_of(NULL, ERROR_UNAVAILABLE);
	stop();
}

static void said_of_what_is_made(void **state)
{
	SCRIPT({ "PUT", ANSWER, 200, NEW, NULL, 0 }, { "PUT", ANSWER, 200, NEW, NULL, 0 },
		{ "GET", ANSWER, 200, NEW, "x", 0 });
	struct error err;

	assert_true(store->driver->put(store, "a/index.json", NULL, STR("x"), &err));
	assert_true(store->driver->put(store, "a/blobs/sha256/b", NULL, STR("x"), &err));
	get_with_keys_of("x", ERROR_INTERNAL);
	stop();
	for (size_t i = 0; i < 2; i++) {
		expect_sent(i, "x-amz-server-side-encryption: aws:kms\r\n");
		expect_sent(i, "x-amz-server-side-encryption-aws-kms-key-id: its-id\r\n");
		expect_sent(i, "User-Agent: tests\r\n");
		expect_sent(i, "x-amz-server-side-encryption;x-amz-server-side-encryption-aws-kms-key-id");
	}
	assert_null(strstr(script.seen[0].text, "x-amz-storage-class"));
	expect_sent(1, "x-amz-storage-class: STANDARD_IA\r\n");
	assert_null(strstr(script.seen[2].text, "x-amz-server-side-encryption"));
}

/* ---- one request ---- */

static void get_ok(const char *wanted)
{
	AUTO_FINI(buf) into = buf_limit(100);
	struct store_version version;
	struct error err = { 0 };

	if (!store->driver->get(store, "x/y z", &into, &version, &err))
		fail_msg("%s", err.text);
	assert_string_equal(buf_text(&into), wanted);
}

static void get_fails(enum error_kind kind, const char *word)
{
	AUTO_FINI(buf) into = buf_limit(100);
	struct store_version version;
	struct error err = { 0 };

	assert_false(store->driver->get(store, "x", &into, &version, &err));
	if (err.kind != kind || !strstr(err.text, word))
		fail_msg("%s: %s", error_kind_name(err.kind), err.text);
}

static void tries_again(void **state)
{
	SCRIPT({ "GET", ANSWER, 503, NULL, SLOW_DOWN, 0 }, { "GET", CUT, 0, NULL, NULL, 0 },
		{ "GET", SILENCE, 0, NULL, NULL, 0 }, { "GET", ANSWER, 200, NEW, "hello", 0 });
	get_ok("hello");
	assert_int_equal(store->driver->errors(store), 3);
	stop();
	for (size_t i = 0; i < 4; i++) {
		expect_sent(i, "GET /bucket/root/x/y%20z HTTP/1.1\r\n");
		expect_sent(i, "AWS4-HMAC-SHA256 Credential=key/");
		expect_sent(i, "x-amz-security-token: token\r\n");
	}
}

static void slow_client_is_told_to_retry(void **state)
{
	SCRIPT({ "GET", ANSWER, 400, NULL, "<Error><Code>RequestTimeout</Code></Error>", 0 },
		{ "GET", ANSWER, 429, NULL, NULL, 0 }, { "GET", ANSWER, 200, NEW, "", 0 });
	get_ok("");
	stop();
}

static void gives_up(void **state)
{
	SCRIPT({ "GET", ANSWER, 503, NULL, SLOW_DOWN, 0 }, { "GET", ANSWER, 500, NULL, NULL, 0 },
		{ "GET", ANSWER, 502, NULL, NULL, 0 }, { "GET", ANSWER, 503, NULL, SLOW_DOWN, 0 });
	get_fails(ERROR_UNAVAILABLE, "503 SlowDown: Please reduce");
	stop();
}

static void refusal_is_an_answer(void **state)
{
	SCRIPT({ "GET", ANSWER, 403, NULL,
		"<Error><Code>AccessDenied</Code><Message>No &lt;way&gt;</Message></Error>", 0 });
	get_fails(ERROR_UNAVAILABLE, "403 AccessDenied: No <way> (the key needs");
	assert_int_equal(store->driver->errors(store), 0);
	stop();
}

static void full_store(void **state)
{
	SCRIPT({ "GET", ANSWER, 507, NULL, NULL, 0 });
	get_fails(ERROR_FULL, "507");
	stop();
}

static void redirect_names_the_settings(void **state)
{
	SCRIPT({ "GET", ANSWER, 301, "Location: http://127.0.0.1:1/\r\n",
		"<Error><Code>PermanentRedirect</Code></Error>", 0 });
	get_fails(ERROR_INTERNAL, "see the region and the endpoint");
	stop();
}

static void etag_is_needed(void **state)
{
	SCRIPT({ "GET", ANSWER, 200, NULL, "hello", 0 });
	get_fails(ERROR_INTERNAL, "ETag");
	stop();
}

/* The clock of the store is a day ahead: learnt once, kept. */
static void learns_the_clock(void **state)
{
	static char date[64];
	static struct step steps[3];
	char day[S3_SIGN_TIME_SIZE + 16];

	(void)state;
	memcpy(date, "Date: ", 6);
	clock_http_date(clock_wall_s() + 86400, date + 6);
	memcpy(date + strlen(date), "\r\n", 3);
	steps[0] = (struct step){ "GET", ANSWER, 403, date,
		"<Error><Code>RequestTimeTooSkewed</Code></Error>", 0 };
	steps[1] = steps[2] = (struct step){ "GET", ANSWER, 200, NEW, "x", 0 };
	start(steps, 3);
	get_ok("x");
	get_ok("x");
	stop();
	memcpy(day, "x-amz-date: ", 12);
	s3_sign_time(clock_wall_s() + 86400, day + 12);
	day[20] = '\0'; /* to the day */
	expect_sent(1, day);
	expect_sent(2, day);
}

/* It is not the time that was wrong: not sent again. But the clock is known from here. */
static void any_answer_tells_the_clock(void **state)
{
	SCRIPT({ "GET", ANSWER, 403, AT(00), "<Error><Code>AccessDenied</Code></Error>", 0 },
		{ "GET", ANSWER, 404, AT(07), "<Error><Code>NoSuchKey</Code></Error>", 0 });
	get_fails(ERROR_UNAVAILABLE, "AccessDenied");
	get_fails(ERROR_UNKNOWN, "NoSuchKey");
	assert_in_range(store_clock_s(store, STR_NONE), MIDNIGHT + 7, MIDNIGHT + 9);
	stop();
	assert_null(strstr(script.seen[0].text, "20130524T"));
	expect_sent(1, "x-amz-date: 20130524T00000");
}

static void wall_clock_before_the_first_answer(void **state)
{
	SCRIPT({ "GET", ANSWER, 404, NULL, NULL, 0 });
	assert_in_range(store_clock_s(store, STR_NONE), clock_wall_s() - 1, clock_wall_s());
	get_fails(ERROR_UNKNOWN, "404");
	assert_in_range(store_clock_s(store, STR_NONE), clock_wall_s() - 1, clock_wall_s());
	stop();
}

/* A version carries the Date of the answer that is believed. */
static void versions_have_dates(void **state)
{
	AUTO_FINI(buf) into = buf_limit(100);
	struct store_version version = { .text = "" };
	struct error err = { 0 };

	SCRIPT({ "GET", ANSWER, 503, AT(01), SLOW_DOWN, 0 }, { "GET", ANSWER, 200, OLD AT(02), "x", 0 },
		{ "GET", ANSWER, 304, OLD AT(05), NULL, 0 }, { "GET", ANSWER, 200, NEW AT(06), "y", 0 },
		{ "GET", ANSWER, 200, NEW, "y", 0 });
	assert_true(store->driver->get(store, "x", &into, &version, &err));
	assert_int_equal(version.seen_s, MIDNIGHT + 2);
	assert_int_equal(
		store->driver->get_if_changed(store, "x", &version, &into, &version, &err), STORE_SAME);
	assert_string_equal(version.text, "old");
	assert_int_equal(version.seen_s, MIDNIGHT + 5);
	assert_int_equal(
		store->driver->get_if_changed(store, "x", &version, &into, &version, &err), STORE_OK);
	assert_string_equal(version.text, "new");
	assert_int_equal(version.seen_s, MIDNIGHT + 6);
	assert_true(store->driver->get(store, "x", &into, &version, &err));
	assert_int_equal(version.seen_s, 0);
	stop();
	expect_sent(2, "If-None-Match: \"old\"\r\n");
}

/* ---- compare-and-swap ---- */

static struct store_version got;
static struct error failure;

static void write_gives(enum store_step wanted, const struct store_version *expected, const char *version)
{
	got = (struct store_version){ .text = "untouched" };
	failure = (struct error){ 0 };
	enum store_step step = store->driver->put_if(store, "index", STR("ours"), expected, &got, &failure);

	if (step != wanted)
		fail_msg("%d: %s", (int)step, failure.text);
	assert_string_equal(got.text, version ? version : "untouched");
}

static void expect_unknown(void)
{
	if (failure.kind != ERROR_UNAVAILABLE || !strstr(failure.text, "unknown whether it was written: "))
		fail_msg("%s: %s", error_kind_name(failure.kind), failure.text);
}

static void knows_unquoted(void)
{
	atomic_store(&s3_store_of(store)->quoting, S3_UNQUOTED);
}

static void lost_answer_of_a_success(void **state)
{
	SCRIPT({ "PUT", CUT, 0, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, NEW, NULL, 4 },
		{ "GET", ANSWER, 200, NEW, "ours", 0 });
	write_gives(STORE_OK, &old, "new");
	stop();
	expect_sent(0, "If-Match: old\r\n");
}

static void lost_request(void **state)
{
	SCRIPT({ "PUT", CUT, 0, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, OLD, NULL, 3 },
		{ "PUT", ANSWER, 200, NEW, NULL, 0 });
	write_gives(STORE_OK, &old, "new");
	stop();
}

static void lost_answer_of_a_loser(void **state)
{
	SCRIPT({ "PUT", SILENCE, 0, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, "ETag: \"other\"\r\n", NULL, 4 },
		{ "GET", ANSWER, 200, "ETag: \"other\"\r\n", "them", 0 });
	write_gives(STORE_CONFLICT, &old, NULL);
	stop();
}

static void loser_is_told_500(void **state)
{
	SCRIPT({ "PUT", ANSWER, 500, NULL, NULL, 0 },
		{ "HEAD", ANSWER, 200, "ETag: \"other\"\r\n", NULL, 5 });
	write_gives(STORE_CONFLICT, &old, NULL);
	stop();
}

/* The first attempt lands after we looked; the second is refused because of it. */
static void late_success(void **state)
{
	SCRIPT({ "PUT", CUT, 0, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, OLD, NULL, 3 },
		{ "PUT", ANSWER, 412, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, NEW, NULL, 4 },
		{ "GET", ANSWER, 200, NEW, "ours", 0 });
	knows_unquoted();
	write_gives(STORE_OK, &old, "new");
	stop();
}

/* Refused, and what is there is another's: by its ETag, its length, its bytes. */
static void conflicts(void **state)
{
	SCRIPT({ "PUT", ANSWER, 412, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, OTHER, NULL, 5 },
		{ "PUT", ANSWER, 409, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, OTHER, NULL, 4 },
		{ "GET", ANSWER, 200, OTHER, "them", 0 },
		{ "PUT", ANSWER, 404, NULL, "<Error><Code>NoSuchKey</Code></Error>", 0 },
		{ "HEAD", ANSWER, 404, NULL, NULL, 0 });
	knows_unquoted();
	for (int i = 0; i < 3; i++)
		write_gives(STORE_CONFLICT, &old, NULL);
	stop();
}

static void creates_that_lose(void **state)
{
	SCRIPT({ "PUT", ANSWER, 412, NULL, NULL, 0 }, { "GET", ANSWER, 200, OTHER, "them", 0 },
		{ "PUT", ANSWER, 409, NULL, NULL, 0 }, { "GET", ANSWER, 200, OTHER, "ours, and more", 0 },
		{ "PUT", ANSWER, 412, NULL, NULL, 0 }, { "GET", ANSWER, 404, NULL, NULL, 0 });
	for (int i = 0; i < 2; i++)
		write_gives(STORE_CONFLICT, &nothing, NULL);
	/* What was there may have been ours, and is removed. */
	write_gives(STORE_FAILED, &nothing, NULL);
	expect_unknown();
	stop();
	expect_sent(0, "If-None-Match: *\r\n");
}

/* The first attempt is refused because of itself: it went twice over a wire that we do not see. */
static void refused_though_written(void **state)
{
	SCRIPT({ "PUT", ANSWER, 412, NULL, NULL, 0 }, { "GET", ANSWER, 200, NEW AT(04), "ours", 0 },
		{ "PUT", ANSWER, 409, NULL, NULL, 0 }, { "GET", ANSWER, 200, NEW, "ours", 0 },
		{ "PUT", ANSWER, 412, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, NEW, NULL, 4 },
		{ "GET", ANSWER, 200, NEW, "ours", 0 });
	write_gives(STORE_OK, &nothing, "new");
	assert_int_equal(got.seen_s, MIDNIGHT + 4);
	write_gives(STORE_OK, &nothing, "new");
	write_gives(STORE_OK, &old, "new");
	stop();
}

/* 409 may mean: just now, try again. */
static void refused_for_the_moment(void **state)
{
	SCRIPT({ "PUT", ANSWER, 409, NULL, NULL, 0 }, { "GET", ANSWER, 404, NULL, NULL, 0 },
		{ "PUT", ANSWER, 200, NEW AT(03), NULL, 0 }, { "PUT", ANSWER, 409, NULL, NULL, 0 },
		{ "HEAD", ANSWER, 200, OLD, NULL, 3 }, { "PUT", ANSWER, 200, NEW, NULL, 0 });
	write_gives(STORE_OK, &nothing, "new");
	assert_int_equal(got.seen_s, MIDNIGHT + 3);
	write_gives(STORE_OK, &old, "new");
	stop();
	expect_sent(3, "If-Match: old\r\n");
	expect_sent(5, "If-Match: old\r\n");
}

static void refusal_that_cannot_be_looked_into(void **state)
{
	SCRIPT({ "PUT", ANSWER, 412, NULL, NULL, 0 },
		{ "GET", ANSWER, 403, NULL, "<Error><Code>AccessDenied</Code></Error>", 0 },
		{ "PUT", ANSWER, 412, NULL, NULL, 0 }, { "HEAD", ANSWER, 403, NULL, NULL, 0 });
	write_gives(STORE_FAILED, &nothing, NULL);
	expect_unknown();
	write_gives(STORE_FAILED, &old, NULL);
	expect_unknown();
	stop();
}

/* The second attempt fails for certain, the first may yet arrive. */
static void doubt_stays(void **state)
{
	SCRIPT({ "PUT", CUT, 0, NULL, NULL, 0 }, { "GET", ANSWER, 404, NULL, NULL, 0 },
		{ "PUT", ANSWER, 507, NULL, NULL, 0 }, { "PUT", ANSWER, 507, NULL, NULL, 0 });
	write_gives(STORE_FAILED, &nothing, NULL);
	expect_unknown();
	write_gives(STORE_FAILED, &nothing, NULL);
	assert_int_equal(failure.kind, ERROR_FULL);
	stop();
}

static void no_answer_at_all(void **state)
{
	SCRIPT({ "PUT", CUT, 0, NULL, NULL, 0 }, { "GET", CUT, 0, NULL, NULL, 0 },
		{ "GET", CUT, 0, NULL, NULL, 0 }, { "GET", CUT, 0, NULL, NULL, 0 },
		{ "GET", SILENCE, 0, NULL, NULL, 0 });
	write_gives(STORE_FAILED, &nothing, NULL);
	expect_unknown();
	stop();
}

static void bucket_is_gone(void **state)
{
	SCRIPT({ "PUT", ANSWER, 404, NULL, "<Error><Code>NoSuchBucket</Code></Error>", 0 });
	write_gives(STORE_FAILED, &old, NULL);
	stop();
}

static void create_after_a_lost_request(void **state)
{
	SCRIPT({ "PUT", ANSWER, 503, NULL, SLOW_DOWN, 0 }, { "GET", ANSWER, 404, NULL, NULL, 0 },
		{ "PUT", ANSWER, 200, NEW, NULL, 0 });
	write_gives(STORE_OK, &nothing, "new");
	stop();
	expect_sent(2, "If-None-Match: *\r\n");
}

static void store_wants_quotes(void **state)
{
	SCRIPT({ "PUT", ANSWER, 412, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, OLD, NULL, 3 },
		{ "PUT", ANSWER, 200, NEW, NULL, 0 }, { "PUT", ANSWER, 412, NULL, NULL, 0 },
		{ "HEAD", ANSWER, 200, OTHER, NULL, 3 });
	write_gives(STORE_OK, &old, "new");
	write_gives(STORE_CONFLICT, &old, NULL);
	stop();
	expect_sent(0, "If-Match: old\r\n");
	expect_sent(2, "If-Match: \"old\"\r\n");
	expect_sent(3, "If-Match: \"old\"\r\n");
}

static void store_that_stays_away(void **state)
{
	SCRIPT({ "PUT", ANSWER, 503, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, OLD, NULL, 3 },
		{ "PUT", ANSWER, 503, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, OLD, NULL, 3 },
		{ "PUT", ANSWER, 503, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, OLD, NULL, 3 },
		{ "PUT", ANSWER, 503, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, OLD, NULL, 3 });
	write_gives(STORE_FAILED, &old, NULL);
	expect_unknown();
	stop();
}

/* ---- the log ---- */

static void places_have_dates(void **state)
{
	AUTO_FINI(buf) into = buf_limit(100);
	struct store_log_place place = { .generation = "g", .at = 6 };
	struct error err = { 0 };

	SCRIPT({ "GET", ANSWER, 404, AT(02), "<Error><Code>NoSuchKey</Code></Error>", 0 },
		{ "PUT", ANSWER, 200, NEW AT(03), NULL, 0 }, { "PUT", CUT, 0, NULL, NULL, 0 },
		{ "GET", ANSWER, 200, NEW AT(05), "ours", 0 }, { "PUT", ANSWER, 412, AT(06), NULL, 0 },
		{ "GET", ANSWER, 200, NEW AT(07), "them", 0 });
	assert_int_equal(
		store->driver->log_get(store, "x/index.json", &nothing, &place, &into, &err), STORE_OK);
	assert_int_equal(place.seen_s, MIDNIGHT + 2);
	for (int64_t i = 0; i < 2; i++) {
		assert_int_equal(
			store->driver->log_append(store, "x/index.json", &old, &place, STR("ours"), &err),
			STORE_OK);
		assert_int_equal(place.seen_s, MIDNIGHT + 3 + 2 * i);
		assert_int_equal(place.asked, i);
	}
	assert_int_equal(store->driver->log_append(store, "x/index.json", &old, &place, STR("ours"), &err),
		STORE_CONFLICT);
	assert_int_equal(place.seen_s, MIDNIGHT + 5);
	assert_int_equal(place.at, 8);
	stop();
	expect_sent(0, "GET /bucket/root/x/index.log/g/00000000000000000007 ");
	expect_sent(4, "PUT /bucket/root/x/index.log/g/00000000000000000009 ");
}

/* ---- removing ---- */

#define END (MIDNIGHT + 20)
static struct error removal;

static bool remove_blob(void)
{
	removal = (struct error){ 0 };
	s3_store_of(store)->client.wait_max_ms = 1;
	return store->driver->remove(store, "blob", END, &removal);
}

static void remove_fails(const char *word)
{
	assert_false(remove_blob());
	if (removal.kind != ERROR_UNAVAILABLE || !strstr(removal.text, word))
		fail_msg("%s: %s", error_kind_name(removal.kind), removal.text);
}

static void removes_at_once(void **state)
{
	SCRIPT({ "HEAD", ANSWER, 200, OLD AT(00), NULL, 4 }, { "DELETE", ANSWER, 204, AT(00), NULL, 0 },
		{ "HEAD", ANSWER, 200, OLD AT(01), NULL, 4 }, { "DELETE", ANSWER, 404, AT(01), NULL, 0 });
	for (int i = 0; i < 2; i++)
		if (!remove_blob())
			fail_msg("%s", removal.text);
	stop();
	expect_sent(
		1, "DELETE /bucket/root/blob?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=key%2F201305");
	expect_sent(1, "&X-Amz-Date=20130523T235959Z&X-Amz-Expires=21&X-Amz-Security-Token=token&"
		       "X-Amz-SignedHeaders=host&X-Amz-Signature=");
	assert_null(strcasestr(script.seen[1].text, "\r\nAuthorization:"));
	assert_null(strcasestr(script.seen[1].text, "\r\nx-amz-"));
}

static void removes_what_is_not_there(void **state)
{
	SCRIPT({ "HEAD", ANSWER, 404, AT(00), NULL, 0 });
	assert_false(remove_blob());
	assert_int_equal(removal.kind, ERROR_UNKNOWN);
	stop();
}

/* Told by the HEAD; then it is known, and nothing is asked. */
static void removes_too_late(void **state)
{
	SCRIPT({ "HEAD", ANSWER, 200, OLD AT(20), NULL, 4 });
	remove_fails("is over");
	remove_fails("is over");
	stop();
}

/* The second was answered, the first may be on its way until the end. What is there then was pushed again. */
static void answered_after_a_lost_one(void **state)
{
	SCRIPT({ "HEAD", ANSWER, 200, OLD AT(00), NULL, 4 }, { "DELETE", CUT, 0, NULL, NULL, 0 },
		{ "DELETE", ANSWER, 204, AT(00), NULL, 0 }, { "HEAD", ANSWER, 404, AT(08), NULL, 0 },
		{ "HEAD", ANSWER, 503, AT(30), NULL, 0 }, { "HEAD", CUT, 0, NULL, NULL, 0 },
		{ "HEAD", ANSWER, 404, AT(21), NULL, 0 }, { "HEAD", ANSWER, 200, NEW AT(22), NULL, 4 });
	if (!remove_blob())
		fail_msg("%s", removal.text);
	stop();
}

static void answered_after_a_500(void **state)
{
	SCRIPT({ "HEAD", ANSWER, 200, OLD AT(00), NULL, 4 }, { "DELETE", ANSWER, 500, AT(00), NULL, 0 },
		{ "DELETE", ANSWER, 204, AT(00), NULL, 0 }, { "HEAD", ANSWER, 404, AT(22), NULL, 0 });
	if (!remove_blob())
		fail_msg("%s", removal.text);
	stop();
}

/* Nothing to wait for. */
static void answered_after_a_429(void **state)
{
	SCRIPT({ "HEAD", ANSWER, 200, OLD AT(00), NULL, 4 }, { "DELETE", ANSWER, 429, AT(00), NULL, 0 },
		{ "DELETE", ANSWER, 204, AT(00), NULL, 0 });
	if (!remove_blob())
		fail_msg("%s", removal.text);
	stop();
}

static void never_answered(void **state)
{
	SCRIPT({ "HEAD", ANSWER, 200, OLD AT(00), NULL, 4 }, { "DELETE", CUT, 0, NULL, NULL, 0 },
		{ "DELETE", SILENCE, 0, NULL, NULL, 0 }, { "DELETE", CUT, 0, NULL, NULL, 0 },
		{ "DELETE", CUT, 0, NULL, NULL, 0 }, { "HEAD", ANSWER, 200, OLD AT(21), NULL, 4 },
		{ "HEAD", ANSWER, 404, AT(22), NULL, 0 });
	if (!remove_blob())
		fail_msg("%s", removal.text);
	stop();
}

static void still_there(void **state)
{
	SCRIPT({ "HEAD", ANSWER, 200, OLD AT(00), NULL, 4 }, { "DELETE", ANSWER, 503, NULL, SLOW_DOWN, 0 },
		{ "DELETE", ANSWER, 503, AT(20), SLOW_DOWN, 0 }, { "HEAD", ANSWER, 200, OLD AT(22), NULL, 4 },
		{ "HEAD", ANSWER, 200, OLD AT(00), NULL, 4 }, { "DELETE", ANSWER, 503, NULL, SLOW_DOWN, 0 },
		{ "DELETE", ANSWER, 503, AT(20), SLOW_DOWN, 0 }, { "HEAD", ANSWER, 403, AT(22), NULL, 0 });
	remove_fails("not removed in time: S3 DELETE blob");
	atomic_store(&s3_store_of(store)->client.clock.ahead_ms, 0);
	remove_fails("403");
	stop();
}

static void end_is_not_seen(void **state)
{
	SCRIPT({ "HEAD", ANSWER, 200, OLD AT(19), NULL, 4 }, { "DELETE", CUT, 0, NULL, NULL, 0 },
		{ "HEAD", ANSWER, 404, AT(19), NULL, 0 });
	s3_store_of(store)->client.attempts = 1;
	s3_store_of(store)->client.give_up_ms = 0;
	s3_store_of(store)->client.wait_max_ms = 10000;
	removal = (struct error){ 0 };
	assert_false(store->driver->remove(store, "blob", END, &removal));
	assert_int_equal(removal.kind, ERROR_UNAVAILABLE);
	assert_non_null(strstr(removal.text, "unknown whether it was removed"));
	stop();
}

static void signature_is_not_understood(void **state)
{
	SCRIPT({ "HEAD", ANSWER, 200, OLD AT(00), NULL, 4 },
		{ "DELETE", ANSWER, 403, AT(00), "<Error><Code>SignatureDoesNotMatch</Code></Error>", 0 },
		{ "HEAD", ANSWER, 200, OLD AT(00), NULL, 4 },
		{ "DELETE", ANSWER, 400, AT(00), "<Error><Code>InvalidArgument</Code></Error>", 0 },
		{ "HEAD", ANSWER, 200, OLD AT(00), NULL, 4 },
		{ "DELETE", ANSWER, 403, AT(00), "<Error><Code>AccessDenied</Code></Error>", 0 });
	remove_fails("takes no DELETE that is signed in its URL: 403 SignatureDoesNotMatch, key blob");
	remove_fails("takes no DELETE that is signed in its URL: 400 InvalidArgument");
	remove_fails("403 AccessDenied (the key needs");
	stop();
}

/* ---- parts ---- */

#define UPLOAD "<InitiateMultipartUploadResult><UploadId>up/1</UploadId></InitiateMultipartUploadResult>"

static bool push(struct error *err)
{
	char path[] = "/tmp/test_s3_client.XXXXXX";
	AUTO_FD fd = mkstemp(path);
	struct digest digest = digest_of(HASH_SHA256, STR("hello, parts"));

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(write(fd, "hello, parts", 12), 12);
	return store->driver->put_file(store, "blob", &digest, fd, path, 12, err);
}

static void keys_that_end_between_two_parts(void **state)
{
	static const struct step steps[] = { { "GET", ANSWER, 200, NEW, "x", 0 },
		{ "HEAD", ANSWER, 404, NULL, NULL, 0 }, { "POST", ANSWER, 200, NULL, UPLOAD, 0 },
		{ "PUT", ANSWER, 400, NULL, ENDED, 0 }, { "PUT", ANSWER, 200, NEW, NULL, 0 },
		{ "POST", ANSWER, 200, NULL, "<CompleteMultipartUploadResult/>", 0 } };
	char folder[] = "/tmp/zot-keys-XXXXXX", path[64];
	const struct s3_identity identity = { .credentials_file = path, .metadata_off = true };
	struct error err = { 0 };

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/credentials", folder);
	write_keys(path, "ONE");
	start_as(steps, 6, &identity);
	get_with_keys_of("x", ERROR_INTERNAL);
	write_keys(path, "TWO");
	if (!push(&err))
		fail_msg("%s", err.text);
	stop();
	expect_sent(3, "Credential=ONE/");
	expect_sent(4, "Credential=TWO/");
	expect_sent(5, "Credential=TWO/");
	(void)unlink(path);
	(void)rmdir(folder);
}

static void error_in_a_200(void **state)
{
	struct error err = { 0 };

	SCRIPT({ "HEAD", ANSWER, 404, NULL, NULL, 0 }, { "POST", ANSWER, 200, NULL, UPLOAD, 0 },
		{ "PUT", ANSWER, 503, NULL, SLOW_DOWN, 0 }, { "PUT", ANSWER, 200, NEW, NULL, 0 },
		{ "POST", ANSWER, 200, NULL, "\n\n<Error><Code>InternalError</Code></Error>", 0 },
		{ "POST", ANSWER, 200, NULL, "<CompleteMultipartUploadResult/>", 0 });
	if (!push(&err))
		fail_msg("%s", err.text);
	stop();
	expect_sent(1, "POST /bucket/root/blob?uploads");
	expect_sent(3, "PUT /bucket/root/blob?partNumber=1&uploadId=up%2F1 ");
	expect_sent(3, "\r\n\r\nhello, parts");
	expect_sent(4, "<Part><PartNumber>1</PartNumber><ETag>&quot;new&quot;</ETag></Part>");
}

static void lost_answer_of_a_completion(void **state)
{
	struct error err = { 0 };

	SCRIPT({ "HEAD", ANSWER, 404, NULL, NULL, 0 }, { "POST", ANSWER, 200, NULL, UPLOAD, 0 },
		{ "PUT", ANSWER, 200, NEW, NULL, 0 }, { "POST", CUT, 0, NULL, NULL, 0 },
		{ "POST", ANSWER, 404, NULL, "<Error><Code>NoSuchUpload</Code></Error>", 0 },
		{ "HEAD", ANSWER, 200, NEW, NULL, 12 });
	if (!push(&err))
		fail_msg("%s", err.text);
	stop();
}

static void refused_part_ends_the_upload(void **state)
{
	struct error err = { 0 };

	SCRIPT({ "HEAD", ANSWER, 404, NULL, NULL, 0 }, { "POST", ANSWER, 200, NULL, UPLOAD, 0 },
		{ "PUT", ANSWER, 400, NULL, "<Error><Code>XAmzContentSHA256Mismatch</Code></Error>", 0 },
		{ "DELETE", ANSWER, 204, NULL, NULL, 0 });
	assert_false(push(&err));
	assert_non_null(strstr(err.text, "XAmzContentSHA256Mismatch"));
	stop();
	expect_sent(3, "DELETE /bucket/root/blob?uploadId=up%2F1 ");
}

static void many_parts_grow(void **state)
{
	(void)state;
	assert_int_equal(s3_part_size(0, 16 * S3_MIB), 16 * S3_MIB);
	assert_int_equal(s3_part_size(160000 * S3_MIB, 16 * S3_MIB), 16 * S3_MIB);
	assert_int_equal(s3_part_size(160000 * S3_MIB + 1, 16 * S3_MIB), 17 * S3_MIB);
	assert_true(s3_part_size(S3_PART_MAX * S3_PARTS_MAX, 1) <= S3_PART_MAX);
}

/* ---- lists ---- */

static bool never(void *arg, struct str name)
{
	(void)arg;
	(void)name;
	return true;
}

static void list_fails(const char *word)
{
	struct error err = { 0 };
	bool more;

	assert_false(store->driver->list(store, "_catalog/", STR_NONE, 5, never, NULL, &more, &err));
	if (!strstr(err.text, word))
		fail_msg("%s", err.text);
}

static void lies_in_lists(void **state)
{
	SCRIPT({ "GET", ANSWER, 200, NULL, "<html>hello</html>", 0 },
		{ "GET", ANSWER, 200, NULL,
			"<ListBucketResult><IsTruncated>false</IsTruncated><Key>root/other</Key></"
			"ListBucketResult>",
			0 },
		{ "GET", ANSWER, 200, NULL,
			"<ListBucketResult><IsTruncated>false</IsTruncated><Key>&bad;</Key></"
			"ListBucketResult>",
			0 });
	list_fails("not a list");
	list_fails("not asked for");
	list_fails("not readable");
	stop();
}

static void list_without_an_end(void **state)
{
	static struct step steps[17];

	(void)state;
	for (size_t i = 0; i < 17; i++)
		steps[i] = (struct step){ "GET", ANSWER, 200, NULL,
			"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</"
			"NextContinuationToken>"
			"</ListBucketResult>",
			0 };
	start(steps, 17);
	list_fails("nothing new");
	stop();
	expect_sent(1, "?continuation-token=t&list-type=2&max-keys=5&prefix=root%2F_catalog%2F ");
}

static int once(void **state)
{
	(void)state;
	http_client_init();
	return 0;
}

/* The stall never comes, and it ends all the same. */
static void an_answer_that_drips_ends(void **state)
{
	SCRIPT({ "GET", DRIP, 0, NULL, NULL, 0 }, { "GET", DRIP, 0, NULL, NULL, 0 },
		{ "GET", DRIP, 0, NULL, NULL, 0 }, { "GET", DRIP, 0, NULL, NULL, 0 });
	AUTO_FINI(buf) into = buf_limit(1000);
	struct error err;

	assert_false(store->driver->get(store, "key", &into, NULL, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	stop();
}

static void a_date_that_no_clock_has_is_none(void **state)
{
	static const char *const dates[] = { "Fri, 31 Dec 9999 23:59:59 GMT", "Thu, 01 Jan 0001 00:00:00 GMT",
		"Thu, 01 Jan 1970 00:00:00 GMT", "junk" };
	struct http_result result = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
		result.headers = http_headers_new();
		assert_true(http_headers_add(result.headers, STR("Date"), str_of(dates[i])));
		assert_int_equal(s3_client_date(&result), 0);
		http_headers_free(result.headers);
	}
	result.headers = http_headers_new();
	assert_true(http_headers_add(result.headers, STR("Date"), STR("Sat, 21 Nov 2026 20:00:00 GMT")));
	assert_int_equal(s3_client_date(&result), INT64_C(1795291200));
	http_headers_free(result.headers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_keys_are_renewed_once),
		cmocka_unit_test(without_keys_nothing_is_sent),
		cmocka_unit_test(said_of_what_is_made),
		cmocka_unit_test(an_answer_that_drips_ends),
		cmocka_unit_test(a_date_that_no_clock_has_is_none),
		cmocka_unit_test(tries_again),
		cmocka_unit_test(slow_client_is_told_to_retry),
		cmocka_unit_test(gives_up),
		cmocka_unit_test(refusal_is_an_answer),
		cmocka_unit_test(full_store),
		cmocka_unit_test(redirect_names_the_settings),
		cmocka_unit_test(etag_is_needed),
		cmocka_unit_test(learns_the_clock),
		cmocka_unit_test(any_answer_tells_the_clock),
		cmocka_unit_test(wall_clock_before_the_first_answer),
		cmocka_unit_test(versions_have_dates),
		cmocka_unit_test(lost_answer_of_a_success),
		cmocka_unit_test(lost_request),
		cmocka_unit_test(lost_answer_of_a_loser),
		cmocka_unit_test(loser_is_told_500),
		cmocka_unit_test(late_success),
		cmocka_unit_test(conflicts),
		cmocka_unit_test(creates_that_lose),
		cmocka_unit_test(refused_though_written),
		cmocka_unit_test(refused_for_the_moment),
		cmocka_unit_test(refusal_that_cannot_be_looked_into),
		cmocka_unit_test(doubt_stays),
		cmocka_unit_test(no_answer_at_all),
		cmocka_unit_test(bucket_is_gone),
		cmocka_unit_test(create_after_a_lost_request),
		cmocka_unit_test(store_wants_quotes),
		cmocka_unit_test(store_that_stays_away),
		cmocka_unit_test(places_have_dates),
		cmocka_unit_test(removes_at_once),
		cmocka_unit_test(removes_what_is_not_there),
		cmocka_unit_test(removes_too_late),
		cmocka_unit_test(answered_after_a_lost_one),
		cmocka_unit_test(answered_after_a_500),
		cmocka_unit_test(answered_after_a_429),
		cmocka_unit_test(never_answered),
		cmocka_unit_test(still_there),
		cmocka_unit_test(end_is_not_seen),
		cmocka_unit_test(signature_is_not_understood),
		cmocka_unit_test(keys_that_end_between_two_parts),
		cmocka_unit_test(error_in_a_200),
		cmocka_unit_test(lost_answer_of_a_completion),
		cmocka_unit_test(refused_part_ends_the_upload),
		cmocka_unit_test(many_parts_grow),
		cmocka_unit_test(lies_in_lists),
		cmocka_unit_test(list_without_an_end),
	};

	return cmocka_run_group_tests(tests, once, NULL);
}
