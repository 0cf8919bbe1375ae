/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/search/search.h"

#include <stdatomic.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/json.h"
#include "graphql/graphql_request.h"
#include "common/least.h"
#include "worker/search/search_gather.h"
#include "worker/search/search_priv.h"
#include "worker/search/search_wire.h"

struct search {
	struct graphql_schema *schema;
	struct metadata *metadata;
	_Atomic unsigned under_way;
};

struct search *search_new(struct metadata *metadata)
{
	struct search *search = xnew(struct search);
	struct error err;
	bool made = search_schema_new(&search->schema, &err);

	CHECK(made); /* the table is ours, and a test makes it too */
	search->metadata = metadata;
	return search;
}

void search_free(struct search *search)
{
	if (!search)
		return;
	CHECK(!atomic_load(&search->under_way));
	graphql_schema_free(search->schema);
	free(search);
}

/* A request that is none, or that has to wait: in the form of an answer. */
static unsigned refuse(unsigned status, const char *text, struct buf *into)
{
	struct json_writer w = json_writer(into);

	buf_puts(into, "{\"errors\":[");
	json_open_object(&w);
	json_put_text(&w, "message", text);
	json_close_object(&w);
	buf_puts(into, "]}");
	return status;
}

static bool may_go_on(void *context)
{
	return clock_ms() <= ((const struct search_asking *)context)->until_ms;
}

static unsigned run(struct search *search, const struct search_ask *ask,
	const struct graphql_request *request, struct buf *into)
{
	AUTO(graphql_query) *query =
		graphql_query_new(search->schema, request->text, request->operation, request->variables);
	struct search_asking asking = {
		.metadata = search->metadata, .ask = ask, .until_ms = clock_ms() + SEARCH_TIME_MS
	};
	const struct graphql_run how = {
		.context = &asking, .may_go_on = may_go_on, .output_max = SEARCH_OUTPUT_MAX
	};
	size_t start;

	if (!graphql_query_ok(query)) {
		graphql_query_refuse(query, into);
		return 422;
	}
	start = into->len;
	(void)graphql_execute(query, &how, into);
	if (!asking.waits)
		return 200;
	into->len = start;
	into->failed = false;
	return SEARCH_ASKS;
}

static unsigned answer(struct search *search, const struct search_ask *ask, struct buf *into)
{
	AUTO_FINI(graphql_request) request = { 0 };
	struct error err;

	if (!graphql_request_read(ask->method, ask->query, ask->content_type, ask->body, &request, &err))
		return refuse(err.kind == ERROR_BUSY ? 503 : 400, err.text, into);
	return run(search, ask, &request, into);
}

unsigned search_answer(struct search *search, const struct search_ask *ask, struct buf *into)
{
	bool waited = ask->others && search_others_were_asked(ask->others);
	unsigned status = 503;

	if (atomic_fetch_add(&search->under_way, 1) < SEARCH_AT_ONCE || waited)
		status = answer(search, ask, into);
	else
		(void)refuse(503, "too many searches at once; come again", into);
	atomic_fetch_sub(&search->under_way, 1);
	return status;
}

/* ---- for another member ---- */

#define ANSWER_HEAD (16 + 2 * ERROR_TEXT_MAX * SEARCH_QUESTIONS_MAX) /* bytes that are not of records */
#define PART_HEAD   10                                               /* a length */

static bool answer_question(struct search *search, struct str bytes, const struct metadata_who *who,
	struct buf *into, struct error *err)
{
	AUTO_FINI(arena) arena = arena_limit(SEARCH_ARENA_MAX);
	struct search_question question;
	struct search_records records;

	if (!search_wire_get_question(bytes, &arena, &question, err))
		return false;
	question.query.who = *who;
	if (!search_question_run(search->metadata, &question, &arena, &records, err))
		return false;
	search_wire_put_records(&records, into);
	return !into->failed ||
	       error_set(err, ERROR_TOO_LARGE, NULL, "the answer is too large; ask for fewer at a time");
}

static void answer_part(
	struct search *search, struct str bytes, const struct metadata_who *who, struct buf *into)
{
	struct error err;

	if (answer_question(search, bytes, who, into, &err))
		return;
	buf_clear(into);
	into->max = most(into->max, 2 * ERROR_TEXT_MAX);
	search_wire_put_error(&err, into);
}

bool search_part(struct search *search, struct str body, const struct metadata_who *who, uint64_t ring,
	struct buf *into, struct error *err)
{
	struct buf parts[SEARCH_QUESTIONS_MAX];
	struct search_wire_head asked, told = { .len = 0 };
	size_t left;

	if (!search_wire_get_ask(body, &asked, err))
		return false;
	if (asked.ring != ring)
		return error_set(err, ERROR_CONFLICT, NULL, "the rings of the two members differ just now");
	left = least(asked.most, SEARCH_ARENA_MAX) - least(asked.most, ANSWER_HEAD);
	for (; told.len < asked.len; told.len++) {
		parts[told.len] = buf_limit(left);
		answer_part(search, asked.parts[told.len], who, &parts[told.len]);
		told.parts[told.len] = buf_str(&parts[told.len]);
		left -= least(left, parts[told.len].len + PART_HEAD);
	}
	/* Behind the questions: they were answered by the ring that this is of, or one before. */
	told.whole = metadata_is_whole(search->metadata);
	search_wire_put_answer(&told, into);
	for (size_t i = 0; i < told.len; i++)
		buf_fini(&parts[i]);
	return buf_check(into, "the answer", err);
}
