/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_index_json - whatever lies in a store as index.json: what is read can be written, and then it stays as
 * it is.
 */
#include "common/check.h"
#include "worker/index/index_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) first = buf_limit(INDEX_JSON_MAX), second = buf_limit(INDEX_JSON_MAX);
	AUTO(index) *index = NULL;
	AUTO(index) *again = NULL;
	struct error err;

	if (!index_json_read(str_from((const char *)data, size), &index, &err))
		return 0;
	CHECK(index_json_write(index, &first, NULL));
	CHECK(index_json_read(buf_str(&first), &again, NULL));
	CHECK(index_json_write(again, &second, NULL));
	CHECK(str_equal(buf_str(&first), buf_str(&second)));
	return 0;
}
