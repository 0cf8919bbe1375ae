/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_store_s3 - the driver against a real S3 server, and what its verbs cost in requests.
 *
 *     python tests/system/s3_servers.py run moto|radosgw -- test_store_s3
 *
 * Without the server's variables it fails: a test that did not run has not passed.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "proto/digest.h"
#include "tests/unit/worker/storage/store_suite.h"
#include "worker/storage/pace.h"
#include "worker/storage/s3_priv.h"

#define WRITERS 8
#define ROUNDS  6
#define BIG     (100 * S3_MIB)

static struct s3_settings server;
static char prefix[64];
static struct store *store;

static struct store *open_with(struct s3_settings settings)
{
	struct store *opened = NULL;
	struct error err = { 0 };

	if (!store_s3_open(&opened, &settings, &err))
		fail_msg("%s", err.text);
	return opened;
}

static void close_store(struct store *opened)
{
	opened->driver->free(opened);
}

static void expect_error(bool ok, const struct error *err, enum error_kind kind)
{
	assert_false(ok);
	if (err->kind != kind)
		fail_msg(
			"%s instead of %s: %s", error_kind_name(err->kind), error_kind_name(kind), err->text);
}

static void expect_content(const char *key, struct str wanted, struct store_version *ret_version)
{
	AUTO_FINI(buf) there = buf_limit(S3_MIB);

	OK(store->driver->get(store, key, &there, ret_version, &failure));
	assert_true(str_equal(buf_str(&there), wanted));
}

static uint64_t requests(void)
{
	return store->driver->requests(store);
}

static void put_text(const char *key, const char *text)
{
	struct digest digest = digest_of(HASH_SHA256, str_of(text));

	OK(store->driver->put(store, key, &digest, str_of(text), &failure));
}

/* ---- small objects ---- */

static void put_get_remove(void **state)
{
	AUTO_FINI(buf) into = buf_limit(1024);
	struct store_version version;
	uint64_t size = 0;
	struct error err;

	(void)state;
	put_text("a/b+c d/x", "hello");
	expect_content("a/b+c d/x", STR("hello"), &version);
	assert_true(version.text[0] && !strchr(version.text, '"'));
	OK(store->driver->size(store, "a/b+c d/x", &size, &failure));
	assert_int_equal(size, 5);
	uint64_t before = requests();
	OK(store->driver->remove(store, "a/b+c d/x", store_clock_s(store, STR_NONE) + 20, &failure));
	assert_int_equal(requests() - before, 2);
	expect_error(store->driver->get(store, "a/b+c d/x", &into, &version, &err), &err, ERROR_UNKNOWN);
	expect_error(store->driver->size(store, "a/b+c d/x", &size, &err), &err, ERROR_UNKNOWN);
	expect_error(store->driver->remove(store, "a/b+c d/x", store_clock_s(store, STR_NONE) + 20, &err),
		&err, ERROR_UNKNOWN);
}

/* One that is held up until its time is over does nothing. */
static void removal_has_an_end(void **state)
{
	struct s3_client *client = &s3_store_of(store)->client;
	struct s3_call call = {
		.method = "DELETE", .key = "late", .until_s = store_clock_s(store, STR_NONE) + 2
	};
	struct s3_request request;
	struct error err;

	(void)state;
	put_text("late", "hello");
	OK(s3_client_prepare(client, &call, &request, &failure));
	while (store_clock_s(store, STR_NONE) < call.until_s)
		s3_client_sleep(100);
	s3_client_sleep(1000);
	for (size_t i = 0; i < 2; i++) {
		AUTO_FINI(http_result) result = { 0 };

		http_result_init(&result, S3_ANSWER_MAX);
		OK(http_send(&request.spec, &result, &failure));
		assert_int_equal(result.status, 403);
	}
	s3_request_fini(&request);
	expect_content("late", STR("hello"), NULL);
	expect_error(store->driver->remove(store, "late", call.until_s, &err), &err, ERROR_UNAVAILABLE);
	expect_content("late", STR("hello"), NULL);
}

