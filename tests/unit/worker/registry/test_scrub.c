/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rot is found to the byte, set aside, healed by what is right alone; and what was never there is given to nobody.
 */
#include "tests/unit/worker/registry/registry_rig.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/json.h"
#include "worker/registry/absent_manifests.h"
#include "worker/registry/manifest_cache.h"
#include "worker/registry/scrub.h"
#include "worker/registry/scrub_rate.h"
#include "worker/storage/pace.h"

#define NAME "app"

static int setup(void **state)
{
	struct registry_rig *rig = xnew(struct registry_rig);

	registry_rig_open(rig);
	*state = rig;
	return 0;
}

static int teardown(void **state)
{
	registry_rig_close(*state);
	free(*state);
	return 0;
}

static void path_of(struct registry_rig *rig, const char *name, struct digest digest, char into[512])
{
	char encoded[129];

	digest_encoded(&digest, encoded);
	(void)snprintf(into, 512, "%s/%s/blobs/%s/%s", rig->folder, name, digest_algorithm(&digest), encoded);
}

/* Other bytes of the same length, written an hour ago. */
static void rot(struct registry_rig *rig, const char *name, struct digest digest)
{
	struct timespec times[2] = { 0 };
	char path[512], byte;
	int fd;

	path_of(rig, name, digest, path);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 0), 1);
	(void)clock_gettime(CLOCK_REALTIME, &times[0]);
	times[0].tv_sec -= 3600;
	times[1] = times[0];
	assert_int_equal(futimens(fd, times), 0);
	(void)close(fd);
}

static bool is_there(struct registry_rig *rig, const char *name, struct digest digest)
{
	struct error err;
	uint64_t size;

	return store_blob_size(rig->store, str_of(name), &digest, &size, &err);
}

static struct digest of(const char *bytes)
{
	return digest_of(HASH_SHA256, str_of(bytes));
}

static struct digest put(struct registry_rig *rig, const char *name)
{
	struct registry_push push = { .may_create = true, .may_update = true };

	(void)put_blob(rig, name, CONFIG);
	(void)put_blob(rig, name, LAYER);
	assert_true(put_image(rig, name, "v1", &push));
	return push.stored;
}

struct heard {
	unsigned n, of[SCRUB_KINDS];
	enum scrub_fate fate;
	struct digest digest;
	char from[64];
};

static void on_told(void *arg, const struct scrub_finding *finding)
{
	struct heard *heard = arg;

	heard->n++;
	heard->of[finding->kind]++;
	heard->fate = finding->fate;
	if (finding->digest)
		heard->digest = *finding->digest;
	(void)snprintf(heard->from, sizeof(heard->from), "%s", finding->from ? finding->from : "");
}

static struct scrub_counts scrub_all(struct registry_rig *rig, struct heard *heard, bool dry_run)
{
	const struct scrub_how how = { .dry_run = dry_run, .told = on_told, .arg = heard };
	AUTO(scrub) *scrub = scrub_new(rig->registry, &how, NULL);
	struct error err;

	*heard = (struct heard){ 0 };
	while (!scrub_is_over(scrub))
		(void)scrub_go_on(scrub, 1);
	if (scrub_failed(scrub, &err))
		fail_msg("%s", err.text);
	return scrub_counts_of(scrub);
}

static void forget_manifests(struct registry_rig *rig)
{
	manifest_cache_free(rig->registry->manifests);
	rig->registry->manifests = manifest_cache_new(1024 * 1024);
}

static void rot_is_set_aside_and_a_push_heals_it(void **state)
{
	struct registry_rig *rig = *state;
	struct heard heard;
	struct scrub_counts counts;

	(void)put(rig, NAME);
	rot(rig, NAME, of("layer"));
	counts = scrub_all(rig, &heard, true);
	assert_true(heard.n == 1 && heard.fate == SCRUB_LEFT && is_there(rig, NAME, of("layer")));
	counts = scrub_all(rig, &heard, false);
	assert_true(heard.n == 1 && heard.of[SCRUB_ROTTEN] == 1 && heard.fate == SCRUB_SET_ASIDE);
	assert_memory_equal(heard.digest.raw, of("layer").raw, 32);
	assert_int_equal(counts.set_aside, 1);
	assert_false(is_there(rig, NAME, of("layer")));
	counts = scrub_all(rig, &heard, false);
	assert_true(heard.n == 0 && counts.aside == 1);
	(void)put_blob(rig, NAME, LAYER);
	assert_true(is_there(rig, NAME, of("layer")));
	counts = scrub_all(rig, &heard, false);
	assert_true(heard.n == 0 && counts.aside == 0);
}

