/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_glob - a pattern and a text, split at the first NUL; ** has whatever there is.
 */
#include "common/check.h"
#include "proto/glob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_from(data, size);
	struct str pattern;

	if (!str_until(&text, '\0', &pattern))
		return 0;
	if (glob_match(pattern, text))
		CHECK(glob_check(pattern, NULL));
	CHECK(glob_match(STR("**"), text));
	return 0;
}
