/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request side of a worker, from the socket to the store and back.
 */
#include "tests/unit/worker/front/front_rig.h"

#include "common/log.h"

#define CONFIG        "{}"
#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define INDEX_TYPE    "application/vnd.oci.image.index.v1+json"
#define ACCESS                                                                                               \
	"{\"repositories\":{\"open/**\":{\"anonymousPolicy\":[\"read\"],\"defaultPolicy\":[\"read\"]},"      \
	"\"**\":{\"policies\":[{\"users\":[\"alice\"],\"actions\":[\"read\",\"create\",\"update\","          \
	"\"delete\"]},"                                                                                      \
	"{\"users\":[\"carol\"],\"actions\":[\"read\",\"create\"]}]}}}"

static const char *const alice[] = { "Authorization", "user alice", NULL };

struct fixture {
	struct front_rig *rig;
	struct http_result got;
	char digest[DIGEST_TEXT_SIZE];
	char location[512];
};

static struct fixture *fixture_of(const struct front_rig_settings *how)
{
	struct fixture *f = xnew(struct fixture);

	f->rig = front_rig_open(how);
	http_result_init(&f->got, 16);
	return f;
}

static int setup(void **state)
{
	memset(&rig_quota, 0, sizeof(rig_quota));
	*state = fixture_of(&(struct front_rig_settings){ .self = "one" });
	return 0;
}

static int setup_access(void **state)
{
	*state = fixture_of(&(struct front_rig_settings){ .self = "one", .access = ACCESS });
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http_result_fini(&f->got);
	front_rig_close(f->rig, true);
	free(f);
	return 0;
}

/* Asks, and keeps the answer in f->got. */
static unsigned ask(
	struct fixture *f, const char *method, const char *path, struct str body, const char *const *headers)
{
	http_result_fini(&f->got);
	rig_ask(f->rig, method, path, body, &f->got, headers);
	return f->got.status;
}

static unsigned get(struct fixture *f, const char *path)
{
	return ask(f, "GET", path, STR_NONE, NULL);
}

static void expect_code(const struct fixture *f, const char *code)
{
	if (!strstr(buf_text(&f->got.body), code))
		fail_msg("no %s in %s", code, buf_text(&f->got.body));
}

static void expect_header(const struct fixture *f, const char *name, const char *value)
{
	assert_string_equal(rig_header(&f->got, name), value);
}

static const char *digest_text(struct fixture *f, struct str bytes, enum hash_kind alg)
{
	struct digest digest = digest_of(alg, bytes);

	digest_format(&digest, f->digest);
	return f->digest;
}

/* What is counted at the end of a request comes after its last byte: wait for it. */
static void expect_count(const counter *found, uint64_t wanted)
{
	for (int64_t end = clock_ms() + 20000; counter_get(found) < wanted && clock_ms() < end;)
		(void)poll(NULL, 0, 2);
	assert_int_equal(counter_get(found), wanted);
}

static const char *keep_location(struct fixture *f)
{
	assert_true(str_copy(str_of(rig_header(&f->got, "Location")), f->location, sizeof(f->location)));
	return f->location;
}

static const char *pathf(const char *format, ...) PRINTF(1, 2);
static const char *pathf(const char *format, ...)
{
	static char paths[4][1024];
	static unsigned at;
	char *path = paths[at++ % 4];
	va_list args;

	va_start(args, format);
	assert_true(vsnprintf(path, sizeof(paths[0]), format, args) < (int)sizeof(paths[0]));
	va_end(args);
	return path;
}

static void push_blob_as(struct fixture *f, const char *name, struct str bytes, const char *const *headers)
{
	assert_int_equal(ask(f, "POST", pathf("/v2/%s/blobs/uploads/", name), STR_NONE, headers), 202);
	assert_int_equal(
		ask(f, "PUT", pathf("%s?digest=%s", keep_location(f), digest_text(f, bytes, HASH_SHA256)),
			bytes, headers),
		201);
}

static void push_blob(struct fixture *f, const char *name, struct str bytes)
{
	push_blob_as(f, name, bytes, NULL);
}

/* An image with one layer; `note` makes it different from others. */
static void make_image(struct buf *into, struct str layer, const char *subject, const char *note)
{
	char config[DIGEST_TEXT_SIZE], text[DIGEST_TEXT_SIZE];
	struct digest digest = digest_of(HASH_SHA256, STR(CONFIG));

	digest_format(&digest, config);
	digest = digest_of(HASH_SHA256, layer);
	digest_format(&digest, text);
	buf_format(into,
		"{\"schemaVersion\":2,\"mediaType\":\"" MANIFEST_TYPE "\",\"config\":{\"mediaType\":"
		"\"application/"
		"vnd.oci.image.config.v1+json\",\"digest\":\"%s\",\"size\":2},\"layers\":[{\"mediaType\":"
		"\"application/vnd.oci.image.layer.v1.tar\",\"digest\":\"%s\",\"size\":%zu}],",
		config, text, layer.len);
	if (subject)
		buf_format(into,
			"\"subject\":{\"mediaType\":\"" MANIFEST_TYPE "\",\"digest\":\"%s\",\"size\":2},",
			subject);
	buf_format(into, "\"annotations\":{\"note\":\"%s\"}}", note);
}

static const char *const manifest_headers[] = { "Content-Type", MANIFEST_TYPE, NULL };

static unsigned push_image(struct fixture *f, const char *name, const char *reference, struct str image)
{
	return ask(f, "PUT", pathf("/v2/%s/manifests/%s", name, reference), image, manifest_headers);
}

static void push_whole_image(
	struct fixture *f, const char *name, const char *tag, const char *note, struct buf *into)
{
	push_blob(f, name, STR(CONFIG));
	push_blob(f, name, STR("layer"));
	buf_clear(into);
	make_image(into, STR("layer"), NULL, note);
	assert_int_equal(push_image(f, name, tag, buf_str(into)), 201);
}

/* Base. */

static void the_base_says_what_it_is(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, "/v2/"), 200);
	assert_int_equal(f->got.body.len, 0);
	expect_header(f, "Docker-Distribution-API-Version", "registry/2.0");
	assert_int_equal(get(f, "/v2/_oci/ext/discover"), 200);
	expect_code(f, "\"endpoints\":[\"/v2/_oci/ext/discover\"]");
	assert_int_equal(get(f, "/v2/a/_oci/ext/discover"), 404);
	expect_code(f, "NAME_UNKNOWN");
	assert_int_equal(get(f, "/nothing"), 404);
	expect_code(f, "errors");
	assert_int_equal(get(f, "/v2/nothing"), 404);
	assert_int_equal(ask(f, "POST", "/v2/a/tags/list", STR_NONE, NULL), 405);
	expect_header(f, "Allow", "GET, HEAD");
	assert_int_equal(get(f, "/v2/A/tags/list"), 400);
	expect_code(f, "NAME_INVALID");
}

/* Blobs. */