static void store_tells_its_clock(void **state)
{
	AUTO_FINI(buf) into = buf_limit(1024);
	struct store_version version = { .text = "" };
	struct store_log_place place = { .generation = "none" };

	(void)state;
	put_text("dated", "hello");
	expect_content("dated", STR("hello"), &version);
	assert_in_range(version.seen_s, clock_wall_s() - 5, clock_wall_s() + 5);
	assert_in_range(store_clock_s(store, STR_NONE), clock_wall_s() - 5, clock_wall_s() + 5);
	version.seen_s = 0;
	assert_int_equal(store->driver->get_if_changed(store, "dated", &version, &into, &version, &failure),
		STORE_SAME);
	assert_in_range(version.seen_s, clock_wall_s() - 5, clock_wall_s() + 5);
	assert_int_equal(store->driver->log_get(store, "dated/index.json",
				 &(struct store_version){ .text = "" }, &place, &into, &failure),
		STORE_OK);
	assert_in_range(place.seen_s, clock_wall_s() - 5, clock_wall_s() + 5);
}

static void limit_of_an_object(void **state)
{
	AUTO_FINI(buf) into = buf_limit(4);
	struct store_version version;
	struct error err;

	(void)state;
	put_text("limit", "hello");
	expect_error(store->driver->get(store, "limit", &into, &version, &err), &err, ERROR_TOO_LARGE);
}

static void unchanged_is_not_read(void **state)
{
	AUTO_FINI(buf) into = buf_limit(1024);
	struct store_version first, second;
	struct error err;

	(void)state;
	put_text("index", "one");
	expect_content("index", STR("one"), &first);
	assert_int_equal(
		store->driver->get_if_changed(store, "index", &first, &into, &second, &err), STORE_SAME);
	put_text("index", "two");
	assert_int_equal(
		store->driver->get_if_changed(store, "index", &first, &into, &second, &err), STORE_OK);
	assert_string_equal(buf_text(&into), "two");
	assert_string_not_equal(first.text, second.text);
	assert_int_equal(
		store->driver->get_if_changed(store, "none", &first, &into, &second, &err), STORE_FAILED);
	assert_int_equal(err.kind, ERROR_UNKNOWN);
}

static enum store_step put_if(
	const char *key, const char *text, const struct store_version *expected, struct store_version *ret)
{
	struct error err = { 0 };
	enum store_step step = store->driver->put_if(store, key, str_of(text), expected, ret, &err);

	if (step == STORE_FAILED)
		fail_msg("%s", err.text);
	return step;
}

static void compare_and_swap(void **state)
{
	struct store_version first, second, third;

	(void)state;
	assert_int_equal(put_if("cas", "1", &nothing, &first), STORE_OK);
	assert_int_equal(put_if("cas", "2", &nothing, &second), STORE_CONFLICT);
	assert_int_equal(put_if("cas", "11", &nothing, &second), STORE_CONFLICT);
	/* The same bytes as there are: ours, sent twice. */
	assert_int_equal(put_if("cas", "1", &nothing, &second), STORE_OK);
	assert_string_equal(second.text, first.text);
	assert_int_equal(put_if("cas", "2", &first, &second), STORE_OK);
	assert_int_equal(put_if("cas", "2", &first, &third), STORE_OK);
	assert_string_equal(third.text, second.text);
	assert_int_equal(put_if("cas", "3", &first, &third), STORE_CONFLICT);
	expect_content("cas", STR("2"), &third);
	assert_string_equal(third.text, second.text);
	assert_int_equal(put_if("cas", "3", &third, &second), STORE_OK);
	assert_int_equal(put_if("cas", "4", NULL, &third), STORE_OK);
	expect_content("cas", STR("4"), NULL);
	assert_int_equal(put_if("cas-none", "4", &third, &second), STORE_CONFLICT);
}

/* Both forms of If-Match: whatever we believed before, the store's own form is found. */
static void learns_how_etags_are_quoted(void **state)
{
	static const enum s3_quoting beliefs[] = { S3_QUOTING_UNKNOWN, S3_UNQUOTED };
	struct store_version version, stale;

	(void)state;
	assert_int_equal(put_if("quoting", "0", &nothing, &version), STORE_OK);
	for (size_t i = 0; i < 2; i++) {
		char text[2] = { (char)('1' + i), '\0' };

		stale = version;
		atomic_store(&s3_store_of(store)->quoting, (int)beliefs[i]);
		assert_int_equal(put_if("quoting", text, &version, &version), STORE_OK);
		assert_int_equal(put_if("quoting", "x", &stale, &stale), STORE_CONFLICT);
	}
	assert_int_not_equal(atomic_load(&s3_store_of(store)->quoting), S3_QUOTING_UNKNOWN);
}

