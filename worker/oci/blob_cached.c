/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_cached - a blob of a bucket, from this worker's cache.
 *
 *   it is there, and the repository is known to have it        a file
 *   it is there                                                 the bucket is asked for one byte of it, which proves that; then a file
 *   it is on its way, or a GET wants all of it                  read along (blob_fills.h)
 *   else                                                        false: as without a cache
 *
 * While the bucket answers nobody what it said within the last hour is enough (registry_had_seen()).
 *
 * What is on its way serves a range that begins in what is there, or NEAR behind it. Where a file cannot be read any more, or is not
 * kept, a client goes on with the rest from the bucket.
 *
 * Life    made by blob_cached_serve(), freed in the request's on_done.
 */
#include <inttypes.h>

#include "common/check.h"
#include "common/http_client.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pipe.h"
#include "worker/oci/blob_fetch.h"
#include "worker/oci/blob_fills.h"
#include "worker/oci/blob_get.h"
#include "worker/oci/oci_call.h"
#include "worker/oci/oci_condition.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/registry.h"
#include "worker/storage/blob_cache.h"
#include "worker/storage/store.h"

#define CACHED_MAGIC MAGIC('C', 'C', 'H', 'D')
#define NEAR         ((uint64_t)8 * 1024 * 1024)
#define PIPE_BYTES   (256u * 1024)

struct cached {
	uint32_t magic;
	struct oci_call *call;
	uint64_t mark; /* registry_seen_mark() of the begin */
	bool asked;    /* the bucket has just said that the repository has it */
	struct blob_fetch fetch;
	struct fill_reader *reader; /* NULL: it is a file of the cache */
	bool began, replied, counted;
	bool rests;         /* the rest comes from the bucket */
	struct range range; /* of the blob, that the reply has */
	uint64_t size;
};

static struct cached *own(void *arg)
{
	struct cached *cached = OBJ_CAST(cached, CACHED_MAGIC, arg);

	loop_assert(cached->call->loop);
	return cached;
}

static void cached_free(void *arg)
{
	struct cached *cached = own(arg);

	blob_fetch_stop(&cached->fetch);
	fill_reader_free(cached->reader);
	cached->magic = 0;
	free(cached);
}

static struct cached *cached_new(struct oci_call *call, uint64_t mark)
{
	struct cached *cached = xnew(struct cached);

	cached->magic = CACHED_MAGIC;
	cached->call = call;
	cached->mark = mark;
	return cached;
}

/* The request has it from now on. */
static void keep(struct cached *cached)
{
	cached->call->stream = cached;
	cached->call->stream_done = cached_free;
}

static struct str name_of(const struct cached *cached)
{
	return name_str(&cached->call->ask.route.name);
}

static const struct digest *digest_of_call(const struct oci_call *call)
{
	return &call->ask.route.digest;
}

/* Once for a request. */
static void count(struct cached *cached, bool hit)
{
	struct oci_counters *counters = cached->call->ask.counters;

	if (!cached->counted)
		counter_add(hit ? &counters->cache_hits_total : &counters->cache_misses_total, 1);
	cached->counted = true;
}

static bool wants_all(const struct oci_call *call)
{
	struct range ranges[RANGE_MAX];
	unsigned len;

	return range_parse(blob_range_header(call), INT64_MAX, ranges, &len) == RANGE_WHOLE;
}

/* As without a cache. */
static void leave_to_bucket(struct cached *cached)
{
	struct oci_call *call = cached->call;

	count(cached, false);
	call->stream = NULL;
	call->stream_done = NULL;
	cached_free(cached);
	blob_pull_start(call, wants_all(call) ? NULL : blob_range_header(call));
}

static void reply_error(struct cached *cached, enum error_kind kind, const char *code, const char *text)
{
	struct error err;

	(void)error_set(&err, kind, code, "%s", text);
	cached->replied = true;
	http_request_reply(cached->call->request, oci_reply_error(&err));
}

/* ---- the rest from the bucket ---- */

