/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/blob_fetch.h"

#include "common/check.h"
#include "common/http_client.h"
#include "worker/oci/oci_call.h"
#include "worker/registry/registry.h"

#define FETCH_MAGIC MAGIC('F', 'T', 'C', 'H')
#define PAUSE_MS    100
#define LOOK_MS     50

static struct blob_fetch *own(void *arg)
{
	struct blob_fetch *fetch = OBJ_CAST(blob_fetch, FETCH_MAGIC, arg);

	loop_assert(fetch->of.loop);
	return fetch;
}

static void send_request(struct blob_fetch *fetch);

static void on_timer(void *arg);

static void look_later(struct blob_fetch *fetch)
{
	fetch->awaits_keys = true;
	loop_timer_start(fetch->of.loop, &fetch->timer, LOOK_MS, on_timer, fetch);
}

static enum store_again tell(struct blob_fetch *fetch, const struct store_answer *answer)
{
	return store_blob_answered(fetch->of.store, name_str(&fetch->of.name), &fetch->with, answer);
}

static void tell_silence(struct blob_fetch *fetch, const struct error *why)
{
	store_blob_silent(fetch->of.store, name_str(&fetch->of.name), &fetch->with, why);
}

static void on_timer(void *arg)
{
	struct blob_fetch *fetch = own(arg);

	if (fetch->awaits_keys && tell(fetch, NULL) == STORE_AGAIN_SOON)
		look_later(fetch);
	else
		send_request(fetch);
}

static bool is_answer(unsigned status)
{
	return status == 200 || status == 206 || status == 404 || status == 416;
}

/* Why is in its body. */
static bool is_refusal(unsigned status)
{
	return status == 400 || status == 401 || status == 403;
}

static struct store_answer answer_of(const struct http_call *transfer, struct str body)
{
	return (struct store_answer){ http_call_status(transfer),
		http_headers_find(http_call_headers(transfer), "Date"), body };
}

static void on_head(void *arg, struct http_call *transfer)
{
	struct blob_fetch *fetch = own(arg);
	unsigned status = http_call_status(transfer);
	struct store_answer answer;

	fetch->answered = is_answer(status);
	if (is_refusal(status))
		http_call_collect(transfer, STORE_REFUSAL_MAX);
	if (!fetch->answered)
		return;
	answer = answer_of(transfer, STR_NONE);
	(void)tell(fetch, &answer);
	loop_timer_stop(fetch->of.loop, &fetch->late);
	fetch->events.on_head(fetch->events.arg, transfer);
}

static bool is_worth_a_retry(unsigned status, const struct error *err)
{
	return err ? true : status == 429 || status >= 500;
}

static void pause_then_send(struct blob_fetch *fetch)
{
	int64_t pause = (int64_t)PAUSE_MS << (fetch->tries - 1);

	loop_timer_start(fetch->of.loop, &fetch->timer, pause + (int64_t)random_below((uint64_t)pause),
		on_timer, fetch);
}

/* Refused for its keys or its time, which others mend: it is on its way again. */
static bool sent_again(struct blob_fetch *fetch, const struct http_call *transfer)
{
	const struct store_answer answer = answer_of(transfer, http_call_body(transfer));
	enum store_again again = tell(fetch, &answer);

	if (again == STORE_AGAIN_NOT || fetch->tries >= BLOB_FETCH_TRIES)
		return false;
	if (again == STORE_AGAIN_SOON)
		look_later(fetch);
	else
		loop_timer_start(fetch->of.loop, &fetch->timer, 0, on_timer, fetch);
	return true;
}