static void a_good_copy_of_another_repository_heals(void **state)
{
	struct registry_rig *rig = *state;
	struct heard heard;

	(void)put(rig, NAME);
	(void)put(rig, "other");
	rot(rig, NAME, of("layer"));
	(void)scrub_all(rig, &heard, false);
	assert_true(heard.n == 1 && heard.fate == SCRUB_HEALED);
	assert_string_equal(heard.from, "another repository");
	assert_true(is_there(rig, NAME, of("layer")));
}

static void a_rotten_copy_does_not(void **state)
{
	struct registry_rig *rig = *state;
	struct heard heard;

	(void)put(rig, NAME);
	(void)put(rig, "other");
	rot(rig, NAME, of("layer"));
	rot(rig, "other", of("layer"));
	(void)scrub_all(rig, &heard, false);
	assert_true(heard.n == 2 && heard.fate == SCRUB_SET_ASIDE);
	assert_false(is_there(rig, NAME, of("layer")) || is_there(rig, "other", of("layer")));
}

/* Else who knows a digest would get another's bytes by naming it. */
static void what_was_never_there_is_not_taken_from_another_repository(void **state)
{
	struct registry_rig *rig = *state;
	struct registry_push push = { .may_create = true, .may_update = true };
	struct heard heard;

	(void)put(rig, "private");
	rig->registry->options.require_blobs = false;
	assert_true(put_image(rig, NAME, "v1", &push));
	(void)scrub_all(rig, &heard, false);
	assert_true(heard.n == 2 && heard.of[SCRUB_MISSING] == 2 && heard.fate == SCRUB_LEFT);
	assert_false(is_there(rig, NAME, of("layer")) || is_there(rig, NAME, of("{}")));
}

static void a_manifest_is_healed_from_memory_or_is_absent(void **state)
{
	struct registry_rig *rig = *state;
	struct digest manifest = put(rig, NAME);
	struct manifest_body *body;
	struct heard heard;
	struct error err;

	assert_true(registry_manifest(rig->registry, STR(NAME), &manifest, &body, &err));
	manifest_body_free(body);
	rot(rig, NAME, manifest);
	(void)scrub_all(rig, &heard, false);
	assert_true(heard.n == 1 && heard.fate == SCRUB_HEALED);
	assert_string_equal(heard.from, "memory");
	/* Folded, the log has no bytes of it either. */
	assert_true(indexes_change_wait(
		rig->registry->indexes, &(struct index_change){ .op = INDEX_FOLD, .name = NAME }, &err));
	forget_manifests(rig);
	rot(rig, NAME, manifest);
	(void)scrub_all(rig, &heard, false);
	assert_true(heard.n == 1 && heard.fate == SCRUB_SET_ASIDE);
	assert_false(registry_manifest(rig->registry, STR(NAME), &manifest, &body, &err));
	assert_string_equal(err.code, "MANIFEST_UNKNOWN");
	assert_true(registry_may_be_absent(rig->registry, &manifest));
	(void)put(rig, NAME);
	assert_true(registry_manifest(rig->registry, STR(NAME), &manifest, &body, &err));
	assert_false(registry_may_be_absent(rig->registry, &manifest));
	manifest_body_free(body);
}

static void a_size_that_is_another_is_told(void **state)
{
	struct registry_rig *rig = *state;
	char path[512];
	struct heard heard;
	struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };

	(void)put(rig, NAME);
	path_of(rig, NAME, of("layer"), path);
	/* Young: its bytes are not looked at yet, its size is. */
	assert_int_equal(truncate(path, 3), 0);
	(void)scrub_all(rig, &heard, false);
	assert_true(heard.n == 1 && heard.of[SCRUB_SIZE] == 1);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	(void)scrub_all(rig, &heard, false);
	assert_true(heard.n == 1 && heard.of[SCRUB_ROTTEN] == 1);
}

