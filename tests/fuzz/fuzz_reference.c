/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_reference - what is taken is written again just so.
 */
#include "common/check.h"
#include "proto/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reference reference;
	char text[DIGEST_TEXT_SIZE];

	if (!reference_parse(str_from(data, size), &reference, NULL))
		return 0;
	reference_format(&reference, text);
	CHECK(str_equal(str_of(text), str_from(data, size)));
	return 0;
}
