/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_name - what is taken is legal, terminated and cannot leave its folder.
 */
#include "common/check.h"
#include "proto/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct name name;

	if (!name_parse(str_from(data, size), &name, NULL))
		return 0;
	CHECK(str_equal(name_str(&name), str_from(data, size)));
	CHECK(!strstr(name.text, "..") && !strstr(name.text, "//") && name.text[0] != '/');
	return 0;
}
