/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_suite - see the header. Every test opens a store of its own, so order does not matter.
 */
#include "tests/unit/worker/storage/store_suite.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "common/check.h"
#include "common/file.h"
#include "common/http_client.h"
#include "proto/name.h"
#include "tests/unit/in_folder.h"
#include "worker/storage/pace.h"
#include "worker/storage/store_driver.h"

#define WRITERS   8
#define ROUNDS    25
#define MIB       (1024u * 1024)
#define FILE_SIZE (20u * MIB)

static store_suite_open_f *open_store;

/* The expression fills `failure`. */
#define REFUSED(expr, wanted)                                                                                \
	do {                                                                                                 \
		assert_false(expr);                                                                          \
		if (failure.kind != (wanted))                                                                \
			fail_msg("%s: %s instead of %s: %s", #expr, error_kind_name(failure.kind),           \
				error_kind_name(wanted), failure.text);                                      \
	} while (0)

static int setup(void **state)
{
	*state = open_store();
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	store_free(*state);
	return 0;
}

/* ---- the index ---- */

static enum store_step put_index(struct store *store, const char *text, const struct store_version *expected,
	struct store_version *ret)
{
	enum store_step step =
		store_index_fold(store, STR("library/nginx"), str_of(text), expected, &no_log, ret, &failure);

	if (step == STORE_FAILED)
		fail_msg("%s", failure.text);
	return step;
}

static void expect_index(struct store *store, const char *text, struct store_version *ret)
{
	AUTO_FINI(buf) there = buf_limit(MIB);

	buf_puts(&there, "to be cleared");
	OK(store_index_get(store, STR("library/nginx"), &there, ret, &failure));
	assert_string_equal(buf_text(&there), text);
}

static void index_is_created_once(void **state)
{
	struct store_version first, second, third;

	assert_int_equal(put_index(*state, "one", &nothing, &first), STORE_OK);
	assert_true(first.text[0]);
	assert_int_equal(put_index(*state, "two", &nothing, &second), STORE_CONFLICT);
	expect_index(*state, "one", &third);
	assert_string_equal(first.text, third.text);
}

static void index_is_replaced_at_its_version(void **state)
{
	struct store_version first, second, third;

	assert_int_equal(put_index(*state, "one", &nothing, &first), STORE_OK);
	assert_int_equal(put_index(*state, "two", &first, &second), STORE_OK);
	assert_string_not_equal(first.text, second.text);
	assert_int_equal(put_index(*state, "six", &first, &third), STORE_CONFLICT);
	expect_index(*state, "two", &third);
	assert_string_equal(second.text, third.text);
	assert_int_equal(put_index(*state, "ten", &second, &third), STORE_OK);
	assert_int_equal(put_index(*state, "one", &first, &second), STORE_CONFLICT);
	expect_index(*state, "ten", NULL);
}

static void index_that_never_was(void **state)
{
	const struct store_version stale = { .text = "0123456789abcdef" };
	AUTO_FINI(buf) into = buf_limit(MIB);
	struct store_version version;

	REFUSED(store_index_get(*state, STR("library/nginx"), &into, &version, &failure), ERROR_UNKNOWN);
	assert_int_equal(
		store_index_get_if_changed(*state, STR("library/nginx"), &stale, &into, &version, &failure),
		STORE_FAILED);
	assert_int_equal(failure.kind, ERROR_UNKNOWN);
	assert_int_equal(put_index(*state, "one", &stale, &version), STORE_CONFLICT);
	REFUSED(store_index_get(*state, STR("library/nginx"), &into, &version, &failure), ERROR_UNKNOWN);
}

static void unchanged_index_is_not_read(void **state)
{
	AUTO_FINI(buf) into = buf_limit(MIB);
	struct store_version first, second, seen;

	assert_int_equal(put_index(*state, "one", &nothing, &first), STORE_OK);
	assert_int_equal(
		store_index_get_if_changed(*state, STR("library/nginx"), &first, &into, &seen, &failure),
		STORE_SAME);
	assert_int_equal(into.len, 0);
	assert_int_equal(put_index(*state, "two", &first, &second), STORE_OK);
	assert_int_equal(
		store_index_get_if_changed(*state, STR("library/nginx"), &first, &into, &seen, &failure),
		STORE_OK);
	assert_string_equal(buf_text(&into), "two");
	assert_string_equal(seen.text, second.text);
}

static void index_over_the_limit(void **state)
{
	AUTO_FINI(buf) small = buf_limit(4);
	AUTO_FINI(buf) exact = buf_limit(5);
	struct store_version version;

	assert_int_equal(put_index(*state, "12345", &nothing, &version), STORE_OK);
	REFUSED(store_index_get(*state, STR("library/nginx"), &small, &version, &failure), ERROR_TOO_LARGE);
	OK(store_index_get(*state, STR("library/nginx"), &exact, &version, &failure));
}

