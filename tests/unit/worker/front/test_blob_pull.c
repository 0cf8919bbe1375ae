/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A blob in a bucket streams to the client: behind the worker stands a scripted object store.
 */
#include "tests/unit/worker/front/front_rig.h"

#include "common/log.h"
#include "s3/s3_endpoint.h"

#define SIZE        (2 * 1024 * 1024 + 3)
#define BLOB_DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define BLOB        "/v2/a/blobs/" BLOB_DIGEST

enum wrong { RIGHT, PLACE, LONG, SHORT };

static struct {
	struct rig rig;
	char *bytes;
	atomic_uint gets, refusals; /* requests; how many are answered 503 first */
	atomic_uint status;         /* of all, if not 0 */
	atomic_bool cut;
	atomic_uint wrong_from; /* the ranged request from which on it answers wrongly, if not 0 */
	atomic_uint wrong;      /* how */
} bucket;

static struct http_response *reply_part(const char *range)
{
	struct http_response *response;
	uint64_t first = 0, last = SIZE - 1, len;
	unsigned wrong = RIGHT;
	struct str s = str_of(range);

	assert_true(str_skip(&s, "bytes="));
	if (str_number(&s, UINT64_MAX, &first)) {
		assert_true(str_skip(&s, "-"));
		(void)str_number(&s, UINT64_MAX, &last);
	} else {
		assert_true(str_skip(&s, "-") && str_number(&s, UINT64_MAX, &first));
		first = SIZE - first;
	}
	if (first >= SIZE)
		return http_response_empty(416);
	last = last < SIZE ? last : SIZE - 1;
	if (bucket.wrong_from && bucket.gets >= bucket.wrong_from)
		wrong = bucket.wrong;
	first += wrong == PLACE;
	last += wrong == PLACE;
	len = last - first + 1 + (wrong == LONG) - (wrong == SHORT);
	response = http_response_copy(206, str_from(bucket.bytes + first, len));
	http_response_headerf(
		response, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%d", first, last, SIZE);
	return response;
}

static struct http_response *reply_cut(struct http_request *request)
{
	struct pipe *pipe = pipe_new(http_request_loop(request), 64 * 1024);
	struct http_response *response = http_response_pipe(200, pipe, SIZE);
	size_t taken;

