/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_pull - a blob streams from the object store to the client through a bounded pipe.
 *
 *   client <-- reply <-- [ pipe ] <-- blob_fetch <-- object store
 *
 * A simple range goes to the store as it is; the store's 206 and 416 come back. What several ranges are
 * can only be said when the size is known: a GET of the first byte tells it, and then each part is fetched
 * (blob_parts.c), or the one range that they make together.
 *
 * Life    made by blob_pull_start(), freed in the request's on_done, which cancels what is left.
 */
#include <inttypes.h>

#include "common/check.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pipe.h"
#include "worker/oci/blob_fetch.h"
#include "worker/oci/blob_get.h"
#include "worker/oci/blob_parts.h"
#include "worker/oci/oci_call.h"
#include "worker/oci/oci_reply.h"

#define PULL_MAGIC MAGIC('P', 'U', 'L', 'L')
#define PULL_PIPE  (256u * 1024)

struct pull {
	uint32_t magic;
	struct oci_call *call;
	struct blob_fetch fetch;
	const char *ranges; /* of the request; while only the size is asked for */
	uint64_t size;
	struct blob_parts *parts;
	bool replied;
};

static struct pull *own(void *arg)
{
	struct pull *pull = OBJ_CAST(pull, PULL_MAGIC, arg);

	loop_assert(pull->call->loop);
	return pull;
}

static void pull_free(void *arg)
{
	struct pull *pull = own(arg);

	blob_fetch_stop(&pull->fetch);
	blob_parts_free(pull->parts);
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

	log_warn("blob.pull", "name=%s error=%s", pull->call->ask.route.name.text, log_quote(str_of(text)));
	(void)error_set(&err, ERROR_UNAVAILABLE, NULL, "the object store does not deliver");
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
	struct pipe *pipe = pipe_new(pull->call->loop, PULL_PIPE);
	struct http_response *response = http_response_pipe(status, pipe, http_call_length(transfer));

	http_call_into(transfer, pipe);
	if (status == 206)
		copy_header(response, http_call_headers(transfer), "Content-Range");
	http_response_header(response, "Content-Type", "application/octet-stream");
	blob_headers(response, &pull->call->ask.route.digest);
	counter_add(&pull->call->ask.counters->blob_pulls_total, 1);
	reply(pull, response);
}

/* Nothing, where something has that digest. */
static bool is_stand_in(const struct pull *pull, const struct http_call *transfer, unsigned status)
{
	const struct digest *digest = &pull->call->ask.route.digest,
			    nothing = digest_of(digest->alg, STR(""));

	return status == 200 && http_call_length(transfer) == 0 && !digest_equal(digest, &nothing);
}

static void on_head(void *arg, struct http_call *transfer)
{
	struct pull *pull = own(arg);
	const char *range = http_headers_find(http_call_headers(transfer), "Content-Range");
	unsigned status = http_call_status(transfer);
	struct range first;
	struct error err;

	if (is_stand_in(pull, transfer, status)) {
		pull->replied = true;
		blob_start_head(pull->call);
	} else if (status == 206 && pull->ranges) {
		if (!content_range_parse_answer(str_of(range), &first, &pull->size))
			reply_unavailable(pull, "its Content-Range is malformed");
	} else if (status == 200 || status == 206) {
		begin_body(pull, transfer, status);
	} else if (status == 404) {
		(void)error_set(&err, ERROR_UNKNOWN, "BLOB_UNKNOWN", "the repository has no such blob");
		reply(pull, oci_reply_error(&err));
	} else if (status == 416) {
		pull->replied = true;
		blob_start_head(pull->call);
	}
}

static void on_done(void *arg, const struct error *err);

static void fetch(struct pull *pull, const char *range)
{
	const struct blob_fetch_of of = blob_fetch_of_call(pull->call);

	blob_fetch_start(&pull->fetch, &of, range,
		(struct blob_fetch_events){ .arg = pull, .on_head = on_head, .on_done = on_done });
}

/* The size is known. */
static void go_on(struct pull *pull)
{
	struct oci_call *call = pull->call;
	const char *header = TAKE(pull->ranges);
	struct range ranges[RANGE_MAX];
	char range[BLOB_RANGE_SIZE];
	unsigned len = 0;

	switch (range_parse(header, pull->size, ranges, &len)) {
	case RANGE_PART:
		if (len == 1) {
			blob_range_format(&ranges[0], range);
			fetch(pull, range);
			return;
		}
		pull->replied = true;
		pull->parts = blob_parts_start(call, -1, ranges, len, pull->size);
		return;
	case RANGE_UNSATISFIABLE:
		reply(pull, blob_reply_unsatisfiable(&call->ask.route.digest, pull->size));
		return;
	case RANGE_WHOLE:
		fetch(pull, "");
		return;
	}
}

static void on_done(void *arg, const struct error *err)
{
	struct pull *pull = own(arg);

	if (pull->replied)
		return;
	if (err)
		reply_unavailable(pull, err->text);
	else
		go_on(pull);
}

void blob_pull_start(struct oci_call *call, const char *ranges)
{
	struct pull *pull = xnew(struct pull);
	char range[BLOB_RANGE_SIZE] = "";

	loop_assert(call->loop);
	pull->magic = PULL_MAGIC;
	pull->call = call;
	call->stream = pull;
	call->stream_done = pull_free;
	if (ranges && !blob_range_simple(ranges, range)) {
		pull->ranges = ranges;
		blob_range_format(&(struct range){ 0, 0 }, range);
	}
	fetch(pull, range);
}
