/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_usage_push - any bytes as a usage report; what is taken must survive being sent on.
 */
#include "common/check.h"
#include "proto/usage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) b = buf_limit(4 * USAGE_BYTES_MAX);
	AUTO_FINI(usage_report) report = { 0 };
	AUTO_FINI(usage_report) again = { 0 };

	if (!usage_report_parse(str_from(data, size), &report, NULL))
		return 0;
	usage_report_encode(&report, &b);
	CHECK(b.failed || b.len > USAGE_BYTES_MAX || usage_report_parse(buf_str(&b), &again, NULL));
	return 0;
}
