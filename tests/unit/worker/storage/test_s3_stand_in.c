/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3_stand_in: empty objects that zot left, and their bytes in another repository, in a bucket that is a table here: it knows of each object its size, and
 * counts what is asked.
 */
#include "tests/unit/common/http_rig.h"

#include <stdlib.h>

#include "tests/unit/told_ok.h"
#include "worker/storage/pace.h"
#include "worker/storage/s3_priv.h"

#define OBJECTS_MAX 200
#define ROOT        "/bucket/root/"
#define BLOB        "blobs/sha256/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
#define OTHER       "blobs/sha256/486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7"
#define NOTHING     "blobs/sha256/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define MARK        "_dedupe/.restored"
#define IMPORTED    "_catalog/.imported"
/* More than are looked at together. */
#define MANY 40

struct bucket {
	struct rig rig;
	struct store *store;
	pthread_mutex_t lock; /* for what follows */
	struct object {
		char key[320];
		uint64_t size;
	} objects[OBJECTS_MAX];
	size_t len;
	char broken[320]; /* a key of which nothing is known now */
	unsigned looks, copies, others;
};

/* ---- the bucket ---- */

static struct object *find_locked(struct bucket *bucket, const char *key)
{
	for (size_t i = 0; i < bucket->len; i++)
		if (!strcmp(bucket->objects[i].key, key))
			return &bucket->objects[i];
	return NULL;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct object *)a)->key, ((const struct object *)b)->key);
}

static void put_locked(struct bucket *bucket, const char *key, uint64_t size)
{
	struct object *object = find_locked(bucket, key);

	if (!object) {
		assert_true(bucket->len < OBJECTS_MAX);
		object = &bucket->objects[bucket->len++];
		(void)snprintf(object->key, sizeof(object->key), "%s", key);
	}
	object->size = size;
	qsort(bucket->objects, bucket->len, sizeof(*object), by_key);
}

static struct http_response *head_locked(struct bucket *bucket, const char *key)
{
	const struct object *object = find_locked(bucket, key);

	bucket->looks++;
	if (!strcmp(key, bucket->broken))
		return http_response_empty(500);
	return object ? http_response_announce(200, object->size) : http_response_empty(404);
}

static void parameter(struct str query, const char *name, struct buf *into)
{
	(void)http_query_get(query, name, into);
	assert_false(into->failed);
}

static struct http_response *list_locked(struct bucket *bucket, struct str query)
{
	AUTO_FINI(buf) prefix = buf_limit(1000), after = buf_limit(1000), most = buf_limit(50);
	AUTO_FINI(buf) xml = buf_limit(1 << 20);
	uint64_t left = 0;
	bool more = false;

	parameter(query, "prefix", &prefix);
	parameter(query, "start-after", &after);
	parameter(query, "max-keys", &most);
	assert_true(str_to_number(buf_str(&most), 1000, &left));
	assert_true(str_starts(buf_str(&prefix), "root/"));
	buf_puts(&xml, "<ListBucketResult>");
	for (size_t i = 0; i < bucket->len; i++) {
		AUTO_FINI(buf) key = buf_limit(1000);

		buf_format(&key, "root/%s", bucket->objects[i].key);
		if (!str_starts(buf_str(&key), buf_text(&prefix)) ||
			(after.len && str_compare(buf_str(&key), buf_str(&after)) <= 0))
			continue;
		more = !left;
		if (!left--)
			break;
		buf_format(&xml, "<Contents><Key>%s</Key><Size>%u</Size></Contents>", buf_text(&key),
			(unsigned)bucket->objects[i].size);
	}
	buf_format(&xml, "<IsTruncated>%s</IsTruncated></ListBucketResult>", more ? "true" : "false");
	return http_response_copy(200, buf_str(&xml));
}

static struct http_response *put_request_locked(
	struct bucket *bucket, struct http_request *request, const char *key)
{
	struct str from = str_of(http_request_header(request, "x-amz-copy-source"));
	struct http_response *response;

	if (str_skip(&from, ROOT)) {
		AUTO_STR *text = str_dup(from);
		const struct object *object = find_locked(bucket, text);

		if (!object)
			return http_response_empty(404);
		bucket->copies++;
		put_locked(bucket, key, object->size);
		return http_response_copy(
			200, STR("<CopyObjectResult><ETag>\"1\"</ETag></CopyObjectResult>"));
	}
	bucket->others++;
	put_locked(bucket, key, 0);
	response = http_response_empty(200);
	http_response_header(response, "ETag", "\"1\"");
	return response;
}

