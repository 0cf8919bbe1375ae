/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_json - the first byte chooses how much memory the tree may have: it never has more, it is all given
 * back, and what fits is what comes without a bound.
 */
#include "common/check.h"
#include "common/json.h"
#include "common/json_memory.h"

static void write_tree(const struct json_doc *doc, struct buf *into)
{
	struct json_writer writer = json_writer(into);

	json_value_node(&writer, json_root(doc));
	CHECK(!into->failed);
}

static void same(const struct json_doc *a, const struct json_doc *b)
{
	AUTO_FINI(buf) first = buf_limit(64u * 1024 * 1024);
	AUTO_FINI(buf) second = buf_limit(64u * 1024 * 1024);

	write_tree(a, &first);
	write_tree(b, &second);
	CHECK(str_equal(buf_str(&first), buf_str(&second)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(json_doc) *whole = NULL;
	AUTO(json_doc) *bounded = NULL;
	struct str text;
	struct error err;
	size_t max;

	if (!size)
		return 0;
	text = str_from((const char *)data + 1, size - 1);
	max = (size_t)256 << data[0] % 16;
	if (json_parse_within(text, max, &bounded, &err)) {
		CHECK(json_doc_memory(bounded) <= max);
		CHECK(json_parse(text, &whole, NULL));
		same(bounded, whole);
	} else if (json_parse(text, &whole, NULL)) {
		CHECK(err.kind == ERROR_TOO_LARGE && json_doc_memory(whole) > max / 4);
	}
	json_doc_free(TAKE(bounded));
	json_doc_free(TAKE(whole));
	CHECK(json_memory_reserved() == 0);
	return 0;
}