/* ---- a log ---- */

#define TAGS 6

static void rot_log(struct registry_rig *rig, const char *name)
{
	char path[512], byte;
	struct stat st;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s/index.log", rig->folder, name);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0);
	assert_int_equal(pread(fd, &byte, 1, st.st_size / 3), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 3), 1);
	(void)close(fd);
}

static size_t tags_in(struct indexes *indexes)
{
	AUTO(index) *view = NULL;
	struct error err;

	if (!indexes_get(indexes, STR(NAME), &view, &err))
		fail_msg("%s", err.text);
	return index_tags_len(view);
}

static void push_tags(struct registry_rig *rig)
{
	char tag[16];

	(void)put(rig, NAME);
	for (int i = 1; i < TAGS; i++) {
		(void)snprintf(tag, sizeof(tag), "t%d", i);
		(void)put_noted_image(rig, NAME, tag, tag, NULL);
	}
}

static void a_record_that_rots_under_its_owner_is_still_in_memory(void **state)
{
	struct registry_rig *rig = *state;
	AUTO(indexes) *other = indexes_new(rig->store, rig->pool, NULL, NULL, 1024 * 1024);
	struct heard heard;
	struct scrub_counts counts;

	for (unsigned dry_run = 0; dry_run < 2; dry_run++) {
		push_tags(rig);
		if (dry_run)
			(void)put_noted_image(rig, NAME, "more", "more", NULL);
		rot_log(rig, NAME);
		counts = scrub_all(rig, &heard, dry_run);
		assert_int_equal(heard.n, 0);
		assert_int_equal(counts.failed, 0);
		assert_int_equal(tags_in(other), TAGS + dry_run);
		assert_int_equal(tags_in(rig->registry->indexes), TAGS + dry_run);
	}
}

/* ---- in steps ---- */

static bool never(void *arg)
{
	(void)arg;
	return false;
}

static void it_goes_on_from_its_place(void **state)
{
	struct registry_rig *rig = *state;
	const struct scrub_how how = { 0 };
	struct scrub *scrub;
	struct scrub_place place, again;
	AUTO_FINI(buf) text = buf_limit(SCRUB_PLACE_TEXT_MAX);
	struct json_writer w = json_writer(&text);
	AUTO(json_doc) *doc = NULL;
	uint64_t before;
	struct error err;

	(void)put(rig, "a");
	(void)put(rig, "b");
	scrub = scrub_new(rig->registry, &how, NULL);
	while (scrub_counts_of(scrub).blobs < 2)
		(void)scrub_go_on(scrub, 1);
	place = scrub_place_of(scrub);
	before = scrub_counts_of(scrub).blobs;
	scrub_free(scrub);
	scrub_place_write(&place, &w);
	assert_true(json_parse(buf_str(&text), &doc, &err) && scrub_place_read(json_root(doc), &again));
	assert_string_equal(again.name, "a");
	assert_true(again.in_blobs == place.in_blobs && digest_equal(&again.last, &place.last));
	scrub = scrub_new(rig->registry, &how, &again);
	while (!scrub_is_over(scrub))
		(void)scrub_go_on(scrub, 1);
	assert_int_equal(scrub_counts_of(scrub).blobs + before, 6);
	scrub_free(scrub);
}

static void it_waits_where_others_go_first(void **state)
{
	struct registry_rig *rig = *state;
	const struct pace pace = { never, NULL };
	const struct scrub_how how = { .pace = &pace };
	AUTO(scrub) *scrub = scrub_new(rig->registry, &how, NULL);

	(void)put(rig, NAME);
	assert_int_equal(scrub_go_on(scrub, UINT64_MAX), 0);
	assert_false(scrub_is_over(scrub));
	scrub_set_pace(scrub, NULL);
	(void)scrub_go_on(scrub, UINT64_MAX);
	assert_true(scrub_is_over(scrub));
	assert_int_equal(scrub_counts_of(scrub).blobs, 3);
}