static void on_request(void *app, struct http_request *request)
{
	struct bucket *bucket = app;
	struct str path = http_request_path(request);
	struct http_response *response;

	pthread_mutex_lock(&bucket->lock);
	if (str_skip(&path, ROOT) && path.len) {
		AUTO_STR *key = str_dup(path);

		response = http_request_method(request) == HTTP_HEAD
				   ? head_locked(bucket, key)
				   : put_request_locked(bucket, request, key);
	} else {
		response = list_locked(bucket, http_request_query(request));
	}
	pthread_mutex_unlock(&bucket->lock);
	http_request_reply(request, response);
}

static void on_done(void *app, struct http_request *request)
{
	(void)app;
	(void)request;
}

static int set_up(void **state)
{
	struct bucket *bucket = xnew(struct bucket);
	struct s3_settings settings = { .region = "r",
		.bucket = "bucket",
		.prefix = "root",
		.access_key = "a",
		.secret_key = "s",
		.path_style = true };
	uint16_t port = 0;
	char endpoint[64];

	assert_int_equal(pthread_mutex_init(&bucket->lock, NULL), 0);
	rig_open(&bucket->rig, rig_listen(&port, false),
		(struct http_app){ bucket, on_request, on_done, NULL });
	rig_run(&bucket->rig);
	(void)snprintf(endpoint, sizeof(endpoint), "http://127.0.0.1:%u", port);
	settings.endpoint = endpoint;
	OK(store_s3_open(&bucket->store, &settings, &failure));
	s3_store_of(bucket->store)->client.backoff_ms = 1;
	*state = bucket;
	return 0;
}

static int tear_down(void **state)
{
	struct bucket *bucket = *state;

	store_free(bucket->store);
	rig_close(&bucket->rig);
	(void)pthread_mutex_destroy(&bucket->lock);
	free(bucket);
	return 0;
}

/* ---- what the tests say ---- */

static struct s3_store *s3_of(const struct bucket *bucket)
{
	return s3_store_of(bucket->store);
}

static void put_object(struct bucket *bucket, const char *key, uint64_t size)
{
	pthread_mutex_lock(&bucket->lock);
	put_locked(bucket, key, size);
	pthread_mutex_unlock(&bucket->lock);
}

/* A repository of the catalog, and of it one blob. */
static void put_blob(struct bucket *bucket, const char *name, const char *blob, uint64_t size)
{
	char key[320];

	(void)snprintf(key, sizeof(key), "_catalog/%s", name);
	put_object(bucket, key, 0);
	(void)snprintf(key, sizeof(key), "%s/%s", name, blob);
	put_object(bucket, key, size);
}

/* -1: it is not there. */
static int64_t size_of(struct bucket *bucket, const char *key)
{
	const struct object *object;
	int64_t size;

	pthread_mutex_lock(&bucket->lock);
	object = find_locked(bucket, key);
	size = object ? (int64_t)object->size : -1;
	pthread_mutex_unlock(&bucket->lock);
	return size;
}

static void break_key(struct bucket *bucket, const char *key)
{
	pthread_mutex_lock(&bucket->lock);
	(void)snprintf(bucket->broken, sizeof(bucket->broken), "%s", key);
	pthread_mutex_unlock(&bucket->lock);
}

/* Since it was asked last. */
static unsigned looks(struct bucket *bucket)
{
	unsigned n;

	pthread_mutex_lock(&bucket->lock);
	n = bucket->looks;
	bucket->looks = 0;
	pthread_mutex_unlock(&bucket->lock);
	return n;
}

static void refused(bool ok, enum error_kind kind, const char *why)
{
	assert_false(ok);
	if (failure.kind != kind || !strstr(failure.text, why))
		fail_msg("%s: %s", error_kind_name(failure.kind), failure.text);
}

/* ---- tests ---- */

static void only_empty_blobs_stand_in(void **state)
{
	(void)state;
	assert_true(s3_is_stand_in("a/" BLOB, 0));
	assert_true(s3_is_stand_in("blobs/blobs/" BLOB, 0));
	assert_false(s3_is_stand_in("a/" BLOB, 1));
	assert_false(s3_is_stand_in("a/" NOTHING, 0));
	assert_false(s3_is_stand_in("a/index.json", 0));
	assert_false(s3_is_stand_in("a/blobs/sha256/", 0));
	assert_false(s3_is_stand_in("a/blobs/sha256/x/y", 0));
	assert_false(s3_is_stand_in("_catalog/a", 0));
}

