/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nobody needs goes, to the byte; what somebody needs, sent or was told of lately stays, also when he comes in the middle.
 */
#include "tests/unit/worker/registry/registry_rig.h"

#include <unistd.h>

#include "worker/registry/asked_blobs.h"
#include "worker/registry/collect.h"
#include "worker/registry/live_set.h"
#include "worker/registry/manifest_cache.h"
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

/* An image of one layer, whose blobs are there. */
static struct digest put_layered(struct registry_rig *rig, const char *tag, const char *layer)
{
	AUTO_FINI(buf) bytes = buf_limit(4096);
	struct registry_push push = {
		.name = NAME, .tags = &tag, .tags_len = tag != NULL, .may_create = true, .may_update = true
	};
	struct digest config = put_blob(rig, NAME, CONFIG), of_layer = put_blob(rig, NAME, str_of(layer));
	char config_text[DIGEST_TEXT_SIZE], layer_text[DIGEST_TEXT_SIZE];
	struct error err;

	digest_format(&config, config_text);
	digest_format(&of_layer, layer_text);
	buf_format(&bytes,
		"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
		"\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\","
		"\"size\":2},\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\","
		"\"digest\":\"%s\",\"size\":%zu}]}",
		config_text, layer_text, strlen(layer));
	push.bytes = buf_str(&bytes);
	if (!registry_put_wait(rig->registry, &push, &err))
		fail_msg("%s", err.text);
	return push.stored;
}

static void delete_manifest(struct registry_rig *rig, const struct digest *digest)
{
	struct registry_removal removal = { .name = NAME,
		.reference = { .is_digest = true, .digest = *digest } };
	struct error err;

	assert_true(registry_delete_wait(rig->registry, &removal, &err));
}

static bool is_there(struct registry_rig *rig, struct digest digest)
{
	struct error err;
	uint64_t size;

	return store_blob_size(rig->store, STR(NAME), &digest, &size, &err);
}

static struct digest of(const char *bytes)
{
	return digest_of(HASH_SHA256, str_of(bytes));
}

static struct collected collect(struct registry_rig *rig, struct collect_how how)
{
	struct collected told;
	struct error err;

	if (!registry_collect(rig->registry, NAME, &how, &told, &err))
		fail_msg("%s", err.text);
	return told;
}

static void what_nobody_names_goes(void **state)
{
	struct registry_rig *rig = *state;
	struct digest manifest = put_layered(rig, "v1", "kept layer");
	struct digest alone = put_blob(rig, NAME, STR("nobody names this"));
	struct collected told = collect(rig, (struct collect_how){ 0 });

	assert_int_equal(told.blobs, 4);
	assert_int_equal(told.removed, 1);
	assert_int_equal(told.bytes, strlen("nobody names this"));
	assert_true(told.whole);
	assert_false(is_there(rig, alone));
	assert_true(is_there(rig, manifest) && is_there(rig, of("kept layer")) && is_there(rig, of("{}")));
	assert_int_equal(collect(rig, (struct collect_how){ 0 }).removed, 0);
}

static void a_deleted_image_takes_what_it_alone_named(void **state)
{
	struct registry_rig *rig = *state;
	struct digest first = put_layered(rig, "v1", "first"), second = put_layered(rig, "v2", "second");
	struct collected told;

	delete_manifest(rig, &first);
	told = collect(rig, (struct collect_how){ 0 });
	assert_int_equal(told.removed, 2);
	assert_false(is_there(rig, first) || is_there(rig, of("first")));
	assert_true(is_there(rig, second) && is_there(rig, of("second")) && is_there(rig, of("{}")));
	/* And comes back at once, whole. */
	(void)put_layered(rig, "v1", "first");
	assert_int_equal(collect(rig, (struct collect_how){ 0 }).removed, 0);
	assert_true(is_there(rig, first) && is_there(rig, of("first")));
}

static bool take_it(void *arg, struct str name)
{
	*(bool *)arg = *(bool *)arg || str_is(name, NAME);
	return true;
}

static bool is_listed(struct registry_rig *rig)
{
	bool found = false;
	struct error err;

	assert_true(store_catalog_each(rig->store, take_it, &found, &err));
	return found;
}

