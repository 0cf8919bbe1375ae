/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_index - look-ups, changes and the index.json of one repository, without a store.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "common/check.h"
#include "common/clock.h"
#include "worker/index/index_priv.h"

#define OCI "application/vnd.oci.image.manifest.v1+json"

static struct digest digest_at(int i)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "manifest %d", i);
	return digest_of(HASH_SHA256, str_of(text));
}

static char *digest_text(int i)
{
	static char text[8][DIGEST_TEXT_SIZE];
	static int at;
	struct digest digest = digest_at(i);

	at = (at + 1) % 8;
	digest_format(&digest, text[at]);
	return text[at];
}

static char oci_type[] = OCI, referrer_type[] = "application/vnd.example.sbom";

static bool put(struct index *index, int i, int subject, const char *const *tags, size_t tags_len)
{
	static char key[] = "note", value[] = "a \"quoted\" one";
	struct annotation note = { key, value };
	struct descriptor descriptor = { .media_type = oci_type, .digest = digest_at(i), .size = 100 };
	struct index_change change = {
		.op = INDEX_PUT_MANIFEST, .descriptor = &descriptor, .tags = tags, .tags_len = tags_len
	};
	bool changed = false;

	if (subject >= 0) {
		descriptor.has_subject = true;
		descriptor.subject = digest_at(subject);
		descriptor.artifact_type = referrer_type;
		descriptor.annotations = &note;
		descriptor.annotations_len = 1;
	}
	assert_true(index_apply(index, &change, &changed, NULL));
	return changed;
}

static bool delete_tag(struct index *index, const char *tag, struct error *err)
{
	struct index_change change = { .op = INDEX_DELETE_TAG, .tags = &tag, .tags_len = 1 };
	bool changed;

	return index_apply(index, &change, &changed, err);
}

static bool delete_digest(struct index *index, int i, struct error *err)
{
	struct index_change change = { .op = INDEX_DELETE_DIGEST, .digest = digest_at(i) };
	bool changed;

	return index_apply(index, &change, &changed, err);
}

static bool is_tagged(const struct index *index, const char *tag, int i)
{
	const struct index_entry *entry = index_find_tag(index, str_of(tag));
	struct digest digest = digest_at(i);

	return entry && digest_equal(&entry->descriptor.digest, &digest);
}

static bool is_listed(const struct index *index, int i)
{
	struct digest digest = digest_at(i);

	return index_find_digest(index, &digest) != NULL;
}

static size_t referrers_of(const struct index *index, int i)
{
	struct digest digest = digest_at(i);

	return index_referrers_len(index, &digest);
}

static char *text_of(const struct index *index)
{
	AUTO_FINI(buf) text = buf_limit(INDEX_JSON_MAX);

	assert_true(index_json_write(index, &text, NULL));
	return check_strdup(buf_text(&text));
}

static struct index *index_of(const char *text)
{
	struct index *index;
	struct error err;

	if (!index_json_read(str_of(text), &index, &err))
		fail_msg("%s", err.text);
	return index;
}

static void test_tags(void **state)
{
	AUTO(index) *index = index_new();
	const char *const tags[] = { "b", "a", "c" }, *const moved[] = { "a" };
	struct error err;

	(void)state;
	assert_true(put(index, 1, -1, tags, 3));
	assert_false(put(index, 1, -1, tags, 3));
	assert_int_equal(index_tags_len(index), 3);
	assert_string_equal(index_tag_at(index, 0), "a");
	assert_string_equal(index_tag_at(index, 2), "c");
	assert_true(put(index, 2, -1, moved, 1));
	assert_true(is_tagged(index, "a", 2));
	assert_true(is_tagged(index, "b", 1));
	assert_true(delete_tag(index, "a", &err));
	assert_false(delete_tag(index, "a", &err));
	assert_string_equal(err.code, "MANIFEST_UNKNOWN");
	assert_true(is_listed(index, 2));
	assert_null(index_find_tag(index, STR("a")));
	assert_true(delete_digest(index, 1, &err));
	assert_false(delete_digest(index, 1, &err));
	assert_int_equal(index_tags_len(index), 0);
	assert_int_equal(index_len(index), 1);
}

