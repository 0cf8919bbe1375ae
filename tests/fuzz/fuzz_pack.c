/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_pack - any bytes as msgpack; what parses is walked whole.
 */
#include "common/check.h"
#include "proto/pack.h"

static void walk(const struct pack_node *node)
{
	const struct pack_node *key = NULL;
	const struct pack_node *value = NULL;

	for (size_t i = 0; i < pack_len(node); i++) {
		if (pack_is_map(node)) {
			pack_pair(node, i, &key, &value);
			walk(key);
			walk(value);
		} else {
			walk(pack_at(node, i));
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) again = buf_limit((size_t)16 * 1024 * 1024);
	AUTO(pack_doc) *doc = NULL, *second = NULL;

	if (!pack_parse(str_from(data, size), &doc, NULL))
		return 0;
	walk(pack_root(doc));
	pack_again(&again, pack_root(doc));
	CHECK(again.failed || pack_parse(buf_str(&again), &second, NULL));
	return 0;
}
