/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which endpoint does a path name?
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/oci/oci_route.h"

#define SHA256 "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define UPLOAD "0123456789abcdef0123456789abcdef-"

struct sample {
	enum http_method method;
	const char *path;
	enum route_found routed;
	enum oci_operation operation;
	const char *name;
	const char *code; /* MALFORMED */
};

static const struct sample samples[] = {
	{ HTTP_GET, "/v2/", ROUTE_FOUND, OCI_OPERATION_version, "", NULL },
	{ HTTP_HEAD, "/v2", ROUTE_FOUND, OCI_OPERATION_version, "", NULL },
	{ HTTP_GET, "/v2/_catalog", ROUTE_FOUND, OCI_OPERATION_catalog, "", NULL },
	{ HTTP_GET, "/v2/_oci/ext/discover", ROUTE_FOUND, OCI_OPERATION_discover, "", NULL },
	{ HTTP_GET, "/v2/a/b/_oci/ext/discover", ROUTE_FOUND, OCI_OPERATION_discover_of, "a/b", NULL },
	{ HTTP_GET, "/v2/a/manifests/latest", ROUTE_FOUND, OCI_OPERATION_manifest_get, "a", NULL },
	{ HTTP_HEAD, "/v2/a/b/c/manifests/" SHA256, ROUTE_FOUND, OCI_OPERATION_manifest_get, "a/b/c", NULL },
	{ HTTP_PUT, "/v2/a/b/manifests/v1.0_x-y", ROUTE_FOUND, OCI_OPERATION_manifest_put, "a/b", NULL },
	{ HTTP_DELETE, "/v2/a/manifests/v1", ROUTE_FOUND, OCI_OPERATION_manifest_delete, "a", NULL },
	{ HTTP_GET, "/v2/a/blobs/" SHA256, ROUTE_FOUND, OCI_OPERATION_blob_get, "a", NULL },
	{ HTTP_DELETE, "/v2/a/blobs/" SHA256, ROUTE_FOUND, OCI_OPERATION_blob_delete, "a", NULL },
	{ HTTP_POST, "/v2/a/blobs/uploads/", ROUTE_FOUND, OCI_OPERATION_upload_start, "a", NULL },
	{ HTTP_POST, "/v2/a/blobs/uploads", ROUTE_FOUND, OCI_OPERATION_upload_start, "a", NULL },
	{ HTTP_PATCH, "/v2/a/blobs/uploads/" UPLOAD, ROUTE_FOUND, OCI_OPERATION_upload_patch, "a", NULL },
	{ HTTP_PUT, "/v2/a/b/blobs/uploads/" UPLOAD, ROUTE_FOUND, OCI_OPERATION_upload_put, "a/b", NULL },
	{ HTTP_GET, "/v2/a/blobs/uploads/" UPLOAD, ROUTE_FOUND, OCI_OPERATION_upload_status, "a", NULL },
	{ HTTP_DELETE, "/v2/a/blobs/uploads/" UPLOAD, ROUTE_FOUND, OCI_OPERATION_upload_cancel, "a", NULL },
	{ HTTP_GET, "/v2/a/tags/list", ROUTE_FOUND, OCI_OPERATION_tags, "a", NULL },
	{ HTTP_GET, "/v2/a/referrers/" SHA256, ROUTE_FOUND, OCI_OPERATION_referrers, "a", NULL },
	/* What our words look like inside of names. */
	{ HTTP_GET, "/v2/manifests/manifests/manifests", ROUTE_FOUND, OCI_OPERATION_manifest_get, "manifests",
		NULL },
	{ HTTP_GET, "/v2/a/blobs/uploads/manifests/x", ROUTE_FOUND, OCI_OPERATION_manifest_get,
		"a/blobs/uploads", NULL },
	{ HTTP_GET, "/v2/a/manifests/tags/list", ROUTE_FOUND, OCI_OPERATION_tags, "a/manifests", NULL },
	{ HTTP_GET, "/v2/tags/list/tags/list", ROUTE_FOUND, OCI_OPERATION_tags, "tags/list", NULL },
	{ HTTP_GET, "/v2/blobs/blobs/" SHA256, ROUTE_FOUND, OCI_OPERATION_blob_get, "blobs", NULL },
	{ HTTP_POST, "/v2/blobs/uploads/blobs/uploads/", ROUTE_FOUND, OCI_OPERATION_upload_start,
		"blobs/uploads", NULL },
	/* Nothing of ours. */
	{ HTTP_GET, "/", ROUTE_NO_PATH, 0, NULL, NULL },
	{ HTTP_GET, "", ROUTE_NO_PATH, 0, NULL, NULL },
	{ HTTP_GET, "/v1/", ROUTE_NO_PATH, 0, NULL, NULL },
	{ HTTP_GET, "/v2x", ROUTE_NO_PATH, 0, NULL, NULL },
	{ HTTP_GET, "/v2/a", ROUTE_NO_PATH, 0, NULL, NULL },
	{ HTTP_GET, "/v2/a/b", ROUTE_NO_PATH, 0, NULL, NULL },
	{ HTTP_GET, "/v2/tags/list", ROUTE_NO_PATH, 0, NULL, NULL },
	{ HTTP_GET, "/v2/manifests/latest", ROUTE_NO_PATH, 0, NULL, NULL },
	{ HTTP_GET, "/v2/a/_oci/ext/other", ROUTE_NO_PATH, 0, NULL, NULL },
	{ HTTP_GET, "/v2/a/tags/list/", ROUTE_NO_PATH, 0, NULL, NULL },
	/* Known, but not so. */
	{ HTTP_POST, "/v2/", ROUTE_NO_METHOD, 0, NULL, NULL },
	{ HTTP_POST, "/v2/a/manifests/latest", ROUTE_NO_METHOD, 0, NULL, NULL },
	{ HTTP_PATCH, "/v2/a/manifests/latest", ROUTE_NO_METHOD, 0, NULL, NULL },
	{ HTTP_PUT, "/v2/a/blobs/" SHA256, ROUTE_NO_METHOD, 0, NULL, NULL },
	{ HTTP_DELETE, "/v2/a/tags/list", ROUTE_NO_METHOD, 0, NULL, NULL },
	{ HTTP_OTHER, "/v2/_catalog", ROUTE_NO_METHOD, 0, NULL, NULL },
	/* Malformed. */
	{ HTTP_GET, "/v2/A/manifests/latest", ROUTE_MALFORMED, 0, NULL, "NAME_INVALID" },
	{ HTTP_GET, "/v2//tags/list", ROUTE_MALFORMED, 0, NULL, "NAME_INVALID" },
	{ HTTP_GET, "/v2/a//b/tags/list", ROUTE_MALFORMED, 0, NULL, "NAME_INVALID" },
	{ HTTP_GET, "/v2/../manifests/latest", ROUTE_MALFORMED, 0, NULL, "NAME_INVALID" },
	{ HTTP_GET, "/v2/a/manifests/sha256:bad", ROUTE_MALFORMED, 0, NULL, "DIGEST_INVALID" },
	{ HTTP_PUT, "/v2/a/manifests/sha256:bad", ROUTE_MALFORMED, 0, NULL, "DIGEST_INVALID" },
	{ HTTP_PUT, "/v2/a/manifests/.x", ROUTE_MALFORMED, 0, NULL, "MANIFEST_INVALID" },
	{ HTTP_GET, "/v2/a/manifests/.x", ROUTE_MALFORMED, 0, NULL, "MANIFEST_UNKNOWN" },
	{ HTTP_GET, "/v2/a/manifests/", ROUTE_MALFORMED, 0, NULL, "MANIFEST_UNKNOWN" },
	{ HTTP_GET, "/v2/a/blobs/latest", ROUTE_MALFORMED, 0, NULL, "DIGEST_INVALID" },
	{ HTTP_GET, "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", ROUTE_MALFORMED, 0, NULL,
		"DIGEST_INVALID" },
	{ HTTP_GET, "/v2/a/referrers/x", ROUTE_MALFORMED, 0, NULL, "DIGEST_INVALID" },
	{ HTTP_PATCH, "/v2/a/blobs/uploads/nope", ROUTE_MALFORMED, 0, NULL, "BLOB_UPLOAD_UNKNOWN" },
};