static void on_rest_head(void *arg, struct http_call *transfer)
{
	struct cached *cached = own(arg);
	const char *header = http_headers_find(http_call_headers(transfer), "Content-Range");
	uint64_t at = cached->range.first + http_request_bytes_out(cached->call->request), total;
	struct range found;
	struct pipe *pipe;

	if (http_call_status(transfer) != 206 ||
		!content_range_parse_answer(str_of(header), &found, &total) || found.first != at ||
		found.last != cached->range.last || total != cached->size) {
		http_request_cut(cached->call->request);
		return;
	}
	pipe = pipe_new(cached->call->loop, PIPE_BYTES);
	http_call_into(transfer, pipe);
	http_request_go_on(cached->call->request, pipe);
}

/* A body that was cut is told by its pipe; a head that did not come, by nobody else. */
static void on_rest_done(void *arg, const struct error *err)
{
	struct cached *cached = own(arg);

	if (err)
		http_request_cut(cached->call->request);
}

static void go_on_from_bucket(struct cached *cached)
{
	const struct blob_fetch_of of = blob_fetch_of_call(cached->call);
	char range[BLOB_RANGE_SIZE];
	uint64_t at;

	if (cached->rests)
		return;
	cached->rests = true;
	at = cached->range.first + http_request_stop(cached->call->request);
	fill_reader_free(TAKE(cached->reader));
	blob_range_format(&(struct range){ at, cached->range.last }, range);
	blob_fetch_start(&cached->fetch, &of, range,
		(struct blob_fetch_events){
			.arg = cached, .on_head = on_rest_head, .on_done = on_rest_done });
}

/* ---- a file ---- */

static void on_broken(void *arg)
{
	struct cached *cached = own(arg);
	struct oci_call *call = cached->call;
	struct error err;

	(void)error_set(&err, ERROR_UNAVAILABLE, NULL, "an entry could not be read to its end");
	blob_cache_failed(call->ask.registry->cache, digest_of_call(call), &err);
	go_on_from_bucket(cached);
}

/* The part that the reply has, as its ranges say. */
static void set_range(struct cached *cached, uint64_t size)
{
	struct range ranges[RANGE_MAX];
	unsigned len = 0;

	cached->size = size;
	cached->range = (struct range){ 0, size ? size - 1 : 0 };
	if (range_parse(blob_range_header(cached->call), size, ranges, &len) == RANGE_PART)
		cached->range = ranges[0];
}

/* Several ranges have a stream of their own. */
static void serve_entry(struct cached *cached, struct blob_source *source)
{
	struct oci_call *call = cached->call;

	count(cached, true);
	set_range(cached, source->size);
	cached->replied = true;
	call->stream = NULL;
	call->stream_done = NULL;
	blob_serve_file(call, source, on_broken, cached);
	if (call->stream)
		cached_free(cached);
	else
		keep(cached);
}

/* ---- reading along ---- */

static void on_wake(void *arg);

static void begin_reply(struct cached *cached, const struct fill_view *view)
{
	struct oci_call *call = cached->call;
	struct range ranges[RANGE_MAX];
	unsigned len = 0;
	enum range_kind kind = range_parse(blob_range_header(call), view->size, ranges, &len);
	struct http_growing growing = { .broken = on_broken, .arg = cached };

	cached->replied = true;
	if (kind == RANGE_UNSATISFIABLE) {
		http_request_reply(call->request, blob_reply_unsatisfiable(digest_of_call(call), view->size));
		return;
	}
	set_range(cached, view->size);
	growing.fd = fill_reader_open(cached->reader);
	if (growing.fd < 0) {
		reply_error(cached, ERROR_UNAVAILABLE, NULL, "this worker has no descriptors left");
		return;
	}
	growing.offset = cached->range.first;
	growing.len = view->size ? range_length(&cached->range) : 0;
	growing.there = view->there > growing.offset ? view->there - growing.offset : 0;
	http_request_reply(call->request,
		blob_reply_file(call, kind == RANGE_PART ? &cached->range : NULL, view->size, &growing));
}

/* Of a small blob nothing is told before it is right: then an error is one. */
static bool has_begun(const struct fill_view *view)
{
	return view->state == FILL_WHOLE || (view->state == FILL_FLOWING && view->size > FILL_HOLD);
}

