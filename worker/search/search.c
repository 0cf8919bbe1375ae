/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/search/search.h"

#include <stdatomic.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/json.h"
#include "graphql/graphql_request.h"
#include "worker/search/search_priv.h"

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

	if (!graphql_query_ok(query)) {
		graphql_query_refuse(query, into);
		return 422;
	}
	(void)graphql_execute(query, &how, into);
	return 200;
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
	unsigned status = 503;

	if (atomic_fetch_add(&search->under_way, 1) < SEARCH_AT_ONCE)
		status = answer(search, ask, into);
	else
		(void)refuse(503, "too many searches at once; come again", into);
	atomic_fetch_sub(&search->under_way, 1);
	return status;
}
