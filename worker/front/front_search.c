/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who frees what: a search (struct searching) is the loop's, and freed there. While the pool works on it the end of the request only tells it so.
 */
#include "worker/front/front_search.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/few_each.h"
#include "common/http_server.h"
#include "common/least.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "proto/ring.h"
#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/ask_all.h"
#include "worker/cluster/ask_gate.h"
#include "worker/front/front_pass.h"
#include "worker/front/front_step.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/registry.h"
#include "worker/search/search_others.h"

#define RETRY_S 1

/* One member in one round. */
struct asked {
	struct searching *searching;
	struct ask_all *all; /* NULL: not under way */
};

struct searching {
	struct front_errand errand; /* call NULL: the request has ended */
	struct front *front;
	struct loop *loop;
	struct oci_ask ask; /* with copies of its texts */
	char *texts[3];
	front_search_f *answer;
	struct http_response *response; /* of the pool */
	bool on_pool;
	struct search_others *others; /* NULL: this worker is alone */
	struct asked *asked;          /* of each member of the ring */
	size_t members_len, left;     /* who has not answered yet */
	struct front_pass pass;
};

static struct ring *ring_of(const struct searching *searching)
{
	return searching->ask.snapshot->ring;
}

static void searching_free(struct searching *searching)
{
	loop_assert(searching->loop);
	for (size_t i = 0; i < searching->members_len; i++)
		if (searching->asked[i].all)
			ask_all_cancel(searching->asked[i].all);
	front_pass_leave(&searching->pass);
	if (searching->response)
		http_response_free(searching->response);
	free(searching->asked);
	search_others_free(searching->others);
	snapshot_free(searching->ask.snapshot);
	identity_free(searching->ask.identity);
	for (size_t i = 0; i < sizeof(searching->texts) / sizeof(searching->texts[0]); i++)
		free(searching->texts[i]);
	free(searching);
}

static void on_request_done(struct front_errand *errand)
{
	struct searching *searching = (struct searching *)errand;

	errand->call = NULL;
	if (!searching->on_pool)
		searching_free(searching);
}

static void reply(struct searching *searching, struct http_response *response)
{
	struct front_call *call = searching->errand.call;

	call->errand = NULL;
	searching_free(searching);
	http_request_reply(call->oci.request, response);
}

/* ---- other members ---- */

static void miss(struct searching *searching, size_t place, const struct error *err)
{
	struct front *front = searching->front;
	struct str member = str_of(ring_at(ring_of(searching), place)->id);

	counter_add(&front->loops[0].counters.search_missing_total, 1);
	if (!front->refusals || few_each_take_name(front->refusals, member, clock_ms()))
		log_warn("search.missing", "member=%s error=%s", log_quote(member),
			log_quote(str_of(err->text)));
}

static void run_again(struct searching *searching);

static void take_answer(struct searching *searching, size_t place, struct ask_all_answer *answer)
{
	struct error err = answer->err;
	bool ok = answer->answered;

	if (ok && answer->status != 200)
		ok = error_set(&err, ERROR_UNAVAILABLE, NULL, "it answered %u", answer->status);
	if (!ok)
		search_others_miss(searching->others, place);
	else
		ok = search_others_answer(
			searching->others, place, TAKE(answer->body), answer->body_len, &err);
	if (!ok)
		miss(searching, place, &err);
}

static void one_less(struct searching *searching)
{
	if (--searching->left)
		return;
	search_others_end(searching->others);
	run_again(searching);
}

static void on_answer(void *arg, struct ask_all_answer *answers, size_t len)
{
	struct asked *asked = arg;
	struct searching *searching = asked->searching;

	CHECK(len == 1);
	asked->all = NULL;
	take_answer(searching, (size_t)(asked - searching->asked), answers);
	one_less(searching);
}

static void ask_member(struct searching *searching, size_t place)
{
	const struct front_call *call = searching->errand.call;
	const struct front *front = searching->front;
	const struct ring_member *member = ring_at(ring_of(searching), place);
	AUTO_FINI(buf) body = buf_limit(SEARCH_ASK_MAX);
	struct ask_all_spec spec = { .loop = searching->loop,
		.client = call->loop->client,
		.channels = call->loop->channels,
		.question = { .cluster = front->cluster,
			.snapshot = searching->ask.snapshot,
			.identity = searching->ask.identity,
			.from = searching->ask.client,
			.method = "POST",
			.target = FRONT_SEARCH_PATH,
			.files = { front->peer_ca, front->peer_cert, front->peer_key } },
		.members = &member,
		.members_len = 1,
		.answer_max = search_others_answer_max(searching->others, place),
		.within_ms = FRONT_SEARCH_WITHIN_MS };
	struct error err;

	if (!search_others_ask(searching->others, place, &body))
		return;
	if (!buf_check(&body, "what is asked", &err)) {
		search_others_miss(searching->others, place);
		miss(searching, place, &err);
		return;
	}
	spec.question.body = buf_str(&body);
	searching->left++;
	searching->asked[place].all = ask_all_start(&spec, on_answer, &searching->asked[place]);
}

