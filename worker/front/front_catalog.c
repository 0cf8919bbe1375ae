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
#include "common/json.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "proto/merge.h"
#include "proto/name.h"
#include "proto/ring.h"
#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/ask_all.h"
#include "worker/cluster/ask_gate.h"
#include "worker/front/front_step.h"
#include "worker/oci/catalog.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/upload_owner_key.h"
#include "worker/registry/registry.h"

#define FEW_NAMES      150
#define NAME_BYTES_MAX (NAME_MAX_LEN + 3) /* in an answer, with its quotes and comma */
#define ANSWER_LEAST   64u
#define INLINE_BYTES   ((size_t)64 * 1024) /* of all answers: more is for the pool */
#define RETRY_S        1
#define NAMED_MOST     8 /* in a Warning */

/* ---- names ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

void catalog_names_fini(struct catalog_names *names)
{
	free(names->at);
	free(names->text);
	*names = (struct catalog_names){ 0 };
}

static void names_put(struct catalog_names *names, struct buf *text, struct str name, size_t *offsets)
{
	offsets[names->len++] = text->len;
	buf_add(text, name);
	buf_putc(text, '\0');
}

/* Now that the text does not move any more. */
static bool names_settle(
	struct catalog_names *names, struct buf *text, const size_t *offsets, struct error *err)
{
	size_t len;

	if (!buf_check(text, "names of repositories", err))
		return false;
	names->text = buf_take(text, &len);
	names->at = xnew_array(const void *, names->len + 1);
	for (size_t i = 0; i < names->len; i++)
		names->at[i] = names->text + offsets[i];
	return true;
}

static bool take_all(const struct json *list, size_t n, struct catalog_names *names, struct buf *text,
	size_t *offsets, struct error *err)
{
	for (size_t i = 0; i < json_len(list); i++) {
		struct str text_of = json_str(json_at(list, i));
		struct name name;

		if (names->len == n)
			return error_set(err, ERROR_INVALID, NULL, "it names more than %zu", n);
		if (!text_of.at || !name_parse(text_of, &name, err))
			return error_set(err, ERROR_INVALID, NULL, "it names what is no repository");
		names_put(names, text, text_of, offsets);
	}
	return true;
}

bool catalog_names_parse(
	struct str body, const char *after, size_t n, struct catalog_names *ret, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(n * NAME_BYTES_MAX + ANSWER_LEAST);
	AUTO(json_doc) *doc = NULL;
	struct catalog_names names = { 0 };
	const struct json *list;
	size_t *offsets;
	bool ok;

	if (!json_parse(body, &doc, err))
		return false;
	list = json_find(json_root(doc), "repositories");
	if (json_kind(list) != JSON_ARRAY)
		return error_set(err, ERROR_INVALID, NULL, "it has no list of repositories");
	offsets = xnew_array(size_t, n + 1);
	ok = take_all(list, n, &names, &text, offsets, err) && names_settle(&names, &text, offsets, err);
	free(offsets);
	if (ok && !merge_is_sorted(&(struct merge_part){ .items = names.at, .len = names.len },
			  *after ? after : NULL, by_name))
		ok = error_set(err, ERROR_INVALID, NULL, "its names are not in order behind the last one");
	if (!ok) {
		catalog_names_fini(&names);
		return false;
	}
	*ret = names;
	return true;
}

size_t front_catalog_share(size_t n, size_t members)
{
	size_t share = members > 1 ? 2 * n / members + FEW_NAMES : n + 1;

	/* One more than the page has tells whether there is another page. */
	if (share > n + 1)
		share = n + 1;
	return share < CATALOG_PAGE_MAX ? share : CATALOG_PAGE_MAX;
}

/* ---- what was gathered ---- */

/* Our own part, from the pool. */
struct own_part {
	struct asking *asking; /* NULL: the request has ended, or does not wait any more */
	struct registry *registry;
	struct snapshot *snapshot;
	struct identity *identity;
	char after[OCI_LAST_MAX + 1];
	size_t share;
	struct catalog_names names;
	bool ok;
	struct error err;
};

struct gathered {
	struct http_ticket *ticket; /* where the pool replies */
	struct oci_page page;
	size_t share;
	struct ask_all_answer *answers;
	size_t answers_len;
	struct catalog_names own;
	bool has_own, own_answered;
	const char *self;          /* of the cluster, which outlives this */
	struct snapshot *snapshot; /* whose members are named */
	struct front *front;
};

