/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_indexes - views in memory, group commit and logs, over a store in a folder; over a bucket where
 * ZOT_TEST_S3_ENDPOINT and so on are set (tests/system/s3_servers.py).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/http_client.h"
#include "common/pool.h"
#include "s3/s3_endpoint.h"
#include "tests/unit/remove_tree.h"
#include "worker/index/indexes_priv.h"
#include "worker/storage/frames.h"
#include "worker/storage/store_driver.h"

#define OCI     "application/vnd.oci.image.manifest.v1+json"
#define FOREVER (INT64_C(1) << 40)

struct rig {
	char folder[128];
	struct store *store;
	struct pool *pool;
	_Atomic int64_t trust;
	struct indexes *here, *there; /* two workers on one store */
};

static int64_t trust_here(void *arg, struct str name)
{
	struct rig *rig = arg;

	(void)name;
	return rig->trust;
}

static bool open_bucket(struct rig *rig, struct error *err)
{
	static unsigned n;
	char prefix[64];
	struct s3_settings settings = {
		.endpoint = getenv("ZOT_TEST_S3_ENDPOINT"),
		.access_key = getenv("ZOT_TEST_S3_ACCESS_KEY"),
		.secret_key = getenv("ZOT_TEST_S3_SECRET_KEY"),
		.bucket = getenv("ZOT_TEST_S3_BUCKET"),
		.region = getenv("ZOT_TEST_S3_REGION"),
		.prefix = prefix,
		.path_style = true,
	};

	(void)snprintf(
		prefix, sizeof(prefix), "indexes-%d-%lld/%u", (int)getpid(), (long long)clock_wall_ms(), n++);
	return store_s3_open(&rig->store, &settings, err);
}

static bool open_store(struct rig *rig, struct error *err)
{
	const char *tmp = getenv("TMPDIR");

	if (getenv("ZOT_TEST_S3_ENDPOINT"))
		return open_bucket(rig, err);
	(void)snprintf(rig->folder, sizeof(rig->folder), "%s/test-indexes-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(rig->folder) && store_fs_open(&rig->store, rig->folder, err);
}

static int setup(void **state)
{
	struct rig *rig = xnew(struct rig);
	struct error err = { 0 };

	if (!open_store(rig, &err) || !pool_new(&rig->pool, 8, 1000, &err)) {
		print_error("%s\n", err.text);
		return -1;
	}
	rig->here = indexes_new(rig->store, rig->pool, trust_here, rig, 64 << 20);
	rig->there = indexes_new(rig->store, rig->pool, NULL, NULL, 64 << 20);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	struct rig *rig = *state;

	indexes_free(rig->here);
	indexes_free(rig->there);
	pool_free(rig->pool);
	store_free(rig->store);
	if (rig->folder[0])
		(void)remove_tree(rig->folder);
	free(rig);
	return 0;
}

static char oci_type[] = OCI;

static struct descriptor descriptor_of(const char *tag)
{
	return (struct descriptor){
		.media_type = oci_type, .digest = digest_of(HASH_SHA256, str_of(tag)), .size = 10
	};
}

static bool put(struct indexes *indexes, const char *name, const char *tag, struct error *err)
{
	struct descriptor descriptor = descriptor_of(tag);
	struct index_change change = {
		.op = INDEX_PUT_MANIFEST, .name = name, .descriptor = &descriptor, .tags = &tag, .tags_len = 1
	};

	return indexes_change_wait(indexes, &change, err);
}

static bool delete_tag(struct indexes *indexes, const char *name, const char *tag, struct error *err)
{
	struct index_change change = { .op = INDEX_DELETE_TAG, .name = name, .tags = &tag, .tags_len = 1 };

	return indexes_change_wait(indexes, &change, err);
}

static bool has(struct indexes *indexes, const char *name, const char *tag)
{
	AUTO(index) *index = NULL;
	struct error err;

	if (!indexes_get(indexes, str_of(name), &index, &err)) {
		assert_string_equal(err.code, "NAME_UNKNOWN");
		return false;
	}
	return index_find_tag(index, str_of(tag)) != NULL;
}

static bool peeks(struct indexes *indexes, const char *name)
{
	AUTO(index) *index = indexes_peek(indexes, str_of(name));

	return index != NULL;
}

static void test_changes(void **state)
{
	struct rig *rig = *state;
	struct descriptor descriptor = descriptor_of("v1");
	struct index_change by_digest = {
		.op = INDEX_DELETE_DIGEST, .name = "a/b", .digest = descriptor.digest
	};
	struct error err;

	assert_true(put(rig->here, "a/b", "v1", &err));
	assert_true(has(rig->here, "a/b", "v1"));
	assert_true(put(rig->here, "a/b", "v2", &err));
	assert_int_equal(indexes_stats(rig->here).writes, 2);
	assert_true(put(rig->here, "a/b", "v2", &err));
	assert_int_equal(indexes_stats(rig->here).writes, 2);
	assert_true(delete_tag(rig->here, "a/b", "v2", &err));
	assert_false(delete_tag(rig->here, "a/b", "v2", &err));
	assert_string_equal(err.code, "MANIFEST_UNKNOWN");
	assert_true(indexes_change_wait(rig->here, &by_digest, &err));
	assert_false(indexes_change_wait(rig->here, &by_digest, &err));
	assert_string_equal(err.code, "MANIFEST_UNKNOWN");
	assert_false(has(rig->there, "a/b", "v1"));
	assert_int_equal(indexes_stats(rig->here).changes, 7);
}

static bool replace(struct indexes *indexes, const char *name, struct str text, struct error *err)
{
	struct index_change change = { .op = INDEX_REPLACE, .name = name, .text = text };

	return indexes_change_wait(indexes, &change, err);
}

/* What one repository is becomes what another is, whatever was there; and its log goes on. */
static void test_replaced_whole(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) text = buf_limit(1 << 20);
	AUTO(index) *index = NULL;
	struct error err;

	assert_true(put(rig->here, "a/b", "v1", &err) && put(rig->here, "a/b", "v2", &err));
	assert_true(indexes_get(rig->here, STR("a/b"), &index, &err));
	assert_true(index_text(index, &text, &err));
	assert_true(put(rig->here, "old", "gone", &err) && put(rig->here, "old", "gone2", &err));
	assert_true(replace(rig->here, "new", buf_str(&text), &err));
	assert_true(replace(rig->here, "old", buf_str(&text), &err));
	assert_false(replace(rig->here, "old", STR("no index"), &err));
	for (unsigned i = 0; i < 2; i++) {
		const char *name = i ? "new" : "old";

		assert_true(has(rig->there, name, "v1") && has(rig->there, name, "v2"));
		assert_false(has(rig->there, name, "gone") || has(rig->there, name, "gone2"));
		assert_true(put(rig->there, name, "v3", &err));
		assert_true(has(rig->here, name, "v3") && has(rig->here, name, "v1"));
	}
}

struct followed {
	struct buf text;
	bool marked;
};

static void on_follow(void *arg, enum index_outcome outcome, const struct index_following *what)
{
	static const char *const names[] = { "about", "made", "not made", "in doubt" };
	struct followed *followed = arg;

	if (outcome == INDEX_ABOUT)
		*what->mark = 7;
	followed->marked = followed->marked && *what->mark == 7;
	buf_format(&followed->text, "%s", names[outcome]);
	if (outcome == INDEX_ABOUT) {
		buf_puts(&followed->text, what->told->made ? " new" : "");
		for (size_t i = 0; i < what->told->tags_len; i++)
			buf_format(&followed->text, " %s", what->told->tags[i]);
		assert_string_equal(what->told->media_type, OCI);
	}
	buf_putc(&followed->text, '\n');
}

static void was_told(struct followed *followed, const char *text)
{
	assert_string_equal(buf_text(&followed->text), text);
	buf_clear(&followed->text);
}

/* Who follows hears before the write and behind it, and of what clients see alone. */
static void test_followed(void **state)
{
	struct rig *rig = *state;
	struct followed followed = { .text = buf_limit(4096), .marked = true };
	struct descriptor descriptor = descriptor_of("v1");
	const char *tags[] = { "v1", "v2" };
	struct index_change both = { .op = INDEX_PUT_MANIFEST,
		.name = "a/b",
		.descriptor = &descriptor,
		.tags = tags,
		.tags_len = 2 };
	struct index_change gone = { .op = INDEX_DELETE_DIGEST, .name = "a/b", .digest = descriptor.digest };
	struct error err;

	indexes_follow(rig->here, on_follow, &followed);
	assert_true(put(rig->here, "a/b", "v1", &err));
	was_told(&followed, "about new v1\nmade\n");
	assert_true(put(rig->here, "a/b", "v1", &err));
	was_told(&followed, "");
	assert_true(indexes_change_wait(rig->here, &both, &err));
	was_told(&followed, "about v2\nmade\n");
	assert_true(delete_tag(rig->here, "a/b", "v2", &err));
	was_told(&followed, "about v2\nmade\n");
	/* Another worker makes it first: what was about to be is tried again, and comes to nothing. */
	assert_true(put(rig->there, "a/b", "v3", &err));
	assert_true(put(rig->here, "a/b", "v3", &err));
	was_told(&followed, "about v3\nnot made\n");
	assert_true(put(rig->there, "a/b", "v4", &err));
	assert_true(put(rig->here, "a/b", "v5", &err));
	was_told(&followed, "about v5\nabout v5\nmade\n");
	assert_true(indexes_change_wait(rig->here, &gone, &err));
	was_told(&followed, "about v1\nmade\n");
	assert_false(delete_tag(rig->here, "a/b", "v1", &err));
	was_told(&followed, "");
	assert_true(followed.marked);
	buf_fini(&followed.text);
}

