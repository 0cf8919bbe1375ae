/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_state - any bytes as a state; what is taken must survive being sent on.
 */
#include "common/check.h"
#include "proto/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) b = buf_limit(STATE_BYTES_MAX), c = buf_limit(STATE_BYTES_MAX);
	AUTO(state) *state = NULL;
	AUTO(state) *again = NULL, *third = NULL;

	if (!state_apply(str_from(data, size), NULL, &state, NULL))
		return 0;
	state_encode_full(state, &b);
	CHECK(state_apply(buf_str(&b), NULL, &again, NULL));
	CHECK(state_revision(again) == state_revision(state));
	/* What we wrote ourselves is the same state for everybody who reads it. */
	state_encode_full(again, &c);
	CHECK(str_equal(buf_str(&b), buf_str(&c)));
	CHECK(state_apply(buf_str(&c), state, &third, NULL) && state_same(again, third));
	return 0;
}
