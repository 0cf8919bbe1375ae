/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_oci_condition - lists of entity-tags: what matches strongly matches weakly, one tag of If-Range is a
 * list of one, and nothing matches that does not hold the digest or a star.
 */
#include "common/check.h"
#include "worker/oci/oci_condition.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct digest digest = digest_of(HASH_SHA256, STR(""));
	AUTO_STR *list = check_strndup((const char *)data, size);
	bool strong = oci_condition(list, NULL, &digest) == OCI_CONDITION_MET;
	bool weak = oci_condition(NULL, list, &digest) == OCI_CONDITION_NOT_MODIFIED;
	char text[DIGEST_TEXT_SIZE];

	digest_format(&digest, text);
	CHECK(!strong || weak);
	CHECK(!weak || strstr(list, text) || strchr(list, '*'));
	CHECK(!oci_if_range(list, &digest) || strong);
	return 0;
}
