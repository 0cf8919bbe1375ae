/* SPDX-License-Identifier: Apache-2.0 */
/* test_search_wire - what members tell each other is read as it was written, and anything else is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "worker/search/search_wire.h"

static struct digest digest_number(uint8_t n)
{
	struct digest digest = { .alg = n % 2 ? HASH_SHA512 : HASH_SHA256 };

	memset(digest.raw, n, n % 2 ? 64 : 32);
	return digest;
}

static const struct metadata_signature signature = { "cosign", true, "ann" };
static struct annotation annotation = { (char *)(uintptr_t) "key", (char *)(uintptr_t) "value \xc3\xa4" };
static const struct image_layer layers[2] = { { .size = 300 }, { .size = UINT64_MAX } };
static const struct image_history history[2] = { { "RUN", "us", "why", 1700000000000, true, IMAGE_NO_LAYER },
	{ "", "", "", 0, false, 1 } };
static const struct metadata_platform platform = { "linux", "arm/v7" };
static const char *const vendors[] = { "a", "" };

static struct metadata_manifest manifest_of(const struct metadata_referrer *referrer)
{
	return (struct metadata_manifest){ .digest = digest_number(1),
		.config = digest_number(2),
		.has_config = true,
		.updated_ms = -1,
		.size = 7,
		.platform = platform,
		.downloads = 9,
		.artifact_type = "t",
		.signatures = &signature,
		.signatures_len = 1,
		.layers = layers,
		.layers_len = 2,
		.history = history,
		.history_len = 2,
		.history_differs = true,
		.referrers = referrer,
		.referrers_len = 1 };
}

static struct metadata_image image_of(
	const struct metadata_manifest *manifest, const struct metadata_referrer *referrer)
{
	return (struct metadata_image){ .repository = "a/b",
		.tag = "v1",
		.digest = digest_number(3),
		.media_type = "m",
		.size = 1,
		.downloads = 2,
		.pulled_ms = 3,
		.pushed_ms = 4,
		.pushed_by = "eve",
		.tagged_ms = 5,
		.updated_ms = 6,
		.title = "title",
		.description = "d",
		.licenses = "l",
		.labels = "la",
		.source = "s",
		.documentation = "do",
		.vendor = "v",
		.authors = "a",
		.artifact_type = "at",
		.signatures = &signature,
		.signatures_len = 1,
		.manifests = manifest,
		.manifests_len = 1,
		.referrers = referrer,
		.referrers_len = 1 };
}

/* One of each, with everything in it. */
static void put_all(struct buf *into)
{
	const struct metadata_referrer referrer = { "m", "a", digest_number(4), 5, &annotation, 1 };
	const struct metadata_manifest manifest = manifest_of(&referrer);
	const struct metadata_image image = image_of(&manifest, &referrer);
	const struct metadata_repository repository = { .name = "a/b",
		.updated_ms = 1,
		.size = 2,
		.downloads = 3,
		.tags_len = 4,
		.platforms = &platform,
		.platforms_len = 1,
		.vendors = vendors,
		.vendors_len = 2,
		.rank = INT64_MIN,
		.is_starred = true,
		.is_bookmarked = true,
		.stars = -1,
		.newest = &image };
	const struct search_records records = { true, { &repository, 1, 11 }, { &image, 1, 12, true },
		&referrer, 1 };

	search_wire_put_records(&records, into);
}

static void test_records_come_back(void **state)
{
	AUTO_FINI(arena) arena = arena_limit(1 << 20);
	AUTO_FINI(buf) bytes = buf_limit(1 << 16);
	AUTO_FINI(buf) again = buf_limit(1 << 16);
	struct search_records records;
	const struct metadata_manifest *manifest;
	struct error err;
	bool said = false;

	(void)state;
	put_all(&bytes);
	assert_true(search_wire_get_records(buf_str(&bytes), &arena, &records, &said, &err));
	search_wire_put_records(&records, &again);
	assert_int_equal(bytes.len, again.len);
	assert_memory_equal(bytes.at, again.at, bytes.len);
	assert_true(records.of_repos && records.images.cut && records.images.total == 12 &&
		    records.repos.total == 11);
	assert_string_equal(records.repos.at->name, "a/b");
	assert_true(records.repos.at->rank == INT64_MIN && records.repos.at->stars == -1 &&
		    records.repos.at->is_bookmarked);
	assert_string_equal(records.repos.at->newest->authors, "a");
	assert_string_equal(records.images.at->description, "d");
	assert_true(records.images.at->updated_ms == 6 && records.images.at->tagged_ms == 5);
	manifest = records.images.at->manifests;
	assert_true(digest_equal(&manifest->config,
		&(struct digest){ HASH_SHA256, { 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
						       2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2 } }));
	assert_true(manifest->updated_ms == -1 && manifest->layers[1].size == UINT64_MAX);
	assert_true(manifest->history[0].layer == IMAGE_NO_LAYER && manifest->history[1].layer == 1);
	assert_string_equal(manifest->referrers->annotations->value, "value \xc3\xa4");
}

