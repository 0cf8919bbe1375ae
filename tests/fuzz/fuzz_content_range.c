/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_content_range - what is taken has a length that does not overflow.
 */
#include "common/check.h"
#include "proto/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct range range;

	if (content_range_parse(str_from(data, size), &range))
		CHECK(range.first <= range.last && range.last < INT64_MAX);
	return 0;
}