static void test_paging(void **state)
{
	AUTO(index) *index = index_new();
	const char *const tags[] = { "1", "10", "2", "B", "a", "a.b" };

	(void)state;
	assert_int_equal(index_tags_after(index, STR("x")), 0);
	assert_true(put(index, 1, -1, tags, 6));
	assert_int_equal(index_tags_after(index, STR("")), 0);
	assert_int_equal(index_tags_after(index, STR("1")), 1);
	assert_int_equal(index_tags_after(index, STR("11")), 2);
	assert_int_equal(index_tags_after(index, STR("a.b")), 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(index_tag_at(index, i), tags[i]);
}

static void test_referrers(void **state)
{
	AUTO(index) *index = index_new();
	AUTO(index) *copy = NULL;
	struct digest subject = digest_at(7);

	(void)state;
	for (int i = 10; i < 20; i++)
		assert_true(put(index, i, i % 2 ? 7 : 8, NULL, 0));
	assert_int_equal(referrers_of(index, 7), 5);
	assert_int_equal(referrers_of(index, 9), 0);
	for (size_t i = 0; i < 5; i++) {
		const struct descriptor *at = &index_referrer_at(index, &subject, i)->descriptor;

		assert_true(digest_equal(&at->subject, &subject));
		assert_string_equal(descriptor_annotation(at, "note"), "a \"quoted\" one");
	}
	copy = index_draft(index);
	assert_true(delete_digest(copy, 11, NULL));
	assert_int_equal(referrers_of(copy, 7), 4);
	assert_int_equal(referrers_of(index, 7), 5);
	assert_true(is_listed(index, 11));
}

static void test_round_trip(void **state)
{
	AUTO(index) *index = index_new();
	AUTO(index) *again = NULL;
	AUTO_STR *first = NULL, *second = NULL;
	const char *const tags[] = { "v1", "latest" }, *const signature[] = { "sig" };
	struct digest subject = digest_at(1);
	const struct descriptor *referrer;

	(void)state;
	put(index, 1, -1, tags, 2);
	put(index, 2, 1, signature, 1);
	put(index, 3, 1, NULL, 0);
	first = text_of(index);
	again = index_of(first);
	second = text_of(again);
	assert_string_equal(first, second);
	assert_int_equal(index_len(again), 3);
	assert_int_equal(index_tags_len(again), 3);
	assert_true(is_tagged(again, "latest", 1));
	assert_int_equal(referrers_of(again, 1), 2);
	for (size_t i = 0; i < 3; i++)
		assert_true(index_record_at(again, i)->complete);
	referrer = &index_referrer_at(again, &subject, 0)->descriptor;
	assert_string_equal(referrer->artifact_type, referrer_type);
	assert_string_equal(descriptor_annotation(referrer, "note"), "a \"quoted\" one");
	assert_int_equal(referrer->annotations_len, 1);
}

/* As zot and other tools write it. */
static void test_foreign(void **state)
{
	AUTO_FINI(buf) text = buf_limit(64 * 1024);
	AUTO(index) *index = NULL;
	AUTO_STR *out = NULL;
	static const char one[] = "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":5,\"annotations\":{%s}},";

	(void)state;
	buf_puts(&text, "{\"schemaVersion\":2,\"manifests\":[");
	buf_format(&text, one, OCI, digest_text(1), "\"org.opencontainers.image.ref.name\":\"a\"");
	buf_format(&text, one, OCI, digest_text(1), "\"org.opencontainers.image.ref.name\":\"a\"");
	buf_format(&text, one, OCI, digest_text(2), "\"org.opencontainers.image.ref.name\":\"b\"");
	buf_format(&text, one, OCI, digest_text(3),
		"\"org.opencontainers.image.ref.name\":\"b\",\"com.example\":\"kept\"");
	buf_format(&text, one, "application/x-strange", digest_text(4), "\"other\":\"kept too\"");
	buf_format(&text, one, OCI, digest_text(5),
		"\"org.opencontainers.image.ref.name\":\"docker.io/library/busybox:latest\"");
	buf_puts(&text, "{\"digest\":\"sha384:00\",\"odd\":true}],\"annotations\":{\"of\":\"the index\"}}");
	index = index_of(buf_text(&text));
	assert_int_equal(index_len(index), 5);
	assert_int_equal(index_tags_len(index), 2);
	assert_true(is_tagged(index, "a", 1));
	assert_true(is_tagged(index, "b", 3));
	assert_true(is_listed(index, 2));
	assert_false(index_record_at(index, 0)->complete);
	out = text_of(index);
	assert_non_null(strstr(out, "\"com.example\":\"kept\""));
	assert_non_null(strstr(out, "\"other\":\"kept too\""));
	assert_non_null(strstr(out, "busybox:latest"));
	assert_non_null(strstr(
		out, ",{\"digest\":\"sha384:00\",\"odd\":true}],\"annotations\":{\"of\":\"the index\"}}"));
	assert_null(strstr(out, "io.zot.complete"));
	index_free(index);
	index = index_of(out);
	assert_int_equal(index_len(index), 5);
}

static void test_damaged(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "null", "{\"manifests\":{}}",
		"{\"manifests\":[}" };
	AUTO(index) *empty = NULL;
	struct index *index;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_false(index_json_read(str_of(texts[i]), &index, &err));
		assert_int_equal(err.kind, ERROR_INTERNAL);
	}
	empty = index_of("{\"schemaVersion\":2,\"manifests\":null}");
	assert_int_equal(index_len(empty), 0);
}