/* Cut anywhere it is nothing; nor with a byte behind it. */
static void test_parts_are_nothing(void **state)
{
	AUTO_FINI(buf) bytes = buf_limit(1 << 16);
	struct search_records records;
	struct error err;
	bool said = false;

	(void)state;
	put_all(&bytes);
	for (size_t len = 0; len <= bytes.len + 1; len++) {
		AUTO_FINI(arena) arena = arena_limit(1 << 20);

		if (len == bytes.len)
			continue;
		assert_false(search_wire_get_records(str_from(bytes.at, len), &arena, &records, &said, &err));
		assert_int_equal(err.kind, ERROR_INVALID);
		assert_false(said);
	}
}

static void test_no_more_than_the_arena(void **state)
{
	AUTO_FINI(arena) arena = arena_limit(600);
	AUTO_FINI(buf) bytes = buf_limit(1 << 16);
	struct search_records records;
	struct error err;
	bool said = false;

	(void)state;
	put_all(&bytes);
	assert_false(search_wire_get_records(buf_str(&bytes), &arena, &records, &said, &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
}

static void test_errors_are_what_was_said(void **state)
{
	AUTO_FINI(arena) arena = arena_limit(4096);
	AUTO_FINI(buf) bytes = buf_limit(4096);
	struct search_records records;
	struct error said_there, err;
	bool said = false;

	(void)state;
	(void)error_set(&said_there, ERROR_UNKNOWN, NULL, "image not found");
	search_wire_put_error(&said_there, &bytes);
	assert_false(search_wire_get_records(buf_str(&bytes), &arena, &records, &said, &err));
	assert_true(said && err.kind == ERROR_UNKNOWN);
	assert_string_equal(err.text, "image not found");
}

static void test_questions_come_back(void **state)
{
	AUTO_FINI(arena) arena = arena_limit(1 << 16);
	AUTO_FINI(buf) bytes = buf_limit(1 << 16);
	AUTO_FINI(buf) again = buf_limit(1 << 16);
	const struct str os[] = { STR("linux"), STR("") };
	const struct metadata_reference reference = { digest_number(6), layers, 2 };
	const struct search_question question = { .verb = SEARCH_BASES,
		.name = STR("a/b"),
		.text = { "nul\0in it", 9 },
		.query = { .sort = METADATA_DOWNLOADS,
			.offset = 3,
			.limit = SIZE_MAX,
			.want = 5,
			.by_platform = true,
			.os = os,
			.os_len = 2,
			.is_signed = true,
			.untagged_too = true },
		.references = &reference,
		.references_len = 1,
		.subject = digest_number(7),
		.types = os,
		.types_len = 1 };
	struct search_question back;
	struct error err;

	(void)state;
	search_wire_put_question(&question, &bytes);
	assert_true(search_wire_get_question(buf_str(&bytes), &arena, &back, &err));
	search_wire_put_question(&back, &again);
	assert_true(str_equal(buf_str(&bytes), buf_str(&again)));
	assert_true(back.verb == SEARCH_BASES && back.text.len == 9 && back.query.limit == SIZE_MAX &&
		    back.query.untagged_too);
	assert_true(str_is(back.query.os[0], "linux") && back.references->layers[1].size == UINT64_MAX);
	bytes.at[0] = SEARCH_VERBS;
	assert_false(search_wire_get_question(buf_str(&bytes), &arena, &back, &err));
}

static void test_what_goes_around(void **state)
{
	struct search_wire_head asked = { .ring = UINT64_MAX,
		.most = 300,
		.len = 2,
		.parts = { STR("one"), STR("") } },
				back;
	struct search_wire_head told = { .whole = true, .len = 1, .parts = { STR("x") } };
	AUTO_FINI(buf) bytes = buf_limit(4096);
	struct error err;

	(void)state;
	search_wire_put_ask(&asked, &bytes);
	assert_true(search_wire_get_ask(buf_str(&bytes), &back, &err));
	assert_true(
		back.ring == UINT64_MAX && back.most == 300 && back.len == 2 && str_is(back.parts[0], "one"));
	assert_false(search_wire_get_answer(buf_str(&bytes), &back, &err));
	buf_clear(&bytes);
	search_wire_put_answer(&told, &bytes);
	assert_true(search_wire_get_answer(buf_str(&bytes), &back, &err));
	assert_true(back.whole && back.len == 1 && str_is(back.parts[0], "x"));
	/* More questions than there may be; a number that is longer than need be, or too large. */
	assert_false(search_wire_get_answer(STR("\1\1\25"), &back, &err));
	assert_false(search_wire_get_answer(STR("\1\1\200\0"), &back, &err));
	assert_false(search_wire_get_ask(STR("\1\377\377\377\377\377\377\377\377\377\2\1\0"), &back, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_records_come_back),
		cmocka_unit_test(test_parts_are_nothing), cmocka_unit_test(test_no_more_than_the_arena),
		cmocka_unit_test(test_errors_are_what_was_said), cmocka_unit_test(test_questions_come_back),
		cmocka_unit_test(test_what_goes_around) };

	return cmocka_run_group_tests_name("search_wire", tests, NULL, NULL);
}
