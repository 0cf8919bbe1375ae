/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who frees what: the errand (struct asking) lives as long as the request waits; what was gathered outlives it where the pool works on it. Our
 * own part is a job that knows the errand as long as there is one.
 */
#include "worker/front/front_catalog.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/few_each.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "proto/name_lines.h"
#include "proto/ring.h"
#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/ask_all.h"
#include "worker/cluster/ask_gate.h"
#include "worker/front/catalog_gather.h"
#include "worker/front/front_pass.h"
#include "worker/front/front_step.h"
#include "worker/oci/catalog.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/registry.h"

#define INLINE_BYTES ((size_t)64 * 1024) /* of all answers: more is for the pool */
#define RETRY_S      1
#define NAMED_MOST   8 /* in a Warning */

/* ---- what was gathered ---- */

struct gathered {
	struct catalog_gather *gather;
	size_t n;                           /* that the client asked for */
	const struct ring_member **members; /* the others; our own part is behind them */
	size_t members_len;
	struct ask_all_answer *answers; /* of this round */
	size_t answers_len;
	struct buf own; /* likewise; own_answered: it is all there */
	bool has_own, own_answered;
	struct buf missing; /* names */
	size_t missing_len;
	bool again;                /* there is a round more */
	const char *self;          /* of the cluster, which outlives this */
	struct snapshot *snapshot; /* whose members are named */
	struct front *front;
	struct asking *asking; /* while the pool works on it. NULL: the request has ended */
	struct loop *loop;
};

static void drop_answers(struct gathered *gathered)
{
	for (size_t i = 0; i < gathered->answers_len; i++)
		free(gathered->answers[i].body);
	free(TAKE(gathered->answers));
	gathered->answers_len = 0;
}

static void gathered_free(struct gathered *gathered)
{
	drop_answers(gathered);
	catalog_gather_free(gathered->gather);
	free(gathered->members);
	buf_fini(&gathered->own);
	buf_fini(&gathered->missing);
	snapshot_free(gathered->snapshot);
	free(gathered);
}

/* In the first round its names are missing; later the page ends early. */
static void miss(struct gathered *gathered, const char *member, const struct error *err)
{
	struct front *front = gathered->front;
	struct buf *missing = &gathered->missing;

	counter_add(&front->loops[0].counters.catalog_missing_total, 1);
	if (!front->refusals || few_each_take_name(front->refusals, str_of(member), clock_ms()))
		log_warn("catalog.missing", "member=%s error=%s", log_quote(str_of(member)),
			log_quote(str_of(err->text)));
	if (!catalog_gather_is_first(gathered->gather) || ++gathered->missing_len > NAMED_MOST)
		return;
	if (gathered->missing_len > 1)
		buf_puts(missing, ", ");
	/* A name of the ring: no header may be made of more than what is printable. */
	for (size_t i = 0; member[i] && i < 40; i++)
		buf_putc(missing,
			member[i] > ' ' && member[i] < 0x7f && !strchr("\"\\", member[i]) ? member[i] : '?');
}

static size_t part_of(const struct gathered *gathered, const struct ring_member *member)
{
	size_t at = 0;

	while (gathered->members[at] != member)
		CHECK(++at < gathered->members_len);
	return at;
}

static void take_answer(struct gathered *gathered, struct ask_all_answer *answer)
{
	struct error err = answer->err;
	bool ok = answer->answered;

	if (ok && answer->status != 200)
		ok = error_set(&err, ERROR_INTERNAL, NULL, "it answered %u", answer->status);
	if (!ok || !catalog_gather_put(gathered->gather, part_of(gathered, answer->member), &answer->body,
			   answer->body_len, &err))
		miss(gathered, answer->member->id, &err);
}

static void take_own(struct gathered *gathered)
{
	struct error err;

	if (!gathered->own_answered)
		(void)error_set(&err, ERROR_TIMEOUT, NULL, "its own store does not list them");
	if (!gathered->own_answered ||
		!catalog_gather_put_own(gathered->gather, gathered->members_len, &gathered->own, &err))
		miss(gathered, gathered->self, &err);
}

