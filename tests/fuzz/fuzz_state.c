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
	AUTO(state) *again = NULL, *third = NULL, *less = NULL, *fourth = NULL;
	struct entity *gone[ENTITY_KINDS];
	size_t len = 0;

	if (!state_apply(str_from(data, size), NULL, &state, NULL))
		return 0;
	state_encode_full(state, &b);
	CHECK(state_apply(buf_str(&b), NULL, &again, NULL));
	CHECK(state_revision(again) == state_revision(state));
	/* What we wrote ourselves is the same state for everybody who reads it. */
	state_encode_full(again, &c);
	CHECK(str_equal(buf_str(&b), buf_str(&c)));
	CHECK(state_apply(buf_str(&c), state, &third, NULL) && state_same(again, third));
	/* Over one that lacks some of it. */
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		if (state_count(again, (enum entity_kind)kind))
			gone[len++] = entity_new_deleted((enum entity_kind)kind,
				entity_id(state_at(again, (enum entity_kind)kind, 0)), state_revision(again));
	less = state_change(again, gone, len, state_revision(again));
	while (len)
		entity_free(gone[--len]);
	CHECK(state_apply(buf_str(&c), less, &fourth, NULL) && state_same(again, fourth));
	return 0;
}