static void one_that_is_asked_for_gets_its_bytes(void **state)
{
	struct bucket *bucket = *state;
	struct digest digest = digest_of(HASH_SHA256, STR("hello"));
	uint64_t size;

	put_blob(bucket, "a", BLOB, 0);
	put_blob(bucket, "b", BLOB, 5);
	put_blob(bucket, "c", BLOB, 0);
	OK(store_blob_size(bucket->store, STR("c"), &digest, &size, &failure));
	assert_int_equal(size, 5);
	assert_int_equal(size_of(bucket, "c/" BLOB), 5);
	assert_int_equal(bucket->copies, 1);
	/* Nobody has asked for that one. */
	assert_int_equal(size_of(bucket, "a/" BLOB), 0);
}

/* The one that had the bytes before is looked at alone. */
static void where_it_was_found_last_comes_first(void **state)
{
	struct bucket *bucket = *state;
	char name[16];
	uint64_t size;

	for (int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof(name), "r%02d", i);
		put_blob(bucket, name, BLOB, i == MANY - 1 ? 5 : 0);
	}
	put_object(bucket, "r00/" OTHER, 0);
	put_object(bucket, "r39/" OTHER, 6);
	OK(s3_restore(s3_of(bucket), "r00/" BLOB, &size, &failure));
	assert_int_equal(size, 5);
	/* All others, and what it has become. */
	assert_int_equal(looks(bucket), MANY - 1 + 1);
	OK(s3_restore(s3_of(bucket), "r00/" OTHER, &size, &failure));
	assert_int_equal(size, 6);
	assert_int_equal(looks(bucket), 2);
}

static void one_that_nobody_has_is_not_looked_for_again(void **state)
{
	struct bucket *bucket = *state;
	uint64_t size;

	put_blob(bucket, "a", BLOB, 0);
	put_blob(bucket, "b", BLOB, 0);
	/* While the catalog may lack names nothing is concluded from it. */
	refused(s3_restore(s3_of(bucket), "a/" BLOB, &size, &failure), ERROR_UNAVAILABLE, "looked through");
	put_object(bucket, IMPORTED, 0);
	refused(s3_restore(s3_of(bucket), "a/" BLOB, &size, &failure), ERROR_UNKNOWN,
		"no repository has its bytes");
	(void)looks(bucket);
	put_object(bucket, "b/" BLOB, 5);
	refused(s3_restore(s3_of(bucket), "a/" BLOB, &size, &failure), ERROR_UNKNOWN,
		"no repository has its bytes");
	assert_int_equal(looks(bucket), 0);
	/* Another one is. */
	put_object(bucket, "a/" OTHER, 0);
	put_object(bucket, "b/" OTHER, 6);
	OK(s3_restore(s3_of(bucket), "a/" OTHER, &size, &failure));
}

static void an_answer_that_is_none_leaves_it_open(void **state)
{
	struct bucket *bucket = *state;
	uint64_t size;

	put_object(bucket, IMPORTED, 0);
	put_blob(bucket, "a", BLOB, 0);
	put_blob(bucket, "b", BLOB, 5);
	put_blob(bucket, "c", BLOB, 0);
	break_key(bucket, "b/" BLOB);
	refused(s3_restore(s3_of(bucket), "a/" BLOB, &size, &failure), ERROR_UNAVAILABLE, "not known now");
	break_key(bucket, "");
	OK(s3_restore(s3_of(bucket), "a/" BLOB, &size, &failure));
	assert_int_equal(size, 5);
}