/* ---- races ---- */

struct writer {
	pthread_t thread;
	unsigned id, won, conflicts;
};

/* Adds one to a number on the store, until it is done. */
static void *add_one(void *arg)
{
	struct writer *writer = arg;

	for (unsigned round = 0; round < ROUNDS;) {
		AUTO_FINI(buf) text = buf_limit(64);
		struct store_version version;
		struct error err = { 0 };
		uint64_t n = 0;
		struct str number;

		CHECK(store->driver->get(store, "counter", &text, &version, &err));
		number = buf_str(&text);
		CHECK(str_number(&number, UINT32_MAX, &n));
		buf_clear(&text);
		buf_format(&text, "%u %u", (unsigned)n + 1, writer->id);
		enum store_step step =
			store->driver->put_if(store, "counter", buf_str(&text), &version, &version, &err);
		CHECK(step != STORE_FAILED && step != STORE_SAME);
		if (step == STORE_OK) {
			writer->won++;
			round++;
		} else {
			writer->conflicts++;
		}
	}
	return NULL;
}

static void no_update_is_lost(void **state)
{
	struct writer writers[WRITERS] = { 0 };
	AUTO_FINI(buf) text = buf_limit(64);
	struct store_version version;
	unsigned conflicts = 0;
	uint64_t n = 0;
	struct str number;

	(void)state;
	put_text("counter", "0");
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].id = i;
		assert_int_equal(pthread_create(&writers[i].thread, NULL, add_one, &writers[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
		conflicts += writers[i].conflicts;
	}
	OK(store->driver->get(store, "counter", &text, &version, &failure));
	number = buf_str(&text);
	assert_true(str_number(&number, UINT32_MAX, &n));
	assert_int_equal(n, WRITERS * ROUNDS);
	print_message("%u writers, %u updates, %u conflicts\n", WRITERS, WRITERS * ROUNDS, conflicts);
}

/* ---- files ---- */

/* A file of pseudo-random bytes without a name. */
static int make_file(uint64_t size, struct digest *ret_digest)
{
	static uint64_t bytes[S3_MIB / 8];
	AUTO(hasher) *hasher = hasher_new(ret_digest->alg);
	char path[] = "/tmp/test_store_s3.XXXXXX";
	int fd = mkstemp(path);
	uint64_t seed = 88172645463325252ULL;

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	for (uint64_t done = 0; done < size;) {
		size_t len = size - done < sizeof bytes ? (size_t)(size - done) : sizeof bytes;

		for (size_t i = 0; i < sizeof bytes / 8; i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			bytes[i] = seed;
		}
		assert_int_equal(write(fd, bytes, len), len);
		hasher_add(hasher, bytes, len);
		done += len;
	}
	*ret_digest = digest_of_hasher(ret_digest->alg, hasher);
	return fd;
}

/* Reads a blob the way a loop would: from its signed source. */
static void fetch(const char *key, const struct range *part, struct http_result *result, size_t max)
{
	struct blob_source source;

	OK(store->driver->source(store, key, part, &source, &failure));
	assert_int_equal(source.fd, -1);
	struct http_call_spec spec = { .method = "GET", .url = source.url, .headers = source.headers };
	http_result_init(result, max);
	OK(http_send(&spec, result, &failure));
	free(source.url);
	http_headers_free(source.headers);
}

static void expect_digest(const char *key, const struct digest *wanted, uint64_t size)
{
	AUTO_FINI(http_result) result = { 0 };
	struct digest there;

	fetch(key, NULL, &result, size + 1);
	assert_int_equal(result.status, 200);
	assert_int_equal(result.body.len, size);
	there = digest_of(wanted->alg, buf_str(&result.body));
	assert_true(digest_equal(&there, wanted));
}

static uint64_t push_file(const char *key, enum hash_kind alg, uint64_t size)
{
	struct digest digest = { .alg = alg };
	AUTO_FD fd = make_file(size, &digest);
	uint64_t before = requests(), cost, first;

	OK(store->driver->put_file(store, key, &digest, fd, NULL, size, &failure));
	cost = requests() - before;
	expect_digest(key, &digest, size);
	first = requests();
	OK(store->driver->put_file(store, key, &digest, fd, NULL, size, &failure));
	assert_int_equal(requests() - first, 1); /* it is there: nothing is sent */
	return cost;
}

static void files_of_all_sizes(void **state)
{
	(void)state;
	assert_int_equal(push_file("blobs/empty", HASH_SHA256, 0), 2);
	assert_int_equal(push_file("blobs/small", HASH_SHA256, 4000), 2);
	assert_int_equal(push_file("blobs/sha512", HASH_SHA512, 70000), 2);
	uint64_t big = push_file("blobs/big", HASH_SHA256, BIG);
	assert_int_equal(big, 3 + (BIG + 16 * S3_MIB - 1) / (16 * S3_MIB));
	print_message("requests: small blob push 2, 100 MiB blob push %u (3 + parts)\n", (unsigned)big);
}

static void parts_of_a_blob(void **state)
{
	AUTO_FINI(http_result) result = { 0 };
	const struct range part = { 1, 3 };

	(void)state;
	put_text("blobs/part", "hello");
	fetch("blobs/part", &part, &result, 100);
	assert_int_equal(result.status, 206);
	assert_string_equal(buf_text(&result.body), "ell");
}

static void file_that_shrank(void **state)
{
	struct digest digest = { .alg = HASH_SHA256 };
	AUTO_FD fd = make_file(S3_MIB, &digest);
	struct error err = { 0 };
	uint64_t size;

	(void)state;
	assert_false(store->driver->put_file(store, "blobs/shrank", &digest, fd, NULL, 65 * S3_MIB, &err));
	expect_error(store->driver->size(store, "blobs/shrank", &size, &err), &err, ERROR_UNKNOWN);
}

/* moto believes whatever it is told. */
static void store_verifies_the_hash(void **state)
{
	struct digest other = digest_of(HASH_SHA256, STR("other"));
	struct error err = { 0 };
	const char *kind = getenv("ZOT_TEST_S3_KIND");

	(void)state;
	if (kind && strcmp(kind, "moto") == 0)
		return;
	assert_false(store->driver->put(store, "blobs/wrong", &other, STR("hello"), &err));
}

static void copies(void **state)
{
	struct error err = { 0 };
	uint64_t size = 0;

	(void)state;
	put_text("from/a+b", "hello");
	OK(store->driver->copy(store, "from/a+b", "to/c", NULL, &failure));
	expect_content("to/c", STR("hello"), NULL);
	expect_error(store->driver->copy(store, "from/none", "to/d", NULL, &err), &err, ERROR_UNKNOWN);
	struct digest digest = { .alg = HASH_SHA256 };
	AUTO_FD fd = make_file(12 * S3_MIB, &digest);
	OK(store->driver->put_file(store, "from/big", &digest, fd, NULL, 12 * S3_MIB, &failure));
	OK(s3_upload_copy(s3_store_of(store), "from/big", "to/big", 12 * S3_MIB, S3_PART_MIN, &failure));
	OK(store->driver->size(store, "to/big", &size, &failure));
	expect_digest("to/big", &digest, 12 * S3_MIB);
}

static void nothing_is_left_half_done(void **state)
{
	AUTO_FINI(http_result) result = { 0 };
	struct s3_client *client = &s3_store_of(store)->client;
	struct s3_call call = { .method = "GET", .query = STR("uploads=") };

	(void)state;
	OK(s3_client_send(client, &call, &result, &failure) &&
		s3_client_expect_ok(client, &call, &result, &failure));
	assert_null(strstr(buf_text(&result.body), "<UploadId>"));
}

/* ---- lists ---- */

struct names {
	char text[2048];
	size_t n, most;
};

static bool take_name(void *arg, struct str name)
{
	struct names *names = arg;
	size_t len = strlen(names->text);

	snprintf(names->text + len, sizeof names->text - len, "%.*s ", STR_ARGS(name));
	return ++names->n < names->most;
}

static void expect_list(const char *after, size_t n, size_t most, const char *wanted, bool wanted_more)
{
	struct names names = { .most = most };
	bool more = !wanted_more;

	OK(store->driver->list(store, "_catalog/", str_of(after), n, take_name, &names, &more, &failure));
	assert_string_equal(names.text, wanted);
	assert_int_equal(more, wanted_more);
}

static void lists_in_order(void **state)
{
	static const char *const names[] = { "b", "a", "c%2Fd", "a-b", "z&<x>", "deeper/no" };

	(void)state;
	expect_list(NULL, 10, 99, "", false);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char key[64];

		snprintf(key, sizeof key, "_catalog/%s", names[i]);
		put_text(key, "");
	}
	put_text("_catalog2/e", "");
	expect_list(NULL, 10, 99, "a a-b b c%2Fd z&<x> ", false);
	expect_list(NULL, 2, 99, "a a-b ", true);
	expect_list("a-b", 2, 99, "b c%2Fd ", true);
	expect_list("aa", 3, 99, "b c%2Fd z&<x> ", false);
	expect_list(NULL, 10, 3, "a a-b b ", true);
	expect_list("zz", 10, 99, "", false);
}

