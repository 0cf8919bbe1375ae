/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_image_facts - what OCI's and Docker's manifests and configs say, what goes before what, what is passed over, and that it can be kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/image_facts.h"

#define OCI_CONFIG    "application/vnd.oci.image.config.v1+json"
#define DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define DOCKER_IMAGE  "application/vnd.docker.distribution.manifest.v2+json"
#define OCI_IMAGE     "application/vnd.oci.image.manifest.v1+json"
#define OCI_INDEX     "application/vnd.oci.image.index.v1+json"
#define HEX63         "3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define LINK(type, first, size)                                                                              \
	"{\"mediaType\":\"" type "\",\"digest\":\"sha256:" first HEX63 "\",\"size\":" #size "}"
#define IMAGE(config_type, layers, more)                                                                     \
	"{\"schemaVersion\":2,\"mediaType\":\"" OCI_IMAGE                                                    \
	"\",\"config\":" LINK(config_type, "c", 70) ",\"layers\":[" layers "]" more "}"
#define TWO_LAYERS LINK("l", "1", 100) "," LINK("l", "2", 200)
#define BASE_MS    INT64_C(1700000000000) /* 2023-11-14T22:13:20Z */

struct read {
	struct arena arena;
	struct image_facts facts;
};

static void read_facts(const char *body, const char *config, enum image_config state, struct read *ret)
{
	struct manifest manifest;
	struct error err = { .text = "" };

	ret->arena = arena_limit(IMAGE_FACTS_ARENA);
	if (!manifest_parse(str_of(body), STR_NONE, true, &manifest, &err) ||
		!image_facts_parse(
			&manifest, strlen(body), str_of(config), state, &ret->arena, &ret->facts, &err))
		fail_msg("%s: %s", body, err.text);
	manifest_fini(&manifest);
}

static void reads_an_image(void **state)
{
	struct read r;

	(void)state;
	read_facts(IMAGE(OCI_CONFIG, TWO_LAYERS, ""),
		"{\"created\":\"2023-11-14T22:13:20.125Z\",\"author\":\"me\",\"os\":\"linux\","
		"\"architecture\":\"arm\",\"variant\":\"v7\",\"config\":{\"Labels\":{"
		"\"org.opencontainers.image.title\":\"T\",\"org.label-schema.vendor\":\"V\"}},"
		"\"history\":[{\"created_by\":\"ADD\",\"comment\":\"c\"},{\"created_by\":\"ENV\","
		"\"empty_layer\":true},"
		"{\"created_by\":\"RUN\",\"author\":\"a\",\"created\":\"2023-11-14T22:13:20Z\"}]}",
		IMAGE_CONFIG_NONE, &r);
	assert_int_equal(r.facts.config, IMAGE_CONFIG_READ);
	assert_string_equal(r.facts.media_type, OCI_IMAGE);
	assert_string_equal(r.facts.os, "linux");
	assert_string_equal(r.facts.arch, "arm/v7");
	assert_string_equal(r.facts.title, "T");
	assert_string_equal(r.facts.vendor, "V");
	assert_string_equal(r.facts.authors, "me");
	assert_string_equal(r.facts.description, "");
	assert_int_equal(r.facts.created_ms, BASE_MS + 125);
	assert_int_equal(r.facts.noted_ms, 0);
	assert_int_equal(r.facts.size, strlen(IMAGE(OCI_CONFIG, TWO_LAYERS, "")) + 70 + 300);
	assert_int_equal(r.facts.layers_len, 2);
	assert_int_equal(r.facts.history_len, 3);
	assert_int_equal(r.facts.history[0].layer, 0);
	assert_int_equal(r.facts.history[1].layer, IMAGE_NO_LAYER);
	assert_int_equal(r.facts.history[2].layer, 1);
	assert_int_equal(r.facts.history[2].created_ms, BASE_MS);
	assert_string_equal(r.facts.history[2].author, "a");
	assert_false(r.facts.history_differs);
	arena_fini(&r.arena);
}

/* The manifest's annotation before the config's label, OCI's name before the other. */
static void knows_what_goes_first(void **state)
{
	struct read r;

	(void)state;
	read_facts(IMAGE(OCI_CONFIG, "",
			   ",\"annotations\":{\"org.label-schema.name\":\"A2\",\"org.opencontainers.image."
			   "title\":\"A1\","
			   "\"org.label-schema.vcs-url\":\"S\",\"org.label-schema.labels\":\"L\","
			   "\"org.opencontainers.image.created\":\"2023-11-14T22:13:20Z\","
			   "\"org.opencontainers.image.vendor\":\"\",\"other\":\"o\"}"),
		"{\"created\":\"2020-01-01T00:00:00Z\",\"config\":{\"Labels\":{"
		"\"org.opencontainers.image.title\":\"C\",\"org.opencontainers.image.source\":\"C\","
		"\"org.label-schema.vendor\":\"C\",\"org.opencontainers.image.authors\":\"we\"}},\"author\":"
		"\"me\"}",
		IMAGE_CONFIG_NONE, &r);
	assert_string_equal(r.facts.title, "A1");
	assert_string_equal(r.facts.source, "S");
	assert_string_equal(r.facts.labels, "L");
	assert_string_equal(r.facts.vendor, "C");
	assert_string_equal(r.facts.authors, "we");
	assert_int_equal(r.facts.created_ms, BASE_MS);
	assert_int_equal(r.facts.noted_ms, BASE_MS);
	assert_int_equal(r.facts.annotations_len, 7);
	arena_fini(&r.arena);
}