static void on_done(void *arg, struct http_call *transfer, const struct error *err)
{
	struct blob_fetch *fetch = own(arg);
	unsigned status = http_call_status(transfer);
	struct error unusable;

	fetch->transfer = NULL;
	if (!fetch->answered && !err && sent_again(fetch, transfer))
		return;
	if (err && !status)
		tell_silence(fetch, err);
	if (!fetch->answered && is_worth_a_retry(status, err) && fetch->tries < BLOB_FETCH_TRIES) {
		pause_then_send(fetch);
		return;
	}
	loop_timer_stop(fetch->of.loop, &fetch->late);
	if (!fetch->answered && !err) {
		(void)error_set(&unusable, ERROR_UNAVAILABLE, NULL, "status %u", status);
		err = &unusable;
	}
	fetch->events.on_done(fetch->events.arg, err);
}

static bool add_range(const struct blob_fetch *fetch, struct blob_source *source)
{
	if (!*fetch->range)
		return true;
	if (!source->headers)
		source->headers = http_headers_new();
	return http_headers_add(source->headers, STR("Range"), str_of(fetch->range));
}

static void on_late(void *arg)
{
	struct blob_fetch *fetch = own(arg);
	struct error err;

	(void)error_set(&err, ERROR_TIMEOUT, NULL, "no answer for %d ms", BLOB_HEAD_MS);
	loop_timer_stop(fetch->of.loop, &fetch->timer);
	if (fetch->transfer && !http_call_status(fetch->transfer))
		tell_silence(fetch, &err);
	if (fetch->transfer)
		http_call_cancel(TAKE(fetch->transfer));
	fetch->events.on_done(fetch->events.arg, &err);
}

static void send_request(struct blob_fetch *fetch)
{
	struct blob_source source = { .fd = -1 };
	struct http_call_spec spec = { .method = "GET" };
	struct error err;
	bool ok;

	fetch->tries++;
	fetch->awaits_keys = false;
	fetch->with = (struct store_signed){ 0 };
	ok = store_blob_source(
		     fetch->of.store, name_str(&fetch->of.name), &fetch->of.digest, NULL, &source, &err) &&
	     (add_range(fetch, &source) || error_set(&err, ERROR_INTERNAL, NULL, "too many headers"));
	if (ok) {
		fetch->with = source.with;
		spec.url = source.url;
		spec.headers = source.headers;
		spec.ca_file = source.ca_file;
		spec.insecure = source.insecure;
		fetch->transfer = http_call_start(fetch->of.client, &spec,
			(struct http_call_events){ .arg = fetch, .on_head = on_head, .on_done = on_done });
	}
	blob_source_fini(&source);
	if (ok)
		return;
	/* There are no keys now, and will be. */
	if (fetch->tries < BLOB_FETCH_TRIES && tell(fetch, NULL) == STORE_AGAIN_SOON) {
		look_later(fetch);
		return;
	}
	loop_timer_stop(fetch->of.loop, &fetch->late);
	fetch->events.on_done(fetch->events.arg, &err);
}

struct blob_fetch_of blob_fetch_of_call(const struct oci_call *call)
{
	return (struct blob_fetch_of){ .loop = call->loop,
		.client = call->client,
		.store = call->ask.registry->store,
		.name = call->ask.route.name,
		.digest = call->ask.route.digest };
}

void blob_fetch_start(struct blob_fetch *fetch, const struct blob_fetch_of *of, const char *range,
	struct blob_fetch_events events)
{
	loop_assert(of->loop);
	CHECK(!fetch->transfer);
	*fetch = (struct blob_fetch){ .magic = FETCH_MAGIC, .of = *of, .events = events };
	CHECK(str_copy(str_of(range), fetch->range, sizeof(fetch->range)));
	loop_timer_start(of->loop, &fetch->late, BLOB_HEAD_MS, on_late, fetch);
	send_request(fetch);
}

void blob_fetch_stop(struct blob_fetch *fetch)
{
	if (!fetch->magic)
		return;
	loop_timer_stop(fetch->of.loop, &fetch->timer);
	loop_timer_stop(fetch->of.loop, &fetch->late);
	if (fetch->transfer)
		http_call_cancel(TAKE(fetch->transfer));
	fetch->magic = 0;
}