static void what_is_empty_leaves_the_catalog(void **state)
{
	const struct collect_how listed = { .listed = true }, dry = { .listed = true, .dry_run = true };
	const struct collect_how late = { .listed = true, .delay_ms = 3600000 };
	struct registry_rig *rig = *state;
	struct digest manifest = put_layered(rig, "v1", "first");
	struct index *view;
	struct error err;

	assert_false(collect(rig, listed).vacated);
	delete_manifest(rig, &manifest);
	/* Something is left. */
	assert_false(collect(rig, late).vacated);
	assert_true(is_listed(rig));
	assert_true(collect(rig, dry).vacated);
	assert_true(is_listed(rig) && is_there(rig, manifest));
	assert_true(collect(rig, listed).vacated);
	assert_false(is_listed(rig) || is_there(rig, manifest));
	assert_null(registry_peek(rig->registry, STR(NAME)));
	assert_false(registry_index(rig->registry, STR(NAME), &view, &err));
	assert_string_equal(err.code, "NAME_UNKNOWN");
	(void)put_layered(rig, "v1", "first");
	assert_true(is_listed(rig) && is_there(rig, manifest));
	assert_false(collect(rig, listed).vacated);
	assert_true(is_listed(rig));
}

static void what_never_got_a_manifest_goes(void **state)
{
	struct registry_rig *rig = *state;
	struct digest alone = put_blob(rig, NAME, STR("nobody came back"));
	struct collected told = collect(rig, (struct collect_how){ .delay_ms = 3600000 });

	assert_true(told.young == 1 && is_there(rig, alone));
	told = collect(rig, (struct collect_how){ 0 });
	assert_true(told.removed == 1 && told.whole && !told.vacated);
	assert_false(is_there(rig, alone) || is_listed(rig));
	assert_int_equal(collect(rig, (struct collect_how){ 0 }).blobs, 0);
	assert_false(is_listed(rig));
}

/* Who died on a first push may leave the name alone. */
static void a_name_of_nothing_goes(void **state)
{
	struct registry_rig *rig = *state;
	struct error err;

	assert_true(store_name_put(rig->store, STR(NAME), 0, &err));
	assert_true(collect(rig, (struct collect_how){ .listed = true }).vacated);
	assert_false(is_listed(rig));
}

static void what_is_young_stays(void **state)
{
	struct registry_rig *rig = *state;
	struct digest alone;
	struct collected told;

	(void)put_layered(rig, "v1", "kept");
	alone = put_blob(rig, NAME, STR("young"));
	told = collect(rig, (struct collect_how){ .delay_ms = 3600000 });
	assert_int_equal(told.young, 1);
	assert_int_equal(told.removed, 0);
	assert_true(is_there(rig, alone));
}

static void what_was_asked_for_stays(void **state)
{
	struct registry_rig *rig = *state;
	struct digest alone, other;

	asked_blobs_free(rig->registry->asked);
	rig->registry->asked = asked_blobs_new(3600000);
	(void)put_layered(rig, "v1", "kept");
	alone = put_blob(rig, NAME, STR("asked for"));
	other = put_blob(rig, NAME, STR("not asked for"));
	registry_was_asked(rig->registry, STR(NAME), &alone);
	registry_was_asked(rig->registry, STR("another"), &other);
	assert_int_equal(collect(rig, (struct collect_how){ 0 }).removed, 1);
	assert_true(is_there(rig, alone));
	assert_false(is_there(rig, other));
}

struct told {
	unsigned n;
	uint64_t bytes;
	struct digest last;
};

static void on_told(void *arg, const char *name, const struct digest *digest, uint64_t bytes)
{
	struct told *told = arg;

	assert_string_equal(name, NAME);
	told->n++;
	told->bytes += bytes;
	told->last = *digest;
}

static void a_dry_run_tells_and_removes_nothing(void **state)
{
	struct registry_rig *rig = *state;
	struct told dry = { 0 }, real = { 0 };
	struct digest alone;

	(void)put_layered(rig, "v1", "kept");
	alone = put_blob(rig, NAME, STR("alone"));
	assert_int_equal(
		collect(rig, (struct collect_how){ .dry_run = true, .told = on_told, .arg = &dry }).removed,
		1);
	assert_true(is_there(rig, alone));
	(void)collect(rig, (struct collect_how){ .told = on_told, .arg = &real });
	assert_false(is_there(rig, alone));
	assert_true(dry.n == 1 && real.n == 1 && dry.bytes == 5 && real.bytes == 5);
	assert_true(digest_equal(&dry.last, &alone) && digest_equal(&real.last, &alone));
}

