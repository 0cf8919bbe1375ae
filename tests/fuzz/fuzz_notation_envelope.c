/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_notation_envelope - the bytes are an envelope, and what is signed in one: header and payload; and certificates as a client uploads them.
 */
#include "worker/trust/signers_notation.c" /* NOLINT: its statics are what is fuzzed */

#include "common/check.h"

static void look_inside(struct str text)
{
	AUTO(json_doc) *doc = NULL;
	struct signers_verdict verdict = { .until_ms = INT64_MAX };
	enum trust_type type = TRUST_CA;
	struct digest target;
	char hex[129];

	if (read_target(text, &target, NULL))
		digest_encoded(&target, hex);
	if (!signers_parse(text, &doc, NULL) || !check_critical(json_root(doc), NULL))
		return;
	if (read_scheme(json_root(doc), &type, NULL))
		(void)!check_times(json_root(doc), type, &verdict, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(state) *none = state_new();
	AUTO(signers) *signers = signers_new(none, SIGNERS_BY_NOTATION);
	AUTO(signing_chain) *chain = NULL;
	AUTO_FINI(buf) pem = buf_limit((size_t)1024 * 1024);
	struct str text = str_from(data, size);
	struct signers_verdict verdict;
	int64_t from, until;

	look_inside(text);
	/* Nobody is trusted. */
	CHECK(!signers_notation(signers, STR("application/jose+json"), text, &verdict, NULL));
	if (signing_chain_parse(&chain, text, NULL)) {
		(void)!signing_chain_check(chain, &from, &until, NULL);
		signing_chain_subject(chain, &pem);
	}
	return 0;
}