static void take_round(struct gathered *gathered)
{
	for (size_t i = 0; i < gathered->answers_len; i++)
		take_answer(gathered, &gathered->answers[i]);
	if (gathered->has_own && catalog_gather_asks(gathered->gather, gathered->members_len))
		take_own(gathered);
	drop_answers(gathered);
	buf_clear(&gathered->own);
	gathered->own_answered = false;
	gathered->again = catalog_gather_merge(gathered->gather);
}

static void put_warning(const struct gathered *gathered, struct http_response *response)
{
	size_t more = gathered->missing_len > NAMED_MOST ? gathered->missing_len - NAMED_MOST : 0;

	if (!gathered->missing_len)
		return;
	if (more)
		oci_reply_warning(response,
			"repositories of %s and %zu other members are missing: they do not answer",
			buf_text(&gathered->missing), more);
	else
		oci_reply_warning(response, "repositories of %s are missing: %s not answer",
			buf_text(&gathered->missing), gathered->missing_len > 1 ? "they do" : "it does");
}

static struct http_response *make_page(struct gathered *gathered)
{
	struct http_response *response;
	struct catalog_page *page;
	struct error err;
	bool more;

	if (!catalog_gather_has_any(gathered->gather)) {
		(void)error_set(&err, ERROR_UNAVAILABLE, NULL, "no member of the cluster answers: %s",
			gathered->missing_len ? buf_text(&gathered->missing) : "none is known");
		return oci_reply_later(RETRY_S, &err);
	}
	page = catalog_gather_page(gathered->gather, &more);
	response = catalog_page_end(page, gathered->n, more);
	put_warning(gathered, response);
	return response;
}

/* ---- asking ---- */

/* Our own part, on the pool. */
struct own_part {
	struct asking *asking; /* NULL: the request has ended, or does not wait any more */
	struct registry *registry;
	struct snapshot *snapshot;
	struct identity *identity;
	char after[OCI_LAST_MAX + 1];
	size_t share;
	struct buf lines;
	bool ok;
};

struct asking {
	struct front_errand errand;
	struct gathered *gathered;
	struct ask_all *all;  /* NULL: over */
	struct own_part *own; /* NULL: over, or there is none */
	struct loop_timer late;
	struct front_pass pass; /* as long as it asks */
};

static struct loop *loop_of(const struct asking *asking)
{
	return asking->errand.call->oci.loop;
}

static void asking_free(struct asking *asking)
{
	loop_assert(loop_of(asking));
	loop_timer_stop(loop_of(asking), &asking->late);
	if (asking->all)
		ask_all_cancel(asking->all);
	if (asking->own)
		asking->own->asking = NULL;
	front_pass_leave(&asking->pass);
	/* What the pool works on it gives back, and finds nobody. */
	if (asking->gathered->asking)
		asking->gathered->asking = NULL;
	else
		gathered_free(asking->gathered);
	free(asking);
}

static void on_request_done(struct front_errand *errand)
{
	asking_free((struct asking *)errand);
}

static size_t bytes_of(const struct gathered *gathered)
{
	size_t bytes = gathered->own.len;

	for (size_t i = 0; i < gathered->answers_len; i++)
		bytes += gathered->answers[i].body_len;
	return bytes;
}

static void start_round(struct asking *asking);

static void end_round(struct asking *asking)
{
	struct front_call *call = asking->errand.call;
	struct http_response *response;

	if (asking->gathered->again) {
		start_round(asking);
		return;
	}
	response = make_page(asking->gathered);
	call->errand = NULL;
	asking_free(asking);
	http_request_reply(call->oci.request, response);
}

static void on_taken(void *arg)
{
	struct gathered *gathered = arg;

	if (gathered->asking)
		end_round(TAKE(gathered->asking));
	else
		gathered_free(gathered);
}

static void take_on_pool(void *arg)
{
	struct gathered *gathered = arg;

	take_round(gathered);
	loop_post(gathered->loop, on_taken, gathered);
}

static void look_whether_done(struct asking *asking)
{
	struct gathered *gathered = asking->gathered;

	if (asking->all || asking->own)
		return;
	loop_timer_stop(loop_of(asking), &asking->late);
	if (bytes_of(gathered) <= INLINE_BYTES) {
		take_round(gathered);
		end_round(asking);
		return;
	}
	gathered->asking = asking;
	pool_push(gathered->front->registry->pool, take_on_pool, gathered);
}