/* What it names is not known: it may be anything. */
static void nothing_goes_beside_a_manifest_that_cannot_be_read(void **state)
{
	struct registry_rig *rig = *state;
	struct digest manifest = put_layered(rig, "v1", "kept"), alone;
	const struct collect_how how = { 0 };
	struct collected told;
	char path[256], encoded[129];
	struct error err;

	alone = put_blob(rig, NAME, STR("alone"));
	digest_encoded(&manifest, encoded);
	(void)snprintf(path, sizeof(path), "%s/" NAME "/blobs/sha256/%s", rig->folder, encoded);
	assert_int_equal(truncate(path, 10), 0);
	manifest_cache_free(rig->registry->manifests);
	rig->registry->manifests = manifest_cache_new(1024 * 1024);
	assert_false(registry_collect(rig->registry, NAME, &how, &told, &err));
	assert_non_null(strstr(err.text, "nothing is collected while sha256:"));
	assert_true(is_there(rig, alone) && is_there(rig, of("kept")));
}

#define MANY 40

static void a_small_set_is_filled_in_parts(void **state)
{
	struct registry_rig *rig = *state;
	struct collected told;
	char text[32];

	for (int i = 0; i < MANY; i++) {
		(void)snprintf(text, sizeof(text), "layer %d", i);
		(void)put_layered(rig, text + 6, text);
		(void)snprintf(text, sizeof(text), "alone %d", i);
		(void)put_blob(rig, NAME, str_of(text));
	}
	told = collect(rig, (struct collect_how){ .live_most = 16 });
	assert_int_equal(told.removed, MANY);
	assert_int_equal(told.blobs, 3 * MANY + 1);
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(text, sizeof(text), "layer %d", i);
		assert_true(is_there(rig, of(text)));
		(void)snprintf(text, sizeof(text), "alone %d", i);
		assert_false(is_there(rig, of(text)));
	}
}

/* ---- who comes in the middle ---- */

struct comer {
	struct registry_rig *rig;
	bool came;
};

/* It was looked at, and is about to be condemned. */
static bool come(void *arg)
{
	struct comer *comer = arg;

	if (!comer->came && is_there(comer->rig, of("wanted again"))) {
		comer->came = true;
		(void)put_layered(comer->rig, "v2", "wanted again");
	}
	return true;
}

static void a_push_in_the_middle_keeps_what_it_names(void **state)
{
	struct registry_rig *rig = *state;
	struct comer comer = { .rig = rig, .came = true };
	const struct pace pace = { come, &comer };

	(void)put_layered(rig, "v1", "kept");
	(void)put_blob(rig, NAME, STR("wanted again"));
	(void)put_blob(rig, NAME, STR("alone"));
	comer.came = false;
	assert_int_equal(collect(rig, (struct collect_how){ .pace = &pace }).removed, 1);
	assert_true(comer.came);
	assert_true(is_there(rig, of("wanted again")));
	assert_false(is_there(rig, of("alone")));
}

static bool end_at_once(void *arg)
{
	(void)arg;
	return false;
}

static void one_that_is_ended_is_not_whole(void **state)
{
	struct registry_rig *rig = *state;
	const struct pace pace = { end_at_once, NULL };
	struct collected told;

	(void)put_layered(rig, "v1", "kept");
	(void)put_blob(rig, NAME, STR("alone"));
	told = collect(rig, (struct collect_how){ .pace = &pace });
	assert_false(told.whole);
	assert_true(is_there(rig, of("kept")));
	assert_true(collect(rig, (struct collect_how){ 0 }).whole);
}

static void a_repository_that_is_not_there_is_empty(void **state)
{
	struct collected told = collect(*state, (struct collect_how){ 0 });

	assert_true(told.whole);
	assert_int_equal(told.blobs, 0);
}

/* ---- who was told before it went ---- */

/* Names a config and a layer, which need not be there. */
static bool put_sparse(struct registry_rig *rig, const char *layer, struct error *err)
{
	AUTO_FINI(buf) bytes = buf_limit(4096);
	const char *tag = "sparse";
	struct registry_push push = {
		.name = NAME, .tags = &tag, .tags_len = 1, .may_create = true, .may_update = true
	};
	struct digest of_layer = of(layer), config = of("{}");
	char config_text[DIGEST_TEXT_SIZE], layer_text[DIGEST_TEXT_SIZE];

	digest_format(&config, config_text);
	digest_format(&of_layer, layer_text);
	buf_format(&bytes,
		"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
		"\"config\":{\"mediaType\":\"application/vnd.oci.image.config.v1+json\",\"digest\":\"%s\","
		"\"size\":2},\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\","
		"\"digest\":\"%s\",\"size\":1}]}",
		config_text, layer_text);
	push.bytes = buf_str(&bytes);
	return registry_put_wait(rig->registry, &push, err);
}

