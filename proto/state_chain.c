/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/state_chain.h"

#include <inttypes.h>

#include "common/crypto.h"

#define BEGINS     "ZOTSTATE"
#define BEGINS_LEN (sizeof(BEGINS) - 1)
#define HEAD_LEN   (8 + STATE_CHAIN_SUM)

/* ---- out ---- */

static void put_length(uint64_t len, uint8_t into[8])
{
	for (unsigned i = 0; i < 8; i++)
		into[i] = (uint8_t)(len >> 8 * i);
}

static uint64_t get_length(const char *at)
{
	uint64_t len = 0;

	for (unsigned i = 0; i < 8; i++)
		len |= (uint64_t)(uint8_t)at[i] << 8 * i;
	return len;
}

static void sum_of(const uint8_t before[STATE_CHAIN_SUM], struct str document, uint8_t into[STATE_CHAIN_SUM])
{
	AUTO(hasher) *hasher = hasher_new(HASH_SHA256);
	uint8_t length[8], sum[HASH_MAX];

	put_length(document.len, length);
	hasher_add(hasher, before, STATE_CHAIN_SUM);
	hasher_add(hasher, length, sizeof(length));
	hasher_add(hasher, document.at, document.len);
	hasher_result(hasher, sum);
	memcpy(into, sum, STATE_CHAIN_SUM);
}

/* The document begins at `start`, and there is room for its head before it. */
static void put_head(struct state_chain *chain, struct buf *into, size_t start)
{
	struct str document = str_from(into->at + start, into->len - start);
	uint8_t *head = (uint8_t *)into->at + start - HEAD_LEN;

	sum_of(chain->sum, document, chain->sum);
	put_length(document.len, head);
	memcpy(head + 8, chain->sum, STATE_CHAIN_SUM);
	chain->bytes += HEAD_LEN + document.len;
}

static size_t leave_head(struct buf *into)
{
	static const uint8_t head[HEAD_LEN];

	buf_append(into, head, sizeof(head));
	return into->len;
}

void state_chain_begin(const struct state *state, struct buf *into, struct state_chain *ret_chain)
{
	struct state_chain chain = { .bytes = BEGINS_LEN + 1 };
	size_t start;
	bool own;

	buf_puts(into, BEGINS);
	buf_format(into, "%d", STATE_CHAIN_FORMAT);
	start = leave_head(into);
	own = state_encode_full(state, into);
	*ret_chain = (struct state_chain){ 0 };
	if (into->failed)
		return;
	put_head(&chain, into, start);
	chain.whole = chain.bytes;
	if (own)
		*ret_chain = chain;
}

void state_chain_add(struct state_chain *chain, struct str delta, struct buf *into)
{
	size_t start = leave_head(into);

	buf_add(into, delta);
	if (!into->failed)
		put_head(chain, into, start);
}

/* ---- in ---- */

enum section { SECTION_GOOD, SECTION_CUT, SECTION_WRONG };

/* Moves on where it is good. `WRONG`: something stands behind it. What a power cut leaves may be zeros. */
static enum section take_section(
	struct str *rest, const uint8_t before[STATE_CHAIN_SUM], struct str *ret, struct error *err)
{
	uint8_t sum[STATE_CHAIN_SUM];
	uint64_t len = rest->len < HEAD_LEN ? 0 : get_length(rest->at);

	if (!len || len > rest->len - HEAD_LEN) {
		error_set(err, ERROR_INVALID, NULL, "damaged, it ends within a document");
		return SECTION_CUT;
	}
	*ret = str_from(rest->at + HEAD_LEN, (size_t)len);
	sum_of(before, *ret, sum);
	if (memcmp(sum, rest->at + 8, sizeof(sum)) != 0) {
		error_set(err, ERROR_INVALID, NULL, "damaged, its digest does not match");
		return rest->len > HEAD_LEN + len ? SECTION_WRONG : SECTION_CUT;
	}
	*rest = str_from(ret->at + ret->len, rest->len - HEAD_LEN - (size_t)len);
	return SECTION_GOOD;
}

static void advance(struct state_chain *chain, struct str document)
{
	memcpy(chain->sum, document.at - STATE_CHAIN_SUM, STATE_CHAIN_SUM);
	chain->bytes += HEAD_LEN + document.len;
}

static bool read_whole(struct str *rest, struct state_chain_read *read, struct error *err)
{
	struct str document;

	if (take_section(rest, read->chain.sum, &document, err) != SECTION_GOOD ||
		!state_apply(document, NULL, &read->state, err))
		return false;
	advance(&read->chain, document);
	read->chain.whole = read->chain.bytes;
	return true;
}

/* False: here it ends. */
static bool read_delta(struct str *rest, struct state_chain_read *read)
{
	struct str left = *rest, document;
	enum section section = take_section(&left, read->chain.sum, &document, &read->why);
	struct state *next = NULL;

	if (section != SECTION_GOOD || !state_apply(document, read->state, &next, &read->why)) {
		read->left = rest->len;
		read->damaged = section != SECTION_CUT;
		return false;
	}
	state_free(read->state);
	read->state = next;
	advance(&read->chain, document);
	*rest = left;
	return true;
}

static bool read_format(struct str *bytes, unsigned *ret, struct error *err)
{
	if (!str_skip(bytes, BEGINS) || !bytes->len || *bytes->at < '1' || *bytes->at > '9')
		return error_set(err, ERROR_INVALID, NULL, "not a state file");
	*ret = (unsigned)(*bytes->at - '0');
	*bytes = str_from(bytes->at + 1, bytes->len - 1);
	return *ret <= STATE_CHAIN_FORMAT ||
	       error_set(err, ERROR_INVALID, NULL,
		       "a state file of version %u, this program reads %d at most: a newer one made it", *ret,
		       STATE_CHAIN_FORMAT);
}

bool state_chain_read(struct str bytes, struct state_chain_read *ret, struct error *err)
{
	struct state_chain_read read = { .chain.bytes = BEGINS_LEN + 1 };
	struct str rest = bytes;
	unsigned format = 0;

	if (!read_format(&rest, &format, err))
		return false;
	if (format == 1)
		read.chain.bytes = 0;
	if (format == 1 ? !state_unseal(bytes, &read.state, err) : !read_whole(&rest, &read, err))
		return false;
	while (format > 1 && rest.len && read_delta(&rest, &read))
		;
	*ret = read;
	return true;
}
