/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_past_rings - what another member tells of the rings before is within its bounds, and is read again from what is written of it.
 */
#include "common/buf.h"
#include "common/check.h"
#include "worker/moves/past_rings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) text = buf_limit(PAST_RINGS_TEXT_MAX);
	struct past_rings rings, again;
	struct error err;

	if (!past_rings_parse(str_from(data, size), &rings, &err))
		return 0;
	CHECK(rings.len <= PAST_RINGS_MAX);
	past_rings_format(&rings, &text);
	CHECK(!text.failed && past_rings_parse(buf_str(&text), &again, &err));
	CHECK(again.len == rings.len && again.whole == rings.whole);
	for (size_t i = 0; i < rings.len; i++)
		CHECK(ring_same(again.at[i], rings.at[i]) &&
			ring_mark(again.at[i]) == ring_mark(rings.at[i]));
	(void)past_rings_may_hold(&rings, "a", STR("some/name"));
	past_rings_fini(&rings);
	past_rings_fini(&again);
	return 0;
}
