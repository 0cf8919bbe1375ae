/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_manifest - the first byte chooses the Content-Type, the rest is the body; descriptors survive being
 * written.
 */
#include "common/check.h"
#include "proto/manifest.h"

static const char *const types[] = {
	"",
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.oci.image.index.v1+json; charset=utf-8",
	"application/vnd.docker.distribution.manifest.v2+json",
};

static void survives(const struct descriptor *descriptor)
{
	AUTO_FINI(buf) b = buf_limit(64u * 1024 * 1024);
	AUTO(json_doc) *doc = NULL;
	struct json_writer writer = json_writer(&b);
	struct descriptor again;

	descriptor_write(&writer, descriptor);
	CHECK(!b.failed && json_parse(buf_str(&b), &doc, NULL));
	CHECK(descriptor_parse(json_root(doc), &again, NULL));
	CHECK(digest_equal(&again.digest, &descriptor->digest) && again.size == descriptor->size);
	CHECK(again.annotations_len == descriptor->annotations_len);
	descriptor_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct manifest manifest;

	if (!size || !manifest_parse(str_from(data + 1, size - 1), str_of(types[data[0] % 4]), data[0] & 4,
			     &manifest, NULL))
		return 0;
	CHECK(manifest.has_config == (manifest.kind == MANIFEST_IMAGE));
	if (manifest.has_config)
		survives(&manifest.config);
	for (size_t i = 0; i < manifest.manifests_len; i++)
		survives(&manifest.manifests[i]);
	manifest_fini(&manifest);
	return 0;
}
