/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/worker/registry/registry_rig.h"

#include <string.h>

#define VENDOR  "org.opencontainers.image.vendor"
#define LICENSE "org.opencontainers.image.licenses"
#define HEX     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *const demanded[] = { VENDOR, LICENSE };

struct image {
	const char *config;      /* its bytes */
	const char *annotations; /* JSON */
	const char *more;        /* members of the manifest, each with a comma behind it */
	const char *tag;
	bool lacks_config;
};

static bool put(struct registry_rig *rig, const struct image *image, struct error *err)
{
	AUTO_FINI(buf) bytes = buf_limit(8192);
	struct str config = str_of(image->config ? image->config : "{}");
	struct digest digest = digest_of(HASH_SHA256, config);
	const char *tag = image->tag ? image->tag : "v1";
	struct registry_push push = {
		.name = "app", .tags = &tag, .tags_len = 1, .may_create = true, .may_update = true
	};
	char text[DIGEST_TEXT_SIZE];

	if (!image->lacks_config)
		(void)put_blob(rig, "app", config);
	digest_format(&digest, text);
	buf_format(&bytes,
		"{\"schemaVersion\":2,\"mediaType\":\"" IMAGE "\",%s\"config\":{\"mediaType\":\"%s\","
		"\"digest\":\"%s\",\"size\":%zu},\"layers\":[],\"annotations\":%s}",
		image->more ? image->more : "",
		image->lacks_config ? "application/x" : "application/vnd.oci.image.config.v1+json", text,
		config.len, image->annotations ? image->annotations : "{}");
	push.bytes = buf_str(&bytes);
	return registry_put_wait(rig->registry, &push, err);
}

static int open_rig(void **state)
{
	static struct registry_rig rig;

	registry_rig_open(&rig);
	rig.registry->options.lint_annotations = demanded;
	rig.registry->options.lint_annotations_len = 2;
	*state = &rig;
	return 0;
}

static int close_rig(void **state)
{
	registry_rig_close(*state);
	return 0;
}

static void expect_taken(struct registry_rig *rig, const struct image *image)
{
	struct error err;

	if (!put(rig, image, &err))
		fail_msg("%s", err.text);
}

static void expect_refused(struct registry_rig *rig, const struct image *image, const char *says)
{
	struct error err;

	assert_false(put(rig, image, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
	assert_string_equal(err.code, "MANIFEST_INVALID");
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

static void each_key_is_an_annotation_or_a_label(void **state)
{
	struct registry_rig *rig = *state;

	expect_taken(rig, &(struct image){ .annotations = "{\"" VENDOR "\":\"a\",\"" LICENSE "\":\"\"}" });
	expect_taken(rig, &(struct image){ .config = "{\"config\":{\"Labels\":{\"" VENDOR
						     "\":\"a\",\"" LICENSE "\":\"b\"}}}" });
	expect_taken(rig, &(struct image){ .annotations = "{\"" VENDOR "\":\"a\"}",
				  .config = "{\"config\":{\"Labels\":{\"" LICENSE "\":\"b\"}}}" });
	expect_refused(rig, &(struct image){ .annotations = "{\"" VENDOR "\":\"a\"}" }, ": " LICENSE);
	expect_refused(
		rig, &(struct image){ .config = "{\"config\":{\"Labels\":null}}" }, ": " VENDOR ", " LICENSE);
	expect_refused(rig,
		&(struct image){ .config = "{\"config\":{\"Labels\":[\"" VENDOR "\"]},\"" VENDOR "\":1}" },
		": " VENDOR);
}

/* With blobs that are required, what is not there is told as such; an artifact may lack it. */
static void a_config_that_cannot_be_read_is_named(void **state)
{
	struct registry_rig *rig = *state;
	char *large = check_alloc(1, 4u * 1024 * 1024 + 2);

	expect_refused(rig, &(struct image){ .config = "no json" }, "the config");
	expect_refused(rig, &(struct image){ .lacks_config = true }, "the config is not there");
	memset(large, ' ', 4u * 1024 * 1024 + 1);
	memcpy(large, "{}", 2);
	expect_refused(rig, &(struct image){ .config = large }, VENDOR);
	/* Nobody looks at it where the manifest has all. */
	expect_taken(rig, &(struct image){ .annotations = "{\"" VENDOR "\":\"a\",\"" LICENSE "\":\"b\"}",
				  .config = large });
	free(large);
}

static void signatures_are_exempt(void **state)
{
	struct registry_rig *rig = *state;
	const char *subject = "\"subject\":{\"mediaType\":\"" IMAGE "\",\"digest\":\"sha256:" HEX
			      "\",\"size\":2},\"artifactType\":\"application/vnd.cncf.notary.signature\",";

	expect_taken(rig, &(struct image){ .more = subject });
	expect_taken(rig, &(struct image){ .tag = "sha256-" HEX ".sig" });
	expect_refused(rig, &(struct image){ .tag = "sha256-" HEX ".sigx" }, VENDOR);
	expect_refused(rig, &(struct image){ .tag = "sha256-x.sig" }, VENDOR);
	expect_refused(rig,
		&(struct image){ .more = "\"artifactType\":\"application/vnd.cncf.notary.signature\"," },
		VENDOR);
}

static void nothing_of_what_is_refused_is_stored(void **state)
{
	struct registry_rig *rig = *state;
	AUTO(index) *index = NULL;
	struct error err;

	expect_refused(rig, &(struct image){ .tag = "v9" }, VENDOR);
	assert_false(registry_index(rig->registry, STR("app"), &index, &err));
	assert_int_equal(err.kind, ERROR_UNKNOWN);
}

static void count_refused(void *arg, const struct registry_push *push, const char *media_type)
{
	struct digest digest = digest_of(HASH_SHA256, push->bytes);

	assert_true(digest_equal(&push->stored, &digest));
	assert_string_equal(media_type, IMAGE);
	++*(unsigned *)arg;
}

/* Of those alone that are refused for what they lack. */
static void who_wants_to_know_is_told_of_it(void **state)
{
	struct registry_rig *rig = *state;
	unsigned told = 0;

	rig->registry->refused_arg = &told;
	rig->registry->refused = count_refused;
	expect_refused(rig, &(struct image){ .annotations = "{\"" VENDOR "\":\"a\"}" }, LICENSE);
	assert_int_equal(told, 1);
	expect_refused(rig, &(struct image){ .config = "no json" }, "the config");
	assert_int_equal(told, 2);
	expect_taken(rig, &(struct image){ .annotations = "{\"" VENDOR "\":\"a\",\"" LICENSE "\":\"b\"}" });
	assert_int_equal(told, 2);
	rig->registry->refused = NULL;
}

static void without_demands_all_is_taken(void **state)
{
	struct registry_rig *rig = *state;

	rig->registry->options.lint_annotations_len = 0;
	expect_taken(rig, &(struct image){ .config = "no json" });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_key_is_an_annotation_or_a_label, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(a_config_that_cannot_be_read_is_named, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(signatures_are_exempt, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(nothing_of_what_is_refused_is_stored, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(who_wants_to_know_is_told_of_it, open_rig, close_rig),
		cmocka_unit_test_setup_teardown(without_demands_all_is_taken, open_rig, close_rig),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