static void test_newer(void **state)
{
	AUTO(index) *ours = index_of("{\"schemaVersion\":2,\"io.zot.format\":1,\"manifests\":[]}");
	struct index *index;
	struct error err;

	(void)state;
	assert_non_null(ours);
	assert_false(index_json_read(
		STR("{\"schemaVersion\":2,\"io.zot.format\":3,\"manifests\":[]}"), &index, &err));
	assert_int_equal(err.kind, ERROR_INTERNAL);
	assert_non_null(strstr(err.text,
		"index.json: of format 3, written by a newer zot-worker; this one (" ZOT_VERSION
		") reads 2"));
}

/* What is vacant says so, and its format, which a version that would forget it refuses. */
static void test_vacant(void **state)
{
	AUTO(index) *index = index_new();
	AUTO(index) *again = NULL;
	AUTO_STR *text = NULL;

	(void)state;
	assert_false(index_is_vacant(index));
	index_memo_vacate(&index->memo, 1000);
	assert_true(index_is_vacant(index) && index_is_empty(index));
	assert_true(index_is_vacating(index, 1000 + MEMO_GRACE_S));
	assert_false(index_is_vacating(index, 1001 + MEMO_GRACE_S));
	text = text_of(index);
	assert_non_null(strstr(text, "\"io.zot.format\":2,"));
	assert_true(index_json_is_vacant(str_of(text)));
	again = index_of(text);
	assert_true(index_is_vacating(again, 1000));
	index_memo_vacated(&again->memo, 999);
	assert_true(index_is_vacating(again, 1000));
	index_memo_vacated(&again->memo, 1000);
	assert_true(index_is_vacant(again) && !index_is_vacating(again, 1000));
	index_memo_fill(&again->memo);
	assert_false(index_is_vacant(again));
	free(text);
	text = text_of(again);
	assert_null(strstr(text, "io.zot.format"));
	assert_false(index_json_is_vacant(str_of(text)));
	assert_false(index_json_is_vacant(STR("{")));
}

