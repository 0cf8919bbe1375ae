/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_s3_loan - answers of STS, of a machine and of a container's agent; what is taken can stand in a header.
 */
#include <stdint.h>

#include "common/check.h"
#include "s3/s3_loan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct s3_loan *loan)
{
	AUTO(http_headers) *headers = http_headers_new();

	CHECK(loan->access_key[0] && loan->secret_key[0]);
	CHECK(strlen(loan->access_key) <= S3_ACCESS_KEY_MAX && strlen(loan->secret_key) <= S3_SECRET_KEY_MAX);
	CHECK(http_headers_add(headers, STR("a"), str_of(loan->access_key)));
	CHECK(http_headers_add(headers, STR("t"), str_of(loan->session_token)));
	CHECK(!loan->ends || loan->left_ms > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_from(data, size);
	struct s3_loan loan;
	int64_t at = 0;

	if (s3_loan_parse_json(text, 1700000000, &loan, NULL))
		check(&loan);
	if (s3_loan_parse_xml(text, 1700000000, &loan, NULL))
		check(&loan);
	if (s3_loan_parse_time(text, &at))
		CHECK(at >= 0);
	return 0;
}
