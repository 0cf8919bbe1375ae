/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_public_key - as DER and as PEM: a key that is taken has a PEM, which is taken again and is the same.
 */
#include "common/check.h"
#include "common/public_key.h"

static void survives(struct public_key *key)
{
	AUTO_FINI(buf) pem = buf_limit((size_t)16 * 1024);
	AUTO_FINI(buf) again = buf_limit((size_t)16 * 1024);
	AUTO(public_key) *other = NULL;

	public_key_pem(key, &pem);
	CHECK(!pem.failed && pem.len <= PUBLIC_KEY_PEM_MAX);
	CHECK(public_key_parse_pem(&other, buf_str(&pem), NULL));
	public_key_pem(other, &again);
	CHECK(str_equal(buf_str(&pem), buf_str(&again)));
	CHECK(!public_key_verify(key, SIGNATURE_SHA256, STR("x"), STR("y")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(public_key) *pem = NULL;
	AUTO(public_key) *der = NULL;

	if (public_key_parse_pem(&pem, str_from(data, size), NULL))
		survives(pem);
	if (public_key_parse(&der, str_from(data, size), NULL))
		survives(der);
	return 0;
}