static void test_many(void **state)
{
	AUTO(index) *index = index_new();
	AUTO(index) *again = NULL;
	AUTO_STR *text = NULL;
	char tag[32];
	const char *tags[] = { tag };
	int64_t began;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		(void)snprintf(tag, sizeof(tag), "v1.%d", i);
		put(index, i, i % 2 ? i - 1 : -1, tags, 1);
	}
	text = text_of(index);
	began = clock_ms();
	again = index_of(text);
	print_message("20000 tags, %zu bytes, read in %d ms, %zu bytes of memory\n", strlen(text),
		(int)(clock_ms() - began), index_bytes(again));
	assert_int_equal(index_tags_len(again), 20000);
	for (int i = 0; i < 20000; i++) {
		(void)snprintf(tag, sizeof(tag), "v1.%d", i);
		assert_true(is_tagged(again, tag, i));
		assert_int_equal(referrers_of(again, i), i % 2 == 0);
	}
	assert_in_range(index_bytes(again), strlen(text) / 4, strlen(text) * 4);
}

struct differences {
	size_t removed, added;
	struct digest last;
};

static void count_difference(void *arg, const struct index_entry *entry, bool in_after)
{
	struct differences *seen = arg;

	seen->added += in_after;
	seen->removed += !in_after;
	assert_true(seen->removed + seen->added == 1 ||
		    index_compare_digests(&seen->last, &entry->descriptor.digest) < 0);
	seen->last = entry->descriptor.digest;
}

static void assert_differ(const struct index *before, const struct index *after, size_t removed, size_t added)
{
	struct differences seen = { 0 };

	index_compare(before, after, count_difference, &seen);
	assert_int_equal(seen.removed, removed);
	assert_int_equal(seen.added, added);
}

#define COMPARED 1000

/* Also where chunks are split, and where the two were not made from each other. */
static void views_are_compared(void **state)
{
	AUTO(index) *first = index_new(), *other = index_new(), *second = NULL;

	(void)state;
	for (int i = 0; i < COMPARED; i++) {
		assert_true(put(first, i, -1, NULL, 0));
		assert_true(put(other, COMPARED - 1 - i, -1, NULL, 0));
	}
	assert_differ(NULL, first, 0, COMPARED);
	assert_differ(first, other, 0, 0);
	second = index_keep(first);
	assert_differ(first, second, 0, 0);
	for (int i = 0; i < COMPARED; i += 10) {
		assert_true(delete_digest(second, i, NULL));
		assert_true(put(second, COMPARED + i, -1, NULL, 0));
		assert_true(put(second, COMPARED + i + 1, -1, NULL, 0));
		assert_differ(first, second, (size_t)i / 10 + 1, 2 * ((size_t)i / 10 + 1));
		assert_differ(second, other, 2 * ((size_t)i / 10 + 1), (size_t)i / 10 + 1);
	}
	for (int i = 0; i < 2 * COMPARED; i++)
		(void)delete_digest(second, i, NULL);
	assert_differ(first, second, COMPARED, 0);
}

/* ---- statistics ---- */

#define NOON INT64_C(1763740000123)

static struct index_change push_of(
	const struct descriptor *descriptor, const char *const *tag, int64_t ms, const char *by)
{
	return (struct index_change){ .op = INDEX_PUT_MANIFEST,
		.descriptor = descriptor,
		.tags = tag,
		.tags_len = *tag != NULL,
		.pushed_ms = ms,
		.pushed_by = str_of(by) };
}

/* tag NULL: by its digest. */
static bool push(struct index *index, int i, const char *tag, int64_t ms, const char *by)
{
	struct descriptor descriptor = { .media_type = oci_type, .digest = digest_at(i), .size = 100 };
	struct index_change change = push_of(&descriptor, &tag, ms, by);
	bool changed = false, would = index_would_change(index, &change);

	assert_true(index_apply(index, &change, &changed, NULL));
	assert_int_equal(would, changed);
	return changed;
}

static bool pull(struct index *index, const char *key, uint64_t count, int64_t ms)
{
	const struct index_pull pull = { .key = str_of(key), .count = count, .last_ms = ms };
	struct index_change change = { .op = INDEX_PULLED, .pulls = &pull, .pulls_len = 1 };
	bool changed = false;

	assert_true(index_apply(index, &change, &changed, NULL));
	return changed;
}

static void assert_stats(
	const struct index_stats *stats, int64_t ms, const char *by, uint64_t pulls, int64_t pulled_ms)
{
	assert_int_equal(stats->pushed_ms, ms);
	assert_string_equal(stats->pushed_by, by);
	assert_int_equal(stats->pulls, pulls);
	assert_int_equal(stats->pulled_ms, pulled_ms);
}