static bool stop_at_once(void *arg)
{
	(void)arg;
	return false;
}

static void blobs_are_weighed(void **state)
{
	const struct pace pace = { .go_on = stop_at_once };
	struct error err = { 0 };
	struct store_usage usage = { 77, 77 };
	uint64_t requests;

	(void)state;
	OK(store_usage(store, STR("weighed"), NULL, &usage, &failure));
	assert_int_equal(usage.bytes, 0);
	assert_int_equal(usage.blobs, 0);
	put_text("weighed/index.json", "not a blob");
	put_text("weighed/blobs/sha256/aa", "12345");
	put_text("weighed/blobs/sha512/bb", "1234567");
	put_text("weighed/more/blobs/sha256/cc", "of another repository");
	requests = store_requests(store);
	OK(store_usage(store, STR("weighed"), NULL, &usage, &failure));
	assert_int_equal(usage.bytes, 12);
	assert_int_equal(usage.blobs, 2);
	/* Both are in the one list. */
	assert_int_equal(store_requests(store) - requests, 1);
	expect_error(store_usage(store, STR("weighed"), &pace, &usage, &err), &err, ERROR_UNAVAILABLE);
	/* More than a page. */
	for (int i = 0; i < 1003; i++) {
		char key[64];

		snprintf(key, sizeof key, "many/blobs/sha256/%04d", i);
		put_text(key, "xyz");
	}
	OK(store_usage(store, STR("many"), NULL, &usage, &failure));
	assert_int_equal(usage.bytes, 3009);
	assert_int_equal(usage.blobs, 1003);
}