static void gathered_free(struct gathered *gathered)
{
	for (size_t i = 0; i < gathered->answers_len; i++)
		free(gathered->answers[i].body);
	free(gathered->answers);
	catalog_names_fini(&gathered->own);
	snapshot_free(gathered->snapshot);
	free(gathered);
}

struct making {
	struct gathered *gathered;
	struct catalog_names *names; /* of each answer, and behind them our own */
	struct merge_part *parts;
	size_t parts_len;
	struct buf missing; /* names */
	size_t missing_len;
};

static void miss(struct making *making, const char *member, const struct error *err)
{
	struct front *front = making->gathered->front;

	counter_add(&front->loops[0].counters.catalog_missing_total, 1);
	if (!front->refusals || few_each_take_name(front->refusals, str_of(member), clock_ms()))
		log_warn("catalog.missing", "member=%s error=%s", log_quote(str_of(member)),
			log_quote(str_of(err->text)));
	if (++making->missing_len > NAMED_MOST)
		return;
	if (making->missing_len > 1)
		buf_puts(&making->missing, ", ");
	/* A name of the ring: no header may be made of more than what is printable. */
	for (size_t i = 0; member[i] && i < 40; i++)
		buf_putc(&making->missing,
			member[i] > ' ' && member[i] < 0x7f && !strchr("\"\\", member[i]) ? member[i] : '?');
}

static void add_part(struct making *making, const struct catalog_names *names)
{
	making->parts[making->parts_len++] = (struct merge_part){
		.items = names->at, .len = names->len, .more = names->len >= making->gathered->share
	};
}

static void take_answer(struct making *making, size_t at)
{
	const struct gathered *gathered = making->gathered;
	const struct ask_all_answer *answer = &gathered->answers[at];
	struct error err = answer->err;
	bool ok = answer->answered;

	if (ok && answer->status != 200)
		ok = error_set(&err, ERROR_INTERNAL, NULL, "it answered %u", answer->status);
	if (ok && catalog_names_parse(str_from(answer->body, answer->body_len), gathered->page.last,
			  gathered->share, &making->names[at], &err))
		add_part(making, &making->names[at]);
	else
		miss(making, answer->member->id, &err);
}

static void put_warning(const struct making *making, struct http_response *response)
{
	size_t more = making->missing_len > NAMED_MOST ? making->missing_len - NAMED_MOST : 0;

	if (!making->missing_len)
		return;
	if (more)
		oci_reply_warning(response,
			"repositories of %s and %zu other members are missing: they do not answer",
			buf_text(&making->missing), more);
	else
		oci_reply_warning(response, "repositories of %s are missing: %s not answer",
			buf_text(&making->missing), making->missing_len > 1 ? "they do" : "it does");
}

static bool take_name(void *arg, const void *item)
{
	return catalog_page_take(arg, str_of(item));
}

static struct http_response *make_page(struct making *making)
{
	const struct gathered *gathered = making->gathered;
	struct http_response *response;
	struct catalog_page page;
	struct error err;
	bool more;

	if (!making->parts_len) {
		(void)error_set(&err, ERROR_UNAVAILABLE, NULL, "no member of the cluster answers: %s",
			making->missing_len ? buf_text(&making->missing) : "none is known");
		return oci_reply_later(RETRY_S, &err);
	}
	catalog_page_begin(&page);
	more = merge_parts(making->parts, making->parts_len, by_name, gathered->page.n, take_name, &page);
	response = catalog_page_end(&page, gathered->page.n, more);
	put_warning(making, response);
	return response;
}

static struct http_response *make(struct gathered *gathered)
{
	struct making making = { .gathered = gathered,
		.names = xnew_array(struct catalog_names, gathered->answers_len + 1),
		.parts = xnew_array(struct merge_part, gathered->answers_len + 1),
		.missing = buf_limit(4096) };
	struct http_response *response;
	struct error silent;

	for (size_t i = 0; i < gathered->answers_len; i++)
		take_answer(&making, i);
	if (gathered->own_answered) {
		add_part(&making, &gathered->own);
	} else if (gathered->has_own) {
		(void)error_set(&silent, ERROR_TIMEOUT, NULL, "its own store does not list them");
		miss(&making, gathered->self, &silent);
	}
	response = make_page(&making);
	for (size_t i = 0; i < gathered->answers_len; i++)
		catalog_names_fini(&making.names[i]);
	free(making.names);
	free(making.parts);
	buf_fini(&making.missing);
	return response;
}