static void assert_tag(const struct index *index, const char *tag, int64_t ms, const char *by, uint64_t pulls,
	int64_t pulled_ms)
{
	struct index_stats stats;

	assert_true(index_tag_stats(index, str_of(tag), &stats));
	assert_stats(&stats, ms, by, pulls, pulled_ms);
}

static void assert_manifest(
	const struct index *index, int i, int64_t ms, const char *by, uint64_t pulls, int64_t pulled_ms)
{
	struct digest digest = digest_at(i);
	struct index_stats stats;

	assert_true(index_digest_stats(index, &digest, &stats));
	assert_stats(&stats, ms, by, pulls, pulled_ms);
}

/* It says the same after it was written and read. */
static struct index *again_of(const struct index *index)
{
	AUTO_STR *text = text_of(index), *second = NULL;
	struct index *again = index_of(text);

	second = text_of(again);
	assert_string_equal(text, second);
	return again;
}

static void pushes_are_known(void **state)
{
	AUTO(index) *index = index_new();
	AUTO(index) *again = NULL;
	struct digest nobody = digest_at(9);
	struct index_stats stats;

	(void)state;
	assert_true(push(index, 1, "v1", NOON, "ann"));
	assert_false(push(index, 1, "v1", NOON + 1, "bob"));
	assert_true(push(index, 1, "v2", NOON + 2, "bob"));
	assert_true(push(index, 2, NULL, NOON + 3, ""));
	assert_true(push(index, 3, "moved", NOON + 4, "ann"));
	assert_true(push(index, 2, "moved", NOON + 5, "ann"));
	again = again_of(index);
	for (const struct index *at = index; at; at = at == index ? again : NULL) {
		assert_manifest(at, 1, NOON, "ann", 0, 0);
		assert_tag(at, "v1", NOON, "ann", 0, 0);
		assert_tag(at, "v2", NOON + 2, "bob", 0, 0);
		assert_manifest(at, 2, NOON + 3, "", 0, 0);
		assert_tag(at, "moved", NOON + 5, "ann", 0, 0);
		assert_manifest(at, 3, NOON + 4, "ann", 0, 0);
		assert_false(index_tag_stats(at, STR("v3"), &stats));
		assert_false(index_digest_stats(at, &nobody, &stats));
	}
}

/* As where an index is zot's, or was written before there were statistics. */
static void what_is_not_known_is_set_by_the_next_push(void **state)
{
	AUTO(index) *index = index_new();
	AUTO(index) *again = NULL;

	(void)state;
	assert_true(push(index, 1, "v1", 0, ""));
	assert_true(push(index, 1, "old", 0, "nobody knows when"));
	assert_manifest(index, 1, 0, "", 0, 0);
	assert_tag(index, "v1", 0, "", 0, 0);
	assert_false(push(index, 1, "v1", 0, ""));
	assert_true(push(index, 1, "v1", NOON, "ann"));
	assert_false(push(index, 1, "v1", NOON + 1, "ann"));
	again = again_of(index);
	for (const struct index *at = index; at; at = at == index ? again : NULL) {
		assert_manifest(at, 1, NOON, "ann", 0, 0);
		assert_tag(at, "v1", NOON, "ann", 0, 0);
		assert_tag(at, "old", 0, "", 0, 0);
	}
	assert_true(push(again, 1, "old", NOON + 2, "bob"));
	assert_tag(again, "old", NOON + 2, "bob", 0, 0);
	assert_manifest(again, 1, NOON, "ann", 0, 0);
}

