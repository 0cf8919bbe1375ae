/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_ledger_entry - any bytes as an entry of the log in Redis; what is taken is the same when it is written and read again.
 */
#include "common/check.h"
#include "leader/ledger/ledger_redis_entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) once = buf_limit(LEDGER_REDIS_ENTRY_MAX), twice = buf_limit(LEDGER_REDIS_ENTRY_MAX);
	struct ledger_redis_content first, second;
	struct str bytes = str_from(data, size);

	if (!ledger_redis_content_decode(bytes, bytes, &first, NULL))
		return 0;
	ledger_redis_content_encode(&first.entry, first.forgotten, &once);
	CHECK(ledger_redis_content_decode(buf_str(&once), bytes, &second, NULL));
	ledger_redis_content_encode(&second.entry, second.forgotten, &twice);
	CHECK(str_equal(buf_str(&once), buf_str(&twice)));
	ledger_redis_content_fini(&first);
	ledger_redis_content_fini(&second);
	return 0;
}