static size_t weight_of(const struct searching *searching)
{
	size_t weight = 0;

	for (size_t i = 0; i < searching->members_len; i++) {
		size_t bytes = search_others_answer_max(searching->others, i);

		weight += bytes ? ask_weight(1, bytes) : 0;
	}
	return weight;
}

/* For this round. False: it was refused. */
static bool enter_gate(struct searching *searching)
{
	static const struct front_pass_words words = { "this client searches the cluster too often at once",
		"too many search the cluster at once" };
	struct front_call *call = searching->errand.call;
	struct http_response *refusal;

	front_pass_leave(&searching->pass);
	refusal = front_pass_enter(&searching->pass, searching->front->ask_gate, &searching->ask,
		most(1, weight_of(searching)), &words);
	if (!refusal)
		return true;
	counter_add(&call->loop->counters.search_refused_total, 1);
	reply(searching, refusal);
	return false;
}

static void ask_others(struct searching *searching)
{
	if (!enter_gate(searching))
		return;
	counter_add(&searching->errand.call->loop->counters.search_asked_total, 1);
	searching->left = 1; /* this function */
	for (size_t i = 0; i < searching->members_len; i++)
		ask_member(searching, i);
	one_less(searching);
}

/* ---- on the pool ---- */

static void run(void *arg)
{
	struct searching *searching = arg;

	searching->response = searching->answer(&searching->ask, searching->front, searching->others);
}

static void tell_garbled(struct searching *searching)
{
	struct error err;

	(void)error_set(&err, ERROR_INVALID, NULL, "its answer is not one of this version");
	for (size_t i = 0; i < searching->members_len; i++)
		if (search_others_garbled(searching->others, i))
			miss(searching, i, &err);
}

static void on_ran(void *arg)
{
	struct searching *searching = arg;

	searching->on_pool = false;
	tell_garbled(searching);
	if (!searching->errand.call)
		searching_free(searching);
	else if (searching->response)
		reply(searching, TAKE(searching->response));
	else
		ask_others(searching);
}

static void run_again(struct searching *searching)
{
	struct error err;

	searching->on_pool = true;
	if (pool_submit_then(searching->ask.registry->pool, run, searching->loop, on_ran, searching))
		return;
	searching->on_pool = false;
	(void)error_set(&err, ERROR_BUSY, NULL, "this worker is overloaded");
	reply(searching, oci_reply_later(RETRY_S, &err));
}

/* ---- the start ---- */

static void find_others(struct searching *searching)
{
	const struct snapshot *snapshot = searching->ask.snapshot;
	bool among = cluster_is_among(searching->front->cluster, snapshot);
	const struct search_cluster cluster = { .ring = snapshot->ring,
		.self = among ? snapshot->self : RING_NOBODY,
		.isolated = snapshot->isolated,
		.mark = front_search_mark(snapshot) };

	if (!snapshot->ring || !ring_len(snapshot->ring) ||
		(ring_len(snapshot->ring) == 1 && snapshot->self == 0))
		return;
	searching->others = search_others_new(&cluster);
	searching->members_len = ring_len(snapshot->ring);
	searching->asked = xnew_array(struct asked, searching->members_len);
	for (size_t i = 0; i < searching->members_len; i++)
		searching->asked[i].searching = searching;
}

static void copy_ask(struct searching *searching, struct front_call *call)
{
	struct oci_ask *ask = &searching->ask;

	*ask = call->oci.ask;
	ask->snapshot = snapshot_ref(ask->snapshot);
	ask->identity = identity_ref(ask->identity);
	searching->texts[0] = str_dup(ask->query);
	searching->texts[1] = ask->content_type ? check_strdup(ask->content_type) : NULL;
	searching->texts[2] = TAKE(call->oci.body);
	ask->query = str_of(searching->texts[0]);
	ask->content_type = searching->texts[1];
	ask->body = str_from(searching->texts[2], searching->texts[2] ? ask->body.len : 0);
	ask->if_match = ask->if_none_match = NULL;
}

uint64_t front_search_mark(const struct snapshot *snapshot)
{
	return snapshot->isolated || !snapshot->ring ? 0 : ring_mark(snapshot->ring) | 1;
}

void front_search_start(struct front_call *call, front_search_f *answer)
{
	struct searching *searching = xnew(struct searching);

	searching->errand = (struct front_errand){ .call = call, .cancel = on_request_done };
	searching->front = call->loop->front;
	searching->loop = call->oci.loop;
	searching->answer = answer;
	copy_ask(searching, call);
	if (call->loop->client)
		find_others(searching);
	call->errand = &searching->errand;
	run_again(searching);
}