static void reads_docker(void **state)
{
	struct read r;

	(void)state;
	read_facts("{\"schemaVersion\":2,\"mediaType\":\"" DOCKER_IMAGE "\",\"config\":" LINK(DOCKER_CONFIG,
			   "c", 7) ",\"layers\":[" LINK("l", "1", 5) "," LINK("l", "1", 5) "]}",
		"{\"os\":\"windows\",\"architecture\":\"amd64\",\"history\":[{\"created\":\"2023-11-14T22:13:"
		"20Z\"},{}"
		",{}]}",
		IMAGE_CONFIG_NONE, &r);
	assert_string_equal(r.facts.media_type, OCI_IMAGE);
	assert_string_equal(r.facts.artifact_type, OCI_CONFIG);
	assert_string_equal(r.facts.own_type, "");
	assert_string_equal(r.facts.os, "windows");
	assert_string_equal(r.facts.arch, "amd64");
	assert_int_equal(r.facts.created_ms, BASE_MS);
	assert_true(r.facts.history_differs);
	assert_int_equal(r.facts.history[2].layer, IMAGE_NO_LAYER);
	/* The same layer twice is there once. */
	assert_int_equal(r.facts.size - 7 - 5,
		strlen("{\"schemaVersion\":2,\"mediaType\":\"" DOCKER_IMAGE "\",\"config\":" LINK(
			DOCKER_CONFIG, "c", 7) ",\"layers\":[" LINK("l", "1", 5) "," LINK("l", "1", 5) "]}"));
	assert_true(image_config_is_one(DOCKER_CONFIG) && image_config_is_one(OCI_CONFIG));
	assert_false(image_config_is_one("application/vnd.oci.empty.v1+json"));
	arena_fini(&r.arena);
}

static void reads_indexes_and_artifacts(void **state)
{
	struct read r;

	(void)state;
	read_facts("{\"schemaVersion\":2,\"mediaType\":\"" OCI_INDEX "\",\"manifests\":[" LINK(OCI_IMAGE, "4",
			   11) "," LINK(OCI_IMAGE, "5", 12) "],\"annotations\":{"
							    "\"org.opencontainers.image.vendor\":\"V\"}}",
		NULL, IMAGE_CONFIG_NONE, &r);
	assert_int_equal(r.facts.kind, MANIFEST_INDEX);
	assert_int_equal(r.facts.members_len, 2);
	assert_int_equal(r.facts.members[1].size, 12);
	assert_string_equal(r.facts.vendor, "V");
	assert_false(r.facts.has_config);
	arena_fini(&r.arena);
	read_facts(IMAGE("application/vnd.oci.empty.v1+json", "",
			   ",\"artifactType\":\"a/b\",\"subject\":" LINK(OCI_IMAGE, "9", 1)),
		NULL, IMAGE_CONFIG_NONE, &r);
	assert_string_equal(r.facts.artifact_type, "a/b");
	assert_string_equal(r.facts.own_type, "a/b");
	assert_true(r.facts.has_subject);
	assert_int_equal(r.facts.subject.raw[0], 0x93);
	assert_string_equal(r.facts.os, "");
	arena_fini(&r.arena);
}

/* What is wrong with a config is said, and the manifest's facts stay. */
static void passes_over_bad_configs(void **state)
{
	static const struct {
		const char *config;
		enum image_config want;
		const char *os;
	} cases[] = {
		{ "{\"os\":", IMAGE_CONFIG_BROKEN, "" },
		{ "[]", IMAGE_CONFIG_BROKEN, "" },
		{ "", IMAGE_CONFIG_BROKEN, "" },
		{ "{\"os\":7,\"architecture\":\"x\"}", IMAGE_CONFIG_BROKEN, "" },
		{ "{\"os\":\"linux\",\"created\":{}}", IMAGE_CONFIG_BROKEN, "linux" },
		{ "{\"os\":\"linux\",\"config\":[]}", IMAGE_CONFIG_BROKEN, "linux" },
		{ "{\"os\":\"linux\",\"config\":{\"Labels\":\"x\"}}", IMAGE_CONFIG_BROKEN, "linux" },
		{ "{\"os\":\"linux\",\"history\":{}}", IMAGE_CONFIG_BROKEN, "linux" },
		{ "{\"os\":\"linux\",\"history\":[7]}", IMAGE_CONFIG_BROKEN, "linux" },
		{ "{\"os\":\"linux\",\"history\":[{\"empty_layer\":1}]}", IMAGE_CONFIG_BROKEN, "linux" },
		{ "{\"os\":\"linux\",\"config\":null,\"history\":null,\"created\":\"no time\"}",
			IMAGE_CONFIG_READ, "linux" },
	};
	const char *body =
		IMAGE(OCI_CONFIG, TWO_LAYERS, ",\"annotations\":{\"org.label-schema.name\":\"N\"}");
	struct read r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		read_facts(body, cases[i].config, IMAGE_CONFIG_NONE, &r);
		if (r.facts.config != cases[i].want || strcmp(r.facts.os, cases[i].os) != 0 ||
			r.facts.layers_len != 2 || strcmp(r.facts.title, "N") != 0)
			fail_msg("%s: %d %s", cases[i].config, r.facts.config, r.facts.os);
		assert_int_equal(r.facts.created_ms, 0);
		arena_fini(&r.arena);
	}
	read_facts(body, NULL, IMAGE_CONFIG_ABSENT, &r);
	assert_int_equal(r.facts.config, IMAGE_CONFIG_ABSENT);
	arena_fini(&r.arena);
}