static void flow(struct cached *cached, const struct fill_view *view)
{
	if (!cached->replied && has_begun(view))
		begin_reply(cached, view);
	else if (cached->replied && view->there > cached->range.first)
		http_request_there(cached->call->request, view->there - cached->range.first);
	if (view->state != FILL_WHOLE)
		fill_reader_await(cached->reader, view);
}

static void fail(struct cached *cached, const char *why)
{
	if (cached->replied)
		http_request_cut(cached->call->request);
	else
		reply_error(cached, ERROR_UNAVAILABLE, NULL, why);
}

/* The bucket was asked for this repository, and it has it. */
static void saw(struct cached *cached, const struct fill_view *view)
{
	if (cached->began)
		registry_saw(cached->call->ask.registry, name_of(cached), digest_of_call(cached->call),
			view->size, cached->mark);
	cached->began = false;
}

static void look(struct cached *cached)
{
	struct fill_view view = fill_reader_look(cached->reader);

	switch (view.state) {
	case FILL_ASKING:
		fill_reader_await(cached->reader, &view);
		break;
	case FILL_FLOWING:
	case FILL_WHOLE:
		saw(cached, &view);
		flow(cached, &view);
		break;
	case FILL_ABSENT:
		if (!fill_reader_is_from(cached->reader, &cached->call->ask.route.name))
			leave_to_bucket(cached);
		else
			reply_error(cached, ERROR_UNKNOWN, "BLOB_UNKNOWN", "the repository has no such blob");
		break;
	case FILL_NOT_KEPT:
		if (view.size)
			saw(cached, &view);
		if (cached->replied)
			go_on_from_bucket(cached);
		else
			leave_to_bucket(cached);
		break;
	case FILL_FAILED:
		fail(cached, "the object store does not deliver");
		break;
	case FILL_WRONG:
		fail(cached, "the object store has other bytes under this digest");
		break;
	}
}

static void on_wake(void *arg)
{
	struct cached *cached = own(arg);

	if (cached->reader)
		look(cached);
}

/* ---- which way ---- */

/* What is under way has its begin, or will soon. */
static bool is_near(const struct oci_call *call, const struct fill_view *view)
{
	struct range ranges[RANGE_MAX];
	unsigned len = 0;

	if (view->state != FILL_FLOWING && view->state != FILL_WHOLE)
		return false;
	return range_parse(blob_range_header(call), view->size, ranges, &len) == RANGE_PART && len == 1 &&
	       ranges[0].first <= view->there + NEAR;
}

/* Who has asked in vain need not wait until the bucket counts as away. */
static bool is_known(const struct cached *cached, bool in_vain, uint64_t *ret_size)
{
	struct registry *registry = cached->call->ask.registry;
	const struct digest *digest = digest_of_call(cached->call);

	return registry_has_seen(registry, name_of(cached), digest, ret_size) ||
	       registry_had_seen(registry, name_of(cached), digest, in_vain ? 1 : STORE_AWAY_MS, ret_size);
}

/* An entry answers whatever is asked, where the repository is known to have it. */
static bool serve_known(struct cached *cached, bool in_vain)
{
	struct oci_call *call = cached->call;
	struct blob_source source = { .fd = -1 };
	uint64_t seen;
	bool found =
		is_known(cached, in_vain, &seen) &&
		blob_cache_get(call->ask.registry->cache, digest_of_call(call), &source.fd, &source.size) &&
		source.size == seen;

	if (found)
		serve_entry(cached, &source);
	blob_source_fini(&source);
	return found;
}

enum way { WAY_NONE, WAY_TAKEN, WAY_ASK };

static enum way read_along(struct cached *cached, bool known)
{
	struct oci_call *call = cached->call;
	struct fill_ask ask = { .name = call->ask.route.name,
		.digest = *digest_of_call(call),
		.mark = cached->mark,
		.may_begin = wants_all(call) && blob_cache_takes(call->ask.registry->cache, 0),
		.loop = call->loop,
		.wake = on_wake,
		.arg = cached };
	struct fill_view view;

