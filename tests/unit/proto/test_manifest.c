/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_manifest - images and indexes, and what is neither.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proto/manifest.h"

#define OCI_IMAGE    "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX    "application/vnd.oci.image.index.v1+json"
#define DOCKER_IMAGE "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_LIST  "application/vnd.docker.distribution.manifest.list.v2+json"
#define DIGEST       "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define LINK(type)   "{\"mediaType\":\"" type "\",\"digest\":\"" DIGEST "\",\"size\":7}"
#define IMAGE(more)  "{\"schemaVersion\":2,\"config\":" LINK("c/c") more "}"
#define INDEX(more)  "{\"schemaVersion\":2" more "}"

static bool parse(const char *body, const char *type, struct manifest *ret, struct error *err)
{
	return manifest_parse(str_of(body), str_of(type), false, ret, err);
}

static void refused(const char *body, const char *type, bool docker2s2)
{
	struct manifest manifest = { .layers_len = 99 };
	struct error err;

	if (manifest_parse(str_of(body), str_of(type), docker2s2, &manifest, &err))
		fail_msg("%s: %s", type, body);
	assert_int_equal(err.kind, ERROR_INVALID);
	assert_string_equal(err.code, "MANIFEST_INVALID");
	assert_int_equal(manifest.layers_len, 99);
}

static void reads_an_image(void **state)
{
	struct manifest manifest;

	(void)state;
	assert_true(parse(IMAGE(",\"layers\":[" LINK("l/1") "," LINK("l/2") "],\"subject\":" LINK(
				  "s/s") ",\"annotations\":{\"k\":\"v\"},\"artifactType\":\"x/"
					 "y\",\"mediaType\":\"" OCI_IMAGE "\",\"other\":[1]"),
		OCI_IMAGE, &manifest, NULL));
	assert_int_equal(manifest.kind, MANIFEST_IMAGE);
	assert_string_equal(manifest.media_type, OCI_IMAGE);
	assert_true(manifest.has_config);
	assert_string_equal(manifest.config.media_type, "c/c");
	assert_int_equal(manifest.layers_len, 2);
	assert_string_equal(manifest.layers[1].media_type, "l/2");
	assert_int_equal(manifest.layers[1].size, 7);
	assert_int_equal(manifest.manifests_len, 0);
	assert_true(manifest.has_subject);
	assert_string_equal(manifest.subject.media_type, "s/s");
	assert_int_equal(manifest.annotations_len, 1);
	assert_string_equal(manifest.annotations[0].value, "v");
	assert_string_equal(manifest_referrer_type(&manifest), "x/y");
	manifest_fini(&manifest);
	manifest_fini(&manifest);
}

static void reads_an_index(void **state)
{
	struct manifest manifest;

	(void)state;
	assert_true(parse(INDEX(",\"manifests\":[" LINK("m/1") "]"), OCI_INDEX, &manifest, NULL));
	assert_int_equal(manifest.kind, MANIFEST_INDEX);
	assert_false(manifest.has_config);
	assert_int_equal(manifest.manifests_len, 1);
	assert_null(manifest_referrer_type(&manifest));
	manifest_fini(&manifest);
}