static bool remembers(struct registry_rig *rig, const char *layer)
{
	AUTO(indexes) *fresh = indexes_new(rig->store, rig->pool, rig_trust, NULL, 1024 * 1024);
	struct digest digest = of(layer);
	AUTO(index) *view = NULL;
	struct error err;

	assert_true(indexes_get(fresh, STR(NAME), &view, &err));
	return index_may_be_gone(view, &digest, store_clock_s(rig->store, STR(NAME)));
}

/* Where sparse images are taken: what never was here is no reason to refuse one, what went lately is. */
static void what_was_removed_lately_is_not_taken_for_granted(void **state)
{
	struct registry_rig *rig = *state;
	struct index_change fold = { .op = INDEX_FOLD, .name = NAME };
	struct error err;

	rig->registry->options.require_blobs = false;
	(void)put_layered(rig, "v1", "kept");
	(void)put_blob(rig, NAME, STR("alone"));
	assert_int_equal(collect(rig, (struct collect_how){ 0 }).removed, 1);
	assert_true(put_sparse(rig, "never was here", &err));
	assert_false(put_sparse(rig, "alone", &err));
	assert_string_equal(err.code, "MANIFEST_BLOB_UNKNOWN");
	/* Whoever reads the index knows it: from the log, and from index.json. */
	assert_true(remembers(rig, "alone") && !remembers(rig, "kept"));
	assert_true(indexes_change_wait(rig->registry->indexes, &fold, &err));
	assert_true(remembers(rig, "alone") && !remembers(rig, "kept"));
	(void)put_blob(rig, NAME, STR("alone"));
	assert_true(put_sparse(rig, "alone", &err));
}

/* ---- its parts ---- */

static void a_live_set_lacks_nothing(void **state)
{
	AUTO(live_set) *set = live_set_new(10000);
	char text[32];

	(void)state;
	for (int i = 0; i < 10000; i++) {
		struct digest digest = ((void)snprintf(text, sizeof(text), "%d", i), of(text));
		assert_true(live_set_add(set, &digest));
		assert_true(live_set_add(set, &digest));
	}
	assert_int_equal(live_set_len(set), 10000);
	for (int i = 0; i < 20000; i++) {
		struct digest digest = ((void)snprintf(text, sizeof(text), "%d", i), of(text));
		assert_int_equal(live_set_has(set, &digest), i < 10000);
		assert_true(live_set_part(&digest, 7) < 7);
	}
	assert_false(live_set_add(set, &(struct digest){ .raw = { 1 } }));
	live_set_clear(set);
	assert_int_equal(live_set_len(set), 0);
}

static void who_asked_counts_for_a_while(void **state)
{
	AUTO(asked_blobs) *asked = asked_blobs_new(1000);
	const struct digest digest = of("x");

	(void)state;
	assert_false(asked_blobs_has(asked, STR("a"), &digest, 100000));
	asked_blobs_add(asked, STR("a"), &digest, 100000);
	assert_true(asked_blobs_has(asked, STR("a"), &digest, 100000));
	assert_false(asked_blobs_has(asked, STR("b"), &digest, 100000));
	assert_true(asked_blobs_has(asked, STR("a"), &digest, 101000));
	assert_false(asked_blobs_has(asked, STR("a"), &digest, 102001));
	asked_blobs_add(asked, STR("a"), &digest, 103000);
	assert_false(asked_blobs_has(asked, STR("a"), &digest, 900000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_nobody_names_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_deleted_image_takes_what_it_alone_named, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_young_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_empty_leaves_the_catalog, setup, teardown),
		cmocka_unit_test_setup_teardown(what_never_got_a_manifest_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_of_nothing_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_asked_for_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(a_dry_run_tells_and_removes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			nothing_goes_beside_a_manifest_that_cannot_be_read, setup, teardown),
		cmocka_unit_test_setup_teardown(a_small_set_is_filled_in_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(a_push_in_the_middle_keeps_what_it_names, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_is_ended_is_not_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(a_repository_that_is_not_there_is_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_was_removed_lately_is_not_taken_for_granted, setup, teardown),
		cmocka_unit_test(a_live_set_lacks_nothing),
		cmocka_unit_test(who_asked_counts_for_a_while),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
