/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_state_chain - any bytes as a worker's file; and, since few of them have right sums, as the documents of one whose sums are right: what the
 * first byte says is the length of the next, in units of 16.
 */
#include "common/check.h"
#include "common/least.h"
#include "proto/state_chain.h"

/* What was read up to an end is read from there alone, and may be gone on from. */
static void check_read(struct str bytes)
{
	struct state_chain_read read, again;

	if (!state_chain_read(bytes, &read, NULL))
		return;
	if (read.chain.bytes) {
		CHECK(read.chain.bytes + read.left == bytes.len && read.chain.whole <= read.chain.bytes);
		CHECK(state_chain_read(str_from(bytes.at, (size_t)read.chain.bytes), &again, NULL));
		CHECK(!again.left && state_same(again.state, read.state));
		CHECK(memcmp(&again.chain, &read.chain, sizeof(again.chain)) == 0);
		state_free(again.state);
	}
	state_free(read.state);
}

static void write_chain(const uint8_t *data, size_t size, struct buf *into)
{
	AUTO(state) *empty = state_new();
	struct state_chain chain;

	state_chain_begin(empty, into, &chain);
	while (size > 1) {
		size_t len = (size_t)least((uint64_t)data[0] * 16, size - 1);

		state_chain_add(&chain, str_from((const char *)data + 1, len), into);
		data += 1 + len;
		size -= 1 + len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) chain = buf_limit(STATE_CHAIN_MAX);

	check_read(str_from((const char *)data, size));
	write_chain(data, size, &chain);
	check_read(buf_str(&chain));
	return 0;
}