/* The others have been silent as long, if they were. */
static void on_late(void *arg)
{
	struct asking *asking = arg;

	if (asking->all)
		return;
	if (asking->own)
		TAKE(asking->own)->asking = NULL;
	look_whether_done(asking);
}

static void on_answers(void *arg, struct ask_all_answer *answers, size_t len)
{
	struct asking *asking = arg;
	struct gathered *gathered = asking->gathered;

	asking->all = NULL;
	gathered->answers = xnew_array(struct ask_all_answer, len + 1);
	gathered->answers_len = len;
	for (size_t i = 0; i < len; i++) {
		gathered->answers[i] = answers[i];
		answers[i].body = NULL;
	}
	if (asking->own && loop_now(loop_of(asking)) >= asking->late.due_ms)
		TAKE(asking->own)->asking = NULL;
	look_whether_done(asking);
}

/* ---- our own part ---- */

static void list_own(void *arg)
{
	struct own_part *part = arg;
	const struct catalog_ask ask = { .registry = part->registry,
		.snapshot = part->snapshot,
		.identity = part->identity,
		.after = part->after,
		.n = part->share };
	struct error silent;

	part->ok = catalog_lines(&ask, &part->lines, &silent);
}

static void own_free(struct own_part *part)
{
	buf_fini(&part->lines);
	snapshot_free(part->snapshot);
	identity_free(part->identity);
	free(part);
}

static void on_own(void *arg)
{
	struct own_part *part = arg;
	struct asking *asking = part->asking;

	if (asking) {
		struct gathered *gathered = asking->gathered;

		asking->own = NULL;
		gathered->own_answered = part->ok;
		buf_fini(&gathered->own);
		gathered->own = part->lines;
		part->lines = buf_limit(0);
	}
	own_free(part);
	if (asking)
		look_whether_done(asking);
}

static void start_own(struct asking *asking)
{
	struct front_call *call = asking->errand.call;
	const struct catalog_gather *gather = asking->gathered->gather;
	struct own_part *part = xnew(struct own_part);

	part->asking = asking;
	part->registry = call->oci.ask.registry;
	part->snapshot = snapshot_ref(call->oci.ask.snapshot);
	part->identity = identity_ref(call->oci.ask.identity);
	part->share = catalog_gather_share(gather);
	CHECK(str_copy(str_of(catalog_gather_after(gather)), part->after, sizeof(part->after)));
	if (pool_submit_then(part->registry->pool, list_own, call->oci.loop, on_own, part))
		asking->own = part;
	else
		own_free(part);
}

/* ---- the start ---- */

static struct ring *ring_of(const struct front_call *call)
{
	return call->oci.ask.snapshot->ring;
}

/* All but ourselves; where another process has our name, also that one. */
static void find_others(const struct front_call *call, struct gathered *gathered)
{
	gathered->members = xnew_array(const struct ring_member *, ring_len(ring_of(call)) + 1);
	for (size_t i = 0; i < ring_len(ring_of(call)); i++)
		if (!gathered->has_own || (int)i != call->oci.ask.snapshot->self)
			gathered->members[gathered->members_len++] = ring_at(ring_of(call), i);
}

bool front_catalog_is_of_all(const struct front_call *call)
{
	const struct oci_ask *ask = &call->oci.ask;

	return ask->route.row->what == OCI_OPERATION_catalog && ask->route.row->flags & OCI_API &&
	       ask->snapshot->isolated && !ask->identity->peer && call->loop->client;
}

/* Of what a member may answer. */
static size_t answer_max(const struct gathered *gathered)
{
	return NAME_LINES_MAX(catalog_gather_share(gathered->gather));
}

