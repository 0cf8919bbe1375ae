/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_page - GET, POST, OPTIONS /v2/_zot/ext/search: zot's search (worker/search/search.h), of what this worker answers for.
 *
 * Whoever may look at /v2/ may ask; each repository is there for who may read it. A search is a job: it reads a file. What it costs is bounded there.
 */
#include "common/check.h"
#include "proto/ring.h"
#include "worker/accounts/prefs.h"
#include "worker/auth/identity.h"
#include "worker/auth/rights.h"
#include "worker/auth/snapshot.h"
#include "worker/front/front_call.h"
#include "worker/front/pages.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/search/search.h"

struct asker {
	const struct oci_ask *ask;
	struct prefs *prefs; /* NULL: nobody stars anything here */
	struct state *view;  /* of the prefs */
};

static bool may(const struct asker *asker, struct str name, enum action action)
{
	return rights_allow(asker->ask->snapshot, asker->ask->identity, name, action);
}

static bool may_read(void *arg, struct str name)
{
	return may(arg, name, ACTION_READ);
}

static bool may_delete(void *arg, struct str name)
{
	return may(arg, name, ACTION_DELETE);
}

static bool has(const struct asker *asker, enum entity_kind kind, struct str name)
{
	const struct identity *who = asker->ask->identity;

	return !who->anonymous && prefs_has(asker->view, kind, str_of(who->user), name);
}

static bool is_starred(void *arg, struct str name)
{
	return has(arg, ENTITY_STAR, name);
}

static bool is_bookmarked(void *arg, struct str name)
{
	return has(arg, ENTITY_BOOKMARK, name);
}

static uint64_t stars(void *arg, struct str name)
{
	const struct asker *asker = arg;

	return prefs_stars(asker->prefs, asker->view, name);
}

static struct metadata_who who_of(struct asker *asker)
{
	struct metadata_who who = { .may_read = may_read, .arg = asker };

	if (asker->prefs) {
		who.is_starred = is_starred;
		who.is_bookmarked = is_bookmarked;
		who.stars = stars;
	}
	return who;
}

static struct http_response *search_job(void *arg)
{
	struct oci_job *job = arg;
	const struct front *front = job->own;
	AUTO(state) *view = front->prefs ? prefs_view(front->prefs, job->ask.snapshot->state) : NULL;
	struct asker asker = { &job->ask, front->prefs, view };
	AUTO_FINI(buf) body = buf_limit(2 * SEARCH_OUTPUT_MAX);
	const struct search_ask ask = { .method = job->ask.method,
		.query = job->ask.query,
		.content_type = job->ask.content_type,
		.body = job->ask.body,
		.others = job->ask.snapshot->ring && ring_len(job->ask.snapshot->ring) > 1,
		.who = who_of(&asker),
		.may_delete = may_delete };
	unsigned status = search_answer(front->search, &ask, &body);
	struct http_response *response = oci_reply_json(status, "application/json", &body);

	http_response_header(response, "Cache-Control", "no-store");
	if (status == 503)
		http_response_header(response, "Retry-After", "1");
	pages_allow_sites(response, "GET,POST,OPTIONS");
	return response;
}

void pages_search(void *arg)
{
	struct front_call *call = arg;

	CHECK(call->loop->front->search);
	oci_job_start_with(&call->oci, search_job, call->loop->front, NULL);
}

struct http_response *pages_search_preflight(void *call)
{
	struct http_response *response = http_response_empty(204);

	(void)call;
	http_response_header(response, "Allow", "GET, POST, OPTIONS");
	pages_allow_sites(response, "GET,POST,OPTIONS");
	return response;
}