static void paths_are_told_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *sample = &samples[i];
		struct oci_route route;
		struct error err = { 0 };
		unsigned allowed;
		enum route_found routed =
			oci_route_parse(sample->method, str_of(sample->path), &route, &allowed, &err);
		if (routed != sample->routed)
			fail_msg("%s: %d, not %d", sample->path, routed, sample->routed);
		if (routed == ROUTE_FOUND) {
			assert_int_equal(route.row->what, sample->operation);
			assert_string_equal(route.name.text, sample->name);
		} else if (routed == ROUTE_MALFORMED) {
			assert_string_equal(err.code, sample->code);
		}
	}
}

static void the_last_part_is_parsed(void **state)
{
	struct oci_route route;
	unsigned allowed;

	(void)state;
	assert_int_equal(
		oci_route_parse(HTTP_GET, STR("/v2/a/manifests/v1"), &route, &allowed, NULL), ROUTE_FOUND);
	assert_false(route.reference.is_digest);
	assert_string_equal(route.reference.tag, "v1");
	assert_int_equal(oci_route_parse(HTTP_GET, STR("/v2/a/manifests/" SHA256), &route, &allowed, NULL),
		ROUTE_FOUND);
	assert_true(route.reference.is_digest);
	assert_int_equal(route.reference.digest.raw[0], 0xe3);
	assert_int_equal(
		oci_route_parse(HTTP_GET, STR("/v2/a/blobs/" SHA256), &route, &allowed, NULL), ROUTE_FOUND);
	assert_int_equal(route.digest.raw[1], 0xb0);
	assert_int_equal(
		oci_route_parse(HTTP_PUT, STR("/v2/a/blobs/uploads/" UPLOAD), &route, &allowed, NULL),
		ROUTE_FOUND);
	assert_string_equal(route.upload.text, UPLOAD);
	assert_string_equal(route.upload.worker, "");
}