static bool enter_gate(struct asking *asking)
{
	static const struct front_pass_words words = {
		"this client lists the catalog of the cluster too often at once",
		"too many list the catalog of the cluster at once"
	};
	struct front_call *call = asking->errand.call;
	size_t weight =
		ask_weight(asking->gathered->members_len + 1, CATALOG_ROUNDS * answer_max(asking->gathered));
	struct http_response *refusal =
		front_pass_enter(&asking->pass, call->loop->front->ask_gate, &call->oci.ask, weight, &words);

	if (!refusal)
		return true;
	counter_add(&call->loop->counters.catalog_refused_total, 1);
	http_request_reply(call->oci.request, refusal);
	return false;
}

static void format_target(const struct catalog_gather *gather, struct buf *into)
{
	buf_format(into, "/v2/_catalog?" CATALOG_LINES "&n=%zu", catalog_gather_share(gather));
	if (*catalog_gather_after(gather)) {
		buf_puts(into, "&last=");
		buf_url(into, str_of(catalog_gather_after(gather)), "");
	}
}

static void start_others(struct asking *asking)
{
	struct front_call *call = asking->errand.call;
	const struct front *front = call->loop->front;
	const struct gathered *gathered = asking->gathered;
	const struct ring_member **asked = xnew_array(const struct ring_member *, gathered->members_len + 1);
	AUTO_FINI(buf) target = buf_limit((size_t)8 * 1024);
	struct ask_all_spec spec = { .loop = call->oci.loop,
		.client = call->loop->client,
		.channels = call->loop->channels,
		.question = { .cluster = front->cluster,
			.snapshot = call->oci.ask.snapshot,
			.identity = call->oci.ask.identity,
			.from = call->oci.ask.client,
			.method = "GET",
			.files = { front->peer_ca, front->peer_cert, front->peer_key } },
		.members = asked,
		.answer_max = answer_max(gathered),
		.within_ms = CATALOG_WITHIN_MS };

	for (size_t i = 0; i < gathered->members_len; i++)
		if (catalog_gather_asks(gathered->gather, i))
			asked[spec.members_len++] = gathered->members[i];
	format_target(gathered->gather, &target);
	spec.question.target = buf_text(&target);
	if (spec.members_len)
		asking->all = ask_all_start(&spec, on_answers, asking);
	free(asked);
}

static void start_round(struct asking *asking)
{
	const struct gathered *gathered = asking->gathered;

	loop_timer_start(loop_of(asking), &asking->late, CATALOG_WITHIN_MS, on_late, asking);
	if (gathered->has_own && catalog_gather_asks(gathered->gather, gathered->members_len))
		start_own(asking);
	start_others(asking);
	/* Nobody is left to wait for. */
	if (!asking->all && !asking->own)
		loop_timer_start(loop_of(asking), &asking->late, 0, on_late, asking);
}

static struct gathered *gathered_new(struct front_call *call, const struct oci_page *page)
{
	struct gathered *gathered = xnew(struct gathered);
	struct front *front = call->loop->front;

	gathered->n = page->n;
	gathered->front = front;
	gathered->loop = call->oci.loop;
	gathered->self = cluster_self(front->cluster);
	gathered->snapshot = snapshot_ref(call->oci.ask.snapshot);
	gathered->has_own = cluster_is_among(front->cluster, gathered->snapshot);
	gathered->missing = buf_limit(4096);
	find_others(call, gathered);
	gathered->gather = catalog_gather_new(page, gathered->members_len + gathered->has_own);
	return gathered;
}

void front_catalog_start(struct front_call *call)
{
	struct asking *asking;
	struct oci_page page;
	struct error err;

	if (!oci_page_parse(call->oci.ask.query, CATALOG_PAGE_MAX, &page, &err)) {
		http_request_reply(call->oci.request, oci_reply_error(&err));
		return;
	}
	/* Nothing is asked for, or there is nobody to ask. */
	if (!page.n || (ring_len(ring_of(call)) == 1 && call->oci.ask.snapshot->self == 0)) {
		front_serve_now(call);
		return;
	}
	asking = xnew(struct asking);
	asking->errand = (struct front_errand){ .call = call, .cancel = on_request_done };
	asking->gathered = gathered_new(call, &page);
	if (!enter_gate(asking)) {
		asking_free(asking);
		return;
	}
	call->errand = &asking->errand;
	counter_add(&call->loop->counters.catalog_asked_total, 1);
	start_round(asking);
}
