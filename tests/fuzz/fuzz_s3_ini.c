/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_s3_ini - a file of AWS as somebody may have written it; what is found lies in it, and has no line end.
 */
#include <stdint.h>

#include "common/check.h"
#include "s3/s3_ini.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const keys[] = { "aws_access_key_id", "a", "" };
	struct str text = str_from(data, size), found;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!s3_ini_find(text, STR("default"), keys[i], &found))
			continue;
		CHECK(s3_ini_has(text, STR("default")));
		CHECK(!found.len || (found.at >= text.at && found.at + found.len <= text.at + text.len));
		CHECK(!found.len || !memchr(found.at, '\n', found.len));
	}
	(void)s3_ini_has(text, STR("profile a"));
	return 0;
}