	cached->reader = blob_fills_read(call->fills, &ask, &cached->began);
	if (!cached->reader)
		return WAY_NONE;
	view = fill_reader_look(cached->reader);
	if (!wants_all(call) && !is_near(call, &view)) {
		fill_reader_free(TAKE(cached->reader));
		return WAY_NONE;
	}
	if (!known && !cached->began && !fill_reader_is_of(cached->reader, &ask.name, ask.mark)) {
		fill_reader_free(TAKE(cached->reader));
		return WAY_ASK;
	}
	count(cached, !cached->began);
	keep(cached);
	look(cached);
	return WAY_TAKEN;
}

static enum way from_entry(struct cached *cached, bool known, uint64_t seen)
{
	struct oci_call *call = cached->call;
	struct blob_source source = { .fd = -1 };
	enum way way = WAY_NONE;

	if (blob_cache_get(call->ask.registry->cache, digest_of_call(call), &source.fd, &source.size)) {
		way = known && seen == source.size ? WAY_TAKEN : WAY_ASK;
		if (way == WAY_TAKEN)
			serve_entry(cached, &source);
	}
	blob_source_fini(&source);
	return way;
}

static enum way find_way(struct cached *cached)
{
	uint64_t seen = cached->size;
	bool known = cached->asked || is_known(cached, false, &seen);
	enum way way = from_entry(cached, known, seen);

	if (way != WAY_NONE || (known && !blob_cache_takes(cached->call->ask.registry->cache, seen)))
		return way;
	way = read_along(cached, known);
	/* What was on its way may have become an entry since we looked. */
	return way == WAY_NONE ? from_entry(cached, known, seen) : way;
}

static void on_asked_head(void *arg, struct http_call *transfer)
{
	struct cached *cached = own(arg);
	const char *header = http_headers_find(http_call_headers(transfer), "Content-Range");
	struct range found;
	uint64_t total;

	if (http_call_status(transfer) == 404) {
		reply_error(cached, ERROR_UNKNOWN, "BLOB_UNKNOWN", "the repository has no such blob");
	} else if (http_call_status(transfer) == 206 &&
		   content_range_parse_answer(str_of(header), &found, &total)) {
		registry_saw(cached->call->ask.registry, name_of(cached), digest_of_call(cached->call), total,
			cached->mark);
		cached->size = total;
		cached->asked = true;
	}
}

static void on_asked(void *arg, const struct error *err)
{
	struct cached *cached = own(arg);

	if (cached->replied || (err && serve_known(cached, true)))
		return;
	if (err)
		fail(cached, "the object store does not deliver");
	else if (!cached->asked || find_way(cached) != WAY_TAKEN)
		leave_to_bucket(cached);
}

static void ask(struct cached *cached)
{
	const struct blob_fetch_of of = blob_fetch_of_call(cached->call);
	char range[BLOB_RANGE_SIZE];

	keep(cached);
	blob_range_format(&(struct range){ 0, 0 }, range);
	blob_fetch_start(&cached->fetch, &of, range,
		(struct blob_fetch_events){ .arg = cached, .on_head = on_asked_head, .on_done = on_asked });
}

/* Only what is there can fail a condition: that is asked first, where it is not known. */
static bool is_plain(const struct oci_call *call)
{
	const struct oci_ask *ask_of_it = &call->ask;
	struct range ranges[RANGE_MAX];
	unsigned len;

	return ask_of_it->method == HTTP_GET &&
	       range_parse(blob_range_header(call), INT64_MAX, ranges, &len) != RANGE_UNSATISFIABLE &&
	       oci_condition(ask_of_it->if_match, ask_of_it->if_none_match, digest_of_call(call)) ==
		       OCI_CONDITION_MET;
}

bool blob_cached_serve(struct oci_call *call)
{
	struct registry *registry = call->ask.registry;
	struct cached *cached;

	loop_assert(call->loop);
	if (!call->fills)
		return false;
	cached = cached_new(call, registry_seen_mark(registry, name_str(&call->ask.route.name)));
	if (!is_plain(call)) {
		if (serve_known(cached, false))
			return true;
		cached_free(cached);
		return false;
	}
	switch (find_way(cached)) {
	case WAY_TAKEN:
		return true;
	case WAY_ASK:
		ask(cached);
		return true;
	case WAY_NONE:
		break;
	}
	count(cached, false);
	cached_free(cached);
	return false;
}