static void make_on_pool(void *arg)
{
	struct gathered *gathered = arg;

	http_ticket_reply(gathered->ticket, make(gathered));
	gathered_free(gathered);
}

/* ---- asking ---- */

struct asking {
	struct front_errand errand;
	struct gathered *gathered;
	struct ask_all *all;  /* NULL: over */
	struct own_part *own; /* NULL: over, or there is none */
	struct loop_timer late;
	char *client; /* in the gate, as long as it asks */
	size_t weight;
};

static struct loop *loop_of(const struct asking *asking)
{
	return asking->errand.call->oci.loop;
}

static void leave_gate(struct asking *asking)
{
	struct ask_gate *gate = asking->errand.call->loop->front->ask_gate;

	if (gate && asking->client)
		ask_gate_leave(gate, str_of(asking->client), asking->weight);
	free(asking->client);
}

static void asking_free(struct asking *asking)
{
	loop_assert(loop_of(asking));
	loop_timer_stop(loop_of(asking), &asking->late);
	if (asking->all)
		ask_all_cancel(asking->all);
	if (asking->own)
		asking->own->asking = NULL;
	leave_gate(asking);
	if (asking->gathered)
		gathered_free(asking->gathered);
	free(asking);
}

static void on_request_done(struct front_errand *errand)
{
	asking_free((struct asking *)errand);
}

static size_t bytes_of(const struct gathered *gathered)
{
	size_t bytes = 0;

	for (size_t i = 0; i < gathered->answers_len; i++)
		bytes += gathered->answers[i].body_len;
	return bytes;
}

static void reply(struct asking *asking)
{
	struct front_call *call = asking->errand.call;
	struct gathered *gathered = TAKE(asking->gathered);

	call->errand = NULL;
	asking_free(asking);
	if (bytes_of(gathered) <= INLINE_BYTES) {
		http_request_reply(call->oci.request, make(gathered));
		gathered_free(gathered);
		return;
	}
	gathered->ticket = http_ticket_new(call->oci.request);
	pool_push(gathered->front->registry->pool, make_on_pool, gathered);
}

