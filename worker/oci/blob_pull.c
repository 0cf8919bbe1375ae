/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_pull - a blob streams from the object store to the client through a bounded pipe.
 *
 *   client <-- reply <-- [ pipe ] <-- http_call <-- object store
 *
 * Until its reply has begun a pull may be tried again: an overloaded store is asked PULL_TRIES times,
 * with growing pauses. A simple range goes to the store as it is; the store's 206 and 416 come back.
 *
 * Life    made by blob_pull_start(), freed in the request's on_done, which cancels what is left.
 */
#include <inttypes.h>

#include "common/check.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pipe.h"
#include "worker/front_call.h"
#include "worker/oci/blob_get.h"
#include "worker/oci/blob_range.h"
#include "worker/oci/oci_reply.h"
#include "worker/storage/store.h"

#define PULL_MAGIC    MAGIC('P', 'U', 'L', 'L')
#define PULL_PIPE     (256u * 1024)
#define PULL_TRIES    4
#define PULL_PAUSE_MS 100

struct pull {
	uint32_t magic;
	struct front_call *call;
	struct http_call *transfer;
	struct loop_timer timer;
	unsigned tries;
	bool replied;
};

static void pull_send(struct pull *pull);

static void pull_free(void *arg)
{
	struct pull *pull = OBJ_CAST(pull, PULL_MAGIC, arg);

	loop_timer_stop(pull->call->loop->loop, &pull->timer);
	if (pull->transfer)
		http_call_cancel(pull->transfer);
	pull->magic = 0;
	free(pull);
}

static void reply(struct pull *pull, struct http_response *response)
{
	pull->replied = true;
	http_request_reply(pull->call->request, response);
}

static void reply_unavailable(struct pull *pull, const char *text)
{
	struct error err;

	(void)error_set(&err, ERROR_UNAVAILABLE, NULL, "the object store does not deliver: %s", text);
	log_warn("blob.pull", "name=%s error=%s", pull->call->ask.route.name.text,
		log_quote(str_of(err.text)));
	reply(pull, oci_reply_error(&err));
}

static void copy_header(struct http_response *response, const struct http_headers *from, const char *name)
{
	const char *value = http_headers_find(from, name);

	if (value)
		http_response_header(response, name, value);
}

static void begin_body(struct pull *pull, struct http_call *transfer, unsigned status)
{
	struct pipe *pipe = pipe_new(pull->call->loop->loop, PULL_PIPE);
	struct http_response *response = http_response_pipe(status, pipe, http_call_length(transfer));

	http_call_into(transfer, pipe);
	if (status == 206)
		copy_header(response, http_call_headers(transfer), "Content-Range");
	http_response_header(response, "Content-Type", "application/octet-stream");
	blob_headers(response, &pull->call->ask.route.digest);
	counter_add(&pull->call->ask.counters->blob_pulls_total, 1);
	reply(pull, response);
}

static void on_head(void *arg, struct http_call *transfer)
{
	struct pull *pull = OBJ_CAST(pull, PULL_MAGIC, arg);
	unsigned status = http_call_status(transfer);
	struct error err;

	if (status == 200 || status == 206) {
		begin_body(pull, transfer, status);
	} else if (status == 404) {
		(void)error_set(&err, ERROR_UNKNOWN, "BLOB_UNKNOWN", "the repository has no such blob");
		reply(pull, oci_reply_error(&err));
	} else if (status == 416) {
		pull->replied = true;
		blob_start_head(pull->call);
	}
}

static void on_timer(void *arg)
{
	pull_send(OBJ_CAST(pull, PULL_MAGIC, arg));
}

static bool is_worth_a_retry(unsigned status, const struct error *err)
{
	return err ? true : status == 429 || status >= 500;
}

static void on_done(void *arg, struct http_call *transfer, const struct error *err)
{
	struct pull *pull = OBJ_CAST(pull, PULL_MAGIC, arg);
	unsigned status = http_call_status(transfer);
	char text[32];

	pull->transfer = NULL;
	if (pull->replied)
		return;
	if (is_worth_a_retry(status, err) && pull->tries < PULL_TRIES) {
		int64_t pause = (int64_t)PULL_PAUSE_MS << (pull->tries - 1);
		loop_timer_start(pull->call->loop->loop, &pull->timer,
			pause + (int64_t)random_below((uint64_t)pause), on_timer, pull);
		return;
	}
	(void)snprintf(text, sizeof(text), "status %u", status);
	reply_unavailable(pull, err ? err->text : text);
}

static bool add_range(const struct pull *pull, struct blob_source *source)
{
	char range[BLOB_RANGE_SIZE];

	if (blob_range_simple(blob_range_header(pull->call), range) != BLOB_RANGE_SIMPLE)
		return true;
	if (!source->headers)
		source->headers = http_headers_new();
	return http_headers_add(source->headers, STR("Range"), str_of(range));
}

/* A try: the request is signed anew, since signatures age. */
static void pull_send(struct pull *pull)
{
	const struct oci_ask *ask = &pull->call->ask;
	struct blob_source source = { .fd = -1 };
	struct http_call_spec spec = { .method = "GET" };
	struct error err;

	pull->tries++;
	if (!store_blob_source(ask->worker->store, name_str(&ask->route.name), &ask->route.digest, NULL,
		    &source, &err) ||
		!add_range(pull, &source)) {
		reply_unavailable(pull, "its request could not be made");
	} else {
		spec.url = source.url;
		spec.headers = source.headers;
		spec.ca_file = ask->worker->settings ? ask->worker->settings->s3_ca : NULL;
		spec.insecure = ask->worker->settings && ask->worker->settings->s3_insecure;
		pull->transfer = http_call_start(pull->call->loop->client, &spec,
			(struct http_call_events){ .arg = pull, .on_head = on_head, .on_done = on_done });
	}
	blob_source_fini(&source);
}

void blob_pull_start(struct front_call *call)
{
	struct pull *pull = xnew(struct pull);

	pull->magic = PULL_MAGIC;
	pull->call = call;
	call->stream = pull;
	call->stream_done = pull_free;
	pull_send(pull);
}