static bool shut(void *arg, struct str name, struct error *err)
{
	return str_is(name, arg) || error_set(err, ERROR_UNAVAILABLE, NULL, "not ours");
}

static void test_gate(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) text = buf_limit(1 << 20);
	AUTO(index) *index = NULL;
	struct error err;

	assert_true(put(rig->here, "a/b", "v1", &err));
	assert_true(indexes_get(rig->here, STR("a/b"), &index, &err) && index_text(index, &text, &err));
	indexes_set_gate(rig->here, shut, (void *)(uintptr_t) "open");
	assert_true(put(rig->here, "open", "v1", &err));
	assert_false(put(rig->here, "a/b", "v2", &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_false(delete_tag(rig->here, "a/b", "v1", &err));
	assert_true(has(rig->there, "a/b", "v1") && !has(rig->there, "a/b", "v2"));
	/* Who replaces it has a check of its own. */
	assert_true(replace(rig->here, "shut", buf_str(&text), &err));
	assert_true(indexes_settle(rig->here, &err));
}

static void test_absent(void **state)
{
	struct rig *rig = *state;
	struct error err;

	rig->trust = FOREVER;
	assert_false(has(rig->here, "none", "v1"));
	assert_false(peeks(rig->here, "none"));
	assert_false(delete_tag(rig->here, "none", "v1", &err));
	assert_string_equal(err.code, "NAME_UNKNOWN");
	assert_int_equal(indexes_stats(rig->here).repositories, 0);
	assert_int_equal(indexes_stats(rig->here).bytes, 0);
	assert_int_equal(indexes_stats(rig->here).writes, 0);
	assert_true(put(rig->there, "none", "v1", &err));
	assert_true(has(rig->here, "none", "v1"));
}

static void test_trust(void **state)
{
	struct rig *rig = *state;
	struct error err;

	assert_true(put(rig->here, "r", "v1", &err));
	assert_false(peeks(rig->here, "r"));
	assert_true(put(rig->there, "r", "v2", &err));
	assert_true(has(rig->here, "r", "v2"));
	rig->trust = FOREVER;
	assert_true(peeks(rig->here, "r"));
	assert_true(put(rig->there, "r", "v3", &err));
	assert_false(has(rig->here, "r", "v3"));
	/* The write finds out, and knows better from then on. */
	assert_true(put(rig->here, "r", "v4", &err));
	assert_int_equal(indexes_stats(rig->here).conflicts, 1);
	assert_true(has(rig->here, "r", "v3"));
	assert_true(has(rig->there, "r", "v4"));
}

/* What a stale view does not know is looked up before it is denied, and so is what it still has. */
static void test_stale_delete(void **state)
{
	struct rig *rig = *state;
	struct error err;

	assert_true(put(rig->here, "r", "v1", &err));
	assert_true(put(rig->there, "r", "v2", &err));
	assert_true(delete_tag(rig->here, "r", "v2", &err));
	assert_true(delete_tag(rig->there, "r", "v1", &err));
	assert_false(delete_tag(rig->here, "r", "v1", &err));
	assert_string_equal(err.code, "MANIFEST_UNKNOWN");
	/* Nothing to write in the stale view, but the store lacks it by now. */
	assert_true(put(rig->here, "r", "v1", &err));
	assert_true(delete_tag(rig->there, "r", "v1", &err));
	assert_true(put(rig->here, "r", "v1", &err));
	assert_true(has(rig->there, "r", "v1"));
}

static void fold(struct indexes *indexes)
{
	uint64_t before = indexes_stats(indexes).folds;

	/* A repository whose committer is about to end is passed over. */
	do {
		indexes_fold(indexes, 0);
		(void)poll(NULL, 0, 1);
	} while (indexes_stats(indexes).folds == before);
}

/* Trust is for reads: what is acknowledged without a write was asked for. */
static void test_nothing_is_acknowledged_from_a_stale_view(void **state)
{
	struct rig *rig = *state;
	struct error err;

	rig->trust = FOREVER;
	assert_true(put(rig->here, "r", "v1", &err));
	assert_true(delete_tag(rig->there, "r", "v1", &err));
	assert_true(has(rig->here, "r", "v1"));
	assert_true(put(rig->here, "r", "v1", &err));
	assert_true(has(rig->there, "r", "v1"));
	assert_true(put(rig->there, "r", "v2", &err));
	assert_true(delete_tag(rig->here, "r", "v2", &err));
	assert_false(has(rig->there, "r", "v2"));
}

/* ---- who it was ---- */

/* A tag that is moved between two manifests. */
static bool move_tag(struct indexes *indexes, const char *to, const struct change_id *call, int64_t sent_ms,
	struct error *err)
{
	struct descriptor descriptor = descriptor_of(to);
	const char *tag = "moving";
	struct index_change change = { .op = INDEX_PUT_MANIFEST,
		.name = "r",
		.descriptor = &descriptor,
		.tags = &tag,
		.tags_len = 1,
		.sent_ms = sent_ms };

	if (call) {
		change.id = *call;
		change.is_call = true;
	}
	return indexes_change_wait(indexes, &change, err);
}

static bool is_at(struct indexes *indexes, const char *to)
{
	struct digest digest = digest_of(HASH_SHA256, str_of(to));
	AUTO(index) *index = NULL;
	const struct index_entry *entry;
	struct error err;

	assert_true(indexes_get(indexes, STR("r"), &index, &err));
	entry = index_find_tag(index, STR("moving"));
	return entry && digest_equal(&entry->descriptor.digest, &digest);
}

static const struct store_driver *driver_below;
static unsigned lies;
static struct indexes *meanwhile; /* moves the tag to "B" before the lie is told */

/* The record is written, and its writer is told that somebody was faster: a request that was sent twice on
 * its way. */
static enum store_step append_and_lie(struct store *store, const char *index_key,
	const struct store_version *expected, struct store_log_place *place, struct str frames,
	struct error *err)
{
	struct store_log_place before = *place;
	enum store_step step = driver_below->log_append(store, index_key, expected, place, frames, err);

	if (step != STORE_OK || !lies)
		return step;
	lies--;
	*place = before;
	assert_true(move_tag(meanwhile, "B", NULL, 0, err));
	return STORE_CONFLICT;
}

static void test_own_records_are_recognised(void **state)
{
	struct rig *rig = *state;
	struct store_driver lying = *rig->store->driver;
	struct error err;

	assert_true(put(rig->here, "r", "v1", &err) && put(rig->here, "r", "v2", &err));
	driver_below = rig->store->driver;
	lying.log_append = append_and_lie;
	rig->store->driver = &lying;
	meanwhile = rig->there;
	lies = 1;
	assert_true(move_tag(rig->here, "A", NULL, 0, &err));
	assert_true(is_at(rig->here, "B") && is_at(rig->there, "B"));
	lies = 1;
	assert_true(delete_tag(rig->here, "r", "v2", &err));
	rig->store->driver = driver_below;
	assert_false(has(rig->there, "r", "v2"));
}

static void test_a_call_takes_effect_once(void **state)
{
	const struct change_id first = { { 1 } }, second = { { 2 } };
	struct rig *rig = *state;
	int64_t sent_ms = clock_wall_ms();
	struct error err;
	char to[16];

	assert_true(put(rig->here, "r", "v1", &err));
	assert_true(move_tag(rig->here, "A", &first, 0, &err));
	assert_true(move_tag(rig->here, "B", NULL, 0, &err));
	/* Sent twice to the same worker, and then made by the one who sent it. */
	assert_true(move_tag(rig->here, "A", &first, 0, &err));
	assert_true(move_tag(rig->there, "A", &first, sent_ms, &err));
	assert_true(is_at(rig->here, "B") && is_at(rig->there, "B"));
	fold(rig->here);
	assert_true(move_tag(rig->there, "A", &first, sent_ms, &err));
	assert_true(is_at(rig->here, "B") && is_at(rig->there, "B"));
	/* One that is not there was not made. */
	assert_true(move_tag(rig->there, "A", &second, sent_ms, &err));
	assert_true(is_at(rig->here, "A"));
	for (unsigned i = 0; i < MEMO_CALLS_MAX; i++) {
		struct change_id other = { { 3, (uint8_t)i, (uint8_t)(i >> 8) } };

		(void)snprintf(to, sizeof(to), "C%u", i);
		assert_true(move_tag(rig->here, to, &other, 0, &err));
	}
	/* It may have been among those that are forgotten: unknown, but what is new can be told. */
	assert_false(move_tag(rig->there, "A", &first, sent_ms, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_true(is_at(rig->there, to));
	assert_true(move_tag(rig->there, "A", &(struct change_id){ { 9 } }, 0, &err));
}

/* Who was asked first did not answer, and makes it after somebody else was asked: what they were told stays true. */
static void test_a_call_that_is_made_later_changes_nothing_that_was_told(void **state)
{
	const struct change_id moved = { { 1 } }, deleted = { { 2 } };
	struct digest digest = digest_of(HASH_SHA256, STR("A"));
	struct index_change change = { .op = INDEX_DELETE_DIGEST,
		.name = "r",
		.digest = digest,
		.id = deleted,
		.is_call = true,
		.sent_ms = clock_wall_ms() };
	struct rig *rig = *state;
	struct error err;

	/* Nothing was there to delete: it can't be told, for it may be made when there is. */
	assert_true(put(rig->here, "r", "v1", &err));
	assert_false(indexes_change_wait(rig->there, &change, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	/* It was so already, and said to be made: then it is not made behind what came after it. */
	assert_true(move_tag(rig->here, "A", NULL, 0, &err));
	assert_true(move_tag(rig->there, "A", &moved, clock_wall_ms(), &err));
	assert_true(move_tag(rig->there, "B", NULL, 0, &err));
	assert_true(move_tag(rig->here, "A", &moved, 0, &err));
	assert_true(is_at(rig->here, "B") && is_at(rig->there, "B"));
	fold(rig->there);
	assert_true(move_tag(rig->here, "A", &moved, 0, &err));
	assert_true(is_at(rig->here, "B") && is_at(rig->there, "B"));
}

/* Its receiver was away for minutes, and may have been taken for dead. */
static void test_a_call_that_comes_late(void **state)
{
	struct rig *rig = *state;
	struct descriptor descriptor = descriptor_of("A");
	const char *tag = "moving";
	struct index_change change = { .op = INDEX_PUT_MANIFEST,
		.name = "r",
		.descriptor = &descriptor,
		.tags = &tag,
		.tags_len = 1,
		.id = { { 7 } },
		.is_call = true };
	struct error err;

	assert_true(put(rig->here, "r", "v1", &err) && put(rig->here, "r", "v2", &err));
	change.issued_ms = clock_wall_ms() - 150000;
	assert_false(indexes_change_wait(rig->here, &change, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	change.issued_ms = clock_wall_ms() - 100000;
	assert_true(indexes_change_wait(rig->here, &change, &err));
	/* One that took effect is answered however late it is. */
	change.issued_ms = clock_wall_ms() - 150000;
	assert_true(indexes_change_wait(rig->there, &change, &err));
}

/* ---- what may not be ---- */

static unsigned checks;

static bool check_not_condemned(struct index_change *change, const struct index *view, struct error *err)
{
	checks++;
	return !index_is_condemned(view, &change->descriptor->digest, clock_wall_s()) ||
	       error_set(err, ERROR_UNKNOWN, "MANIFEST_BLOB_UNKNOWN", "condemned");
}

/* A push that relies on a blob is checked at its place in the order, wherever the deletion came from. */
static void test_condemned_blobs(void **state)
{
	struct rig *rig = *state;
	struct descriptor descriptor = descriptor_of("named");
	struct index_change push = {
		.op = INDEX_PUT_MANIFEST, .name = "r", .descriptor = &descriptor, .check = check_not_condemned
	};
	struct index_change kill = { .op = INDEX_CONDEMN,
		.name = "r",
		.digest = descriptor.digest,
		.until_s = clock_wall_s() + MEMO_CONDEMN_S };
	struct index_change over = {
		.op = INDEX_REMOVED, .name = "r", .digest = descriptor.digest, .until_s = kill.until_s
	};
	struct index_change late = {
		.op = INDEX_REMOVED, .name = "r", .digest = descriptor.digest, .until_s = kill.until_s - 30
	};
	AUTO(index) *index = NULL;
	struct error err;

	rig->trust = FOREVER;
	assert_true(put(rig->here, "r", "v1", &err));
	assert_int_equal(indexes_removals(rig->here, STR("r")), 0);
	assert_true(indexes_change_wait(rig->there, &kill, &err));
	checks = 0;
	assert_false(indexes_change_wait(rig->here, &push, &err));
	assert_string_equal(err.code, "MANIFEST_BLOB_UNKNOWN");
	/* Once in the view that was stale, once in the true one. */
	assert_int_equal(checks, 2);
	fold(rig->there);
	assert_true(indexes_get(rig->there, STR("r"), &index, &err));
	assert_true(index_is_condemned(index, &descriptor.digest, clock_wall_s()));
	assert_false(index_is_condemned(
		index, &descriptor.digest, clock_wall_s() + MEMO_CONDEMN_S + MEMO_GRACE_S + 1));
	assert_int_equal(index_removals(index), 1);
	/* The end of an earlier condemnation is none of this one. */
	assert_true(indexes_change_wait(rig->there, &late, &err));
	assert_false(indexes_change_wait(rig->here, &push, &err));
	assert_true(indexes_change_wait(rig->there, &over, &err));
	assert_true(indexes_change_wait(rig->here, &push, &err));
	/* What was seen while it was condemned, and not removed yet, does not count behind that. */
	assert_int_equal(indexes_removals(rig->here, STR("r")), 2);
}

static bool take_any(void *arg, struct str name)
{
	*(bool *)arg = *(bool *)arg || str_is(name, "r");
	return true;
}

static bool is_listed(const struct rig *rig)
{
	bool found = false;
	struct error err;

	assert_true(store_catalog_each(rig->store, take_any, &found, &err));
	return found;
}

static bool delete_digest_of(struct indexes *indexes, const char *tag)
{
	struct index_change change = {
		.op = INDEX_DELETE_DIGEST, .name = "r", .digest = descriptor_of(tag).digest
	};
	struct error err;

	return indexes_change_wait(indexes, &change, &err);
}

static bool vacate(struct indexes *indexes, enum index_op op, int64_t until_s)
{
	struct index_change change = { .op = op, .name = "r", .until_s = until_s };
	struct error err;

	return indexes_change_wait(indexes, &change, &err);
}

/* Who pushes puts the name before his record, and not before what removes it is over. */
static void test_a_name_comes_back(void **state)
{
	struct rig *rig = *state;
	int64_t until_s = store_clock_s(rig->store, STR("r")) + MEMO_VACATE_S;
	AUTO(index) *index = NULL;
	struct error err;

	assert_true(put(rig->here, "r", "v1", &err));
	assert_true(is_listed(rig) && delete_digest_of(rig->there, "v1"));
	assert_true(vacate(rig->there, INDEX_VACATE, until_s));
	assert_true(store_name_remove(rig->store, STR("r"), until_s, &err));
	assert_false(is_listed(rig));
	assert_true(vacate(rig->there, INDEX_VACATED, until_s));
	/* Whatever is no push leaves it where it is. */
	fold(rig->there);
	assert_true(indexes_get(rig->here, STR("r"), &index, &err));
	assert_true(index_is_vacant(index) && !is_listed(rig));
	assert_true(put(rig->here, "r", "v2", &err));
	assert_true(is_listed(rig));
	index_free(index);
	assert_true(indexes_get(rig->there, STR("r"), &index, &err));
	assert_false(index_is_vacant(index));
}

static void *push_meanwhile(void *arg)
{
	struct rig *rig = arg;
	struct error err;

	assert_true(put(rig->here, "r", "v2", &err));
	return rig;
}

/* A push that comes in the middle waits for the word that it is over, and not for longer. */
static void test_a_push_waits_for_who_removes_the_name(void **state)
{
	struct rig *rig = *state;
	int64_t until_s = store_clock_s(rig->store, STR("r")) + 3600;
	pthread_t thread;
	void *done;
	struct error err;

	assert_true(put(rig->there, "r", "v1", &err));
	assert_true(delete_digest_of(rig->there, "v1"));
	assert_true(vacate(rig->there, INDEX_VACATE, until_s));
	assert_int_equal(pthread_create(&thread, NULL, push_meanwhile, rig), 0);
	(void)poll(NULL, 0, 100);
	/* Were it not waiting, its name would go here, behind its answer. */
	assert_true(store_name_remove(rig->store, STR("r"), until_s, &err));
	assert_true(vacate(rig->there, INDEX_VACATED, until_s));
	assert_int_equal(pthread_join(thread, &done), 0);
	assert_true(is_listed(rig));
}

/* Whoever was to remove it is dead: his time is over, and so is he who comes late. */
static void test_a_removal_that_never_ended(void **state)
{
	struct rig *rig = *state;
	int64_t until_s = store_clock_s(rig->store, STR("r")) - MEMO_GRACE_S - 1;
	struct error err;

	assert_true(put(rig->there, "r", "v1", &err));
	assert_true(delete_digest_of(rig->there, "v1"));
	assert_true(vacate(rig->there, INDEX_VACATE, until_s));
	assert_true(put(rig->here, "r", "v2", &err));
	assert_false(store_name_remove(rig->store, STR("r"), until_s, &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_true(is_listed(rig));
	/* His word that it is over says nothing of what came since. */
	assert_true(vacate(rig->there, INDEX_VACATED, until_s));
	assert_true(is_listed(rig));
}

/* A name without an index, as who died on a first push leaves it, and blobs of a repository that never got a manifest. */
static void test_a_name_of_nothing(void **state)
{
	struct rig *rig = *state;
	int64_t until_s = store_clock_s(rig->store, STR("r")) + MEMO_VACATE_S;
	struct index_change kill = {
		.op = INDEX_CONDEMN, .name = "q", .digest = descriptor_of("x").digest, .until_s = until_s
	};
	AUTO(index) *index = NULL;
	struct error err;

	assert_true(store_name_put(rig->store, STR("r"), 0, &err));
	assert_true(vacate(rig->there, INDEX_VACATE, until_s));
	assert_true(store_name_remove(rig->store, STR("r"), until_s, &err));
	assert_true(vacate(rig->there, INDEX_VACATED, until_s));
	assert_false(is_listed(rig));
	assert_true(put(rig->here, "r", "v1", &err));
	assert_true(is_listed(rig));
	/* The index that remembers a removal is none that the catalog has. */
	assert_true(indexes_change_wait(rig->here, &kill, &err));
	assert_true(indexes_get(rig->there, STR("q"), &index, &err));
	assert_true(index_is_vacant(index));
}

static void test_growth_is_refused_in_time(void **state)
{
	struct rig *rig = *state;
	struct error err = { 0 };
	unsigned fits = 0;
	char tag[32];

	rig->trust = FOREVER;
	indexes_set_most(rig->here, 20000);
	indexes_set_log(rig->here, 4000);
	for (unsigned i = 0; i < 200 && !err.kind; i++) {
		(void)snprintf(tag, sizeof(tag), "t%u", i);
		if (put(rig->here, "r", tag, &err))
			fits++;
	}
	assert_int_equal(err.kind, ERROR_FULL);
	assert_non_null(strstr(err.text, "may not grow"));
	assert_in_range(fits, 50, 150);
	/* What is there is there, may be pushed again, folded, read anew, and deleted; then there is room
	 * again. */
	assert_true(put(rig->here, "r", "t0", &err));
	assert_true(has(rig->there, "r", "t0"));
	assert_true(delete_tag(rig->here, "r", "t0", &err));
	assert_true(delete_tag(rig->here, "r", "t1", &err));
	assert_true(put(rig->here, "r", "t0", &err));
}

/* ---- many at once ---- */

#define SUBMITTERS 16
#define EACH       40

struct tally {
	pthread_mutex_t lock;
	pthread_cond_t told;
	unsigned ok, failed;
};

struct push {
	struct index_change change;
	struct descriptor descriptor;
	char tag[32];
	const char *tags[1];
};

static void on_done(struct index_change *change)
{
	struct tally *tally = change->arg;

	CHECK(pthread_mutex_lock(&tally->lock) == 0);
	*(change->ok ? &tally->ok : &tally->failed) += 1;
	CHECK(pthread_cond_signal(&tally->told) == 0);
	CHECK(pthread_mutex_unlock(&tally->lock) == 0);
}

static void tally_wait(struct tally *tally, unsigned n)
{
	CHECK(pthread_mutex_lock(&tally->lock) == 0);
	while (tally->ok + tally->failed < n)
		CHECK(pthread_cond_wait(&tally->told, &tally->lock) == 0);
	CHECK(pthread_mutex_unlock(&tally->lock) == 0);
}

struct submitter {
	pthread_t thread;
	struct indexes *indexes;
	struct tally *tally;
	struct push *pushes;
	int number;
};

static void *submit(void *arg)
{
	struct submitter *s = arg;

	for (int i = 0; i < EACH; i++) {
		struct push *push = &s->pushes[i];

		(void)snprintf(push->tag, sizeof(push->tag), "t%d-%d", s->number, i);
		push->tags[0] = push->tag;
		push->descriptor = descriptor_of(push->tag);
		push->change = (struct index_change){ .op = INDEX_PUT_MANIFEST,
			.name = "hot",
			.descriptor = &push->descriptor,
			.tags = push->tags,
			.tags_len = 1,
			.done = on_done,
			.arg = s->tally };
		indexes_change(s->indexes, &push->change);
	}
	return NULL;
}

static void test_group_commit(void **state)
{
	struct rig *rig = *state;
	struct tally tally = { .lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER };
	struct push *pushes = xnew_array(struct push, SUBMITTERS * EACH);
	struct submitter submitters[SUBMITTERS];
	AUTO(index) *index = NULL;
	struct indexes_stats stats;

	for (int i = 0; i < SUBMITTERS; i++) {
		submitters[i] = (struct submitter){
			.indexes = rig->here, .tally = &tally, .pushes = pushes + i * EACH, .number = i
		};
		assert_int_equal(pthread_create(&submitters[i].thread, NULL, submit, &submitters[i]), 0);
	}
	for (int i = 0; i < SUBMITTERS; i++)
		pthread_join(submitters[i].thread, NULL);
	tally_wait(&tally, SUBMITTERS * EACH);
	assert_int_equal(tally.ok, SUBMITTERS * EACH);
	stats = indexes_stats(rig->here);
	print_message("%d changes in %d writes\n", (int)stats.changes, (int)stats.writes);
	assert_int_equal(stats.changes, SUBMITTERS * EACH);
	assert_in_range(stats.writes, 1, stats.changes / 2);
	assert_true(indexes_get(rig->there, STR("hot"), &index, NULL));
	assert_int_equal(index_tags_len(index), SUBMITTERS * EACH);
	free(pushes);
}

struct pusher {
	pthread_t thread;
	struct indexes *indexes;
	int number, ok;
};

static void *push_all(void *arg)
{
	struct pusher *p = arg;
	char tag[32];
	struct error err;

	for (int i = 0; i < 25; i++) {
		(void)snprintf(tag, sizeof(tag), "p%d-%d", p->number, i);
		p->ok += put(p->indexes, "shared", tag, &err) && has(p->indexes, "shared", tag);
	}
	return NULL;
}

/* Two workers, four clients each, all into one repository. */
static void test_conflicts(void **state)
{
	struct rig *rig = *state;
	struct pusher pushers[8];
	AUTO(index) *index = NULL;

	rig->trust = 0;
	for (int i = 0; i < 8; i++) {
		pushers[i] = (struct pusher){ .indexes = i % 2 ? rig->here : rig->there, .number = i };
		assert_int_equal(pthread_create(&pushers[i].thread, NULL, push_all, &pushers[i]), 0);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(pushers[i].thread, NULL);
		assert_int_equal(pushers[i].ok, 25);
	}
	assert_true(indexes_get(rig->here, STR("shared"), &index, NULL));
	assert_int_equal(index_tags_len(index), 200);
	index_free(TAKE(index));
	assert_true(indexes_get(rig->there, STR("shared"), &index, NULL));
	assert_int_equal(index_tags_len(index), 200);
}

static void test_bound(void **state)
{
	struct rig *rig = *state;
	AUTO(indexes) *small = indexes_new(rig->store, rig->pool, trust_here, rig, 16 * 1024);
	struct indexes_stats stats;
	char name[32];

	rig->trust = FOREVER;
	for (int i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "r%d", i);
		assert_true(put(small, name, "v1", NULL));
		assert_true(indexes_stats(small).bytes <= 16 * 1024);
		assert_true(peeks(small, name));
		if (i)
			assert_true(has(small, "r0", "v1"));
	}
	stats = indexes_stats(small);
	assert_in_range(stats.repositories, 2, 30);
	assert_true(peeks(small, "r0"));
	assert_false(peeks(small, "r1"));
	assert_true(has(small, "r1", "v1"));
}

/* An index of another tool: what refers to what is read from the manifests, once, and written with the next
 * change. */
static void test_import(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) manifest = buf_limit(4096);
	AUTO_FINI(buf) text = buf_limit(4096);
	AUTO(index) *index = NULL;
	const struct store_version nothing = { .text = "" };
	const struct store_log_place no_log = { .at = 0 };
	struct store_version version;
	struct digest subject = digest_of(HASH_SHA256, STR("subject")), digest;
	char of[DIGEST_TEXT_SIZE], own[DIGEST_TEXT_SIZE];
	struct error err;

	digest_format(&subject, of);
	buf_format(&manifest,
		"{\"schemaVersion\":2,\"mediaType\":\"" OCI
		"\",\"config\":{\"mediaType\":\"application/x-sig\","
		"\"digest\":\"%s\",\"size\":2},\"layers\":[],\"subject\":{\"mediaType\":\"" OCI
		"\",\"digest\":\"%s\",\"size\":7},\"annotations\":{\"k\":\"v\"}}",
		of, of);
	digest = digest_of(HASH_SHA256, buf_str(&manifest));
	digest_format(&digest, own);
	buf_format(&text,
		"{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"" OCI
		"\",\"digest\":\"%s\",\"size\":%zu},"
		"{\"mediaType\":\"" OCI "\",\"digest\":\"%s\",\"size\":7}]}",
		own, manifest.len, of);
	assert_true(store_blob_put(rig->store, STR("old"), &digest, buf_str(&manifest), &err));
	assert_int_equal(
		store_index_fold(rig->store, STR("old"), buf_str(&text), &nothing, &no_log, &version, &err),
		STORE_OK);
	assert_true(indexes_get(rig->here, STR("old"), &index, &err));
	assert_int_equal(index_len(index), 2);
	assert_int_equal(index_referrers_len(index, &subject), 1);
	assert_string_equal(
		index_referrer_at(index, &subject, 0)->descriptor.artifact_type, "application/x-sig");
	assert_true(put(rig->here, "old", "v1", &err));
	assert_true(store_blob_delete(
		rig->store, STR("old"), &digest, store_clock_s(rig->store, STR_NONE) + 20, &err));
	index_free(TAKE(index));
	assert_true(indexes_get(rig->there, STR("old"), &index, &err));
	assert_int_equal(index_referrers_len(index, &subject), 1);
	assert_string_equal(
		descriptor_annotation(&index_referrer_at(index, &subject, 0)->descriptor, "k"), "v");
}

/* ---- a store that fails ---- */

static const struct store_driver *real_driver;
static bool writes_first; /* the answer is lost, not the write */

static enum store_step put_failing(struct store *store, const char *key, struct str bytes,
	const struct store_version *expected, struct store_version *ret_version, struct error *err)
{
	if (writes_first && real_driver->put_if(store, key, bytes, expected, ret_version, err) != STORE_OK)
		return STORE_FAILED;
	(void)error_set(err, ERROR_UNAVAILABLE, NULL, "no answer");
	return STORE_FAILED;
}

static void test_unclear_write(void **state)
{
	struct rig *rig = *state;
	struct store_driver failing;
	struct error err;

	rig->trust = FOREVER;
	assert_true(put(rig->here, "r", "v1", &err));
	real_driver = rig->store->driver;
	failing = *real_driver;
	failing.put_if = put_failing;
	failing.put_index = NULL;
	failing.log_get = NULL;
	failing.log_append = NULL;
	failing.log_remove = NULL; /* a store without logs */
	rig->store->driver = &failing;
	writes_first = true;
	/* Neither done nor failed; the store says later. */
	assert_false(put(rig->here, "r", "v2", &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_false(peeks(rig->here, "r"));
	assert_true(has(rig->here, "r", "v2"));
	writes_first = false;
	assert_false(put(rig->here, "r", "v3", &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	/* The write may still arrive: the view is not believed until the store was asked. */
	assert_false(peeks(rig->here, "r"));
	assert_false(has(rig->here, "r", "v3"));
	assert_true(peeks(rig->here, "r"));
	rig->store->driver = real_driver;
	assert_true(put(rig->here, "r", "v3", &err));
	assert_true(has(rig->there, "r", "v2") && has(rig->there, "r", "v3"));
}

/* ---- the log ---- */

static void read_there(const struct rig *rig, const char *name, struct buf *into)
{
	AUTO_FINI(buf) path = buf_limit(512);

	buf_format(&path, "%s/%s", rig->folder, name);
	buf_clear(into);
	if (!file_read(buf_text(&path), into, NULL))
		buf_clear(into);
}

static void write_there(const struct rig *rig, const char *name, struct str bytes)
{
	AUTO_FINI(buf) path = buf_limit(512);
	struct error err;

	buf_format(&path, "%s/%s", rig->folder, name);
	assert_true(file_write_durable(buf_text(&path), bytes, 0600, &err));
}

static void test_changes_go_to_the_log(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) first = buf_limit(1 << 20), json = buf_limit(1 << 20), log = buf_limit(1 << 20);
	struct error err;
	char tag[16];

	assert_true(put(rig->here, "l", "t0", &err));
	read_there(rig, "l/index.json", &first);
	for (int i = 1; i < 50; i++) {
		(void)snprintf(tag, sizeof(tag), "t%d", i);
		assert_true(put(i % 2 ? rig->here : rig->there, "l", tag, &err));
	}
	assert_true(delete_tag(rig->here, "l", "t3", &err));
	read_there(rig, "l/index.json", &json);
	assert_true(str_equal(buf_str(&json), buf_str(&first)));
	assert_true(has(rig->there, "l", "t49") && !has(rig->there, "l", "t3"));
	fold(rig->here);
	read_there(rig, "l/index.log", &log);
	read_there(rig, "l/index.json", &json);
	assert_int_equal(log.len, 0);
	assert_non_null(strstr(buf_text(&json), "\"t49\""));
	assert_null(strstr(buf_text(&json), "\"t3\""));
	for (int i = 0; i < 50; i++) {
		(void)snprintf(tag, sizeof(tag), "t%d", i);
		assert_int_equal(has(rig->there, "l", tag), i != 3);
	}
	assert_true(put(rig->there, "l", "later", &err));
	assert_true(has(rig->here, "l", "later"));
}

/* A view of nobody else: what a worker that starts now would see. */
static size_t tags_for_a_newcomer(struct rig *rig, const char *name)
{
	struct indexes *fresh = indexes_new(rig->store, rig->pool, NULL, NULL, 64 << 20);
	struct index *index = NULL;
	struct error err;
	size_t len;

	if (!indexes_get(fresh, str_of(name), &index, &err))
		fail_msg("%s", err.text);
	len = index_tags_len(index);
	index_free(index);
	indexes_free(fresh);
	return len;
}

/* Files of the repository "l" whose names begin so. */
static unsigned kept_files(const struct rig *rig, const char *prefix)
{
	AUTO_FINI(buf) path = buf_limit(512);
	const struct dirent *entry;
	unsigned found = 0;
	DIR *dir;

	buf_format(&path, "%s/l", rig->folder);
	dir = opendir(buf_text(&path));
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		found += str_starts(str_of(entry->d_name), prefix);
	(void)closedir(dir);
	return found;
}

/* A whole entry counts without its mark, which is not synced; a part of one does not. */
static void test_torn_logs(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) log = buf_limit(1 << 20), torn = buf_limit(1 << 20);
	struct error err;
	size_t first, second;

	assert_true(put(rig->here, "l", "a", &err) && put(rig->here, "l", "b", &err));
	read_there(rig, "l/index.log", &log);
	first = log.len - FRAME_HEAD;
	assert_true(put(rig->here, "l", "c", &err));
	read_there(rig, "l/index.log", &log);
	second = log.len - FRAME_HEAD;
	for (size_t len = 0; len < log.len; len += len < 60 || len + 16 > log.len ? 1 : 7) {
		write_there(rig, "l/index.log", str_from(log.at, len));
		assert_int_equal(tags_for_a_newcomer(rig, "l"), len < first ? 1 : len < second ? 2 : 3);
	}
	for (size_t i = first + FRAME_HEAD; i < log.len; i += 5) {
		log.at[i] ^= 0x20;
		write_there(rig, "l/index.log", buf_str(&log));
		log.at[i] ^= 0x20;
		assert_int_equal(tags_for_a_newcomer(rig, "l"), i < second ? 2 : 3);
	}
	assert_true(kept_files(rig, "index.log.cut-") > 10);
	/* Somebody goes on behind a torn record: it is cut off. */
	write_there(rig, "l/index.log", str_from(log.at, second - 3));
	assert_true(put(rig->there, "l", "d", &err));
	assert_int_equal(tags_for_a_newcomer(rig, "l"), 3);
	assert_true(has(rig->there, "l", "d") && !has(rig->there, "l", "c"));
	read_there(rig, "l/index.log", &torn);
	assert_int_equal(torn.len, log.len);
}

/* An entry of another chain behind ours is none, though its own sum were right. */
static void test_entries_stand_behind_what_they_were_written_behind(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) log = buf_limit(1 << 20), mixed = buf_limit(1 << 20);
	struct error err;
	size_t head, first;

	assert_true(put(rig->here, "l", "a", &err) && put(rig->here, "l", "b", &err));
	read_there(rig, "l/index.log", &log);
	head = strcspn(buf_text(&log), "\n") + 1;
	first = log.len;
	assert_true(put(rig->here, "l", "c", &err));
	read_there(rig, "l/index.log", &log);
	buf_add(&mixed, str_from(log.at, head));
	buf_add(&mixed, str_from(log.at + first, log.len - first));
	write_there(rig, "l/index.log", buf_str(&mixed));
	assert_int_equal(tags_for_a_newcomer(rig, "l"), 1);
	assert_int_equal(kept_files(rig, "index.log.cut-"), 1);
}

/* What follows a log that became shorter than its place reads everything anew. */
static void test_a_log_that_became_shorter(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) log = buf_limit(1 << 20);
	struct error err;
	size_t first;

	assert_true(put(rig->here, "l", "a", &err) && put(rig->here, "l", "b", &err));
	read_there(rig, "l/index.log", &log);
	first = log.len;
	assert_true(put(rig->here, "l", "c", &err));
	assert_true(has(rig->there, "l", "c"));
	read_there(rig, "l/index.log", &log);
	write_there(rig, "l/index.log", str_from(log.at, first));
	assert_false(has(rig->there, "l", "c"));
	assert_true(put(rig->here, "l", "d", &err));
	assert_true(has(rig->there, "l", "b") && has(rig->there, "l", "d"));
}

static void test_a_log_of_another_index(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) old = buf_limit(1 << 20), log = buf_limit(1 << 20);
	struct error err;

	assert_true(put(rig->here, "l", "a", &err) && put(rig->here, "l", "b", &err));
	read_there(rig, "l/index.log", &old);
	fold(rig->here);
	/* A crash after the new index.json and before the removal. */
	write_there(rig, "l/index.log", buf_str(&old));
	assert_int_equal(tags_for_a_newcomer(rig, "l"), 2);
	assert_true(delete_tag(rig->there, "l", "b", &err));
	assert_int_equal(tags_for_a_newcomer(rig, "l"), 1);
	assert_int_equal(kept_files(rig, "index.log.orphan-"), 0);
	/* Another tool writes index.json and knows nothing of logs: what it did not read is kept. */
	write_there(rig, "l/index.json", STR("{\"schemaVersion\":2,\"manifests\":[]}"));
	assert_int_equal(tags_for_a_newcomer(rig, "l"), 0);
	assert_true(put(rig->here, "l", "z", &err));
	assert_int_equal(tags_for_a_newcomer(rig, "l"), 1);
	read_there(rig, "l/index.log", &log);
	assert_int_equal(log.len, 0);
	assert_int_equal(kept_files(rig, "index.log.orphan-"), 1);
}

/* The log of an older version is read, and the next change folds it. */
static void test_an_old_log(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) log = buf_limit(1 << 20), old = buf_limit(1 << 20);
	struct frame_chain chain;
	struct str rest, batch;
	char head[64];
	struct error err;

	assert_true(put(rig->here, "l", "a", &err) && put(rig->here, "l", "b", &err));
	read_there(rig, "l/index.log", &log);
	(void)snprintf(head, sizeof(head), "ZOTLOG1 %.33s", log.at + strlen("ZOTLOG2 "));
	buf_puts(&old, head);
	rest = str_from(log.at + old.len, log.len - old.len);
	chain = frame_chain_begin(str_from(log.at, old.len));
	assert_int_equal(frame_chain_next(&rest, &chain, &batch), FRAME_ENTRY);
	buf_add(&old, batch);
	buf_puts(&old, "torn");
	write_there(rig, "l/index.log", buf_str(&old));
	assert_int_equal(tags_for_a_newcomer(rig, "l"), 2);
	assert_true(put(rig->there, "l", "c", &err));
	assert_int_equal(tags_for_a_newcomer(rig, "l"), 3);
	read_there(rig, "l/index.log", &log);
	assert_int_equal(log.len, 0);
}

static void refused_for_a_newcomer(struct rig *rig, const char *why)
{
	struct indexes *fresh = indexes_new(rig->store, rig->pool, NULL, NULL, 64 << 20);
	struct index *index = NULL;
	struct error err;

	assert_false(indexes_get(fresh, STR("l"), &index, &err));
	assert_int_equal(err.kind, ERROR_INTERNAL);
	if (!strstr(err.text, why))
		fail_msg("%s", err.text);
	indexes_free(fresh);
}

/* What a later version wrote, by rules that are not known here, is refused and stays as it is. */
static void test_a_newer_log(void **state)
{
	struct rig *rig = *state;
	AUTO_FINI(buf) log = buf_limit(1 << 20), after = buf_limit(1 << 20), other = buf_limit(1 << 20);
	struct error err;

	assert_true(put(rig->here, "l", "a", &err) && put(rig->here, "l", "b", &err));
	read_there(rig, "l/index.log", &log);
	log.at[strlen("ZOTLOG")] = '3';
	write_there(rig, "l/index.log", buf_str(&log));
	refused_for_a_newcomer(rig,
		"l/index.log: of format 3, written by a newer zot-worker; this one (" ZOT_VERSION
		") reads 2");
	assert_false(put(rig->there, "l", "c", &err));
	read_there(rig, "l/index.log", &after);
	assert_true(str_equal(buf_str(&log), buf_str(&after)));
	assert_int_equal(kept_files(rig, "index.log.orphan-"), 0);

	/* A change of a kind that is not known, in a log whose form is. */
	buf_format(&other, "ZOTLOG1 %.33s", log.at + strlen("ZOTLOG2 "));
	frame_add(&other, STR("{\"id\":\"00\",\"op\":\"rename\",\"tags\":[\"a\",\"b\"]}"));
	write_there(rig, "l/index.log", buf_str(&other));
	refused_for_a_newcomer(rig, "the change \"rename\", written by a newer zot-worker");
	assert_false(put(rig->there, "l", "c", &err));
	read_there(rig, "l/index.log", &after);
	assert_true(str_equal(buf_str(&other), buf_str(&after)));
}

static bool put_bytes(struct rig *rig, const char *tag, struct str bytes, struct error *err)
{
	struct descriptor descriptor = {
		.media_type = oci_type, .size = bytes.len, .digest = digest_of(HASH_SHA256, bytes)
	};
	struct index_change change = { .op = INDEX_PUT_MANIFEST,
		.name = "l",
		.descriptor = &descriptor,
		.tags = &tag,
		.tags_len = 1,
		.bytes = bytes };

	return store_blob_put_lazy(
		       rig->store, STR("l"), &descriptor.digest, bytes, false, &change.era, err) &&
	       indexes_change_wait(rig->here, &change, err);
}

static bool condemn(struct indexes *indexes, const struct digest *digest, struct error *err)
{
	struct index_change change = {
		.op = INDEX_CONDEMN, .name = "l", .digest = *digest, .until_s = clock_wall_s() + 20
	};

	return indexes_change_wait(indexes, &change, err);
}

/* A power cut after the log was synced and before the manifests were. */
static void test_manifests_come_back_from_the_log(void **state)
{
	struct rig *rig = *state;
	struct str bytes[] = { STR("{\"first\":1}"), STR("{\"second\":2}"), STR("{\"third\":3}") };
	AUTO_FINI(buf) there = buf_limit(1000);
	AUTO_FINI(buf) path = buf_limit(512);
	struct digest digests[3];
	char encoded[129];
	struct error err;

	assert_true(put(rig->here, "l", "a", &err));
	for (int i = 0; i < 3; i++) {
		char tag[16];

		(void)snprintf(tag, sizeof(tag), "t%d", i);
		digests[i] = digest_of(HASH_SHA256, bytes[i]);
		assert_true(put_bytes(rig, tag, bytes[i], &err));
	}
	/* The third is deleted as a blob: it does not come back. */
	assert_true(condemn(rig->here, &digests[2], &err));
	for (int i = 0; i < 3; i += 2)
		assert_true(store_blob_delete(
			rig->store, STR("l"), &digests[i], store_clock_s(rig->store, STR_NONE) + 20, &err));
	digest_encoded(&digests[1], encoded);
	buf_format(&path, "l/blobs/sha256/%s", encoded);
	write_there(rig, buf_text(&path), STR("\0\0\0\0\0\0\0\0\0\0\0\0"));
	assert_int_equal(tags_for_a_newcomer(rig, "l"), 4);
	for (int i = 0; i < 2; i++) {
		assert_true(store_blob_get(rig->store, STR("l"), &digests[i], &there, &err));
		assert_true(str_equal(buf_str(&there), bytes[i]));
	}
	assert_false(store_blob_get(rig->store, STR("l"), &digests[2], &there, &err));
}

/* It was lost, and is pushed again: then it is durable without a record. */
static void test_a_lost_manifest_is_pushed_again(void **state)
{
	struct rig *rig = *state;
	struct str bytes = STR("{\"lost\":1}");
	struct digest digest = digest_of(HASH_SHA256, bytes);
	struct descriptor descriptor = { .media_type = oci_type, .size = bytes.len, .digest = digest };
	const char *tag = "lost";
	struct index_change change = { .op = INDEX_PUT_MANIFEST,
		.name = "l",
		.descriptor = &descriptor,
		.tags = &tag,
		.tags_len = 1,
		.bytes = bytes };
	AUTO_FINI(buf) there = buf_limit(100);
	struct error err;

	assert_true(put(rig->here, "l", "a", &err) && put_bytes(rig, tag, bytes, &err));
	for (int listed = 0; listed < 2; listed++) {
		uint64_t writes = indexes_stats(rig->here).writes;

		assert_true(store_blob_delete(
			rig->store, STR("l"), &digest, store_clock_s(rig->store, STR_NONE) + 20, &err));
		assert_true(
			store_blob_put_lazy(rig->store, STR("l"), &digest, bytes, listed, &change.era, &err));
		/* Where it was not known to be listed the committer sees to it. */
		assert_int_equal(change.era != 0, !listed);
		assert_true(indexes_change_wait(rig->here, &change, &err));
		assert_int_equal(indexes_stats(rig->here).writes, writes);
		assert_true(store_blob_get(rig->store, STR("l"), &digest, &there, &err));
	}
}

static atomic_bool pushing;

static void *fold_on(void *arg)
{
	struct rig *rig = arg;

	while (atomic_load(&pushing)) {
		indexes_fold(rig->here, 0);
		indexes_fold(rig->there, 0);
		(void)poll(NULL, 0, 1);
	}
	return NULL;
}

/* Two workers push while both fold all the time. */
static void test_folds_lose_nothing(void **state)
{
	struct rig *rig = *state;
	struct pusher pushers[8];
	pthread_t folder;

	rig->trust = 0;
	indexes_set_log(rig->here, 2000);
	indexes_set_log(rig->there, 3000);
	atomic_store(&pushing, true);
	assert_int_equal(pthread_create(&folder, NULL, fold_on, rig), 0);
	for (int i = 0; i < 8; i++) {
		pushers[i] = (struct pusher){ .indexes = i % 2 ? rig->here : rig->there, .number = i };
		assert_int_equal(pthread_create(&pushers[i].thread, NULL, push_all, &pushers[i]), 0);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(pushers[i].thread, NULL);
		assert_int_equal(pushers[i].ok, 25);
	}
	atomic_store(&pushing, false);
	pthread_join(folder, NULL);
	assert_int_equal(tags_for_a_newcomer(rig, "shared"), 200);
	assert_true(indexes_stats(rig->here).folds + indexes_stats(rig->there).folds > 0);
}

/* ---- logs that go on: only over a bucket ---- */

/* The log that index.json names, up to the record that it holds. */
static struct store_log_place json_place(const struct rig *rig, const char *name)
{
	AUTO_FINI(buf) json = buf_limit(1 << 20);
	AUTO(index) *index = NULL;
	struct error err;
	char key[64];

	(void)snprintf(key, sizeof(key), "%s/index.json", name);
	assert_true(rig->store->driver->get(rig->store, key, &json, NULL, &err));
	assert_true(index_json_read(buf_str(&json), &index, &err));
	return index->log;
}

static uint64_t json_holds(const struct rig *rig, const char *name)
{
	return json_place(rig, name).at;
}

static uint64_t records(const struct rig *rig, const char *name)
{
	struct store_log_place place = json_place(rig, name);
	AUTO_FINI(buf) frames = buf_limit(1 << 20);
	struct error err;

	place.at = 0;
	assert_int_equal(store_log_get(rig->store, str_of(name), &(struct store_version){ .text = "" },
				 &place, &frames, &err),
		STORE_OK);
	return place.at;
}

static void test_a_change_is_one_request(void **state)
{
	struct rig *rig = *state;
	uint64_t before;
	struct error err;

	rig->trust = FOREVER;
	assert_true(put(rig->here, "l", "t0", &err));
	assert_int_equal(json_holds(rig, "l"), 0);
	before = store_requests(rig->store);
	assert_true(put(rig->here, "l", "t1", &err));
	assert_int_equal(store_requests(rig->store) - before, 1);
	assert_true(delete_tag(rig->here, "l", "t0", &err));
	assert_int_equal(store_requests(rig->store) - before, 2);
	assert_true(has(rig->here, "l", "t1") && !has(rig->here, "l", "t0"));
	assert_int_equal(store_requests(rig->store) - before, 2);
	assert_int_equal(json_holds(rig, "l"), 0);
	assert_int_equal(records(rig, "l"), 2);
	/* Who has no lease asks for the next record each time. */
	assert_true(has(rig->there, "l", "t1"));
	before = store_requests(rig->store);
	assert_true(has(rig->there, "l", "t1"));
	assert_int_equal(store_requests(rig->store) - before, 1);
	/* Late for number 3: reads it, writes number 4. */
	assert_true(put(rig->here, "l", "t3", &err));
	before = store_requests(rig->store);
	assert_true(put(rig->there, "l", "t4", &err));
	assert_in_range(store_requests(rig->store) - before, 4, 6);
	assert_int_equal(indexes_stats(rig->there).conflicts, 1);
	assert_int_equal(tags_for_a_newcomer(rig, "l"), 3);
}

static void clean(struct indexes *indexes)
{
	bool busy = true;

	indexes_clean_due(indexes);
	while (busy) {
		indexes_lock(indexes);
		busy = indexes->cleaning;
		indexes_unlock(indexes);
		(void)poll(NULL, 0, 1);
	}
}

static void age(struct indexes *indexes, const char *name, int64_t us)
{
	struct repository *repository;

	indexes_lock(indexes);
	repository = map_find(indexes->repositories, str_of(name));
	assert_non_null(repository);
	repository->seen.us -= us;
	indexes_unlock(indexes);
}

static void test_folded_records_go_later(void **state)
{
	struct rig *rig = *state;
	struct error err;
	char tag[16];

	rig->trust = FOREVER;
	assert_true(put(rig->here, "l", "t0", &err));
	assert_true(has(rig->there, "l", "t0"));
	for (int i = 1; i < 40; i++) {
		(void)snprintf(tag, sizeof(tag), "t%d", i);
		assert_true(put(rig->here, "l", tag, &err));
	}
	assert_true(put(rig->there, "l", "t40", &err));
	fold(rig->there);
	assert_int_equal(json_holds(rig, "l"), 40);
	/* In between, one who follows finds them. */
	assert_int_equal(records(rig, "l"), 40);
	assert_true(put(rig->here, "l", "t41", &err));
	assert_true(has(rig->there, "l", "t41"));
	rig->here->clean_after_us = 0;
	fold(rig->here);
	clean(rig->here);
	assert_int_equal(json_holds(rig, "l"), 41);
	assert_int_equal(records(rig, "l"), 0);
	/* Not seen for so long that the log may be gone: everything is read again, for looking and for
	 * writing. */
	age(rig->there, "l", STORE_LOG_FOLLOW(STORE_LOG_KEEP_US));
	assert_true(has(rig->there, "l", "t41"));
	assert_true(put(rig->here, "l", "t42", &err));
	fold(rig->here);
	clean(rig->here);
	age(rig->there, "l", STORE_LOG_FOLLOW(STORE_LOG_KEEP_US));
	assert_true(put(rig->there, "l", "t43", &err));
	assert_int_equal(tags_for_a_newcomer(rig, "l"), 44);
}

static void test_many_records_are_folded(void **state)
{
	struct rig *rig = *state;
	struct error err;
	char tag[16];

	rig->trust = FOREVER;
	for (int i = 0; i < 300; i++) {
		(void)snprintf(tag, sizeof(tag), "t%d", i);
		assert_true(put(rig->here, "l", tag, &err));
	}
	assert_in_range(json_holds(rig, "l"), 200, 299);
	assert_int_equal(indexes_stats(rig->here).folds, 1);
	assert_int_equal(tags_for_a_newcomer(rig, "l"), 300);
}

static bool writes_late;

/* A paused machine: the answer is there, and an hour has passed in the store. */
static enum store_step append_late(struct store *store, const char *index_key,
	const struct store_version *expected, struct store_log_place *place, struct str frames,
	struct error *err)
{
	enum store_step step = STORE_OK;

	if (writes_late)
		step = driver_below->log_append(store, index_key, expected, place, frames, err);
	else
		store_log_advance(place, 1, frames.len);
	place->seen_s = store_clock_s(store, STR_NONE) + 3600;
	return step;
}

static void test_a_record_that_came_late(void **state)
{
	struct rig *rig = *state;
	struct store_driver late = *rig->store->driver;
	struct error err;

	rig->trust = FOREVER;
	assert_true(put(rig->here, "l", "t0", &err) && put(rig->here, "l", "t1", &err));
	driver_below = rig->store->driver;
	late.log_append = append_late;
	rig->store->driver = &late;
	/* It is found in the log, so it is done. */
	writes_late = true;
	assert_true(put(rig->here, "l", "t2", &err));
	/* It is not: it may have been folded and removed. */
	writes_late = false;
	assert_false(put(rig->here, "l", "t3", &err));
	assert_int_equal(err.kind, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "not known"));
	rig->store->driver = driver_below;
	assert_true(has(rig->here, "l", "t2") && !has(rig->here, "l", "t3"));
	assert_true(put(rig->here, "l", "t3", &err));
}

static void test_a_damaged_record(void **state)
{
	struct rig *rig = *state;
	struct index *index = NULL;
	struct repository *repository;
	struct error err = { 0 };
	char key[128];

	rig->trust = FOREVER;
	assert_true(put(rig->here, "l", "t0", &err) && put(rig->here, "l", "t1", &err));
	repository = map_find(rig->here->repositories, STR("l"));
	(void)snprintf(key, sizeof(key), "l/index.log/%s/%020d", repository->view->log.generation, 1);
	assert_int_equal(
		rig->store->driver->put_if(rig->store, key, STR("no record"), NULL, NULL, &err), STORE_OK);
	assert_false(indexes_get(rig->there, STR("l"), &index, &err));
	assert_non_null(strstr(err.text, "damaged"));
}

/* ---- pulls ---- */

static bool pull(struct indexes *indexes, const char *name, const struct index_pull *pull, int id,
	int64_t sent_ms, struct error *err)
{
	struct index_change change = { .op = INDEX_PULLED,
		.name = name,
		.pulls = pull,
		.pulls_len = 1,
		.is_call = true,
		.sent_ms = sent_ms };

	change.id.raw[0] = (uint8_t)id;
	return indexes_change_wait(indexes, &change, err);
}

static struct index_stats stats_of(struct indexes *indexes, const char *name, const char *tag)
{
	AUTO(index) *index = NULL;
	struct index_stats stats;
	struct error err;

	assert_true(indexes_get(indexes, str_of(name), &index, &err));
	assert_true(index_tag_stats(index, str_of(tag), &stats));
	stats.pushed_by = ""; /* the view's */
	return stats;
}

/* Two who count give one sum; a record that came twice is counted once; and nothing of it is asked of the gate. */
static void test_pulls(void **state)
{
	struct rig *rig = *state;
	const struct index_pull two = { STR("v1"), 2, 50 }, three = { STR("v1"), 3, 40 },
				gone = { STR("v2"), 3, 40 };
	struct error err;

	rig->trust = FOREVER;
	indexes_set_gate(rig->there, shut, (void *)(uintptr_t) "nothing");
	assert_false(pull(rig->here, "p", &two, 1, 0, &err));
	assert_string_equal(err.code, "NAME_UNKNOWN");
	assert_true(put(rig->here, "p", "v1", &err));
	assert_true(pull(rig->here, "p", &two, 2, 0, &err));
	assert_true(pull(rig->there, "p", &three, 3, 0, &err));
	assert_true(pull(rig->here, "p", &two, 4, 0, &err));
	assert_int_equal(stats_of(rig->here, "p", "v1").pulls, 7);
	assert_int_equal(stats_of(rig->here, "p", "v1").pulled_ms, 50);
	/* It was written, and its answer lost. */
	assert_true(pull(rig->here, "p", &two, 4, clock_wall_ms(), &err));
	assert_true(pull(rig->there, "p", &three, 3, clock_wall_ms(), &err));
	assert_true(pull(rig->here, "p", &gone, 5, 0, &err));
	assert_int_equal(stats_of(rig->there, "p", "v1").pulls, 7);
	assert_int_equal(indexes_stats(rig->here).changes, 1);
	assert_true(put(rig->here, "p", "v2", &err));
	fold(rig->here);
	assert_int_equal(stats_of(rig->there, "p", "v1").pulls, 7);
	assert_true(delete_tag(rig->here, "p", "v1", &err) && put(rig->here, "p", "v1", &err));
	assert_int_equal(stats_of(rig->there, "p", "v1").pulls, 0);
}

/* Of one that was sent long ago, behind which more happened than is remembered. */
static void test_pulls_that_may_have_been_counted(void **state)
{
	struct rig *rig = *state;
	const struct index_pull one = { STR("v1"), 1, 50 };
	int64_t sent_ms = clock_wall_ms();
	struct error err;

	rig->trust = FOREVER;
	assert_true(put(rig->here, "p", "v1", &err));
	assert_true(pull(rig->here, "p", &one, 255, 0, &err));
	for (int i = 0; i < (int)MEMO_CALLS_MAX; i++) {
		struct index_change change = {
			.op = INDEX_PULLED, .name = "p", .pulls = &one, .pulls_len = 1, .is_call = true
		};

		change.id.raw[1] = (uint8_t)(i + 1);
		change.id.raw[2] = 1;
		assert_true(indexes_change_wait(rig->here, &change, &err));
	}
	assert_false(pull(rig->here, "p", &one, 255, sent_ms, &err));
	assert_int_equal(err.kind, ERROR_CONFLICT);
	assert_int_equal(stats_of(rig->here, "p", "v1").pulls, MEMO_CALLS_MAX + 1);
}

/* Who only pulls makes no fold, until the records are many. */
static void test_pulls_are_folded_seldom(void **state)
{
	struct rig *rig = *state;
	const struct index_pull one = { STR("v1"), 1, 50 };
	uint64_t folds, pulls = 0;
	struct error err;

	rig->trust = FOREVER;
	assert_true(put(rig->here, "p", "v1", &err) && put(rig->here, "p", "v2", &err));
	fold(rig->here);
	folds = indexes_stats(rig->here).folds;
	while (indexes_stats(rig->here).folds == folds) {
		struct index_change change = {
			.op = INDEX_PULLED, .name = "p", .pulls = &one, .pulls_len = 1, .is_call = true
		};

		assert_true(indexes_change_wait(rig->here, &change, &err));
		(void)poll(NULL, 0, 2); /* it rests for a millisecond and more */
		indexes_fold(rig->here, 1);
		/* What that asked for, if anything, stands before this. */
		assert_true(
			delete_tag(rig->here, "p", "none", &err) || !strcmp(err.code, "MANIFEST_UNKNOWN"));
		pulls++;
		assert_true(pulls < 1000);
	}
	assert_int_equal(stats_of(rig->there, "p", "v1").pulls, pulls);
	if (store_log_goes_on(rig->store, STR("p")))
		assert_int_equal(pulls, INDEX_PULLS_FOLD_RECORDS);
	else
		assert_in_range(pulls, 100, 999);
	/* A push is, as ever. */
	assert_true(put(rig->here, "p", "v3", &err));
	fold(rig->here);
}

static uint64_t changes_of(struct indexes *indexes, const char *name)
{
	AUTO(index) *index = NULL;
	struct error err;

	assert_true(indexes_get(indexes, str_of(name), &index, &err));
	return index_changes(index);
}

/* All but pulls, and the same number for who reads the log, or index.json alone. */
static void test_changes_are_counted(void **state)
{
	struct rig *rig = *state;
	const struct index_pull one = { STR("v1"), 1, 50 };
	struct error err;

	assert_true(put(rig->here, "n", "v1", &err) && put(rig->here, "n", "v2", &err));
	assert_int_equal(changes_of(rig->here, "n"), 2);
	assert_true(pull(rig->here, "n", &one, 1, 0, &err));
	assert_int_equal(changes_of(rig->here, "n"), 2);
	assert_true(delete_tag(rig->here, "n", "v2", &err));
	assert_int_equal(changes_of(rig->here, "n"), 3);
	assert_int_equal(changes_of(rig->there, "n"), 3);
	fold(rig->here);
	assert_int_equal(changes_of(rig->here, "n"), 3);
	assert_int_equal(changes_of(rig->there, "n"), 3);
	assert_true(put(rig->there, "n", "v2", &err));
	assert_int_equal(changes_of(rig->here, "n"), 4);
}

/* clang-format off */
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define ON_ANY_STORE \
	TEST(test_folds_lose_nothing), TEST(test_changes), TEST(test_absent), TEST(test_replaced_whole), TEST(test_gate), TEST(test_followed), \
	TEST(test_trust), TEST(test_stale_delete), TEST(test_group_commit), \
	TEST(test_conflicts), TEST(test_bound), TEST(test_unclear_write), \
	TEST(test_nothing_is_acknowledged_from_a_stale_view), TEST(test_own_records_are_recognised), \
	TEST(test_a_call_takes_effect_once), TEST(test_a_call_that_is_made_later_changes_nothing_that_was_told), TEST(test_a_call_that_comes_late), \
	TEST(test_pulls), TEST(test_pulls_that_may_have_been_counted), TEST(test_pulls_are_folded_seldom), TEST(test_changes_are_counted), \
	TEST(test_condemned_blobs), TEST(test_a_name_comes_back), TEST(test_a_push_waits_for_who_removes_the_name), \
	TEST(test_a_removal_that_never_ended), TEST(test_a_name_of_nothing), TEST(test_growth_is_refused_in_time)
/* clang-format on */

static int test_bucket(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_change_is_one_request),
		TEST(test_folded_records_go_later),
		TEST(test_many_records_are_folded),
		TEST(test_a_record_that_came_late),
		TEST(test_a_damaged_record),
		ON_ANY_STORE,
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_changes_go_to_the_log),
		TEST(test_torn_logs),
		TEST(test_entries_stand_behind_what_they_were_written_behind),
		TEST(test_a_log_that_became_shorter),
		TEST(test_a_log_of_another_index),
		TEST(test_an_old_log),
		TEST(test_a_newer_log),
		TEST(test_manifests_come_back_from_the_log),
		TEST(test_a_lost_manifest_is_pushed_again),
		ON_ANY_STORE,
		TEST(test_import),
	};
	int failed;

	http_client_init();
	failed = getenv("ZOT_TEST_S3_ENDPOINT") ? test_bucket() : cmocka_run_group_tests(tests, NULL, NULL);
	http_client_fini();
	return failed;
}
