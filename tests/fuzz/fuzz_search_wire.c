/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_search_wire - what another member says is records, a question, or nothing: what is taken is, written again, what it was taken from, and fits its arena.
 *
 * The first byte says which of the four forms the rest is of.
 */
#include "common/check.h"
#include "worker/search/search_wire.h"

#define ARENA_MAX ((size_t)1024 * 1024)

static void same(const struct buf *again, struct str bytes)
{
	CHECK(!again->failed && str_equal(buf_str(again), bytes));
}

static void records(struct str bytes, struct buf *again)
{
	AUTO_FINI(arena) arena = arena_limit(ARENA_MAX);
	struct search_records records;
	struct error err = { .text = "" };
	bool said = false;

	if (search_wire_get_records(bytes, &arena, &records, &said, &err)) {
		CHECK(!said);
		search_wire_put_records(&records, again);
		same(again, bytes);
	} else {
		CHECK(said || err.kind == ERROR_INVALID || err.kind == ERROR_TOO_LARGE);
	}
	CHECK(arena.taken <= ARENA_MAX);
}

static void question(struct str bytes, struct buf *again)
{
	AUTO_FINI(arena) arena = arena_limit(ARENA_MAX);
	struct search_question question;
	struct error err;

	if (!search_wire_get_question(bytes, &arena, &question, &err))
		return;
	CHECK(question.verb < SEARCH_VERBS);
	search_wire_put_question(&question, again);
	same(again, bytes);
}

static void head(struct str bytes, struct buf *again, bool is_ask)
{
	struct search_wire_head head;
	struct error err;

	if (!(is_ask ? search_wire_get_ask(bytes, &head, &err) : search_wire_get_answer(bytes, &head, &err)))
		return;
	CHECK(head.len <= SEARCH_QUESTIONS_MAX);
	if (is_ask)
		search_wire_put_ask(&head, again);
	else
		search_wire_put_answer(&head, again);
	same(again, bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FINI(buf) again = buf_limit(8 * ARENA_MAX);
	struct str bytes;

	if (!size)
		return 0;
	bytes = str_from(data + 1, size - 1);
	if (data[0] % 4 == 0)
		records(bytes, &again);
	else if (data[0] % 4 == 1)
		question(bytes, &again);
	else
		head(bytes, &again, data[0] % 4 == 2);
	return 0;
}