/* ---- what is wrong is said ---- */

static void expect_complaint(struct s3_settings settings, enum error_kind kind, const char *word)
{
	struct store *other = open_with(settings);
	AUTO_FINI(buf) into = buf_limit(1024);
	struct store_version version;
	struct error err = { 0 };

	expect_error(other->driver->check(other, &err), &err, kind);
	expect_error(other->driver->get(other, "x", &into, &version, &err), &err, kind);
	if (!strstr(err.text, word))
		fail_msg("no \"%s\" in: %s", word, err.text);
	close_store(other);
}

static void complaints(void **state)
{
	struct s3_settings settings = server;

	(void)state;
	OK(store->driver->check(store, &failure));
	settings.secret_key = "wrong";
	expect_complaint(settings, ERROR_UNAVAILABLE, "see the secret key");
	settings = server;
	settings.access_key = "AKIANOBODYNOBODY0000";
	expect_complaint(settings, ERROR_UNAVAILABLE, "see the access key");
	settings = server;
	settings.bucket = "there-is-no-such-bucket";
	expect_complaint(settings, ERROR_UNAVAILABLE, "see the bucket");
	settings = server;
	settings.endpoint = "http://127.0.0.1:1";
	settings.retries = 1;
	expect_complaint(settings, ERROR_UNAVAILABLE, "127.0.0.1:1");
}

/* ---- costs ---- */

