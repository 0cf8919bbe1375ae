/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_content_range - what is taken has a length that does not overflow; an answer's is a chunk's too, with
 * the total behind it.
 */
#include "common/check.h"
#include "proto/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct range range, again;
	uint64_t total;

	if (content_range_parse(str_from(data, size), &range))
		CHECK(range.first <= range.last && range.last < INT64_MAX);
	if (content_range_parse_answer(str_from(data, size), &range, &total)) {
		CHECK(range.first <= range.last && range.last < total && total <= INT64_MAX);
		CHECK(content_range_parse(str_from(data, size), &again));
		CHECK(again.first == range.first && again.last == range.last);
	}
	return 0;
}
