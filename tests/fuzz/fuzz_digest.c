/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_digest - what is taken is written again just so.
 */
#include "common/check.h"
#include "proto/digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct digest digest;
	char text[DIGEST_TEXT_SIZE];

	if (!digest_parse(str_from(data, size), &digest, NULL))
		return 0;
	digest_format(&digest, text);
	CHECK(str_equal(str_of(text), str_from(data, size)));
	return 0;
}
