/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/blob_fetch.h"

#include "common/check.h"
#include "common/http_client.h"
#include "worker/oci/oci_call.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

#define FETCH_MAGIC MAGIC('F', 'T', 'C', 'H')
#define PAUSE_MS    100

static struct blob_fetch *own(void *arg)
{
	struct blob_fetch *fetch = OBJ_CAST(blob_fetch, FETCH_MAGIC, arg);

	loop_assert(fetch->of.loop);
	return fetch;
}

static void send_request(struct blob_fetch *fetch);

static void on_timer(void *arg)
{
	send_request(own(arg));
}

static bool is_answer(unsigned status)
{
	return status == 200 || status == 206 || status == 404 || status == 416;
}

static void on_head(void *arg, struct http_call *transfer)
{
	struct blob_fetch *fetch = own(arg);

	fetch->answered = is_answer(http_call_status(transfer));
	if (!fetch->answered)
		return;
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

static void on_done(void *arg, struct http_call *transfer, const struct error *err)
{
	struct blob_fetch *fetch = own(arg);
	unsigned status = http_call_status(transfer);
	struct error unusable;

	fetch->transfer = NULL;
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

	loop_timer_stop(fetch->of.loop, &fetch->timer);
	if (fetch->transfer)
		http_call_cancel(TAKE(fetch->transfer));
	(void)error_set(&err, ERROR_TIMEOUT, NULL, "no answer for %d ms", BLOB_HEAD_MS);
	fetch->events.on_done(fetch->events.arg, &err);
}

static void send_request(struct blob_fetch *fetch)
{
	struct blob_source source = { .fd = -1 };
	struct http_call_spec spec = { .method = "GET" };
	struct error err;
	bool ok;

	fetch->tries++;
	ok = store_blob_source(
		     fetch->of.store, name_str(&fetch->of.name), &fetch->of.digest, NULL, &source, &err) &&
	     (add_range(fetch, &source) || error_set(&err, ERROR_INTERNAL, NULL, "too many headers"));
	if (ok) {
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
