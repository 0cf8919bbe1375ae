/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_image_facts - up to the first NUL a manifest, behind it its config: facts survive being kept; and the same bytes as facts that somebody kept.
 */
#include "common/check.h"
#include "proto/image_facts.h"

static void again(struct str bytes)
{
	AUTO_FINI(arena) arena = arena_limit(IMAGE_FACTS_ARENA);
	AUTO_FINI(buf) b = buf_limit(IMAGE_FACTS_STORED_MAX);
	struct image_facts facts;

	if (!image_facts_decode(bytes, &arena, &facts, NULL))
		return;
	image_facts_encode(&facts, &b);
	CHECK(!b.failed);
}

static void parse(struct str manifest_text, struct str config)
{
	AUTO_FINI(arena) arena = arena_limit(IMAGE_FACTS_ARENA);
	AUTO_FINI(arena) other = arena_limit(IMAGE_FACTS_ARENA);
	AUTO_FINI(buf) a = buf_limit(IMAGE_FACTS_STORED_MAX);
	AUTO_FINI(buf) b = buf_limit(IMAGE_FACTS_STORED_MAX);
	struct image_facts facts, kept;
	struct manifest manifest;

	if (!manifest_parse(manifest_text, STR_NONE, true, &manifest, NULL))
		return;
	CHECK(image_facts_parse(
		&manifest, manifest_text.len, config, IMAGE_CONFIG_ABSENT, &arena, &facts, NULL));
	image_facts_encode(&facts, &a);
	CHECK(!a.failed && image_facts_decode(buf_str(&a), &other, &kept, NULL));
	image_facts_encode(&kept, &b);
	CHECK(str_equal(buf_str(&a), buf_str(&b)));
	manifest_fini(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, 0, size) : NULL;
	struct str all = str_from(data, size);

	again(all);
	if (end)
		parse(str_from(data, (size_t)(end - data)),
			str_from(end + 1, size - (size_t)(end - data) - 1));
	else
		parse(all, STR_NONE);
	return 0;
}