static void cuts_what_is_too_long(void **state)
{
	size_t len = IMAGE_CONFIG_MAX + 10;
	char *config = malloc(len + 1);
	struct read r;

	(void)state;
	memset(config, ' ', len);
	config[len] = '\0';
	config[0] = '{';
	config[len - 1] = '}';
	read_facts(IMAGE(OCI_CONFIG, "", ""), config, IMAGE_CONFIG_NONE, &r);
	assert_int_equal(r.facts.config, IMAGE_CONFIG_TOO_LARGE);
	arena_fini(&r.arena);
	/* 40,000 bytes of a text whose characters have two each, from an odd place on. */
	(void)snprintf(config, len, "{\"author\":\"a");
	for (size_t i = 0, at = strlen(config); i < 20000; i++, at += 2)
		memcpy(config + at, "\xc3\xa9", 3);
	memcpy(config + strlen("{\"author\":\"a") + 40000, "\"}", 3);
	read_facts(IMAGE(OCI_CONFIG, "", ""), config, IMAGE_CONFIG_NONE, &r);
	assert_int_equal(r.facts.config, IMAGE_CONFIG_READ);
	assert_int_equal(strlen(r.facts.authors), IMAGE_TEXT_MAX - 1);
	assert_true(str_is_utf8(str_of(r.facts.authors)) || str_utf8_len(str_of(r.facts.authors + 1)) == 2);
	arena_fini(&r.arena);
	free(config);
}

static void is_kept(void **state)
{
	AUTO_FINI(buf) a = buf_limit(IMAGE_FACTS_STORED_MAX);
	AUTO_FINI(buf) b = buf_limit(IMAGE_FACTS_STORED_MAX);
	AUTO_FINI(arena) arena = arena_limit(IMAGE_FACTS_ARENA);
	struct image_facts kept;
	struct error err;
	struct read r;

	(void)state;
	read_facts(IMAGE(OCI_CONFIG, TWO_LAYERS,
			   ",\"annotations\":{\"k\":\"v\"},\"subject\":" LINK(OCI_IMAGE, "9", 1)),
		"{\"os\":\"linux\",\"architecture\":\"arm64\",\"history\":[{\"created_by\":\"ADD\"},{\"empty_"
		"layer\":true}]}",
		IMAGE_CONFIG_NONE, &r);
	image_facts_encode(&r.facts, &a);
	if (!image_facts_decode(buf_str(&a), &arena, &kept, &err))
		fail_msg("%s", err.text);
	image_facts_encode(&kept, &b);
	assert_true(str_equal(buf_str(&a), buf_str(&b)));
	assert_string_equal(kept.os, "linux");
	assert_string_equal(kept.history[0].created_by, "ADD");
	assert_int_equal(kept.history[1].layer, IMAGE_NO_LAYER);
	assert_true(kept.history_differs && kept.has_subject && kept.has_config);
	assert_true(digest_equal(&kept.layers[1].digest, &r.facts.layers[1].digest));
	assert_string_equal(kept.annotations[0].value, "v");
	/* Cut anywhere it is refused. */
	for (size_t len = 0; len < a.len; len++)
		assert_false(image_facts_decode(str_from(a.at, len), &arena, &kept, &err));
	/* Of another version, too. */
	a.at[3] = 2;
	assert_false(image_facts_decode(buf_str(&a), &arena, &kept, &err));
	assert_int_equal(err.kind, ERROR_INVALID);
	arena_fini(&r.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_an_image),
		cmocka_unit_test(knows_what_goes_first),
		cmocka_unit_test(reads_docker),
		cmocka_unit_test(reads_indexes_and_artifacts),
		cmocka_unit_test(passes_over_bad_configs),
		cmocka_unit_test(cuts_what_is_too_long),
		cmocka_unit_test(is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
