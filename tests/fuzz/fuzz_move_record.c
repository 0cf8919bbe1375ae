/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_move_record - what is taken is within its bounds, and is read again from what is written of it.
 */
#include "common/buf.h"
#include "common/check.h"
#include "worker/moves/move_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) text = buf_limit(4u * 1024 * 1024);
	AUTO(move_record) *record = NULL, *again = NULL;
	struct error err;

	if (!move_record_parse(str_from(data, size), &record, &err))
		return 0;
	CHECK(record->from_len <= MOVE_SOURCES_MAX && record->gone_len <= MOVE_GONE_MAX);
	move_record_format(record, &text);
	CHECK(!text.failed && move_record_parse(buf_str(&text), &again, &err));
	CHECK(again->state == record->state && again->frozen == record->frozen &&
		again->taken == record->taken && again->done_s == record->done_s &&
		again->from_len == record->from_len && again->gone_len == record->gone_len);
	return 0;
}