static void a_wrong_method_names_the_right_ones(void **state)
{
	AUTO_FINI(buf) allow = buf_limit(256);
	struct oci_route route;
	unsigned allowed;

	(void)state;
	assert_int_equal(oci_route_parse(HTTP_POST, STR("/v2/a/manifests/v1"), &route, &allowed, NULL),
		ROUTE_NO_METHOD);
	route_allow(allowed, &allow);
	assert_string_equal(buf_text(&allow), "GET, HEAD, PUT, DELETE");
}

static void a_name_has_a_limit(void **state)
{
	AUTO_FINI(buf) path = buf_limit(1024);
	struct oci_route route;
	struct error err;
	unsigned allowed;

	(void)state;
	buf_puts(&path, "/v2/");
	for (int i = 0; i < 255; i++)
		buf_putc(&path, 'a');
	buf_puts(&path, "/tags/list");
	assert_int_equal(oci_route_parse(HTTP_GET, buf_str(&path), &route, &allowed, &err), ROUTE_FOUND);
	buf_clear(&path);
	buf_puts(&path, "/v2/");
	for (int i = 0; i < 256; i++)
		buf_putc(&path, 'a');
	buf_puts(&path, "/tags/list");
	assert_int_equal(oci_route_parse(HTTP_GET, buf_str(&path), &route, &allowed, &err), ROUTE_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths_are_told_apart),
		cmocka_unit_test(the_last_part_is_parsed),
		cmocka_unit_test(a_wrong_method_names_the_right_ones),
		cmocka_unit_test(a_name_has_a_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
