/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_query - parameters of a query: decoded values are not longer than what came.
 */
#include "common/check.h"
#include "common/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "n", "last", "digest", "mount", "from", "tag", "", "a b" };
	struct str query = str_from((const char *)data, size);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		AUTO_FINI(buf) value = buf_limit(256);
		unsigned found = http_query_get(query, names[i], &value);

		CHECK(value.len <= size && value.len <= 256);
		CHECK(found <= size + 1);
		CHECK(http_query_get(query, names[i], NULL) == found);
	}
	return 0;
}