static void lists_may_be_missing(void **state)
{
	static const struct {
		const char *body, *type;
	} cases[] = {
		{ IMAGE(""), OCI_IMAGE },
		{ IMAGE(",\"layers\":null"), OCI_IMAGE },
		{ IMAGE(",\"layers\":[],\"subject\":null"), OCI_IMAGE },
		{ INDEX(""), OCI_INDEX },
		{ INDEX(",\"manifests\":null"), OCI_INDEX },
		{ INDEX(",\"manifests\":[]"), OCI_INDEX },
		{ IMAGE(",\"manifests\":null"), OCI_IMAGE },
		{ INDEX(",\"config\":null,\"layers\":null"), OCI_INDEX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct manifest manifest;

		assert_true(parse(cases[i].body, cases[i].type, &manifest, NULL));
		assert_int_equal(manifest.layers_len + manifest.manifests_len, 0);
		assert_false(manifest.has_subject);
		manifest_fini(&manifest);
	}
}

static void the_config_is_the_type_of_a_referrer(void **state)
{
	struct manifest manifest;

	(void)state;
	assert_true(parse(IMAGE(",\"artifactType\":\"\""), OCI_IMAGE, &manifest, NULL));
	assert_string_equal(manifest_referrer_type(&manifest), "c/c");
	manifest_fini(&manifest);
}

static void media_types_agree(void **state)
{
	struct manifest manifest;
	static const char *const good[] = {
		OCI_IMAGE,
		" " OCI_IMAGE " ",
		OCI_IMAGE ";charset=utf-8",
		OCI_IMAGE " ; charset=utf-8",
		"Application/Vnd.OCI.Image.Manifest.v1+JSON",
		"",
		";charset=utf-8",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(parse(IMAGE(",\"mediaType\":\"" OCI_IMAGE "\""), good[i], &manifest, NULL));
		assert_string_equal(manifest.media_type, OCI_IMAGE);
		manifest_fini(&manifest);
	}
	refused(IMAGE(",\"mediaType\":\"" OCI_INDEX "\""), OCI_IMAGE, false);
	refused(IMAGE(",\"mediaType\":\"" DOCKER_IMAGE "\""), OCI_IMAGE, true);
	refused(IMAGE(",\"mediaType\":\"" OCI_IMAGE ";x\""), OCI_IMAGE, false);
	refused(IMAGE(",\"mediaType\":7"), OCI_IMAGE, false);
	refused(IMAGE(",\"mediaType\":null"), "", false);
	assert_true(parse(IMAGE(",\"mediaType\":null"), OCI_IMAGE, &manifest, NULL));
	manifest_fini(&manifest);
	refused(IMAGE(""), "", false);
	refused(IMAGE(",\"mediaType\":\"application/json\""), "", false);
}

static void docker_is_asked_for(void **state)
{
	struct manifest manifest;

	(void)state;
	refused(IMAGE(""), DOCKER_IMAGE, false);
	refused(INDEX(""), DOCKER_LIST, false);
	refused(IMAGE(",\"mediaType\":\"" DOCKER_IMAGE "\""), "", false);
	assert_true(manifest_parse(STR(IMAGE("")), STR(DOCKER_IMAGE), true, &manifest, NULL));
	assert_int_equal(manifest.kind, MANIFEST_IMAGE);
	assert_string_equal(manifest.media_type, DOCKER_IMAGE);
	manifest_fini(&manifest);
	assert_true(manifest_parse(
		STR(INDEX(",\"mediaType\":\"" DOCKER_LIST "\"")), STR(""), true, &manifest, NULL));
	assert_int_equal(manifest.kind, MANIFEST_INDEX);
	manifest_fini(&manifest);
}

static void other_types_are_refused(void **state)
{
	static const char *const types[] = {
		"application/json",
		"application/vnd.oci.artifact.manifest.v1+json",
		"application/vnd.docker.distribution.manifest.v1+prettyjws",
		"application/vnd.oci.image.config.v1+json",
		"text/plain; x",
		OCI_IMAGE "x",
		OCI_IMAGE "," OCI_INDEX,
	};
	struct manifest manifest;
	struct error err;

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		refused(IMAGE(""), types[i], true);
	assert_false(parse(IMAGE(""), "application/json", &manifest, &err));
	assert_non_null(strstr(err.text, OCI_IMAGE));
	assert_non_null(strstr(err.text, OCI_INDEX));
	assert_false(manifest_parse(STR(IMAGE("")), STR("application/json"), true, &manifest, &err));
	assert_non_null(
		strstr(err.text, "application/vnd.docker.distribution.{manifest,manifest.list}.v2+json"));
	assert_true(media_type_is_manifest(STR(OCI_INDEX "; a=b"), false));
	assert_true(media_type_is_manifest(STR(DOCKER_LIST), true));
	assert_false(media_type_is_manifest(STR(DOCKER_LIST), false));
	assert_false(media_type_is_manifest(STR_NONE, true));
}

static void bad_bodies_are_refused(void **state)
{
	static const char *const images[] = {
		"",
		"{",
		"x",
		"[]",
		"null",
		"7",
		"{}",
		IMAGE("") "x",
		"{\"config\":" LINK("c/c") "}",
		"{\"schemaVersion\":1,\"config\":" LINK("c/c") "}",
		"{\"schemaVersion\":\"2\",\"config\":" LINK("c/c") "}",
		"{\"schemaVersion\":2}",
		"{\"schemaVersion\":2,\"config\":null}",
		"{\"schemaVersion\":2,\"config\":{}}",
		IMAGE(",\"layers\":{}"),
		IMAGE(",\"layers\":[7]"),
		IMAGE(",\"layers\":[" LINK("a/b") ",{}]"),
		IMAGE(",\"subject\":7"),
		IMAGE(",\"subject\":{}"),
		IMAGE(",\"annotations\":{\"a\":7}"),
		IMAGE(",\"artifactType\":7"),
		IMAGE(",\"manifests\":[]"),
		IMAGE(",\"config\":" LINK("c/c")),
	};
	static const char *const indexes[] = {
		"{}",
		INDEX(",\"manifests\":{}"),
		INDEX(",\"manifests\":[[]]"),
		INDEX(",\"config\":{}"),
		INDEX(",\"layers\":[]"),
		INDEX(",\"subject\":[]"),
		INDEX(",\"annotations\":[]"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++)
		refused(images[i], OCI_IMAGE, false);
	for (size_t i = 0; i < sizeof(indexes) / sizeof(indexes[0]); i++)
		refused(indexes[i], OCI_INDEX, false);
}

static void names_the_place(void **state)
{
	struct manifest manifest;
	struct error err;

	(void)state;
	assert_false(parse(IMAGE(",\"layers\":[" LINK("a/b") ",{\"mediaType\":\"a/b\",\"digest\":\"" DIGEST
							     "\",\"size\":-1}]"),
		OCI_IMAGE, &manifest, &err));
	assert_string_equal(err.text, "layers[1]: size is missing or not a number of bytes");
}

static bool parse_with_layers(size_t n)
{
	AUTO_FINI(buf) b = buf_limit(MANIFEST_MAX);
	struct manifest manifest;
	bool ok;

	buf_puts(&b, "{\"schemaVersion\":2,\"config\":" LINK("c/c") ",\"layers\":[");
	for (size_t i = 0; i < n; i++)
		buf_format(&b, "%s%s", i ? "," : "", LINK("l/l"));
	buf_puts(&b, "]}");
	assert_false(b.failed);
	ok = manifest_parse(buf_str(&b), STR(OCI_IMAGE), false, &manifest, NULL);
	if (ok)
		manifest_fini(&manifest);
	return ok;
}

static void is_bounded(void **state)
{
	AUTO_FINI(buf) b = buf_limit(MANIFEST_MAX + 1);
	struct manifest manifest;
	struct error err;

	(void)state;
	assert_true(parse_with_layers(MANIFEST_DESCRIPTORS_MAX));
	assert_false(parse_with_layers(MANIFEST_DESCRIPTORS_MAX + 1));
	buf_puts(&b, IMAGE(""));
	while (b.len < MANIFEST_MAX)
		buf_putc(&b, ' ');
	assert_true(manifest_parse(buf_str(&b), STR(OCI_IMAGE), false, &manifest, NULL));
	manifest_fini(&manifest);
	buf_putc(&b, ' ');
	assert_false(manifest_parse(buf_str(&b), STR(OCI_IMAGE), false, &manifest, &err));
	assert_int_equal(err.kind, ERROR_TOO_LARGE);
	buf_clear(&b);
	for (size_t i = 0; i < 100000; i++)
		buf_putc(&b, '[');
	refused(buf_text(&b), OCI_IMAGE, false);
}

static void some_layers_are_elsewhere(void **state)
{
	(void)state;
	assert_true(media_type_is_nondistributable(
		STR("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")));
	assert_true(media_type_is_nondistributable(
		STR("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")));
	assert_false(media_type_is_nondistributable(STR("application/vnd.oci.image.layer.v1.tar+gzip")));
	assert_false(media_type_is_nondistributable(STR_NONE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_an_image),
		cmocka_unit_test(reads_an_index),
		cmocka_unit_test(lists_may_be_missing),
		cmocka_unit_test(the_config_is_the_type_of_a_referrer),
		cmocka_unit_test(media_types_agree),
		cmocka_unit_test(docker_is_asked_for),
		cmocka_unit_test(other_types_are_refused),
		cmocka_unit_test(bad_bodies_are_refused),
		cmocka_unit_test(names_the_place),
		cmocka_unit_test(is_bounded),
		cmocka_unit_test(some_layers_are_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
