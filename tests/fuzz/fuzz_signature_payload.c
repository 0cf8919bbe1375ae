/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_signature_payload - what cosign signs and where it lies: the bytes are a payload, an in-toto statement and a bundle.
 *
 * The first two are read of what a trusted key has signed alone, so they are looked at here without a signature.
 */
#include "worker/trust/signers_cosign.c" /* NOLINT: its statics are what is fuzzed */

#include "common/check.h"

#define PEM                                                                                                  \
	"-----BEGIN PUBLIC KEY-----\n"                                                                       \
	"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"                                     \
	"-----END PUBLIC KEY-----\n"

static struct signers *with_a_key(void)
{
	AUTO(state) *none = state_new();
	AUTO(state) *one = NULL;
	AUTO(entity) *key = NULL;

	CHECK(trust_key_new(TRUST_COSIGN, STR(PEM), &key, NULL));
	one = state_change(none, &key, 1, 1);
	return signers_new(one, SIGNERS_BY_COSIGN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(signers) *signers = with_a_key();
	struct str text = str_from(data, size);
	struct signers_verdict verdict;
	struct digest target;
	char hex[129];

	if (read_payload(text, &target, NULL))
		digest_encoded(&target, hex);
	if (read_statement(text, &target, NULL))
		digest_encoded(&target, hex);
	CHECK(signers_has(signers, SIGNERS_BY_COSIGN));
	CHECK(!signers_bundle(signers, text, &verdict, NULL));
	return 0;
}
