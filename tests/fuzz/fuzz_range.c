/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_range - the first 8 bytes are the size; parts lie inside, in order, and do not touch. Their multipart
 * body is no longer than content and frames, and each frame says what its part is.
 */
#include "common/check.h"
#include "proto/byteranges.h"

static void check_body(const struct range *ranges, unsigned len, uint64_t total)
{
	struct byteranges parts = {
		.len = len, .size = total, .boundary = "0123456789abcdef0123456789abcdef"
	};
	char frame[BYTERANGES_FRAME_MAX];

	memcpy(parts.ranges, ranges, len * sizeof(*ranges));
	CHECK(byteranges_length(&parts) <= total + (len + 1) * sizeof(frame));
	for (unsigned i = 0; i < len; i++) {
		struct str rest = str_from(frame, byteranges_frame(&parts, i, frame)), line;
		struct range found;
		uint64_t size;
		bool told = false;

		CHECK(rest.len < sizeof(frame));
		while (str_until(&rest, '\r', &line))
			told = told || (str_skip(&line, "\nContent-Range:") &&
					       content_range_parse_answer(line, &found, &size));
		CHECK(told && found.first == ranges[i].first && found.last == ranges[i].last &&
			size == total);
	}
}

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
	if (total <= INT64_MAX)
		check_body(ranges, len, total);
	return 0;
}