static void a_blob_goes_in_and_out(void **state)
{
	struct fixture *f = *state;

	push_blob(f, "a/b", STR("hello world"));
	expect_header(f, "Docker-Content-Digest", f->digest);
	assert_string_equal(rig_header(&f->got, "Location"), pathf("/v2/a/b/blobs/%s", f->digest));
	assert_int_equal(get(f, pathf("/v2/a/b/blobs/%s", f->digest)), 200);
	assert_string_equal(buf_text(&f->got.body), "hello world");
	expect_header(f, "Docker-Content-Digest", f->digest);
	expect_header(f, "Accept-Ranges", "bytes");
	expect_header(f, "ETag", pathf("\"%s\"", f->digest));
	assert_int_equal(ask(f, "HEAD", pathf("/v2/a/b/blobs/%s", f->digest), STR_NONE, NULL), 200);
	expect_header(f, "Content-Length", "11");
	assert_int_equal(get(f, pathf("/v2/other/blobs/%s", f->digest)), 404);
	expect_code(f, "BLOB_UNKNOWN");
	assert_int_equal(ask(f, "GET", pathf("/v2/a/b/blobs/%s", f->digest), STR_NONE,
				 (const char *[]){ "If-None-Match", pathf("\"%s\"", f->digest), NULL }),
		304);
	assert_int_equal(get(f, "/v2/a/b/blobs/sha256:bad"), 400);
	expect_code(f, "DIGEST_INVALID");
}

static void ranges_of_a_blob(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *range;
		unsigned status;
		const char *bytes, *content_range;
	} samples[] = {
		{ "bytes=0-0", 206, "h", "bytes 0-0/11" },
		{ "bytes=6-", 206, "world", "bytes 6-10/11" },
		{ "bytes=-3", 206, "rld", "bytes 8-10/11" },
		{ "bytes=4-99", 206, "o world", "bytes 4-10/11" },
		{ "bytes=11-20", 416, "", "bytes */11" },
		{ "bytes=5-0", 416, "", "bytes */11" },
		{ "bytes=0-1,2-4", 206, "hello", "bytes 0-4/11" },
		{ "bytes=30-,0-4,20-21", 206, "hello", "bytes 0-4/11" },
		{ "bytes=11-,20-", 416, "", "bytes */11" },
		{ "bytes=0-1,x", 200, "hello world", NULL },
		{ "lines=0-1", 200, "hello world", NULL },
	};

	push_blob(f, "a", STR("hello world"));
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const char *headers[] = { "Range", samples[i].range, NULL };
		assert_int_equal(ask(f, "GET", pathf("/v2/a/blobs/%s", f->digest), STR_NONE, headers),
			samples[i].status);
		assert_string_equal(buf_text(&f->got.body), samples[i].bytes);
		if (samples[i].content_range)
			expect_header(f, "Content-Range", samples[i].content_range);
	}
	assert_int_equal(ask(f, "GET", pathf("/v2/a/blobs/%s", f->digest), STR_NONE,
				 (const char *[]){ "Range", "bytes=0-1", "If-Range", "\"other\"", NULL }),
		200);
	assert_int_equal(ask(f, "GET", pathf("/v2/a/blobs/%s", f->digest), STR_NONE,
				 (const char *[]){ "Range", "bytes=0-1", "If-Range",
					 pathf("\"%s\"", f->digest), NULL }),
		206);
}

/* Uploads. */

