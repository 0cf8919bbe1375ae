/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_nats_lines - any bytes from a NATS server: each line is taken off, and what was cut into pieces is the same as what came at once.
 */
#include "common/check.h"
#include "worker/events/nats_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_from(data, size), text = STR_NONE;
	size_t before = rest.len + 1;
	struct nats_info info;
	enum nats_word word;

	while (rest.len < before && (word = nats_line(&rest, &text)) != NATS_MORE) {
		CHECK(word == NATS_WRONG || text.len <= NATS_LINE_MAX);
		if (word == NATS_INFO && nats_info_read(text, &info, NULL))
			CHECK(info.max_payload > 0);
		if (word == NATS_WRONG)
			break;
		before = rest.len + 1;
	}
	return 0;
}