static void requests_of_each_verb(void **state)
{
	AUTO_FINI(buf) into = buf_limit(1024);
	struct store_version version;
	struct error err = { 0 };
	uint64_t at = requests();

	(void)state;
	put_text("cost/blob", "x");
	assert_int_equal(requests() - at, 1);
	at = requests();
	assert_int_equal(
		put_if("cost/index", "1", &(struct store_version){ .text = "" }, &version), STORE_OK);
	assert_int_equal(requests() - at, 1);
	at = requests();
	assert_int_equal(put_if("cost/index", "2", &version, &version), STORE_OK);
	assert_int_equal(requests() - at, 1);
	at = requests();
	assert_int_equal(store->driver->get_if_changed(store, "cost/index", &version, &into, &version, &err),
		STORE_SAME);
	assert_int_equal(requests() - at, 1);
	print_message("requests: manifest blob 1, index write 1, revalidate 1\n");
}

/* A threshold that is set: what is larger goes by parts, what is not in one request. */
static void copies_by_parts_above_a_threshold(void **state)
{
	struct s3_settings settings = server;
	struct store *other;
	uint64_t before, size = 0;

	(void)state;
	settings.copy_whole_max = 6 * S3_MIB;
	settings.copy_part_size = S3_PART_MIN;
	other = open_with(settings);
	before = other->driver->requests(other);
	OK(other->driver->copy(other, "from/big", "to/by_parts", NULL, &failure));
	/* HEAD, begin, three parts, end. */
	assert_int_equal(other->driver->requests(other) - before, 6);
	OK(other->driver->size(other, "to/by_parts", &size, &failure));
	assert_int_equal(size, 12 * S3_MIB);
	before = other->driver->requests(other);
	OK(other->driver->copy(other, "from/a+b", "to/small", NULL, &failure));
	assert_int_equal(other->driver->requests(other) - before, 2);
	close_store(other);
}

/* ---- the suite that every store passes ---- */

static struct store *open_for_suite(void)
{
	static unsigned n;
	struct s3_settings settings = server;
	char suite_prefix[96];

	snprintf(suite_prefix, sizeof suite_prefix, "%s/suite%u", prefix, n++);
	settings.prefix = suite_prefix;
	return open_with(settings);
}

/* ---- start ---- */

static bool read_environment(void)
{
	static const char *const names[] = { "ZOT_TEST_S3_ENDPOINT", "ZOT_TEST_S3_ACCESS_KEY",
		"ZOT_TEST_S3_SECRET_KEY", "ZOT_TEST_S3_BUCKET" };

	for (size_t i = 0; i < 4; i++)
		if (!getenv(names[i])) {
			fprintf(stderr, "%s is not set: run this through tests/system/s3_servers.py\n",
				names[i]);
			return false;
		}
	snprintf(prefix, sizeof prefix, "test+%d/%lld", (int)getpid(), (long long)clock_wall_ms());
	server = (struct s3_settings){
		.endpoint = getenv("ZOT_TEST_S3_ENDPOINT"),
		.access_key = getenv("ZOT_TEST_S3_ACCESS_KEY"),
		.secret_key = getenv("ZOT_TEST_S3_SECRET_KEY"),
		.bucket = getenv("ZOT_TEST_S3_BUCKET"),
		.region = getenv("ZOT_TEST_S3_REGION") ? getenv("ZOT_TEST_S3_REGION") : "us-east-1",
		.prefix = prefix,
		.path_style = true,
	};
	return true;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_get_remove),
		cmocka_unit_test(removal_has_an_end),
		cmocka_unit_test(store_tells_its_clock),
		cmocka_unit_test(limit_of_an_object),
		cmocka_unit_test(unchanged_is_not_read),
		cmocka_unit_test(compare_and_swap),
		cmocka_unit_test(learns_how_etags_are_quoted),
		cmocka_unit_test(no_update_is_lost),
		cmocka_unit_test(files_of_all_sizes),
		cmocka_unit_test(parts_of_a_blob),
		cmocka_unit_test(file_that_shrank),
		cmocka_unit_test(store_verifies_the_hash),
		cmocka_unit_test(copies),
		cmocka_unit_test(copies_by_parts_above_a_threshold),
		cmocka_unit_test(nothing_is_left_half_done),
		cmocka_unit_test(lists_in_order),
		cmocka_unit_test(blobs_are_weighed),
		cmocka_unit_test(complaints),
		cmocka_unit_test(requests_of_each_verb),
	};
	int failed;

	if (!read_environment())
		return 1;
	http_client_init();
	store = open_with(server);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	close_store(store);
	failed += store_suite_run(open_for_suite);
	http_client_fini();
	return failed != 0;
}