static void a_place_that_is_none_is_refused(void **state)
{
	static const char *const wrong[] = { "[]", "{}", "{\"repository\":1}", "{\"repository\":\"../x\"}",
		"{\"repository\":\"\",\"blob\":\"sha256:00\"}", "{\"repository\":\"a\",\"blob\":\"md5:0\"}" };
	struct scrub_place place;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		AUTO(json_doc) *doc = NULL;
		struct error err;

		assert_true(json_parse(str_of(wrong[i]), &doc, &err));
		assert_false(scrub_place_read(json_root(doc), &place));
	}
	assert_false(scrub_place_read(NULL, &place));
}

static void what_is_absent_is_remembered_within_bounds(void **state)
{
	AUTO(absent_manifests) *absent = absent_manifests_new();
	char text[32];

	(void)state;
	for (unsigned i = 0; i < 2 * ABSENT_MAX; i++) {
		struct digest digest = ((void)snprintf(text, sizeof(text), "%u", i), of(text));

		assert_false(absent_manifests_has(absent, &digest));
		absent_manifests_add(absent, &digest);
		absent_manifests_add(absent, &digest);
		assert_true(absent_manifests_has(absent, &digest));
	}
	for (unsigned i = 0; i < 2 * ABSENT_MAX; i++) {
		struct digest digest = ((void)snprintf(text, sizeof(text), "%u", i), of(text));

		assert_int_equal(absent_manifests_has(absent, &digest), i >= ABSENT_MAX);
		absent_manifests_forget(absent, &digest);
		assert_false(absent_manifests_has(absent, &digest));
	}
}

/* By its own clock: an hour of looks each 7 ms, where each time a piece is read that is larger than what there is. */
static void a_rate_is_held(void **state)
{
	static const int64_t rates[] = { 1, 1000, 65536, 33554432, INT64_C(1099511627776) };

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct scrub_rate rate;
		uint64_t read = 0;
		int64_t piece = rates[i] < 4096 ? rates[i] : 1024 * 1024;

		scrub_rate_init(&rate, rates[i], 1000);
		for (int64_t now = 1000; now <= 1000 + 3600 * 1000; now += 7)
			while (scrub_rate_have(&rate, now) > 0) {
				scrub_rate_spend(&rate, (uint64_t)piece * (rates[i] > 1000000000 ? 1000 : 1));
				read += (uint64_t)piece * (rates[i] > 1000000000 ? 1000 : 1);
			}
		assert_true(read <= (uint64_t)rates[i] * 3600 + (uint64_t)piece * 1000);
		assert_true(read >= (uint64_t)rates[i] * 3600 / 100 * 98);
	}
}

static void what_was_not_read_is_not_made_up_for(void **state)
{
	struct scrub_rate rate;

	(void)state;
	scrub_rate_init(&rate, 1000, 0);
	assert_int_equal(scrub_rate_have(&rate, 0), 0);
	assert_int_equal(scrub_rate_have(&rate, 500), 500);
	assert_int_equal(scrub_rate_have(&rate, 3600 * 1000), 1000);
	scrub_rate_spend(&rate, 4000);
	assert_int_equal(scrub_rate_have(&rate, 3600 * 1000 + 2000), -1000);
	assert_int_equal(scrub_rate_have(&rate, 3600 * 1000 + 1000), -1000);
	assert_int_equal(scrub_rate_have(&rate, INT64_MAX / 2), 1000);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rot_is_set_aside_and_a_push_heals_it),
		TEST(a_good_copy_of_another_repository_heals),
		TEST(a_rotten_copy_does_not),
		TEST(what_was_never_there_is_not_taken_from_another_repository),
		TEST(a_manifest_is_healed_from_memory_or_is_absent),
		TEST(a_size_that_is_another_is_told),
		TEST(a_record_that_rots_under_its_owner_is_still_in_memory),
		TEST(it_goes_on_from_its_place),
		TEST(it_waits_where_others_go_first),
		cmocka_unit_test(a_place_that_is_none_is_refused),
		cmocka_unit_test(what_is_absent_is_remembered_within_bounds),
		cmocka_unit_test(a_rate_is_held),
		cmocka_unit_test(what_was_not_read_is_not_made_up_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
