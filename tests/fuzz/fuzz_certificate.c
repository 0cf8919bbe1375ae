/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_certificate - DER of any bytes: no certificate, or one whose names are texts.
 */
#include "common/certificate.h"
#include "common/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(certificate) *certificate = NULL;

	if (!certificate_parse(&certificate, str_from(data, size), NULL))
		return 0;
	for (int kind = CERTIFICATE_COMMON_NAME; kind <= CERTIFICATE_DNS; kind++)
		for (size_t at = 0; at < 3; at++) {
			AUTO_FINI(buf) name = buf_limit(256);
			bool found = certificate_name(certificate, (enum certificate_name)kind, at, &name);
			CHECK(found == (name.len > 0) && !name.failed);
			CHECK(!memchr(buf_text(&name), '\0', name.len));
		}
	return 0;
}