static void pulls_are_known(void **state)
{
	AUTO(index) *index = index_new();
	AUTO(index) *copy = NULL;
	AUTO(index) *again = NULL;

	(void)state;
	assert_true(push(index, 1, "v1", NOON, "ann"));
	assert_false(pull(index, "v2", 1, NOON));
	assert_false(pull(index, digest_text(2), 1, NOON));
	assert_false(
		pull(index, "", 1, NOON) || pull(index, "sha256:12", 1, NOON) || pull(index, ":", 1, NOON));
	assert_true(pull(index, "v1", 2, NOON + 7));
	assert_true(pull(index, digest_text(1), 3, NOON + 8));
	copy = index_draft(index);
	assert_true(pull(index, "v1", 1, NOON + 5));
	assert_true(push(index, 2, "v1", NOON + 9, "bob"));
	again = again_of(index);
	for (const struct index *at = index; at; at = at == index ? again : NULL) {
		assert_tag(at, "v1", NOON + 9, "bob", 3, NOON + 7);
		assert_manifest(at, 1, NOON, "ann", 3, NOON + 8);
		assert_manifest(at, 2, NOON + 9, "bob", 0, 0);
	}
	assert_tag(copy, "v1", NOON, "ann", 2, NOON + 7);
	assert_true(delete_tag(again, "v1", NULL) && delete_digest(again, 1, NULL));
	assert_int_equal(again->pulls.len, 0);
	assert_true(push(again, 1, "v1", NOON + 10, "") && pull(again, "v1", 1, NOON + 11));
	assert_tag(again, "v1", NOON + 10, "", 1, NOON + 11);
	assert_manifest(again, 1, NOON + 10, "", 0, 0);
	/* Its tags go with it. */
	assert_true(delete_digest(again, 1, NULL));
	assert_int_equal(again->pulls.len, 0);
}

static void damaged_statistics_are_not_known(void **state)
{
	AUTO_FINI(buf) text = buf_limit(64 * 1024);
	AUTO(index) *index = NULL;
	static const char one[] =
		"{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":5,\"annotations\":"
		"{\"org.opencontainers.image.ref.name\":\"%s\",\"io.zot.complete\":\"1\",%s\"x\":\"y\"}},";

	(void)state;
	buf_puts(&text,
		"{\"io.zot.pulls\":{\"a\":[2,5],\"b\":[-2,5],\"not there\":[2,5],\"c\":7},\"manifests\":[");
	buf_format(&text, one, OCI, digest_text(1), "a", "\"io.zot.pushed\":\"yesterday\",");
	buf_format(&text, one, OCI, digest_text(2), "b",
		"\"io.zot.pushed\":\"12 ann\",\"io.zot.tagged\":\"-3 ann\",");
	buf_format(&text, one, OCI, digest_text(2), "c", "");
	text.len--;
	buf_puts(&text, "]}");
	index = index_of(buf_text(&text));
	assert_manifest(index, 1, 0, "", 0, 0);
	assert_tag(index, "a", 0, "", 2, 5);
	assert_manifest(index, 2, 12, "ann", 0, 0);
	assert_tag(index, "b", 0, "", 0, 0);
	assert_tag(index, "c", 0, "", 0, 0);
	assert_int_equal(index->pulls.len, 1);
	index_free(again_of(index));
}

/* What a log says gives the same view as what was done. */
static void statistics_come_back_from_the_log(void **state)
{
	const struct index_pull pulls[] = { { STR("v1"), 2, NOON }, { str_of(digest_text(1)), 4, NOON + 1 },
		{ STR("gone"), 4, NOON } };
	const char *const tag = "v1";
	struct descriptor descriptor = { .media_type = oci_type, .digest = digest_at(1), .size = 100 };
	struct index_change changes[] = { push_of(&descriptor, &tag, NOON, "ann \"of\"\nthere"),
		{ .op = INDEX_PULLED, .is_call = true, .at_ms = NOON, .pulls = pulls, .pulls_len = 3 } };
	AUTO_FINI(buf) frames = buf_limit(64 * 1024);
	AUTO(index) *index = index_new();
	AUTO(index) *again = index_new();
	AUTO_STR *first = NULL, *second = NULL;
	bool changed;
	size_t growth;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		changes[i].id.raw[0] = (uint8_t)(i + 1);
		assert_true(index_apply(index, &changes[i], &changed, NULL) && changed);
		assert_int_equal(index->log_tells, true);
		assert_true(index_log_add(&changes[i], &frames, &growth));
	}
	assert_true(index_log_apply(again, buf_str(&frames), NULL, NULL, NULL));
	first = text_of(index);
	second = text_of(again);
	assert_string_equal(first, second);
	assert_true(again->json_most >= strlen(first) - strlen("{\"schemaVersion\":2,\"manifests\":[]}"));
	assert_tag(again, "v1", NOON, "ann \"of\"\nthere", 2, NOON);
	assert_manifest(again, 1, NOON, "ann \"of\"\nthere", 4, NOON + 1);
}