	assert_int_equal(pipe_write(pipe, bucket.bytes, 1000, &taken), PIPE_OK);
	pipe_unref_writer(pipe);
	return response;
}

static void on_request(void *app, struct http_request *request)
{
	const char *range = http_request_header(request, "Range");
	struct http_response *response;

	(void)app;
	bucket.gets++;
	if (bucket.refusals) {
		bucket.refusals--;
		response = http_response_empty(503);
	} else if (bucket.status) {
		response = http_response_empty(bucket.status);
	} else if (http_request_method(request) == HTTP_HEAD) {
		response = http_response_announce(200, SIZE);
	} else if (bucket.cut) {
		response = reply_cut(request);
	} else if (range) {
		response = reply_part(range);
	} else {
		response = http_response_copy(200, str_from(bucket.bytes, SIZE));
	}
	http_request_reply(request, response);
}

static void on_done(void *app, struct http_request *request)
{
	(void)app;
	(void)request;
}

static int setup(void **state)
{
	struct s3_settings s3 = { .region = "us-east-1",
		.bucket = "blobs",
		.prefix = "",
		.access_key = "k",
		.secret_key = "s",
		.path_style = true,
		.retries = 1 };
	struct front_rig_settings how = { .self = "one" };
	uint16_t port = 0;
	char endpoint[64];

	memset(&bucket, 0, sizeof(bucket));
	bucket.bytes = malloc(SIZE);
	for (size_t i = 0; i < SIZE; i++)
		bucket.bytes[i] = (char)(i * 13 + i / 777);
	rig_open(&bucket.rig, rig_listen(&port, false), (struct http_app){ NULL, on_request, on_done, NULL });
	rig_run(&bucket.rig);
	(void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", port);
	s3.endpoint = endpoint;
	assert_true(store_s3_open(&how.store, &s3, NULL));
	*state = front_rig_open(&how);
	return 0;
}

static int teardown(void **state)
{
	front_rig_close(*state, true);
	rig_close(&bucket.rig);
	free(bucket.bytes);
	return 0;
}

static void a_blob_streams(void **state)
{
	struct http_result got;

	rig_ask(*state, "GET", BLOB, STR_NONE, &got, NULL);
	assert_int_equal(got.status, 200);
	assert_int_equal(got.body.len, SIZE);
	assert_memory_equal(got.body.at, bucket.bytes, SIZE);
	assert_string_equal(rig_header(&got, "Docker-Content-Digest"), &BLOB[strlen("/v2/a/blobs/")]);
	assert_int_equal(bucket.gets, 1);
	http_result_fini(&got);
	rig_ask(*state, "HEAD", BLOB, STR_NONE, &got, NULL);
	assert_int_equal(got.status, 200);
	assert_string_equal(rig_header(&got, "Content-Length"), "2097155");
	http_result_fini(&got);
}

static void ranges_go_to_the_store(void **state)
{
	static const struct {
		const char *range;
		unsigned status;
		size_t first, len;
	} samples[] = {
		{ "bytes=0-9", 206, 0, 10 },
		{ "bytes=100-", 206, 100, SIZE - 100 },
		{ "bytes=-7", 206, SIZE - 7, 7 },
		{ "bytes=2097150-99999999", 206, 2097150, 5 },
		{ "bytes=99999999-", 416, 0, 0 },
		{ "bytes=9-0", 416, 0, 0 },
		{ "bytes=0-1,1-5", 206, 0, 6 },
		{ "bytes=0-1,99999999-", 206, 0, 2 },
		{ "bytes=99999999-,99999998-", 416, 0, 0 },
		{ "bytes=0-1,x", 200, 0, SIZE },
		{ "bytes=0-,0-0,1-1,2-2,3-3,4-4,5-5,6-6,7-7,8-8,9-9,10-10,11-11,12-12,13-13,14-14,15-15", 416,
			0, 0 },
	};
	struct http_result got;

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const char *headers[] = { "Range", samples[i].range, NULL };
		rig_ask(*state, "GET", BLOB, STR_NONE, &got, headers);
		assert_int_equal(got.status, samples[i].status);
		assert_int_equal(got.body.len, samples[i].len);
		assert_memory_equal(buf_text(&got.body), bucket.bytes + samples[i].first, samples[i].len);
		if (got.status == 416)
			assert_string_equal(rig_header(&got, "Content-Range"), "bytes */2097155");
		http_result_fini(&got);
	}
}

/* Checks one part of a multipart body at *at, and moves behind it. */
static void expect_part(
	const struct http_result *got, const char *boundary, size_t *at, size_t first, size_t len)
{
	AUTO_FINI(buf) frame = buf_limit(1024);

	buf_format(&frame,
		"%s--%s\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes %zu-%zu/%d\r\n\r\n",
		*at ? "\r\n" : "", boundary, first, first + len - 1, SIZE);
	assert_true(got->body.len >= *at + frame.len + len);
	assert_memory_equal(got->body.at + *at, frame.at, frame.len);
	assert_memory_equal(got->body.at + *at + frame.len, bucket.bytes + first, len);
	*at += frame.len + len;
}

static const char *expect_multipart(const struct http_result *got)
{
	static const char type[] = "multipart/byteranges; boundary=";
	const char *header = rig_header(got, "Content-Type");

	assert_int_equal(got->status, 206);
	assert_memory_equal(header, type, strlen(type));
	assert_null(http_headers_find(got->headers, "Content-Range"));
	assert_string_equal(rig_header(got, "ETag"), "\"" BLOB_DIGEST "\"");
	assert_true((size_t)atoll(rig_header(got, "Content-Length")) == got->body.len);
	return header + strlen(type);
}

static void several_ranges_are_fetched_one_by_one(void **state)
{
	const char *headers[] = { "Range", "bytes=-7, 5-5,1000-999999", NULL };
	const char *boundary;
	struct http_result got;
	size_t at = 0;
	char end[64];

	bucket.refusals = 1;
	rig_ask(*state, "GET", BLOB, STR_NONE, &got, headers);
	boundary = expect_multipart(&got);
	expect_part(&got, boundary, &at, 5, 1);
	expect_part(&got, boundary, &at, 1000, 999000);
	expect_part(&got, boundary, &at, SIZE - 7, 7);
	(void)snprintf(end, sizeof(end), "\r\n--%s--\r\n", boundary);
	assert_string_equal(buf_text(&got.body) + at, end);
	assert_int_equal(bucket.gets, 5);
	http_result_fini(&got);
}

/* The store says something else for a part than for the first byte. */
static void a_part_that_is_not_there_cuts_the_answer(void **state)
{
	struct front_rig *rig = *state;
	AUTO(http_headers) *headers = http_headers_new();
	struct http_call_spec spec = { .method = "GET", .headers = headers };
	struct http_result got;
	char url[256];

	(void)snprintf(url, sizeof(url), "%s%s", rig->url, BLOB);
	spec.url = url;
	assert_true(http_headers_add(headers, STR("Range"), STR("bytes=0-1,1000-1999")));
	for (unsigned how = PLACE; how <= SHORT; how++) {
		bucket.gets = 0;
		bucket.wrong_from = 3; /* the first byte, the first part, the second */
		bucket.wrong = how;
		http_result_init(&got, SIZE * 2);
		assert_false(http_send(&spec, &got, NULL));
		http_result_fini(&got);
	}
}

static int ask_for_parts(const struct front_rig *rig)
{
	int fd = dial(rig->http.port);
	char byte;

	put(fd, "GET " BLOB " HTTP/1.1\r\nHost: x\r\nRange: bytes=0-999999,1000001-\r\n\r\n");
	assert_int_equal(read(fd, &byte, 1), 1);
	return fd;
}

/* Parts are under way when the client leaves, and when the worker ends: nothing stays, nothing runs
 * afterwards. */
static void an_end_in_the_middle_of_parts(void **state)
{
	struct front_rig *rig = *state;
	counter *done = &rig->own.counters.http_ended_total;
	int fds[4];

	for (size_t i = 0; i < 4; i++)
		fds[i] = ask_for_parts(rig);
	for (size_t i = 0; i < 4; i++)
		(void)close(fds[i]);
	for (int64_t end = clock_ms() + 20000; counter_get(done) < 4 && clock_ms() < end;)
		(void)poll(NULL, 0, 2);
	assert_int_equal(counter_get(done), 4);
	/* These two are open when the teardown ends the worker. */
	(void)ask_for_parts(rig);
	(void)ask_for_parts(rig);
}

static void an_overloaded_store_is_asked_again(void **state)
{
	struct http_result got;

	bucket.refusals = 2;
	rig_ask(*state, "GET", BLOB, STR_NONE, &got, NULL);
	assert_int_equal(got.status, 200);
	assert_int_equal(got.body.len, SIZE);
	assert_int_equal(bucket.gets, 3);
	http_result_fini(&got);
}

static void what_the_store_says_is_translated(void **state)
{
	static const struct {
		unsigned theirs, ours;
	} samples[] = { { 404, 404 }, { 403, 503 }, { 500, 503 } };
	struct http_result got;

	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		bucket.status = samples[i].theirs;
		rig_ask(*state, "GET", BLOB, STR_NONE, &got, NULL);
		assert_int_equal(got.status, samples[i].ours);
		if (got.status == 503)
			assert_string_equal(rig_header(&got, "Retry-After"), "1");
		http_result_fini(&got);
	}
}

static void a_cut_blob_is_never_whole(void **state)
{
	struct front_rig *rig = *state;
	struct http_result got;
	struct http_call_spec spec = { .method = "GET" };
	char url[256];

	bucket.cut = true;
	(void)snprintf(url, sizeof(url), "%s%s", rig->url, BLOB);
	spec.url = url;
	http_result_init(&got, SIZE * 2);
	/* The cut comes behind the first bytes, or before them: then there is time to say so. */
	if (http_send(&spec, &got, NULL))
		assert_int_equal(got.status, 503);
	http_result_fini(&got);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH(a_blob_streams),
		WITH(ranges_go_to_the_store),
		WITH(several_ranges_are_fetched_one_by_one),
		WITH(a_part_that_is_not_there_cuts_the_answer),
		WITH(an_end_in_the_middle_of_parts),
		WITH(an_overloaded_store_is_asked_again),
		WITH(what_the_store_says_is_translated),
		WITH(a_cut_blob_is_never_whole),
	};
	int status;

	http_client_init();
	log_init(LOG_ERROR, false);
	status = cmocka_run_group_tests(tests, NULL, NULL);
	http_client_fini();
	return status;
}