static void a_walk_restores_all_and_leaves_its_mark(void **state)
{
	struct bucket *bucket = *state;
	struct store_dedupe told = { 0 };

	put_blob(bucket, "a", BLOB, 5);
	put_blob(bucket, "b", BLOB, 0);
	put_blob(bucket, "c", BLOB, 0);
	put_blob(bucket, "c", NOTHING, 0);
	put_blob(bucket, "d", OTHER, 0);
	/* Not before the catalog is whole. */
	OK(s3_dedupe(bucket->store, false, NULL, NULL, &told, &failure));
	assert_true(told.again);
	assert_int_equal(told.restored, 0);
	assert_int_equal(size_of(bucket, MARK), -1);
	put_object(bucket, IMPORTED, 0);
	OK(s3_dedupe(bucket->store, false, NULL, NULL, &told, &failure));
	assert_false(told.again);
	assert_int_equal(told.restored, 2);
	assert_int_equal(size_of(bucket, "b/" BLOB), 5);
	assert_int_equal(size_of(bucket, "c/" BLOB), 5);
	/* What nobody has stays as it is, and is no failure. */
	assert_int_equal(size_of(bucket, "d/" OTHER), 0);
	assert_int_equal(size_of(bucket, MARK), 0);
	(void)looks(bucket);
	OK(s3_dedupe(bucket->store, false, NULL, NULL, &told, &failure));
	assert_int_equal(looks(bucket), 0);
	put_blob(bucket, "e", BLOB, 0);
	told.restored = 0;
	OK(s3_dedupe(bucket->store, true, NULL, NULL, &told, &failure));
	assert_int_equal(told.restored, 1);
}

static bool some_steps(void *arg)
{
	return (*(unsigned *)arg)-- > 0;
}

static void a_walk_that_ends_early_leaves_no_mark(void **state)
{
	struct bucket *bucket = *state;
	struct store_dedupe told = { 0 };
	unsigned left;
	const struct pace pace = { some_steps, &left };

	put_object(bucket, IMPORTED, 0);
	put_blob(bucket, "a", BLOB, 5);
	put_blob(bucket, "b", BLOB, 0);
	/* Before a repository, before a blob of it, and in the search for its bytes: none of them is a failure. */
	for (unsigned steps = 0; steps < 4; steps++) {
		left = steps;
		told.again = false;
		OK(s3_dedupe(bucket->store, false, &pace, NULL, &told, &failure));
		assert_true(told.again);
		assert_int_equal(told.restored, 0);
		assert_int_equal(size_of(bucket, "b/" BLOB), 0);
		assert_int_equal(size_of(bucket, MARK), -1);
	}
	left = 100;
	OK(s3_dedupe(bucket->store, false, &pace, NULL, &told, &failure));
	assert_false(told.again);
	assert_int_equal(told.restored, 1);
}

static void what_others_need_is_given_before_it_goes(void **state)
{
	struct bucket *bucket = *state;

	put_blob(bucket, "a", BLOB, 5);
	put_blob(bucket, "b", BLOB, 0);
	put_blob(bucket, "aa", OTHER, 0);
	put_blob(bucket, "d", BLOB, 5);
	/* Where it is not known whether anybody needs it, it stays. */
	break_key(bucket, "aa/" BLOB);
	refused(s3_settle_stand_ins(s3_of(bucket), "a/" BLOB, 5, &failure), ERROR_UNAVAILABLE,
		"not known now");
	break_key(bucket, "");
	bucket->copies = 0;
	OK(s3_settle_stand_ins(s3_of(bucket), "a/" BLOB, 5, &failure));
	assert_int_equal(size_of(bucket, "b/" BLOB), 5);
	assert_int_equal(bucket->copies, 1);
	assert_int_equal(size_of(bucket, "aa/" BLOB), -1);
	assert_int_equal(size_of(bucket, "aa/" OTHER), 0);
	/* With the mark there are none. */
	put_object(bucket, MARK, 0);
	OK(s3_settle_stand_ins(s3_of(bucket), "a/" BLOB, 5, &failure));
	(void)looks(bucket);
	OK(s3_settle_stand_ins(s3_of(bucket), "a/" BLOB, 5, &failure));
	OK(s3_settle_stand_ins(s3_of(bucket), "a/index.json", 5, &failure));
	assert_int_equal(looks(bucket), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_empty_blobs_stand_in),
		TEST(one_that_is_asked_for_gets_its_bytes),
		TEST(where_it_was_found_last_comes_first),
		TEST(one_that_nobody_has_is_not_looked_for_again),
		TEST(an_answer_that_is_none_leaves_it_open),
		TEST(a_walk_restores_all_and_leaves_its_mark),
		TEST(a_walk_that_ends_early_leaves_no_mark),
		TEST(what_others_need_is_given_before_it_goes),
	};
	int failed;

	http_client_init();
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	http_client_fini();
	return failed;
}