/* A record of pulls alone is not worth a fold. */
static void pulls_tell_little(void **state)
{
	const struct index_pull pulls[] = { { STR("v1"), 2, NOON } };
	struct index_change change = { .op = INDEX_PULLED, .pulls = pulls, .pulls_len = 1 };
	AUTO_FINI(buf) frames = buf_limit(64 * 1024);
	AUTO(index) *index = index_new();
	AUTO(index) *loaded = NULL;
	size_t growth;

	(void)state;
	assert_true(push(index, 1, "v1", NOON, "ann"));
	loaded = again_of(index);
	assert_false(loaded->log_tells);
	assert_true(index_log_add(&change, &frames, &growth));
	assert_true(index_log_apply(loaded, buf_str(&frames), NULL, NULL, NULL));
	assert_false(loaded->log_tells);
	assert_tag(loaded, "v1", NOON, "ann", 2, NOON);
	assert_true(delete_tag(loaded, "v1", NULL));
	assert_true(loaded->log_tells);
}

/* "+v1", "-v2" or "=v3" (it names another manifest), a blank behind each. */
static void note_tag(void *arg, struct str tag, const struct index_entry *entry)
{
	const struct index *before = ((void **)arg)[0];
	char sign = !entry ? '-' : index_find_tag(before, tag) ? '=' : '+';

	buf_format(((void **)arg)[1], "%c%.*s ", sign, STR_ARGS(tag));
}

static void assert_tags_differ(const struct index *before, const struct index *after, const char *tags)
{
	AUTO_FINI(buf) found = buf_limit(64 * 1024);
	const void *arg[] = { before, &found };

	index_compare_tags(before, after, note_tag, arg);
	assert_string_equal(buf_text(&found), tags);
}

static void tags_are_compared(void **state)
{
	AUTO(index) *first = index_new(), *other = index_new(), *second = NULL;
	char tag[32];
	const char *tags[] = { tag };

	(void)state;
	for (int i = 0; i < COMPARED; i++) {
		(void)snprintf(tag, sizeof(tag), "v%03d", i);
		assert_true(put(first, i, -1, tags, 1));
		assert_true(put(other, i, -1, tags, 1));
	}
	second = index_keep(first);
	assert_tags_differ(first, second, "");
	assert_tags_differ(first, other, "");
	assert_true(index_drop_tag(second, STR("v300")));
	(void)snprintf(tag, sizeof(tag), "v500");
	assert_true(put(second, 3, -1, tags, 1));
	(void)snprintf(tag, sizeof(tag), "v5000");
	assert_true(put(second, 3, -1, tags, 1));
	(void)snprintf(tag, sizeof(tag), "w");
	assert_true(put(second, COMPARED, -1, tags, 1));
	assert_tags_differ(first, second, "-v300 =v500 +v5000 +w ");
	assert_tags_differ(other, second, "-v300 =v500 +v5000 +w ");
	assert_tags_differ(second, first, "+v300 =v500 -v5000 -w ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_paging),
		cmocka_unit_test(test_referrers),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_newer),
		cmocka_unit_test(test_vacant),
		cmocka_unit_test(test_many),
		cmocka_unit_test(views_are_compared),
		cmocka_unit_test(pushes_are_known),
		cmocka_unit_test(what_is_not_known_is_set_by_the_next_push),
		cmocka_unit_test(pulls_are_known),
		cmocka_unit_test(damaged_statistics_are_not_known),
		cmocka_unit_test(statistics_come_back_from_the_log),
		cmocka_unit_test(pulls_tell_little),
		cmocka_unit_test(tags_are_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