static void chunks_in_order(void **state)
{
	struct fixture *f = *state;
	const char *place;

	assert_int_equal(ask(f, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	expect_header(f, "Range", "0-0");
	place = keep_location(f);
	assert_int_equal(
		ask(f, "PATCH", place, STR("01234"), (const char *[]){ "Content-Range", "0-4", NULL }), 202);
	expect_header(f, "Range", "0-4");
	/* The same session: what is another digit says that it has bytes. */
	assert_memory_equal(rig_header(&f->got, "Location"), place,
		strlen("/v2/a/blobs/uploads/0123456789abcdef0123456789abcde"));
	/* Skips ahead, and again what is there already: refused, and the session lives. */
	assert_int_equal(
		ask(f, "PATCH", place, STR("89"), (const char *[]){ "Content-Range", "8-9", NULL }), 416);
	expect_header(f, "Range", "0-4");
	assert_int_equal(
		ask(f, "PATCH", place, STR("01234"), (const char *[]){ "Content-Range", "0-4", NULL }), 416);
	assert_int_equal(
		ask(f, "PUT", pathf("%s?digest=%s", place, digest_text(f, STR("0123456789"), HASH_SHA256)),
			STR("89"), (const char *[]){ "Content-Range", "8-9", NULL }),
		416);
	assert_int_equal(get(f, place), 204);
	expect_header(f, "Range", "0-4");
	assert_int_equal(ask(f, "PUT", pathf("%s?digest=%s", place, f->digest), STR("56789"),
				 (const char *[]){ "Content-Range", "5-9", NULL }),
		201);
	assert_int_equal(get(f, pathf("/v2/a/blobs/%s", f->digest)), 200);
	assert_string_equal(buf_text(&f->got.body), "0123456789");
	assert_int_equal(get(f, place), 404);
	expect_code(f, "BLOB_UPLOAD_UNKNOWN");
}

static void all_bytes_at_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(
		ask(f, "POST",
			pathf("/v2/a/blobs/uploads/?digest=%s", digest_text(f, STR("once"), HASH_SHA256)),
			STR("once"), NULL),
		201);
	assert_int_equal(get(f, pathf("/v2/a/blobs/%s", f->digest)), 200);
	assert_int_equal(
		ask(f, "POST", pathf("/v2/a/blobs/uploads/?digest=%s", f->digest), STR("other"), NULL), 400);
	expect_code(f, "DIGEST_INVALID");
	assert_int_equal(ask(f, "POST", "/v2/a/blobs/uploads/?digest=sha256:bad", STR("other"), NULL), 400);
	assert_int_equal(
		ask(f, "POST", pathf("/v2/a/blobs/uploads/?digest=%s", digest_text(f, STR(""), HASH_SHA256)),
			STR_NONE, NULL),
		201);
	assert_int_equal(get(f, pathf("/v2/a/blobs/%s", f->digest)), 200);
	assert_int_equal(f->got.body.len, 0);
	assert_int_equal(uploads_stats(f->rig->front.registry->uploads).open, 0);
}

static void the_digest_is_compared(void **state)
{
	struct fixture *f = *state;
	const char *place;

	/* sha512 that nobody announced: the spool is read again. */
	assert_int_equal(ask(f, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	place = keep_location(f);
	assert_int_equal(ask(f, "PATCH", place, STR("abc"), NULL), 202);
	assert_int_equal(ask(f, "PUT", pathf("%s?digest=%s", place, digest_text(f, STR("abc"), HASH_SHA512)),
				 STR_NONE, NULL),
		201);
	expect_header(f, "Docker-Content-Digest", f->digest);
	assert_int_equal(get(f, pathf("/v2/a/blobs/%s", f->digest)), 200);
	/* Announced. */
	assert_int_equal(ask(f, "POST", "/v2/a/blobs/uploads/?digest-algorithm=sha512", STR_NONE, NULL), 202);
	assert_int_equal(
		ask(f, "PUT",
			pathf("%s?digest=%s", keep_location(f), digest_text(f, STR("abd"), HASH_SHA512)),
			STR("abd"), NULL),
		201);
	assert_int_equal(ask(f, "POST", "/v2/a/blobs/uploads/?digest-algorithm=md5", STR_NONE, NULL), 400);
	/* Wrong, malformed, absent. */
	assert_int_equal(ask(f, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	place = keep_location(f);
	assert_int_equal(ask(f, "PUT", pathf("%s?digest=sha256:bad", place), STR("abc"), NULL), 400);
	assert_int_equal(ask(f, "PUT", place, STR("abc"), NULL), 400);
	assert_int_equal(get(f, place), 204);
	assert_int_equal(ask(f, "PUT", pathf("%s?digest=%s", place, digest_text(f, STR("abx"), HASH_SHA256)),
				 STR("abc"), NULL),
		400);
	expect_code(f, "DIGEST_INVALID");
	assert_int_equal(get(f, place), 404);
	assert_int_equal(get(f, pathf("/v2/a/blobs/%s", f->digest)), 404);
}

static void uploads_are_cancelled(void **state)
{
	struct fixture *f = *state;
	const char *place;

	assert_int_equal(ask(f, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	place = keep_location(f);
	assert_int_equal(ask(f, "PATCH", place, STR("abc"), NULL), 202);
	assert_true(spool_used(f->rig->uploads) > 0);
	assert_int_equal(ask(f, "DELETE", place, STR_NONE, NULL), 204);
	assert_int_equal(spool_used(f->rig->uploads), 0);
	assert_int_equal(ask(f, "DELETE", place, STR_NONE, NULL), 404);
	assert_int_equal(ask(f, "PATCH", place, STR("abc"), NULL), 404);
	/* Of another repository: as if it were not there. */
	assert_int_equal(ask(f, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	assert_int_equal(ask(f, "PATCH", pathf("/v2/b%s", keep_location(f) + 5), STR("abc"), NULL), 404);
	uploads_expire(f->rig->front.registry->uploads, clock_ms() + UPLOAD_IDLE_MS + 1);
	assert_int_equal(get(f, f->location), 404);
}

static void big_blobs_stream(void **state)
{
	struct fixture *f = *state;
	size_t len = 9 * 1024 * 1024 + 5;
	AUTO_STR *bytes = malloc(len);
	const char *place;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)(i * 31 + i / 1000);
	assert_int_equal(ask(f, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	place = keep_location(f);
	assert_int_equal(ask(f, "PATCH", place, str_from(bytes, len), NULL), 202);
	assert_string_equal(rig_header(&f->got, "Range"), pathf("0-%zu", len - 1));
	assert_int_equal(
		ask(f, "PUT", pathf("%s?digest=%s", place, digest_text(f, str_from(bytes, len), HASH_SHA256)),
			STR_NONE, NULL),
		201);
	assert_int_equal(get(f, pathf("/v2/a/blobs/%s", f->digest)), 200);
	assert_int_equal(f->got.body.len, len);
	assert_memory_equal(f->got.body.at, bytes, len);
}

static void a_client_that_leaves_may_come_back(void **state)
{
	struct fixture *f = *state;
	const char *place;
	uint64_t size = 0;
	struct upload_id id;
	int fd;

	assert_int_equal(ask(f, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	place = keep_location(f);
	assert_true(upload_id_parse(str_of(place + strlen("/v2/a/blobs/uploads/")), &id, NULL));
	fd = dial(f->rig->http.port);
	put(fd, pathf("PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n01234", place));
	(void)shutdown(fd, SHUT_WR);
	(void)close(fd);
	for (int64_t end = clock_ms() + 20000; size != 5;) {
		assert_true(clock_ms() < end);
		assert_true(uploads_look(f->rig->front.registry->uploads, STR("a"), &id, &size, &id, NULL));
		(void)poll(NULL, 0, 2);
	}
	for (int64_t end = clock_ms() + 20000; ask(f, "PATCH", place, STR("56789"), NULL) != 202;)
		assert_true(clock_ms() < end);
	expect_header(f, "Range", "0-9");
	assert_int_equal(
		ask(f, "PUT", pathf("%s?digest=%s", place, digest_text(f, STR("0123456789"), HASH_SHA256)),
			STR_NONE, NULL),
		201);
}

static void chunked_bodies_are_taken(void **state)
{
	struct fixture *f = *state;
	struct reply *reply = xnew(struct reply);
	const char *place;
	int fd = dial(f->rig->http.port);

	assert_int_equal(ask(f, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	place = keep_location(f);
	put(fd, pathf("PATCH %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
		      "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
			place));
	assert_true(take_reply(fd, reply));
	assert_int_equal(reply->status, 202);
	assert_string_equal(reply_header(reply, "Range"), "0-4");
	(void)close(fd);
	free(reply);
	assert_int_equal(
		ask(f, "PUT", pathf("%s?digest=%s", place, digest_text(f, STR("abcde"), HASH_SHA256)),
			STR_NONE, NULL),
		201);
}

static void a_full_spool_is_told(void **state)
{
	struct fixture *f =
		fixture_of(&(struct front_rig_settings){ .self = "one", .spool_limit = 1024 * 1024 });
	AUTO_STR *bytes = calloc(1, 3 * 1024 * 1024);

	(void)state;
	assert_int_equal(ask(f, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	assert_int_equal(ask(f, "PATCH", keep_location(f), str_from(bytes, 3 * 1024 * 1024), NULL), 507);
	expect_code(f, "errors");
	assert_int_equal(get(f, f->location), 404);
	assert_int_equal(spool_used(f->rig->uploads), 0);
	push_blob(f, "a", STR("small"));
	(void)teardown((void *[]){ f });
}

static void mounts(void **state)
{
	struct fixture *f = *state;

	push_blob(f, "from", STR("shared"));
	assert_int_equal(
		ask(f, "POST", pathf("/v2/to/blobs/uploads/?mount=%s&from=from", f->digest), STR_NONE, NULL),
		201);
	assert_string_equal(rig_header(&f->got, "Location"), pathf("/v2/to/blobs/%s", f->digest));
	assert_int_equal(get(f, pathf("/v2/to/blobs/%s", f->digest)), 200);
	assert_int_equal(
		ask(f, "POST", pathf("/v2/to/blobs/uploads/?mount=%s", f->digest), STR_NONE, NULL), 201);
	assert_int_equal(
		ask(f, "POST", pathf("/v2/third/blobs/uploads/?mount=%s", f->digest), STR_NONE, NULL), 201);
	assert_int_equal(
		ask(f, "POST", "/v2/to/blobs/uploads/?mount=sha256:bad&from=from", STR_NONE, NULL), 400);
	/* What is not there cannot be mounted, and the session that comes instead works. */
	digest_text(f, STR("absent"), HASH_SHA256);
	assert_int_equal(
		ask(f, "POST", pathf("/v2/to/blobs/uploads/?mount=%s&from=from", f->digest), STR_NONE, NULL),
		202);
	assert_int_equal(
		ask(f, "PUT", pathf("%s?digest=%s", keep_location(f), f->digest), STR("absent"), NULL), 201);
}

/* Manifests. */

static void an_image_goes_in_and_out(void **state)
{
	struct fixture *f = *state;
	AUTO_FINI(buf) image = buf_limit(8192);

	push_whole_image(f, "a", "v1", "1", &image);
	expect_header(f, "Docker-Content-Digest", digest_text(f, buf_str(&image), HASH_SHA256));
	expect_header(f, "Location", pathf("/v2/a/manifests/%s", f->digest));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(get(f, "/v2/a/manifests/v1"), 200);
		assert_true(str_equal(buf_str(&f->got.body), buf_str(&image)));
		expect_header(f, "Content-Type", MANIFEST_TYPE);
		expect_header(f, "Docker-Content-Digest", f->digest);
		assert_int_equal(get(f, pathf("/v2/a/manifests/%s", f->digest)), 200);
	}
	assert_int_equal(ask(f, "HEAD", "/v2/a/manifests/v1", STR_NONE, NULL), 200);
	assert_string_equal(rig_header(&f->got, "Content-Length"), pathf("%zu", image.len));
	expect_header(f, "Content-Type", MANIFEST_TYPE);
	assert_int_equal(ask(f, "GET", "/v2/a/manifests/v1", STR_NONE,
				 (const char *[]){ "If-None-Match", pathf("\"%s\"", f->digest), NULL }),
		304);
	assert_int_equal(get(f, "/v2/a/manifests/v2"), 404);
	expect_code(f, "MANIFEST_UNKNOWN");
	assert_int_equal(get(f, "/v2/none/manifests/v2"), 404);
	expect_code(f, "NAME_UNKNOWN");
	expect_count(&rig_quota.pushes, 1);
	expect_count(&rig_quota.pulls, 4);
}

static void wrong_manifests_are_refused(void **state)
{
	struct fixture *f = *state;
	AUTO_FINI(buf) image = buf_limit(8 * 1024 * 1024);
	AUTO_FINI(buf) path = buf_limit(8192);

	make_image(&image, STR("layer"), NULL, "x");
	assert_int_equal(push_image(f, "a", "v1", buf_str(&image)), 404);
	expect_code(f, "MANIFEST_BLOB_UNKNOWN");
	push_blob(f, "a", STR(CONFIG));
	push_blob(f, "a", STR("layer"));
	assert_int_equal(ask(f, "PUT", "/v2/a/manifests/v1", buf_str(&image),
				 (const char *[]){ "Content-Type", "text/html", NULL }),
		415);
	assert_int_equal(push_image(f, "a", "v1", STR("{")), 400);
	expect_code(f, "MANIFEST_INVALID");
	assert_int_equal(push_image(f, "a", "sha256:bad", buf_str(&image)), 400);
	assert_int_equal(push_image(f, "a", digest_text(f, STR("other"), HASH_SHA256), buf_str(&image)), 400);
	expect_code(f, "DIGEST_INVALID");
	assert_int_equal(push_image(f, "a", "-bad", buf_str(&image)), 400);
	digest_text(f, buf_str(&image), HASH_SHA256);
	assert_int_equal(push_image(f, "a", "v1?tag=v2", buf_str(&image)), 400);
	assert_int_equal(push_image(f, "a", pathf("%s?tag=-bad", f->digest), buf_str(&image)), 400);
	buf_format(&path, "%s?", f->digest);
	for (int i = 0; i < 47; i++)
		buf_format(&path, "&tag=t%d", i);
	assert_int_equal(push_image(f, "a", buf_text(&path), buf_str(&image)), 414);
	(void)buf_reserve(&image, 5 * 1024 * 1024);
	memset(image.at + image.len, ' ', 5 * 1024 * 1024);
	assert_int_equal(push_image(f, "a", "v1", str_from(image.at, 5 * 1024 * 1024)), 413);
	assert_int_equal(get(f, "/v2/a/manifests/v1"), 404);
}

static void tags_come_with_a_digest(void **state)
{
	struct fixture *f = *state;
	AUTO_FINI(buf) image = buf_limit(8192);
	unsigned tags = 0;

	push_whole_image(f, "a", "v1", "1", &image);
	digest_text(f, buf_str(&image), HASH_SHA512);
	assert_int_equal(push_image(f, "a", pathf("%s?tag=x&tag=y&tag=x", f->digest), buf_str(&image)), 201);
	expect_header(f, "Docker-Content-Digest", f->digest);
	for (size_t i = 0; i < http_headers_len(f->got.headers); i++) {
		const char *name, *value;
		http_headers_at(f->got.headers, i, &name, &value);
		tags += !strcasecmp(name, "OCI-Tag");
	}
	assert_int_equal(tags, 2);
	assert_int_equal(get(f, "/v2/a/manifests/y"), 200);
	expect_header(f, "Docker-Content-Digest", f->digest);
}

static void tags_are_paged(void **state)
{
	struct fixture *f = *state;
	AUTO_FINI(buf) image = buf_limit(8192);

	assert_int_equal(get(f, "/v2/a/tags/list"), 404);
	expect_code(f, "NAME_UNKNOWN");
	push_whole_image(f, "a", "b", "1", &image);
	assert_int_equal(push_image(f, "a", "a", buf_str(&image)), 201);
	assert_int_equal(push_image(f, "a", "c", buf_str(&image)), 201);
	assert_int_equal(push_image(f, "a", "B", buf_str(&image)), 201);
	assert_int_equal(get(f, "/v2/a/tags/list"), 200);
	assert_string_equal(buf_text(&f->got.body), "{\"name\":\"a\",\"tags\":[\"B\",\"a\",\"b\",\"c\"]}");
	assert_null(http_headers_find(f->got.headers, "Link"));
	assert_int_equal(get(f, "/v2/a/tags/list?n=2"), 200);
	assert_string_equal(buf_text(&f->got.body), "{\"name\":\"a\",\"tags\":[\"B\",\"a\"]}");
	expect_header(f, "Link", "</v2/a/tags/list?n=2&last=a>; rel=\"next\"");
	assert_int_equal(get(f, "/v2/a/tags/list?n=2&last=a"), 200);
	assert_string_equal(buf_text(&f->got.body), "{\"name\":\"a\",\"tags\":[\"b\",\"c\"]}");
	assert_null(http_headers_find(f->got.headers, "Link"));
	assert_int_equal(get(f, "/v2/a/tags/list?last=aa"), 200);
	assert_string_equal(buf_text(&f->got.body), "{\"name\":\"a\",\"tags\":[\"b\",\"c\"]}");
	assert_int_equal(get(f, "/v2/a/tags/list?n=0"), 200);
	assert_string_equal(buf_text(&f->got.body), "{\"name\":\"a\",\"tags\":[]}");
	assert_null(http_headers_find(f->got.headers, "Link"));
	assert_int_equal(get(f, "/v2/a/tags/list?n=x"), 400);
}

static void referrers_are_listed(void **state)
{
	struct fixture *f = *state;
	AUTO_FINI(buf) image = buf_limit(8192);
	AUTO_FINI(buf) referrer = buf_limit(8192);
	char subject[DIGEST_TEXT_SIZE];

	assert_int_equal(get(f, pathf("/v2/none/referrers/%s", digest_text(f, STR("x"), HASH_SHA256))), 200);
	expect_header(f, "Content-Type", INDEX_TYPE);
	assert_true(strstr(buf_text(&f->got.body), "\"manifests\":[]"));
	push_whole_image(f, "a", "v1", "1", &image);
	(void)snprintf(subject, sizeof(subject), "%s", digest_text(f, buf_str(&image), HASH_SHA256));
	for (int i = 0; i < 3; i++) {
		buf_clear(&referrer);
		make_image(&referrer, STR("layer"), subject, pathf("r%d", i));
		assert_int_equal(push_image(f, "a", digest_text(f, buf_str(&referrer), HASH_SHA256),
					 buf_str(&referrer)),
			201);
		expect_header(f, "OCI-Subject", subject);
	}
	assert_int_equal(get(f, pathf("/v2/a/referrers/%s", subject)), 200);
	expect_code(f, f->digest);
	expect_code(f, "\"artifactType\":\"application/vnd.oci.image.config.v1+json\"");
	expect_code(f, "\"note\":\"r2\"");
	assert_int_equal(get(f, pathf("/v2/a/referrers/%s?artifactType=application%%2Fother", subject)), 200);
	expect_header(f, "OCI-Filters-Applied", "artifactType");
	assert_true(strstr(buf_text(&f->got.body), "\"manifests\":[]"));
	/* Page by page. */
	unsigned seen = 0, pages = 0;
	for (const char *path = pathf("/v2/a/referrers/%s?n=2", subject); path; pages++) {
		assert_int_equal(get(f, path), 200);
		for (const char *at = buf_text(&f->got.body); (at = strstr(at, "\"note\"")); at++)
			seen++;
		const char *link = http_headers_find(f->got.headers, "Link");
		path = link ? pathf("%.*s", (int)strcspn(link + 1, ">"), link + 1) : NULL;
	}
	assert_int_equal(seen, 3);
	assert_int_equal(pages, 2);
	assert_int_equal(get(f, "/v2/a/referrers/sha256:bad"), 400);
}

static void what_is_deleted_is_gone(void **state)
{
	struct fixture *f = *state;
	AUTO_FINI(buf) image = buf_limit(8192);
	AUTO_FINI(buf) index = buf_limit(8192);
	char child[DIGEST_TEXT_SIZE], layer[DIGEST_TEXT_SIZE], parent[DIGEST_TEXT_SIZE];

	push_whole_image(f, "a", "v1", "1", &image);
	assert_int_equal(push_image(f, "a", "v2", buf_str(&image)), 201);
	(void)snprintf(child, sizeof(child), "%s", digest_text(f, buf_str(&image), HASH_SHA256));
	(void)snprintf(layer, sizeof(layer), "%s", digest_text(f, STR("layer"), HASH_SHA256));
	buf_format(&index,
		"{\"schemaVersion\":2,\"mediaType\":\"" INDEX_TYPE
		"\",\"manifests\":[{\"mediaType\":\"" MANIFEST_TYPE "\",\"digest\":\"%s\",\"size\":%zu}]}",
		child, image.len);
	assert_int_equal(ask(f, "PUT", "/v2/a/manifests/all", buf_str(&index),
				 (const char *[]){ "Content-Type", INDEX_TYPE, NULL }),
		201);
	(void)snprintf(parent, sizeof(parent), "%s", digest_text(f, buf_str(&index), HASH_SHA256));
	/* What something else needs stays. */
	assert_int_equal(ask(f, "DELETE", pathf("/v2/a/manifests/%s", child), STR_NONE, NULL), 405);
	assert_int_equal(ask(f, "DELETE", pathf("/v2/a/blobs/%s", layer), STR_NONE, NULL), 405);
	expect_code(f, "DENIED");
	assert_int_equal(ask(f, "DELETE", pathf("/v2/a/blobs/%s", child), STR_NONE, NULL), 405);
	/* Tag, then index, then image with its other tag, then layer. */
	assert_int_equal(ask(f, "DELETE", "/v2/a/manifests/v1", STR_NONE, NULL), 202);
	assert_int_equal(ask(f, "HEAD", "/v2/a/manifests/v1", STR_NONE, NULL), 404);
	assert_int_equal(ask(f, "DELETE", "/v2/a/manifests/v1", STR_NONE, NULL), 404);
	assert_int_equal(ask(f, "DELETE", pathf("/v2/a/manifests/%s", parent), STR_NONE, NULL), 202);
	assert_int_equal(get(f, "/v2/a/manifests/all"), 404);
	assert_int_equal(ask(f, "DELETE", pathf("/v2/a/manifests/%s", child), STR_NONE, NULL), 202);
	assert_int_equal(get(f, "/v2/a/manifests/v2"), 404);
	assert_int_equal(ask(f, "DELETE", pathf("/v2/a/blobs/%s", layer), STR_NONE, NULL), 202);
	assert_int_equal(ask(f, "HEAD", pathf("/v2/a/blobs/%s", layer), STR_NONE, NULL), 404);
	assert_int_equal(ask(f, "DELETE", pathf("/v2/a/blobs/%s", layer), STR_NONE, NULL), 404);
	assert_int_equal(ask(f, "DELETE", "/v2/none/manifests/v1", STR_NONE, NULL), 404);
	assert_int_equal(ask(f, "DELETE", pathf("/v2/none/manifests/%s", child), STR_NONE, NULL), 404);
	expect_code(f, "NAME_UNKNOWN");
}

static void the_catalog_is_paged(void **state)
{
	struct fixture *f = *state;
	AUTO_FINI(buf) image = buf_limit(8192);

	assert_int_equal(get(f, "/v2/_catalog"), 200);
	assert_string_equal(buf_text(&f->got.body), "{\"repositories\":[]}");
	push_whole_image(f, "b", "v", "1", &image);
	push_whole_image(f, "a/x", "v", "1", &image);
	push_whole_image(f, "c", "v", "1", &image);
	assert_int_equal(get(f, "/v2/_catalog"), 200);
	assert_string_equal(buf_text(&f->got.body), "{\"repositories\":[\"a/x\",\"b\",\"c\"]}");
	assert_int_equal(get(f, "/v2/_catalog?n=2"), 200);
	assert_string_equal(buf_text(&f->got.body), "{\"repositories\":[\"a/x\",\"b\"]}");
	expect_header(f, "Link", "</v2/_catalog?n=2&last=b>; rel=\"next\"");
	assert_int_equal(get(f, "/v2/_catalog?n=2&last=b"), 200);
	assert_string_equal(buf_text(&f->got.body), "{\"repositories\":[\"c\"]}");
	assert_null(http_headers_find(f->got.headers, "Link"));
	assert_int_equal(get(f, "/v2/_catalog?n=-1"), 400);
}

/* Who may. */

static void access_is_asked(void **state)
{
	struct fixture *f = *state;
	AUTO_FINI(buf) image = buf_limit(8192);

	assert_int_equal(get(f, "/v2/secret/tags/list"), 401);
	expect_header(f, "WWW-Authenticate", "Basic realm=\"rig\"");
	expect_code(f, "UNAUTHORIZED");
	assert_int_equal(ask(f, "GET", "/v2/secret/tags/list", STR_NONE,
				 (const char *[]){ "Authorization", "user bob", NULL }),
		403);
	expect_code(f, "DENIED");
	assert_int_equal(ask(f, "GET", "/v2/secret/tags/list", STR_NONE, alice), 404);
	assert_int_equal(ask(f, "GET", "/v2/secret/tags/list", STR_NONE,
				 (const char *[]){ "Authorization", "slow alice", NULL }),
		404);
	assert_int_equal(ask(f, "GET", "/v2/secret/tags/list", STR_NONE,
				 (const char *[]){ "Authorization", "slowly wrong", NULL }),
		401);
	assert_int_equal(ask(f, "GET", "/v2/secret/tags/list", STR_NONE,
				 (const char *[]){ "Authorization", "slow down", NULL }),
		429);
	expect_header(f, "Retry-After", "7");
	expect_code(f, "TOOMANYREQUESTS");
	assert_int_equal(get(f, "/v2/open/x/tags/list"), 404);
	assert_int_equal(ask(f, "POST", "/v2/open/x/blobs/uploads/", STR_NONE, NULL), 401);
	rig_fail_delay_ms = 5;
	assert_int_equal(
		ask(f, "GET", "/v2/", STR_NONE, (const char *[]){ "Authorization", "wrong", NULL }), 401);
	rig_fail_delay_ms = 0;
	assert_int_equal(get(f, "/v2/"), 200);
	assert_int_equal(
		ask(f, "GET", "/v2/", STR_NONE, (const char *[]){ "User-Agent", "docker/24.0", NULL }), 401);
	/* carol may create tags but not move them. */
	static const char *const carol[] = { "Authorization", "user carol", "Content-Type", MANIFEST_TYPE,
		NULL };
	push_blob_as(f, "r", STR(CONFIG), carol);
	push_blob_as(f, "r", STR("layer"), carol);
	make_image(&image, STR("layer"), NULL, "1");
	assert_int_equal(ask(f, "PUT", "/v2/r/manifests/v1", buf_str(&image), carol), 201);
	assert_int_equal(ask(f, "PUT", "/v2/r/manifests/v1", buf_str(&image), carol), 403);
	assert_int_equal(ask(f, "PUT", "/v2/r/manifests/v2", buf_str(&image), carol), 201);
	assert_int_equal(ask(f, "DELETE", "/v2/r/manifests/v2", STR_NONE, carol), 403);
	/* A list shows what may be read. */
	assert_int_equal(ask(f, "GET", "/v2/_catalog", STR_NONE, carol), 200);
	assert_string_equal(buf_text(&f->got.body), "{\"repositories\":[\"r\"]}");
	assert_int_equal(ask(f, "GET", "/v2/_catalog", STR_NONE,
				 (const char *[]){ "Authorization", "user bob", NULL }),
		200);
	assert_string_equal(buf_text(&f->got.body), "{\"repositories\":[]}");
}

static void quota_is_asked(void **state)
{
	static const char *const key[] = { "Authorization", "key", NULL };
	struct fixture *f = *state;
	struct apikey body = { .owner = "alice",
		.secret_hash = "0000000000000000000000000000000000000000000000000000000000000000" };

	rig_key = entity_new(ENTITY_APIKEY, STR("k"), 1, &body);
	rig_quota.first = ADMIT;
	assert_int_equal(ask(f, "GET", "/v2/", STR_NONE, key), 200);
	rig_quota.first = REFUSE;
	assert_int_equal(ask(f, "GET", "/v2/", STR_NONE, key), 429);
	expect_header(f, "Retry-After", "7");
	expect_header(f, "RateLimit-Limit", "10");
	expect_code(f, "TOOMANYREQUESTS");
	rig_quota.first = WAIT;
	rig_quota.then = ADMIT;
	assert_int_equal(ask(f, "GET", "/v2/", STR_NONE, key), 200);
	rig_quota.then = REFUSE;
	assert_int_equal(ask(f, "GET", "/v2/", STR_NONE, key), 429);
	assert_int_equal(get(f, "/v2/"), 200);
	entity_free(rig_key);
	rig_key = NULL;
}

static void bytes_are_taken_before_they_move(void **state)
{
	static const char *const key[] = { "Authorization", "key", NULL };
	struct fixture *f = *state;
	struct apikey body = { .owner = "alice",
		.secret_hash = "0000000000000000000000000000000000000000000000000000000000000000" };
	char path[200];

	push_blob(f, "a", STR("hello world"));
	(void)snprintf(path, sizeof(path), "/v2/a/blobs/%s", f->digest);
	rig_key = entity_new(ENTITY_APIKEY, STR("k"), 1, &body);
	rig_quota.first = ADMIT;
	rig_bytes.on = true;
	for (int waits = 0; waits < 2; waits++) {
		rig_bytes.waits = waits;
		rig_bytes.left = rig_bytes.taken = 0;
		assert_int_equal(ask(f, "GET", path, STR_NONE, key), 429);
		expect_header(f, "Retry-After", "9");
		expect_code(f, "monthly quota of bytes of this API key");
		await(&rig_bytes.ended, 3 * waits + 1);
		assert_int_equal(rig_bytes.moved, 0);
		rig_bytes.left = strlen("hello world");
		assert_int_equal(ask(f, "GET", path, STR_NONE, key), 200);
		assert_string_equal(buf_text(&f->got.body), "hello world");
		await(&rig_bytes.ended, 3 * waits + 2);
		assert_int_equal(rig_bytes.taken, strlen("hello world"));
		assert_int_equal(rig_bytes.moved, strlen("hello world"));
		rig_bytes.left = 0;
		assert_int_equal(ask(f, "HEAD", path, STR_NONE, key), 200);
		await(&rig_bytes.ended, 3 * waits + 3);
	}
	rig_bytes.on = rig_bytes.waits = false;
	entity_free(rig_key);
	rig_key = NULL;
}

/* Health. */

static void health_tells_the_truth(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, "/livez"), 200);
	assert_int_equal(get(f, "/startupz"), 200);
	f->rig->own.beat_ms = clock_ms() - 11000;
	assert_int_equal(get(f, "/livez"), 503);
	expect_code(f, "loop 0 has not turned for 11");
	assert_false(front_loops_turn(&f->rig->front, 10000));
	assert_true(front_loops_turn(&f->rig->front, 60000));
	f->rig->own.beat_ms = clock_ms();
	assert_true(front_loops_turn(&f->rig->front, 10000));
	assert_int_equal(get(f, "/livez"), 200);
	assert_int_equal(get(f, "/readyz"), 200);
	expect_code(f, "storage: ok\nspool: ok\ndata: ok\n");
	f->rig->cluster.state_age_ms = 5000;
	assert_int_equal(get(f, "/readyz"), 503);
	expect_code(f, "stale: 5000 ms");
	f->rig->cluster.state_age_ms = 10;
	assert_int_equal(get(f, "/readyz"), 200);
	f->rig->cluster.stateless = true;
	assert_int_equal(get(f, "/readyz"), 503);
	f->rig->cluster.stateless = false;
	complaint_say(f->rig->cluster.complaints, COMPLAINT_CLOCK, "7000 ms behind");
	assert_int_equal(get(f, "/readyz"), 200);
	expect_code(f, "\nclock: 7000 ms behind\n");
	complaint_say(f->rig->cluster.complaints, COMPLAINT_NAME, "another has it");
	assert_int_equal(get(f, "/readyz"), 503);
	expect_code(f, "\nname: another has it\nclock: 7000 ms behind\n");
	assert_int_equal(get(f, "/metrics"), 200);
	expect_code(f, "\nzot_cluster_complaint{kind=\"name\"} 1\n");
	expect_code(f, "\nzot_cluster_complaint{kind=\"history\"} 0\n");
	expect_code(f, "\nzot_cluster_clock_offset_seconds -1.500\n");
	complaint_end(f->rig->cluster.complaints, COMPLAINT_NAME);
	f->rig->cluster.draining = true;
	assert_int_equal(get(f, "/readyz"), 503);
	expect_code(f, "draining");
	assert_int_equal(ask(f, "POST", "/readyz", STR_NONE, NULL), 405);
	assert_int_equal(get(f, "/metrics"), 200);
	expect_code(f, "\nzot_http_requests_total{method=\"GET\",code=\"200\"} ");
	expect_code(f, "\nzot_open_requests ");
	expect_code(f, "# HELP zot_http_request_latency_seconds");
	expect_code(f, "process_resident_memory_bytes");
}

/* Two workers. */

static struct ring_member dead_member(void)
{
	static char url[64];
	uint16_t port = 0;
	int fd;

	assert_true(http_listen("127.0.0.1", 0, false, &fd, &port, NULL));
	(void)close(fd);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
	return (struct ring_member){ "dead", url, true, NULL };
}

static void shared_storage_serves_through_any(void **state)
{
	struct fixture *two = fixture_of(&(struct front_rig_settings){ .self = "two" });
	struct fixture *one =
		fixture_of(&(struct front_rig_settings){ .self = "one", .folder = two->rig->folder });
	struct front_counters *counters = &one->rig->own.counters;
	struct ring_member dead = dead_member();
	AUTO_FINI(buf) image = buf_limit(8192);

	(void)state;
	/* "one" is asked, "two" is the owner: blobs stay, manifests go on. */
	one->rig->cluster.place = (struct place_found){ PLACE_PEER, &two->rig->member };
	one->rig->cluster.trust_ms = 0;
	push_whole_image(one, "a", "v1", "1", &image);
	expect_count(&counters->proxied_total, 1);
	assert_int_equal(get(two, "/v2/a/manifests/v1"), 200);
	assert_int_equal(get(one, "/v2/a/manifests/v1"), 200);
	assert_true(str_equal(buf_str(&one->got.body), buf_str(&image)));
	expect_count(&counters->proxied_total, 2);
	expect_count(&two->rig->own.counters.peer_requests_total, 2);
	/* An upload that lies at "two" goes on there. */
	assert_int_equal(ask(two, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	assert_int_equal(ask(one, "PATCH", keep_location(two), STR("abc"), NULL), 202);
	assert_int_equal(
		ask(one, "PUT",
			pathf("%s?digest=%s", two->location, digest_text(one, STR("abcd"), HASH_SHA256)),
			STR("d"), NULL),
		201);
	assert_int_equal(get(one, pathf("/v2/a/blobs/%s", one->digest)), 200);
	/* The owner is gone: "one" serves, reads and writes. */
	one->rig->cluster.place = (struct place_found){ PLACE_PEER, &dead };
	assert_int_equal(get(one, "/v2/a/manifests/v1"), 200);
	assert_int_equal(push_image(one, "a", "v2", buf_str(&image)), 201);
	assert_int_equal(ask(one, "DELETE", "/v2/a/manifests/v1", STR_NONE, NULL), 202);
	expect_count(&counters->proxy_failed_total, 3);
	assert_true(one->rig->cluster.failures >= 3);
	/* An upload there that had bytes cannot be had; one that had none is begun anew. */
	assert_int_equal(ask(one, "PATCH", "/v2/a/blobs/uploads/0123456789abcdef0123456789abcdef-ZGVhZA",
				 STR("abc"), NULL),
		503);
	expect_header(one, "Retry-After", "3");
	assert_int_equal(ask(one, "PATCH", "/v2/a/blobs/uploads/0123456789abcdef0123456789abcdee-ZGVhZA",
				 STR("abc"), NULL),
		202);
	expect_header(one, "Range", "0-2");
	assert_int_equal(ask(one, "PATCH", "/v2/a/blobs/uploads/1123456789abcdef0123456789abcdef-bm9uZQ",
				 STR("abc"), NULL),
		404);
	(void)snprintf(one->rig->folder, sizeof(one->rig->folder), "%s", two->rig->folder);
	http_result_fini(&one->got);
	front_rig_close(one->rig, false);
	free(one);
	(void)teardown((void *[]){ two });
}

/* It takes several requests, of which only the first may come before we are gone. */
static void an_upload_begins_where_it_can_end(void **state)
{
	struct fixture *two = fixture_of(&(struct front_rig_settings){ .self = "two" });
	struct fixture *one =
		fixture_of(&(struct front_rig_settings){ .self = "one", .folder = two->rig->folder });
	struct ring_member dead = dead_member();
	struct front *front = &one->rig->front;

	(void)state;
	one->rig->cluster.place = (struct place_found){ PLACE_PEER, &two->rig->member };
	assert_int_equal(ask(one, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	assert_int_equal(uploads_stats(front->registry->uploads).open, 1);
	one->rig->cluster.draining = true;
	assert_int_equal(ask(one, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	assert_int_equal(uploads_stats(front->registry->uploads).open, 1);
	assert_int_equal(uploads_stats(two->rig->front.registry->uploads).open, 1);
	assert_int_equal(ask(one, "PATCH", keep_location(one), STR("abc"), NULL), 202);
	/* The others go as well. */
	two->rig->cluster.draining = true;
	two->rig->cluster.place = (struct place_found){ PLACE_PEER, &one->rig->member };
	assert_int_equal(ask(one, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	assert_int_equal(uploads_stats(two->rig->front.registry->uploads).open, 2);
	one->rig->cluster.place = (struct place_found){ PLACE_PEER, &dead };
	assert_int_equal(ask(one, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
	assert_int_equal(uploads_stats(front->registry->uploads).open, 2);
	uploads_close(front->registry->uploads);
	assert_int_equal(ask(one, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 503);
	expect_header(one, "Retry-After", "1");
	expect_code(one, "UNAVAILABLE");
	(void)snprintf(one->rig->folder, sizeof(one->rig->folder), "%s", two->rig->folder);
	http_result_fini(&one->got);
	front_rig_close(one->rig, false);
	free(one);
	(void)teardown((void *[]){ two });
}

static struct peer_claims call_of(uint64_t sequence, const struct buf *body)
{
	struct peer_claims claims = { .sender = "two",
		.receiver = "one",
		.sequence = sequence,
		.issued_ms = clock_wall_ms(),
		.user = "",
		.has_digest = true,
		.has_call = true };
	uint8_t digest[HASH_MAX];

	hash_bytes(HASH_SHA256, body->at, body->len, digest);
	memcpy(claims.digest, digest, sizeof(claims.digest));
	return claims;
}

/* A whole PUT of a manifest that `claims` speak for. */
static void sign_put(
	struct buf *into, const char *path, const struct peer_claims *claims, const struct buf *body)
{
	struct peer_request request = { STR("PUT"), str_of(path), (int64_t)body->len,
		STR("Content-Type: " MANIFEST_TYPE "\n") };
	AUTO_FINI(buf) token = buf_limit(8192);

	peer_token_format(STR(RIG_SECRET), &request, claims, &token);
	assert_false(token.failed);
	buf_format(into,
		"PUT %s HTTP/1.1\r\nHost: x\r\n" PEER_HEADER ": %s\r\nContent-Type: " MANIFEST_TYPE
		"\r\nContent-Length: %zu\r\n\r\n%s",
		path, buf_text(&token), body->len, buf_text(body));
}

static int send_put(struct fixture *f, const struct buf *request, const char *refused)
{
	struct reply *reply = xnew(struct reply);
	int fd = dial(f->rig->http.port), status;

	put(fd, buf_text(request));
	assert_true(take_reply(fd, reply));
	status = reply->status;
	if (refused)
		assert_string_equal(reply_header(reply, PEER_REFUSED_HEADER), refused);
	(void)close(fd);
	free(reply);
	return status;
}

static void a_peers_call_is_good_once_and_for_its_body(void **state)
{
	struct fixture *f = *state;
	AUTO_FINI(buf) image = buf_limit(8192);
	AUTO_FINI(buf) request = buf_limit(16384);
	struct peer_claims claims;

	push_whole_image(f, "a", "v1", "1", &image);
	claims = call_of(1, &image);
	sign_put(&request, "/v2/a/manifests/v2", &claims, &image);
	assert_int_equal(send_put(f, &request, NULL), 201);
	assert_int_equal(send_put(f, &request, PEER_USED), 401);
	/* Another body than the one that was signed, of the same length; none that was signed. */
	claims = call_of(2, &image);
	claims.digest[0] ^= 1;
	buf_clear(&request);
	sign_put(&request, "/v2/a/manifests/v3", &claims, &image);
	assert_int_equal(send_put(f, &request, PEER_REFUSED), 401);
	claims = call_of(3, &image);
	claims.has_digest = false;
	buf_clear(&request);
	sign_put(&request, "/v2/a/manifests/v3", &claims, &image);
	assert_int_equal(send_put(f, &request, PEER_REFUSED), 401);
	assert_int_equal(get(f, "/v2/a/manifests/v3"), 404);
	expect_count(&f->rig->own.counters.peer_refused_total, 3);
}

/* The second comes while we still work on the first: both get the answer. */
static void a_change_that_comes_twice(void **state)
{
	struct fixture *f = *state;
	AUTO_FINI(buf) image = buf_limit(8192);
	AUTO_FINI(buf) request = buf_limit(16384);
	struct peer_claims claims;
	struct reply *reply = xnew(struct reply);
	int fds[8];

	push_whole_image(f, "a", "v1", "1", &image);
	for (unsigned i = 0; i < 8; i++) {
		claims = call_of(i, &image);
		buf_clear(&request);
		sign_put(&request, "/v2/a/manifests/v2", &claims, &image);
		fds[i] = dial(f->rig->http.port);
		put(fds[i], buf_text(&request));
	}
	for (unsigned i = 0; i < 8; i++) {
		assert_true(take_reply(fds[i], reply));
		assert_int_equal(reply->status, 201);
		(void)close(fds[i]);
	}
	free(reply);
	assert_int_equal(get(f, "/v2/a/manifests/v2"), 200);
	expect_count(&f->rig->own.counters.peer_requests_total, 8);
}

static void isolated_storage_names_who_is_missing(void **state)
{
	struct fixture *two = fixture_of(&(struct front_rig_settings){ .self = "two", .isolated = true });
	struct fixture *one = fixture_of(&(struct front_rig_settings){ .self = "one", .isolated = true });
	struct ring_member dead = dead_member();
	AUTO_FINI(buf) image = buf_limit(8192);

	(void)state;
	one->rig->cluster.place = (struct place_found){ PLACE_PEER, &two->rig->member };
	push_whole_image(one, "a", "v1", "1", &image);
	assert_int_equal(get(two, "/v2/a/manifests/v1"), 200);
	one->rig->cluster.place = (struct place_found){ PLACE_PEER, &dead };
	assert_int_equal(get(one, "/v2/a/manifests/v1"), 503);
	expect_header(one, "Retry-After", "2");
	expect_code(one, "dead");
	one->rig->cluster.place = (struct place_found){ PLACE_NOWHERE, &dead };
	assert_int_equal(get(one, pathf("/v2/a/blobs/%s", digest_text(one, STR("layer"), HASH_SHA256))), 503);
	/* Both think that it is the other: one with another ring says so, whatever the epochs are, and nobody
	 * loops. */
	one->rig->cluster.place = (struct place_found){ PLACE_PEER, &two->rig->member };
	two->rig->cluster.place = (struct place_found){ PLACE_PEER, &one->rig->member };
	assert_int_equal(get(one, "/v2/a/manifests/v1"), 200);
	/* It is the owner, by name, which is another process's for now: what lies there is not for anybody. */
	two->rig->cluster.place =
		(struct place_found){ PLACE_NOWHERE, ring_at(two->rig->cluster.snapshot->ring, 0) };
	assert_int_equal(get(one, "/v2/a/manifests/v1"), 503);
	assert_int_equal(get(one, pathf("/v2/a/blobs/%s", digest_text(one, STR("layer"), HASH_SHA256))), 503);
	two->rig->cluster.place = (struct place_found){ PLACE_PEER, &one->rig->member };
	for (uint64_t epoch = 4; epoch <= 6; epoch++) {
		snapshot_free(two->rig->cluster.snapshot);
		front_rig_snapshot(
			two->rig, &(struct front_rig_settings){ .self = "two", .isolated = true }, epoch);
		assert_int_equal(get(one, "/v2/a/manifests/v1"), epoch == 5 ? 200 : 503);
	}
	(void)teardown((void *[]){ one });
	(void)teardown((void *[]){ two });
}

/* The worker ends while requests are in all kinds of steps: nothing leaks, nothing runs afterwards. */
static void the_end_comes_in_the_middle(void **state)
{
	struct fixture *two = fixture_of(&(struct front_rig_settings){ .self = "two" });
	struct fixture *one =
		fixture_of(&(struct front_rig_settings){ .self = "one", .folder = two->rig->folder });
	int fds[24];
	size_t n = 0;

	(void)state;
	one->rig->cluster.place = (struct place_found){ PLACE_PEER, &two->rig->member };
	for (int i = 0; i < 8; i++) {
		assert_int_equal(ask(two, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
		fds[n] = dial(one->rig->http.port); /* an upload that goes on at "two" */
		put(fds[n++], pathf("PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n01234",
				      keep_location(two)));
		assert_int_equal(ask(two, "POST", "/v2/a/blobs/uploads/", STR_NONE, NULL), 202);
		fds[n] = dial(two->rig->http.port);
		put(fds[n++], pathf("PATCH %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n01234",
				      keep_location(two)));
		fds[n] = dial(one->rig->http.port); /* a password that is being verified */
		put(fds[n++], "PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nAuthorization: slow alice\r\n"
			      "Content-Length: 1000\r\n\r\n{");
	}
	expect_count(&two->rig->own.counters.http_begun_total, 16 + 16);
	http_result_fini(&one->got);
	front_rig_close(one->rig, false);
	free(one);
	(void)teardown((void *[]){ two });
	while (n)
		(void)close(fds[--n]);
}

/* Refusals that are held back have a connection each: so many, and the others are answered at once. */
static void held_refusals_are_bounded(void **state)
{
	struct fixture *f = *state;
	int fds[300];

	rig_fail_delay_ms = 3600000;
	for (unsigned i = 0; i < 300; i++) {
		fds[i] = dial(f->rig->http.port);
		put(fds[i], "GET /v2/ HTTP/1.1\r\nHost: x\r\nAuthorization: wrong\r\n\r\n");
	}
	expect_count(&f->rig->own.counters.http_begun_total, 300);
	expect_count(&f->rig->own.counters.http_ended_total, 300 - 256);
	for (unsigned i = 0; i < 300; i++)
		(void)close(fds[i]);
	rig_fail_delay_ms = 0;
}

/* A hop header that a client makes up means nothing. */
static void a_forged_hop_is_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "GET", "/v2/a/tags/list", STR_NONE,
				 (const char *[]){ "X-Zot-Cluster-Hop-Count", "1", "Zot-Cluster-Peer",
					 "v2 x y", NULL }),
		401);
	expect_header(f, PEER_REFUSED_HEADER, PEER_REFUSED);
	assert_int_equal(ask(f, "GET", "/v2/a/tags/list", STR_NONE,
				 (const char *[]){ "X-Zot-Cluster-Hop-Count", "1", NULL }),
		404);
	expect_count(&f->rig->own.counters.peer_requests_total, 0);
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH(the_base_says_what_it_is),
		WITH(a_blob_goes_in_and_out),
		WITH(ranges_of_a_blob),
		WITH(chunks_in_order),
		WITH(all_bytes_at_once),
		WITH(the_digest_is_compared),
		WITH(uploads_are_cancelled),
		WITH(big_blobs_stream),
		WITH(a_client_that_leaves_may_come_back),
		WITH(chunked_bodies_are_taken),
		cmocka_unit_test(a_full_spool_is_told),
		WITH(mounts),
		WITH(an_image_goes_in_and_out),
		WITH(wrong_manifests_are_refused),
		WITH(tags_come_with_a_digest),
		WITH(tags_are_paged),
		WITH(referrers_are_listed),
		WITH(what_is_deleted_is_gone),
		WITH(the_catalog_is_paged),
		cmocka_unit_test_setup_teardown(access_is_asked, setup_access, teardown),
		WITH(quota_is_asked),
		WITH(bytes_are_taken_before_they_move),
		WITH(health_tells_the_truth),
		cmocka_unit_test(shared_storage_serves_through_any),
		cmocka_unit_test(an_upload_begins_where_it_can_end),
		cmocka_unit_test(isolated_storage_names_who_is_missing),
		WITH(held_refusals_are_bounded),
		WITH(a_forged_hop_is_nothing),
		WITH(a_change_that_comes_twice),
		WITH(a_peers_call_is_good_once_and_for_its_body),
		cmocka_unit_test(the_end_comes_in_the_middle),
	};
	int status;

	http_client_init();
	log_init(LOG_ERROR, false);
	status = cmocka_run_group_tests(tests, NULL, NULL);
	http_client_fini();
	return status;
}
