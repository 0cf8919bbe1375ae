/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_upload_id - what is taken is safe as a file name, and one id has one text.
 */
#include "common/check.h"
#include "proto/base64url.h"
#include "proto/upload_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct upload_id id;
	char again[UPLOAD_ID_SIZE];

	if (!upload_id_parse(str_from(data, size), &id, NULL))
		return 0;
	CHECK(str_equal(str_of(id.text), str_from(data, size)));
	CHECK(!strpbrk(id.text, "/.%"));
	base64url_encode(str_of(id.worker), again);
	CHECK(str_ends(str_of(id.text), again));
	return 0;
}