static void names_that_lead_out(void **state)
{
	static const char *const names[] = { "", "..", "../x", "a/../../x", "/a", "a/", "a//b", "A",
		"_catalog/a", "a/index.json" };
	struct store_version version;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(store_index_fold(*state, str_of(names[i]), STR("{}"), &nothing, &no_log,
					 &version, &failure),
			STORE_FAILED);
		assert_int_equal(failure.kind, ERROR_INVALID);
	}
}

/* Adds one to the number in the index, ROUNDS times. Who wrote it stands behind it: a store that lost sight
 * of its own write may take the same bytes from somebody else for it, and is right to. */
struct writer {
	pthread_t thread;
	struct store *store;
	unsigned id, conflicts;
};

static bool read_number(const struct buf *text, uint64_t *ret)
{
	struct str rest = buf_str(text);

	return str_number(&rest, UINT32_MAX, ret);
}

static void *add_ones(void *arg)
{
	struct writer *writer = arg;
	struct store_version version;

	for (unsigned round = 0; round < ROUNDS;) {
		AUTO_FINI(buf) text = buf_limit(64);
		struct error err = { 0 };
		uint64_t n = 0;
		enum store_step step;

		CHECK(store_index_get(writer->store, STR("counter"), &text, &version, &err));
		CHECK(read_number(&text, &n));
		buf_clear(&text);
		buf_format(&text, "%u %u", (unsigned)n + 1, writer->id);
		step = store_index_fold(
			writer->store, STR("counter"), buf_str(&text), &version, &no_log, &version, &err);
		CHECK(step == STORE_OK || step == STORE_CONFLICT);
		if (step == STORE_OK)
			round++;
		else
			writer->conflicts++;
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

	assert_int_equal(
		store_index_fold(*state, STR("counter"), STR("0"), &nothing, &no_log, &version, &failure),
		STORE_OK);
	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i].store = *state;
		writers[i].id = i;
		assert_int_equal(pthread_create(&writers[i].thread, NULL, add_ones, &writers[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
		conflicts += writers[i].conflicts;
	}
	OK(store_index_get(*state, STR("counter"), &text, &version, &failure));
	assert_true(read_number(&text, &n));
	assert_int_equal(n, WRITERS * ROUNDS);
	print_message("%u writers, %u updates, %u conflicts\n", WRITERS, WRITERS * ROUNDS, conflicts);
}

/* ---- blobs ---- */

static void blob_round(struct store *store, enum hash_kind alg, struct str bytes)
{
	struct digest digest = digest_of(alg, bytes);
	AUTO_FINI(buf) into = buf_limit(MIB);
	uint64_t size = 99;

	REFUSED(store_blob_size(store, STR("a/b"), &digest, &size, &failure), ERROR_UNKNOWN);
	REFUSED(store_blob_get(store, STR("a/b"), &digest, &into, &failure), ERROR_UNKNOWN);
	OK(store_blob_put(store, STR("a/b"), &digest, bytes, &failure));
	OK(store_blob_put(store, STR("a/b"), &digest, bytes, &failure));
	OK(store_blob_size(store, STR("a/b"), &digest, &size, &failure));
	assert_int_equal(size, bytes.len);
	OK(store_blob_get(store, STR("a/b"), &digest, &into, &failure));
	assert_true(str_equal(buf_str(&into), bytes));
	REFUSED(store_blob_size(store, STR("a"), &digest, &size, &failure), ERROR_UNKNOWN);
	OK(store_blob_delete(store, STR("a/b"), &digest, store_clock_s(store, STR_NONE) + 20, &failure));
	REFUSED(store_blob_delete(store, STR("a/b"), &digest, store_clock_s(store, STR_NONE) + 20, &failure),
		ERROR_UNKNOWN);
	REFUSED(store_blob_size(store, STR("a/b"), &digest, &size, &failure), ERROR_UNKNOWN);
}

static void blobs_come_and_go(void **state)
{
	blob_round(*state, HASH_SHA256, STR("hello"));
	blob_round(*state, HASH_SHA512, STR("hello"));
	blob_round(*state, HASH_SHA256, STR("\0binary\n\xff"));
}

static void empty_blob(void **state)
{
	blob_round(*state, HASH_SHA256, STR(""));
}

#define OBJECTS 40

struct objects {
	struct store *store;
	struct digest seen[OBJECTS];
	size_t len, most;
};

static bool on_object(void *arg, const struct store_object *object)
{
	struct objects *objects = arg;
	struct store_object copy = *object;
	int64_t now_s = store_clock_s(objects->store, STR("a/b"));

	if (!copy.known)
		OK(store_object_look(objects->store, STR("a/b"), &copy, &failure));
	assert_int_equal(copy.size, sizeof(size_t));
	assert_true(copy.changed_s > now_s - 60 && copy.changed_s < now_s + 60);
	for (size_t i = 0; i < objects->len; i++)
		assert_false(digest_equal(&objects->seen[i], &object->digest));
	objects->seen[objects->len++] = object->digest;
	return objects->len < objects->most;
}

/* Page by page, and the fn may end a page. */
static size_t list_objects(struct objects *objects)
{
	bool more = true;

	objects->len = 0;
	for (size_t page = 7; more; page = page == 7 ? 9 : 7) {
		objects->most = objects->len + (page == 7 ? 5 : SIZE_MAX / 2);
		OK(store_objects(objects->store, STR("a/b"),
			objects->len ? &objects->seen[objects->len - 1] : NULL, page, on_object, objects,
			&more, &failure));
	}
	return objects->len;
}

static void put_objects(struct store *store)
{
	for (size_t i = 0; i < OBJECTS; i++) {
		struct digest digest =
			digest_of(i % 4 ? HASH_SHA256 : HASH_SHA512, str_from((const char *)&i, sizeof(i)));
		OK(store_blob_put(
			store, STR("a/b"), &digest, str_from((const char *)&i, sizeof(i)), &failure));
	}
}

/* What is away before is away; a bucket is asked once, when nothing in it stands in for something else. */
static void many_are_removed_at_once(void **state)
{
	struct objects objects = { .store = *state };
	bool gone[OBJECTS], is_bucket = !store_has_files(*state, STR("a/b"));
	struct store_dedupe told = { 0 };
	const struct store_import all = { .older_s = 0 };
	uint64_t requests, found;
	int64_t until_s;

	put_objects(*state);
	OK(store_import(*state, &all, &found, &failure));
	OK(store_dedupe(*state, true, NULL, NULL, &told, &failure));
	assert_int_equal(list_objects(&objects), OBJECTS);
	until_s = store_clock_s(*state, STR("a/b")) + 20;
	REFUSED(store_blobs_delete(*state, STR("a/b"), objects.seen, OBJECTS, until_s - 40, gone, &failure),
		ERROR_UNAVAILABLE);
	for (size_t i = 0; i < OBJECTS; i++)
		assert_false(gone[i]);
	assert_int_equal(list_objects(&objects), OBJECTS);
	OK(store_blob_delete(*state, STR("a/b"), &objects.seen[3], until_s, &failure));
	requests = store_requests(*state);
	OK(store_blobs_delete(*state, STR("a/b"), objects.seen, OBJECTS - 1, until_s, gone, &failure));
	if (is_bucket)
		assert_int_equal(store_requests(*state) - requests, 1);
	for (size_t i = 0; i < OBJECTS - 1; i++)
		assert_true(gone[i]);
	assert_int_equal(list_objects(&objects), 1);
	OK(store_blobs_delete(*state, STR("a/b"), NULL, 0, until_s, gone, &failure));
}

static void mount(void **state)
{
	struct digest digest = digest_of(HASH_SHA256, STR("hello"));
	struct digest absent = digest_of(HASH_SHA256, STR("absent"));
	AUTO_FINI(buf) into = buf_limit(MIB);
	uint64_t size;

	OK(store_blob_put(*state, STR("from"), &digest, STR("hello"), &failure));
	OK(store_blob_mount(*state, STR("from"), STR("deep/er/to"), &digest, &failure));
	OK(store_blob_mount(*state, STR("from"), STR("deep/er/to"), &digest, &failure));
	OK(store_blob_mount(*state, STR("from"), STR("from"), &digest, &failure));
	OK(store_blob_delete(*state, STR("from"), &digest, store_clock_s(*state, STR_NONE) + 20, &failure));
	OK(store_blob_get(*state, STR("deep/er/to"), &digest, &into, &failure));
	assert_string_equal(buf_text(&into), "hello");
	REFUSED(store_blob_mount(*state, STR("from"), STR("to"), &absent, &failure), ERROR_UNKNOWN);
	REFUSED(store_blob_mount(*state, STR("from"), STR("from"), &absent, &failure), ERROR_UNKNOWN);
	REFUSED(store_blob_size(*state, STR("to"), &absent, &size, &failure), ERROR_UNKNOWN);
}

/* ---- files ---- */

struct file {
	char path[64];
	int fd;
	struct digest digest;
	uint64_t size;
};

/* Bytes that differ from place to place. */
static struct file file_new(uint64_t size)
{
	static uint32_t bytes[MIB / 4];
	struct file file = { .path = "/tmp/store_suite.XXXXXX", .size = size };
	AUTO(hasher) *hasher = hasher_new(HASH_SHA256);
	uint32_t seed = (uint32_t)size + 1;

	file.fd = mkostemp(file.path, O_CLOEXEC);
	assert_true(file.fd >= 0);
	for (uint64_t done = 0; done < size;) {
		size_t len = size - done < sizeof(bytes) ? (size_t)(size - done) : sizeof(bytes);

		for (size_t i = 0; i < sizeof(bytes) / 4; i++)
			bytes[i] = seed = seed * 1664525u + 1013904223u;
		OK(file_write_all(file.fd, bytes, len, &failure));
		hasher_add(hasher, bytes, len);
		done += len;
	}
	file.digest = digest_of_hasher(HASH_SHA256, hasher);
	return file;
}

static void file_fini(struct file *file)
{
	(void)unlink(file->path);
	(void)close(file->fd);
}

static void read_fd(int fd, struct buf *into)
{
	char *at;
	ssize_t n;

	while ((at = buf_reserve(into, MIB)) && (n = read(fd, at, MIB)) > 0)
		buf_grew(into, (size_t)n);
	assert_false(into->failed);
}

static void fetch_url(const struct blob_source *source, struct buf *into)
{
	struct http_call_spec spec = { .method = "GET", .url = source->url, .headers = source->headers };
	AUTO_FINI(http_result) result = { 0 };

	http_result_init(&result, into->max);
	OK(http_send(&spec, &result, &failure));
	assert_int_equal(result.status, 200);
	buf_add(into, buf_str(&result.body));
}

/* Reads it as a loop would. */
static void expect_source(struct store *store, const char *name, const struct file *file)
{
	AUTO_FINI(buf) bytes = buf_limit(FILE_SIZE + 2 * MIB);
	AUTO_FINI(blob_source) source = { .fd = -1 };
	struct digest found;

	OK(store_blob_source(store, str_of(name), &file->digest, NULL, &source, &failure));
	assert_true((source.fd >= 0) != (source.url != NULL));
	if (source.fd >= 0) {
		assert_int_equal(source.size, file->size);
		read_fd(source.fd, &bytes);
	} else {
		fetch_url(&source, &bytes);
	}
	assert_int_equal(bytes.len, file->size);
	found = digest_of(HASH_SHA256, buf_str(&bytes));
	assert_true(digest_equal(&found, &file->digest));
}

static void put_file_round(struct store *store, uint64_t size)
{
	struct file file = file_new(size);
	uint64_t there = 99;

	OK(store_blob_put_file(store, STR("a/b"), &file.digest, file.fd, file.path, size, &failure));
	OK(store_blob_size(store, STR("a/b"), &file.digest, &there, &failure));
	assert_int_equal(there, size);
	expect_source(store, "a/b", &file);
	file_fini(&file);
	file = file_new(size);
	OK(store_blob_put_file(store, STR("a/b"), &file.digest, file.fd, file.path, size, &failure));
	expect_source(store, "a/b", &file);
	file_fini(&file);
}

static void files_become_blobs(void **state)
{
	put_file_round(*state, FILE_SIZE);
	put_file_round(*state, 1);
	put_file_round(*state, 0);
}

static void source_of_nothing(void **state)
{
	struct digest absent = digest_of(HASH_SHA256, STR("absent"));
	AUTO_FINI(blob_source) source = { .fd = -1 };

	/* A store that only signs cannot know. */
	if (store_has_files(*state, STR_NONE))
		REFUSED(store_blob_source(*state, STR("a"), &absent, NULL, &source, &failure), ERROR_UNKNOWN);
}

/* ---- the catalog ---- */

struct names {
	struct buf text;
	size_t n, most;
};

static bool take_name(void *arg, struct str name)
{
	struct names *names = arg;

	buf_format(&names->text, "%.*s ", STR_ARGS(name));
	return ++names->n < names->most;
}

static void expect_catalog(
	struct store *store, const char *after, size_t n, size_t most, const char *wanted, bool wanted_more)
{
	struct names names = { .text = buf_limit(64 * 1024), .most = most };
	bool more = !wanted_more;

	OK(store_catalog(store, str_of(after), n, take_name, &names, &more, &failure));
	assert_string_equal(buf_text(&names.text), wanted);
	assert_int_equal(more, wanted_more);
	buf_fini(&names.text);
}

void store_suite_create(struct store *store, const char *name)
{
	struct store_version version;

	OK(store_name_put(store, str_of(name), 0, &failure));
	if (store_index_fold(store, str_of(name), STR("{}"), &nothing, &no_log, &version, &failure) !=
		STORE_OK)
		fail_msg("%s: %s", name, failure.text);
}

static void catalog_is_in_byte_order(void **state)
{
	static const char *const names[] = { "ab", "a/b", "a0", "a.b", "a", "a-b", "b", "a_b", "a/b/c",
		"a/b-c" };

	expect_catalog(*state, NULL, 10, 99, "", false);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		store_suite_create(*state, names[i]);
	expect_catalog(*state, NULL, 100, 99, "a a-b a.b a/b a/b-c a/b/c a0 a_b ab b ", false);
	expect_catalog(*state, NULL, 3, 99, "a a-b a.b ", true);
	expect_catalog(*state, "a.b", 3, 99, "a/b a/b-c a/b/c ", true);
	expect_catalog(*state, "a/b/c", 4, 99, "a0 a_b ab b ", false);
	expect_catalog(*state, NULL, 100, 2, "a a-b ", true);
	expect_catalog(*state, "b", 10, 99, "", false);
}

/* What clients send as `last` need not be a name. */
static void catalog_after_anything(void **state)
{
	char longest[400];

	store_suite_create(*state, "a");
	store_suite_create(*state, "a/b");
	store_suite_create(*state, "b");
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	expect_catalog(*state, "", 10, 99, "a a/b b ", false);
	expect_catalog(*state, "a.", 10, 99, "a/b b ", false);
	expect_catalog(*state, "a/~\xff<&>", 10, 99, "b ", false);
	expect_catalog(*state, "A%2F", 10, 99, "a a/b b ", false);
	expect_catalog(*state, "a\n", 10, 99, "a/b b ", false);
	expect_catalog(*state, "\xc3\xa4", 10, 99, "", false);
	expect_catalog(*state, longest, 10, 99, "b ", false);
}

/* That a key lies in, where the store is made of several. */
static struct store *root_of(struct store *store, const char *key)
{
	struct str name = str_of(key);

	if (str_ends(name, "/index.json"))
		name.len -= sizeof("/index.json") - 1;
	return store->driver->root_of ? store->driver->root_of(store, name) : store;
}

/* As zot leaves a repository: without a marker. */
static void leave(struct store *store, const char *key)
{
	struct digest digest = digest_of(HASH_SHA256, STR("{}"));

	store = root_of(store, key);
	OK(store->driver->put(store, key, &digest, STR("{}"), &failure));
}

static bool not_now(void *arg)
{
	(void)arg;
	return false;
}

static void imports_what_others_made(void **state)
{
	static const struct pace never = { not_now, NULL };
	const struct store_import on = { .older_s = STORE_IMPORT_ONCE }, off = { .pace = &never };
	uint64_t found = 9;

	leave(*state, "lib/app/index.json");
	leave(*state, "lib/app/blobs/sha256/aa");
	leave(*state, "lib/app/deeper/still/index.json");
	leave(*state, "alone/index.json");
	leave(*state, "no-repository/readme.txt");
	leave(*state, "lib/Upper/index.json");
	leave(*state, "_trivy/index.json");
	OK(store_import(*state, &off, &found, &failure));
	OK(store_import(*state, &on, &found, &failure));
	assert_int_equal(found, 3);
	expect_catalog(*state, NULL, 10, 99, "alone lib/app lib/app/deeper/still ", false);
	leave(*state, "late/index.json");
	OK(store_import(*state, &on, &found, &failure));
	assert_int_equal(found, 0);
	store_suite_create(*state, "new");
	expect_catalog(*state, NULL, 10, 99, "alone lib/app lib/app/deeper/still new ", false);
}

static void imports_what_came_later(void **state)
{
	const struct store_import hourly = { .older_s = 3600 }, now = { .older_s = 0 };
	const struct digest digest = digest_of(HASH_SHA256, STR(""));
	struct store *store = *state;
	uint64_t found = 9;

	leave(store, "first/index.json");
	OK(store_import(store, &hourly, &found, &failure));
	assert_int_equal(found, 1);
	leave(store, "first/nested/index.json");
	leave(store, "other/late/index.json");
	OK(store_import(store, &hourly, &found, &failure));
	assert_int_equal(found, 0);
	OK(store_import(store, &now, &found, &failure));
	assert_int_equal(found, 2);
	expect_catalog(store, NULL, 10, 99, "first first/nested other/late ", false);
	/* The mark of a version before this one is one of long ago. */
	store = root_of(store, "_catalog/");
	assert_int_equal(
		store->driver->put_if(store, "_catalog/.imported", STR(""), NULL, NULL, &failure), STORE_OK);
	leave(*state, "again/index.json");
	OK(store_import(*state, &hourly, &found, &failure));
	assert_int_equal(found, 1);
	OK(store->driver->put(store, "_catalog/.junk", &digest, STR(""), &failure));
	expect_catalog(*state, NULL, 10, 99, "again first first/nested other/late ", false);
}

static bool take_one(void *arg, struct str name)
{
	assert_true(str_is(name, "a") || str_is(name, "b"));
	++*(int *)arg;
	return false;
}

/* Who finds is told each, and may have enough. */
static void an_import_may_end_early(void **state)
{
	int told = 0;
	const struct store_import some = { .found = take_one, .arg = &told };
	const struct store_import once = { .older_s = STORE_IMPORT_ONCE };
	uint64_t found = 9;

	leave(*state, "a/index.json");
	leave(*state, "b/index.json");
	OK(store_import(*state, &some, &found, &failure));
	assert_int_equal(told, 1);
	assert_int_equal(found, 1);
	/* It left no mark. */
	OK(store_import(*state, &once, &found, &failure));
	assert_int_equal(found, 1);
	expect_catalog(*state, NULL, 10, 99, "a b ", false);
}

static bool has_brace(struct str json)
{
	return str_is(json, "{}");
}

/* An empty repository is out of the catalog since it should be. */
static void an_import_leaves_what_is_vacant(void **state)
{
	const struct store_import on = { .is_vacant = has_brace };
	struct store_version version;
	uint64_t found = 9;

	assert_int_equal(store_index_fold(*state, STR("a"), STR("{}"), &nothing, &no_log, &version, &failure),
		STORE_OK);
	assert_int_equal(
		store_index_fold(*state, STR("b"), STR("{ }"), &nothing, &no_log, &version, &failure),
		STORE_OK);
	OK(store_import(*state, &on, &found, &failure));
	assert_int_equal(found, 1);
	expect_catalog(*state, NULL, 10, 99, "b ", false);
}

static void names_come_and_go(void **state)
{
	int64_t now_s = store_clock_s(*state, STR_NONE);

	OK(store_name_put(*state, STR("a/b"), 0, &failure));
	OK(store_name_put(*state, STR("a/b"), 0, &failure));
	expect_catalog(*state, NULL, 10, 99, "a/b ", false);
	REFUSED(store_name_remove(*state, STR("a/b"), now_s - 1, &failure), ERROR_UNAVAILABLE);
	expect_catalog(*state, NULL, 10, 99, "a/b ", false);
	OK(store_name_remove(*state, STR("a/b"), now_s + 20, &failure));
	expect_catalog(*state, NULL, 10, 99, "", false);
	REFUSED(store_name_remove(*state, STR("a/b"), now_s + 20, &failure), ERROR_UNKNOWN);
	REFUSED(store_name_put(*state, STR("_catalog/x"), 0, &failure), ERROR_INVALID);
}

static bool take_stray(void *arg, struct str name)
{
	assert_int_equal(name.at[name.len], '\0');
	return take_name(arg, name);
}

/* What has blobs, and no name. */
#define SOME "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void strays_are_found(void **state)
{
	static const struct pace never = { not_now, NULL };
	struct names names = { .text = buf_limit(1024), .most = 99 };

	/* What is no blob is none of ours. */
	if (store_has_files(*state, STR_NONE))
		leave(*state, "junk/blobs/sha256/aa");
	leave(*state, "app/blobs/sha256/" SOME);
	leave(*state, "deep/er/one/blobs/sha256/" SOME);
	leave(*state, "known/blobs/sha256/" SOME);
	leave(*state, "empty/index.json");
	leave(*state, "Upper/blobs/sha256/" SOME);
	OK(store_name_put(*state, STR("known"), 0, &failure));
	OK(store_strays(*state, NULL, take_stray, &names, &failure));
	assert_int_equal(names.n, 2);
	assert_non_null(strstr(buf_text(&names.text), "app "));
	assert_non_null(strstr(buf_text(&names.text), "deep/er/one "));
	names.n = 0;
	names.most = 1;
	OK(store_strays(*state, NULL, take_stray, &names, &failure));
	assert_int_equal(names.n, 1);
	REFUSED(store_strays(*state, &never, take_stray, &names, &failure), ERROR_UNAVAILABLE);
	buf_fini(&names.text);
}

/* ---- what it costs ---- */

static struct {
	struct store_driver driver;
	const struct store_driver *real;
	unsigned looks, lists, writes;
} meter;

static bool count_size(struct store *store, const char *key, uint64_t *ret_size, struct error *err)
{
	meter.looks++;
	return meter.real->size(store, key, ret_size, err);
}

static bool count_folders(
	struct store *store, const char *folder, store_catalog_f *fn, void *arg, struct error *err)
{
	meter.lists++;
	return meter.real->folders(store, folder, fn, arg, err);
}

static bool count_put(struct store *store, const char *key, const struct digest *digest, struct str bytes,
	struct error *err)
{
	meter.writes++;
	return meter.real->put(store, key, digest, bytes, err);
}

static void import_metered(struct store *store, int64_t older_s)
{
	const struct store_import how = { .older_s = older_s };
	uint64_t found;

	store = root_of(store, "team/");
	meter.looks = meter.lists = meter.writes = 0;
	meter.real = store->driver;
	meter.driver = *store->driver;
	meter.driver.size = count_size;
	meter.driver.folders = count_folders;
	meter.driver.put = count_put;
	store->driver = &meter.driver;
	OK(store_import(store, &how, &found, &failure));
	store->driver = meter.real;
}

static void an_import_is_cheap_where_all_is_known(void **state)
{
	leave(*state, "team/one/index.json");
	leave(*state, "team/one/blobs/sha256/aa");
	leave(*state, "team/two/index.json");
	import_metered(*state, 0);
	/* A marker and an index.json of team, one and two; the root and these. */
	assert_int_equal(meter.looks, 6);
	assert_int_equal(meter.lists, 4);
	assert_int_equal(meter.writes, 2);
	import_metered(*state, 0);
	assert_int_equal(meter.looks, 4);
	assert_int_equal(meter.lists, 4);
	assert_int_equal(meter.writes, 0);
	import_metered(*state, 3600);
	assert_int_equal(meter.looks + meter.lists + meter.writes, 0);
}

/* ---- start and health ---- */

static void probe(void **state)
{
	bool conditional = false;

	OK(store_probe(*state, &conditional, &failure));
	assert_true(conditional);
	OK(store_check(*state, &failure));
	expect_catalog(*state, NULL, 10, 99, "", false);
	assert_true(strlen(store_place(*state)) > 0);
}

/* ---- notes, and the end of a repository ---- */

static bool on_listed(void *arg, struct str name)
{
	struct buf *into = arg;

	buf_add(into, name);
	buf_putc(into, ' ');
	return true;
}

static void expect_notes(struct store *store, const char *wanted)
{
	AUTO_FINI(buf) listed = buf_limit(4096);
	bool more;

	OK(store_notes(store, STR_NONE, 100, on_listed, &listed, &more, &failure));
	assert_string_equal(buf_text(&listed), wanted);
	assert_false(more);
}

static void notes(void **state)
{
	AUTO_FINI(buf) into = buf_limit(100);

	REFUSED(store_note_get(*state, STR("a/b"), &into, &failure), ERROR_UNKNOWN);
	OK(store_note_put(*state, STR("a/b"), STR("one"), &failure));
	OK(store_note_put(*state, STR("a/b"), STR("two"), &failure));
	OK(store_note_put(*state, STR("a-b"), STR("other"), &failure));
	OK(store_note_put(*state, STR(".own"), STR("of no repository"), &failure));
	OK(store_note_get(*state, STR("a/b"), &into, &failure));
	assert_string_equal(buf_text(&into), "two");
	expect_notes(*state, "a-b a/b ");
	OK(store_note_remove(*state, STR("a/b"), &failure));
	OK(store_note_remove(*state, STR("a/b"), &failure));
	expect_notes(*state, "a-b ");
	expect_catalog(*state, NULL, 10, 99, "", false);
}

static bool on_digest_listed(void *arg, const struct digest *digest)
{
	size_t *len = arg;

	(void)digest;
	return ++*len < 1000;
}

static size_t count_blobs(struct store *store, struct str name, enum hash_kind alg)
{
	size_t len = 0;
	bool more;

	OK(store_blobs(store, name, alg, STR_NONE, 1000, on_digest_listed, &len, &more, &failure));
	assert_false(more);
	return len;
}

/* In a folder a part of the name is longer than names of files may be; radosgw's own files have a limit for all of a key. */
static void a_repository_ends(void **state)
{
	AUTO_FINI(buf) name = buf_limit(NAME_MAX_LEN + 1);
	struct store_version version;
	uint64_t size;

	buf_puts(&name, "x/");
	for (unsigned i = 0; i < (store_has_files(*state, STR("x")) ? 240 : 8); i++)
		buf_putc(&name, 'l');
	for (unsigned i = 0; i < 100; i++) {
		struct digest digest = digest_of(i % 3 ? HASH_SHA256 : HASH_SHA512, str_from(&i, sizeof(i)));
		OK(store_blob_put(*state, buf_str(&name), &digest, str_from(&i, sizeof(i)), &failure));
	}
	struct digest other = digest_of(HASH_SHA256, STR("other"));
	OK(store_blob_put(*state, STR("x"), &other, STR("other"), &failure));
	assert_int_equal(
		store_index_fold(*state, buf_str(&name), STR("{}"), &nothing, &no_log, &version, &failure),
		STORE_OK);
	assert_int_equal(count_blobs(*state, buf_str(&name), HASH_SHA512), 34);
	assert_int_equal(count_blobs(*state, buf_str(&name), HASH_SHA256), 66);
	assert_int_equal(count_blobs(*state, STR("nobody"), HASH_SHA256), 0);
	OK(store_drop(*state, buf_str(&name), &no_log, NULL, &failure));
	OK(store_drop(*state, buf_str(&name), &no_log, NULL, &failure));
	assert_int_equal(count_blobs(*state, buf_str(&name), HASH_SHA512), 0);
	assert_int_equal(count_blobs(*state, buf_str(&name), HASH_SHA256), 0);
	expect_catalog(*state, NULL, 10, 99, "", false);
	OK(store_blob_size(*state, STR("x"), &other, &size, &failure));
}

static bool find_elsewhere(void *arg, struct str name, const struct digest *digest, uint64_t *ret_size,
	struct buf *into, struct error *err)
{
	unsigned *asked = arg;

	(void)digest;
	++*asked;
	if (!str_is(name, "a/b"))
		return error_set(err, ERROR_UNAVAILABLE, NULL, "away");
	*ret_size = 5;
	if (into)
		buf_puts(into, "there");
	return true;
}

/* ---- rot ---- */

/* As a disk would: past all that looks. */
static void spoil(struct store *store, const struct digest *digest, const char *bytes)
{
	char encoded[129], key[256];

	if (store->driver->root_of)
		store = store->driver->root_of(store, STR("rotten"));
	digest_encoded(digest, encoded);
	(void)snprintf(key, sizeof(key), "rotten/blobs/sha256/%s", encoded);
	assert_int_equal(store->driver->put_if(store, key, str_of(bytes), NULL, NULL, &failure), STORE_OK);
}

static void read_whole(struct store_reading *reading, const char *wanted)
{
	char bytes[64];
	size_t len = 0;

	OK(store_reading_next(reading, bytes, sizeof(bytes), &len, &failure));
	assert_int_equal(len, strlen(wanted));
	assert_memory_equal(bytes, wanted, len);
	OK(store_reading_next(reading, bytes, sizeof(bytes), &len, &failure));
	assert_int_equal(len, 0);
}

static void what_is_rotten_is_set_aside(void **state)
{
	struct store *store = *state;
	const struct digest digest = digest_of(HASH_SHA256, STR("good bytes"));
	AUTO(store_reading) *reading = NULL, *late = NULL, *none = NULL;
	AUTO_FINI(buf) there = buf_limit(64);
	uint64_t size;

	REFUSED(store_reading_new(store, STR("rotten"), &digest, &none, &failure), ERROR_UNKNOWN);
	spoil(store, &digest, "other byte");
	OK(store_reading_new(store, STR("rotten"), &digest, &reading, &failure));
	OK(store_reading_new(store, STR("rotten"), &digest, &late, &failure));
	assert_true(reading->size == 10 && !reading->aside && !reading->vouched);
	read_whole(reading, "other byte");
	store_reading_again(reading);
	read_whole(reading, "other byte");
	OK(store_reading_set_aside(reading, true, &failure));
	REFUSED(store_blob_size(store, STR("rotten"), &digest, &size, &failure), ERROR_UNKNOWN);
	REFUSED(store_blob_get(store, STR("rotten"), &digest, &there, &failure), ERROR_UNKNOWN);
	REFUSED(store_blob_mount(store, STR("rotten"), STR("other"), &digest, &failure), ERROR_UNKNOWN);
	store_reading_free(TAKE(reading));
	OK(store_reading_new(store, STR("rotten"), &digest, &reading, &failure));
	assert_true(reading->aside);
	/* The next push brings it back, and who is late with the rotten one takes nothing away. */
	OK(store_blob_put(store, STR("rotten"), &digest, STR("good bytes"), &failure));
	if (!store_reading_set_aside(late, true, &failure))
		assert_int_equal(failure.kind, ERROR_CONFLICT);
	OK(store_blob_get(store, STR("rotten"), &digest, &there, &failure));
	assert_string_equal(buf_text(&there), "good bytes");
	OK(store_aside_trim(store, NULL, &size, &failure));
	assert_int_equal(size, 0);
}

static void somebody_else_has_it(void **state)
{
	struct digest digest = digest_of(HASH_SHA256, STR("there"));
	AUTO_FINI(buf) into = buf_limit(100);
	unsigned asked = 0;
	uint64_t size;

	store_on_missing(*state, find_elsewhere, &asked);
	OK(store_blob_size(*state, STR("a/b"), &digest, &size, &failure));
	assert_int_equal(size, 5);
	OK(store_blob_get(*state, STR("a/b"), &digest, &into, &failure));
	assert_string_equal(buf_text(&into), "there");
	REFUSED(store_blob_size(*state, STR("c"), &digest, &size, &failure), ERROR_UNAVAILABLE);
	REFUSED(store_blob_size_here(*state, STR("a/b"), &digest, &size, &failure), ERROR_UNKNOWN);
	assert_int_equal(asked, 3);
	OK(store_blob_put(*state, STR("c"), &digest, STR("there"), &failure));
	OK(store_blob_size(*state, STR("c"), &digest, &size, &failure));
	assert_int_equal(asked, 3);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int store_suite_run(store_suite_open_f *open)
{
	const struct CMUnitTest tests[] = {
		TEST(index_is_created_once),
		TEST(index_is_replaced_at_its_version),
		TEST(index_that_never_was),
		TEST(unchanged_index_is_not_read),
		TEST(index_over_the_limit),
		TEST(names_that_lead_out),
		TEST(no_update_is_lost),
		TEST(blobs_come_and_go),
		TEST(empty_blob),
		TEST(many_are_removed_at_once),
		TEST(mount),
		TEST(files_become_blobs),
		TEST(source_of_nothing),
		TEST(catalog_is_in_byte_order),
		TEST(catalog_after_anything),
		TEST(imports_what_others_made),
		TEST(imports_what_came_later),
		TEST(an_import_may_end_early),
		TEST(an_import_leaves_what_is_vacant),
		TEST(names_come_and_go),
		TEST(strays_are_found),
		TEST(an_import_is_cheap_where_all_is_known),
		TEST(probe),
		TEST(notes),
		TEST(a_repository_ends),
		TEST(somebody_else_has_it),
		TEST(what_is_rotten_is_set_aside),
	};

	open_store = open;
	return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}

int store_suite_main(
	char *top, store_suite_open_f *open, const char *name, const struct CMUnitTest *tests, size_t len)
{
	int failed;

	if (!mkdtemp(top))
		return 1;
	failed = store_suite_run(open);
	failed += _cmocka_run_group_tests(name, tests, len, NULL, NULL);
	return in_folder_end(top, failed);
}