static void look_whether_done(struct asking *asking)
{
	if (!asking->all && !asking->own)
		reply(asking);
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

struct own_names {
	struct own_part *part;
	struct buf text;
	size_t *offsets;
};

static bool take_own(void *arg, struct str name)
{
	struct own_names *names = arg;

	names_put(&names->part->names, &names->text, name, names->offsets);
	return true;
}

static void list_own(void *arg)
{
	struct own_part *part = arg;
	struct own_names names = { .part = part,
		.text = buf_limit(part->share * NAME_BYTES_MAX + ANSWER_LEAST),
		.offsets = xnew_array(size_t, part->share + 1) };
	const struct catalog_ask ask = { .registry = part->registry,
		.snapshot = part->snapshot,
		.identity = part->identity,
		.after = part->after,
		.n = part->share };
	bool more;

	part->ok = catalog_list(&ask, take_own, &names, &more, &part->err) &&
		   names_settle(&part->names, &names.text, names.offsets, &part->err);
	free(names.offsets);
	buf_fini(&names.text);
}

static void own_free(struct own_part *part)
{
	catalog_names_fini(&part->names);
	snapshot_free(part->snapshot);
	identity_free(part->identity);
	free(part);
}

static void on_own(void *arg)
{
	struct own_part *part = arg;
	struct asking *asking = part->asking;

	if (asking) {
		asking->own = NULL;
		asking->gathered->own_answered = part->ok;
		if (part->ok) {
			asking->gathered->own = part->names;
			part->names = (struct catalog_names){ 0 };
		}
	}
	own_free(part);
	if (asking)
		look_whether_done(asking);
}

static void start_own(struct asking *asking)
{
	struct front_call *call = asking->errand.call;
	struct own_part *part = xnew(struct own_part);

	part->asking = asking;
	part->registry = call->oci.ask.registry;
	part->snapshot = snapshot_ref(call->oci.ask.snapshot);
	part->identity = identity_ref(call->oci.ask.identity);
	part->share = asking->gathered->share;
	CHECK(str_copy(str_of(asking->gathered->page.last), part->after, sizeof(part->after)));
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
static size_t find_others(const struct front_call *call, bool has_own, const struct ring_member **into)
{
	size_t len = 0;

	for (size_t i = 0; i < ring_len(ring_of(call)); i++)
		if (!has_own || (int)i != call->oci.ask.snapshot->self)
			into[len++] = ring_at(ring_of(call), i);
	return len;
}

bool front_catalog_is_of_all(const struct front_call *call)
{
	const struct oci_ask *ask = &call->oci.ask;

	return ask->route.row->what == OCI_OPERATION_catalog && ask->route.row->flags & OCI_API &&
	       ask->snapshot->isolated && !ask->identity->peer && call->loop->client;
}

static bool enter_gate(struct asking *asking, size_t members)
{
	struct front_call *call = asking->errand.call;
	struct ask_gate *gate = call->loop->front->ask_gate;
	AUTO_FINI(buf) client = buf_limit(UPLOAD_OWNER_KEY_MAX);
	enum ask_entered entered;
	struct error err;

	upload_owner_key(call->oci.ask.identity, &call->oci.ask.client, &client);
	asking->weight = ask_weight(members, asking->gathered->share * NAME_BYTES_MAX + ANSWER_LEAST);
	entered = gate ? ask_gate_enter(gate, buf_str(&client), asking->weight) : ASK_MAY;
	if (entered == ASK_MAY) {
		asking->client = check_strdup(buf_text(&client));
		return true;
	}
	counter_add(&call->loop->counters.catalog_refused_total, 1);
	if (entered == ASK_CLIENT_HAS_MANY) {
		(void)error_set(&err, ERROR_BUSY, "TOOMANYREQUESTS",
			"this client lists the catalog of the cluster too often at once");
		http_request_reply(call->oci.request, oci_reply_error(&err));
	} else {
		(void)error_set(&err, ERROR_BUSY, NULL, "too many list the catalog of the cluster at once");
		http_request_reply(call->oci.request, oci_reply_later(RETRY_S, &err));
	}
	return false;
}

static void format_target(const struct gathered *gathered, struct buf *into)
{
	buf_format(into, "/v2/_catalog?n=%zu", gathered->share);
	if (*gathered->page.last) {
		buf_puts(into, "&last=");
		buf_url(into, str_of(gathered->page.last), "");
	}
}

static void start_others(struct asking *asking, const struct ring_member **members, size_t len)
{
	struct front_call *call = asking->errand.call;
	const struct front *front = call->loop->front;
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
		.members = members,
		.members_len = len,
		.answer_max = asking->gathered->share * NAME_BYTES_MAX + ANSWER_LEAST,
		.within_ms = CATALOG_WITHIN_MS };

	format_target(asking->gathered, &target);
	spec.question.target = buf_text(&target);
	asking->all = ask_all_start(&spec, on_answers, asking);
}

static void start(struct asking *asking, const struct ring_member **members, size_t len)
{
	struct front_call *call = asking->errand.call;

	call->errand = &asking->errand;
	counter_add(&call->loop->counters.catalog_asked_total, 1);
	loop_timer_start(call->oci.loop, &asking->late, CATALOG_WITHIN_MS, on_late, asking);
	if (asking->gathered->has_own)
		start_own(asking);
	start_others(asking, members, len);
}

static struct gathered *gathered_new(struct front_call *call, const struct oci_page *page)
{
	struct gathered *gathered = xnew(struct gathered);
	struct front *front = call->loop->front;

	gathered->page = *page;
	gathered->front = front;
	gathered->self = cluster_self(front->cluster);
	gathered->snapshot = snapshot_ref(call->oci.ask.snapshot);
	gathered->has_own = cluster_is_among(front->cluster, gathered->snapshot);
	gathered->share = front_catalog_share(page->n, ring_len(gathered->snapshot->ring));
	return gathered;
}

void front_catalog_start(struct front_call *call)
{
	const struct ring_member **members;
	struct asking *asking;
	struct oci_page page;
	struct error err;
	size_t len;

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
	members = xnew_array(const struct ring_member *, ring_len(ring_of(call)) + 1);
	len = find_others(call, asking->gathered->has_own, members);
	if (enter_gate(asking, len + 1))
		start(asking, members, len);
	else
		asking_free(asking);
	free(members);
}
