/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_range - the first 8 bytes are the size; parts lie inside, in order, and do not touch.
 */
#include "common/check.h"
#include "proto/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct range ranges[RANGE_MAX];
	AUTO_STR *header = NULL;
	uint64_t total;
	unsigned len;

	if (size < sizeof(total))
		return 0;
	memcpy(&total, data, sizeof(total));
	header = check_strndup((const char *)data + sizeof(total), size - sizeof(total));
	if (range_parse(header, total, ranges, &len) != RANGE_PART)
		return 0;
	CHECK(len >= 1 && len <= RANGE_MAX);
	for (unsigned i = 0; i < len; i++) {
		CHECK(ranges[i].first <= ranges[i].last && ranges[i].last < total);
		CHECK(i == 0 || ranges[i].first > ranges[i - 1].last + 1);
	}
	return 0;
}
