/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/front.h"

#include <inttypes.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/cross_site.h"
#include "common/crypto.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/loop.h"
#include "proto/peer_token.h"
#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/peer.h"
#include "worker/cluster/usage.h"
#include "worker/front/audit.h"
#include "worker/front/front_bytes.h"
#include "worker/front/front_catalog.h"
#include "worker/front/front_move.h"
#include "worker/front/front_refused.h"
#include "worker/front/front_step.h"
#include "worker/front/front_upload.h"
#include "worker/front/pages.h"
#include "worker/moves/moves.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/oci/upload.h"
#include "worker/registry/registry.h"
#include "worker/storage/store.h"

#define NO_STATE_RETRY_S 5
/* A member that hangs is given up before (peer.h). */
#define FORWARD_WAIT_MS 60000
#define FRONT_MAGIC     MAGIC('F', 'R', 'N', 'T')

static const struct front_step {
	const char *name;
	front_step_f *run;
} steps[] = {
#define STEP(name) { #name, front_##name },
	FRONT_STEPS(STEP)
#undef STEP
};

static struct front_call *own(void *arg)
{
	struct front_call *call = OBJ_CAST(front_call, FRONT_MAGIC, arg);

	loop_assert(call->oci.loop);
	return call;
}

/* The only way from one step to another. */
static void go(struct front_call *call, unsigned to)
{
	CHECK(to == call->step + 1 || (to == FRONT_AT_serve && call->step == FRONT_AT_route));
	call->step = to;
	if (log_enabled(LOG_DEBUG))
		log_debug("request.step", "id=%" PRIu64 " step=%s", http_request_id(call->oci.request),
			steps[to].name);
}

void front_again(struct front_call *call)
{
	while (steps[call->step].run(own(call)) == FRONT_MORE)
		go(call, call->step + 1);
}

void front_next(struct front_call *call)
{
	go(call, call->step + 1);
	front_again(call);
}

void front_serve_now(struct front_call *call)
{
	go(call, FRONT_AT_serve);
	front_again(call);
}

/* Route. */

static void reply_error(struct front_call *call, const struct error *err)
{
	http_request_reply(call->oci.request, oci_reply_error(err));
}

static void reply_no_path(struct front_call *call)
{
	struct error err;

	(void)error_set(&err, ERROR_UNKNOWN, NULL, "there is nothing at this path");
	reply_error(call, &err);
}

static void reply_no_method(struct front_call *call, unsigned allowed)
{
	AUTO_FINI(buf) allow = buf_limit(256);
	struct http_response *response;
	struct error err;

	(void)error_set(&err, ERROR_INVALID, "UNSUPPORTED", "this path does not know the method");
	response = oci_reply_status(405, &err);
	route_allow(allowed, &allow);
	http_response_header(response, "Allow", buf_text(&allow));
	http_request_reply(call->oci.request, response);
}

/* A peer sends on what its client's browser said, which was judged there, and the header that claims to be
 * one is none that a page may send. */
static bool is_own_site(const struct front_call *call, struct error *err)
{
	enum http_method method = call->oci.ask.method;
	struct cross_site from;

	if (method == HTTP_GET || method == HTTP_HEAD || http_request_header(call->oci.request, PEER_HEADER))
		return true;
	from = (struct cross_site){ .fetch_site = http_request_header(call->oci.request, "Sec-Fetch-Site"),
		.origin = http_request_header(call->oci.request, "Origin"),
		.host = http_request_header(call->oci.request, "Host") };
	return cross_site_check(method, &from, err);
}

/* Nobody is known yet: a 401 would be a lie. */
static void reply_no_state(struct front_call *call)
{
	struct error err;

	(void)error_set(&err, ERROR_UNAVAILABLE, NULL,
		"this worker has no state from a leader yet; /readyz says why");
	http_request_reply(call->oci.request, oci_reply_later(NO_STATE_RETRY_S, &err));
}

/* The tables: the registry's API, and the pages beside it. */
static enum route_found find_route(struct front_call *call, unsigned *ret_allowed, struct error *err)
{
	struct str path = http_request_path(call->oci.request);
	struct oci_ask *ask = &call->oci.ask;

	if (str_starts(path, "/v2") && !extension_find(path))
		return oci_route_parse(ask->method, path, &ask->route, ret_allowed, err);
	return pages_find(call, ret_allowed, err);
}

/* A store that is asked over a network may be away: the client hears so soon. An upload takes as long as it takes. */
static void limit_wait(struct front_call *call)
{
	const struct route *row = call->oci.ask.route.row;
	unsigned ms = call->loop->front->wait_ms;

	if (ms && row->flags & OCI_API && row->place != OCI_PLACE_HOLDER &&
		row->what != OCI_OPERATION_upload_start)
		http_request_wait_limit(call->oci.request, ms);
}

static enum front_turn routed(struct front_call *call)
{
	struct error err;

	limit_wait(call);

	if (!is_own_site(call, &err)) {
		reply_error(call, &err);
		return FRONT_WAIT;
	}
	if (call->oci.ask.route.row->flags & (OCI_API | OCI_EXTENSION) &&
		!cluster_may_serve(call->loop->front->cluster, call->oci.ask.snapshot)) {
		reply_no_state(call);
		return FRONT_WAIT;
	}
	if (call->oci.ask.route.row->authorise)
		return FRONT_MORE;
	front_serve_now(call);
	return FRONT_WAIT;
}

enum front_turn front_route(struct front_call *call)
{
	unsigned allowed = 0;
	struct error err;

	switch (find_route(call, &allowed, &err)) {
	case ROUTE_FOUND:
		return routed(call);
	case ROUTE_NO_PATH:
		reply_no_path(call);
		return FRONT_WAIT;
	case ROUTE_NO_METHOD:
		reply_no_method(call, allowed);
		return FRONT_WAIT;
	case ROUTE_MALFORMED:
		break;
	}
	reply_error(call, &err);
	return FRONT_WAIT;
}

/* Place. */

/* An upload takes several requests: it begins where it can be finished. */
static bool begins_while_we_leave(const struct front_call *call)
{
	return call->oci.ask.route.row->what == OCI_OPERATION_upload_start &&
	       (cluster_is_draining(call->loop->front->cluster) ||
		       snapshot_is_drained(call->oci.ask.snapshot));
}

/* An answer by which the client need not send a blob: the owner, who collects, is to know of it. */
static bool is_owners_to_say(const struct front_call *call)
{
	const struct oci_ask *ask = &call->oci.ask;

	return ask->registry->options.collects && ask->route.row->what == OCI_OPERATION_blob_get &&
	       ask->method == HTTP_HEAD;
}

static struct place_found find_place(const struct front_call *call)
{
	const struct oci_ask *ask = &call->oci.ask;
	struct cluster *cluster = call->loop->front->cluster;

	switch ((enum oci_place)ask->route.row->place) {
	case OCI_PLACE_RECEIVER:
		if (!ask->snapshot->isolated && !begins_while_we_leave(call) && !is_owners_to_say(call) &&
			cluster_serves(cluster, name_str(&ask->route.name)))
			break;
		return cluster_place(cluster, ask->snapshot, name_str(&ask->route.name));
	case OCI_PLACE_OWNER:
		return cluster_place(cluster, ask->snapshot, name_str(&ask->route.name));
	case OCI_PLACE_HOLDER:
		return front_upload_place(call);
	case OCI_PLACE_ANYWHERE:
		break;
	}
	return (struct place_found){ .place = PLACE_HERE };
}

void front_reply_upload_unknown(struct front_call *call)
{
	struct error err;

	(void)error_set(&err, ERROR_UNKNOWN, "BLOB_UPLOAD_UNKNOWN",
		"the worker that has this upload is gone; start it again");
	reply_error(call, &err);
}

static void reply_missing(struct front_call *call, const char *member)
{
	struct error err;

	(void)error_set(&err, ERROR_UNAVAILABLE, NULL,
		"member %s, which has this repository, cannot be reached",
		member ? member : "(none is active)");
	http_request_reply(call->oci.request, oci_reply_later(2, &err));
}

/* Members are there, and none of them has the tenant. */
static void reply_unserved(struct front_call *call)
{
	struct error err;

	(void)error_set(&err, ERROR_UNAVAILABLE, NULL,
		"no worker of the cluster serves this repository: it is none of their "
		"CLUSTER_WORKER_TENANTS");
	http_request_reply(call->oci.request, oci_reply_later(2, &err));
}

static void reply_misdirected(struct front_call *call, uint64_t ring)
{
	struct http_response *response;
	struct error err;

	(void)error_set(&err, ERROR_CONFLICT, NULL, "another member owns this repository");
	response = oci_reply_status(421, &err);
	http_response_headerf(response, PEER_RING_HEADER, "%016" PRIx64, ring);
	http_request_reply(call->oci.request, response);
}

/* By the ring, and it was not found to be here: our name is another process's still. What lies on the disk may be out of date, or not have come yet. */
static bool is_ours(const struct front_call *call)
{
	const struct snapshot *snapshot = call->oci.ask.snapshot;

	return snapshot->self != RING_NOBODY &&
	       call->place.member == ring_at(snapshot->ring, (size_t)snapshot->self);
}

/* Its owner has had it, or has had the time to delete it. */
static bool is_blob_of_before(const struct front_call *call)
{
	const struct oci_ask *ask = &call->oci.ask;
	struct moves *moves = call->loop->front->moves;

	return moves && (enum oci_operation)ask->route.row->what == OCI_OPERATION_blob_get &&
	       !str_is(ask->query, MOVES_AGAIN) &&
	       !moves_tells(moves, name_str(&ask->route.name), &ask->route.digest);
}

static void reply_blob_unknown(struct front_call *call)
{
	struct error err;

	(void)error_set(
		&err, ERROR_UNKNOWN, "BLOB_UNKNOWN", "all that was here is with the owner of the repository");
	http_request_reply(call->oci.request, oci_reply_error(&err));
}

/* Nobody else has it, whatever the storage is like. */
static bool lies_with_owner(const struct front_call *call)
{
	return call->oci.ask.route.row->flags & OCI_KEPT && !cluster_is_led(call->loop->front->cluster);
}

/* It was sent to us by a peer, so it goes nowhere else. One whose ring is another is told so: which of the
 * two is newer cannot be seen (a store of the leaders that was put back counts its epochs anew), and its
 * client asks again when both have the same. */
static enum front_turn place_of_peer(struct front_call *call)
{
	const struct snapshot *snapshot = call->oci.ask.snapshot;
	uint64_t ring = ring_mark(snapshot->ring);

	if (call->oci.ask.route.row->place == OCI_PLACE_HOLDER) {
		if (!front_upload_reply_moved(call))
			front_reply_upload_unknown(call);
		return FRONT_WAIT;
	}
	if ((snapshot->isolated && ring != call->oci.ask.identity->peer_ring) || lies_with_owner(call)) {
		reply_misdirected(call, ring);
		return FRONT_WAIT;
	}
	if (snapshot->isolated && is_ours(call)) {
		reply_missing(call, call->place.member->id);
		return FRONT_WAIT;
	}
	/* One that owned it before has blobs of it. */
	if (is_blob_of_before(call)) {
		reply_blob_unknown(call);
		return FRONT_WAIT;
	}
	call->place = (struct place_found){ .place = PLACE_HERE };
	return FRONT_MORE;
}

enum front_turn front_place(struct front_call *call)
{
	call->place = find_place(call);
	if (call->place.place == PLACE_HERE && call->place.member && lies_with_owner(call))
		call->place.place = PLACE_NOWHERE;
	if (call->place.place == PLACE_HERE)
		return front_move(call);
	if (call->oci.ask.identity->peer)
		return place_of_peer(call);
	if (call->place.place == PLACE_PEER)
		return FRONT_MORE;
	if (call->oci.ask.route.row->place == OCI_PLACE_HOLDER) {
		if (front_upload_begin_here(call))
			return FRONT_MORE;
		front_reply_upload_unknown(call);
	} else if (call->place.member)
		reply_missing(call, call->place.member->id);
	else if (ring_has_active(call->oci.ask.snapshot->ring))
		reply_unserved(call);
	else
		reply_missing(call, NULL);
	return FRONT_WAIT;
}

/* Collect. */

/* A peer that sends on what is collected here had it whole, too, and has signed its digest. */
static bool is_as_signed(const struct identity *identity, struct str body)
{
	uint8_t digest[HASH_MAX];

	if (!identity->has_digest)
		return false;
	hash_bytes(HASH_SHA256, body.at, body.len, digest);
	return equal_secret(digest, identity->digest, sizeof(identity->digest));
}

static void on_collected(void *arg, struct http_request *request, struct str body, const struct error *err)
{
	struct front_call *call = own(arg);
	const struct identity *identity = call->oci.ask.identity;
	struct error differs;

	(void)request;
	if (err) {
		reply_error(call, err);
		return;
	}
	if (identity->peer && !is_as_signed(identity, body)) {
		(void)error_set(&differs, ERROR_DENIED, "UNAUTHORIZED",
			"a call of %.60s has another body than the one that it signed", identity->peer_name);
		front_refuse_peer(call, &differs);
		return;
	}
	call->oci.ask.body_sha256 = identity->peer ? identity->digest : NULL;
	call->oci.body = check_strndup(body.at ? body.at : "", body.len);
	call->oci.ask.body = str_from(call->oci.body, body.len);
	front_next(call);
}

enum front_turn front_collect(struct front_call *call)
{
	if (!call->oci.ask.route.row->body_max)
		return FRONT_MORE;
	http_request_collect(call->oci.request, call->oci.ask.route.row->body_max, on_collected, call);
	return FRONT_WAIT;
}

/* Forward. */

/* It is ours now; what others may have done of it is done again under the same id. */
static void on_unreachable(void *arg, struct http_request *request, int64_t sent_ms, const struct error *err)
{
	struct front_call *call = own(arg);

	(void)request;
	call->proxied = false;
	counter_add(&call->loop->counters.proxy_failed_total, 1);
	log_info("peer.unreachable", "member=%s error=%s", log_quote(str_of(call->place.member->id)),
		log_quote(str_of(err->text)));
	if (call->oci.ask.route.row->place == OCI_PLACE_HOLDER) {
		front_upload_unreachable(call);
	} else if (call->oci.ask.snapshot->isolated || lies_with_owner(call) ||
		   !cluster_serves(call->loop->front->cluster, name_str(&call->oci.ask.route.name))) {
		reply_missing(call, call->place.member->id);
	} else {
		call->oci.ask.call.is_call = sent_ms != 0;
		call->oci.ask.call.sent_ms = sent_ms;
		front_serve_now(call);
	}
}

/* Nobody answered, and it cannot be served here. */
static void on_refused(
	void *arg, struct http_request *request, unsigned retry_after_s, const struct error *err)
{
	(void)arg;
	http_request_reply(
		request, retry_after_s ? oci_reply_later(retry_after_s, err) : oci_reply_error(err));
}

/* A change of the repository's index, which its owner makes. */
static bool is_change(const struct oci_ask *ask)
{
	return ask->route.row->place == OCI_PLACE_OWNER &&
	       (ask->method == HTTP_PUT || ask->method == HTTP_DELETE);
}

/* Its answer is no blob, and it takes no upload. */
static bool is_small(const struct oci_ask *ask)
{
	bool reads = ask->method == HTTP_GET || ask->method == HTTP_HEAD;

	if (ask->route.row->place == OCI_PLACE_HOLDER)
		return false;
	return is_change(ask) ||
	       (reads && (ask->method == HTTP_HEAD || ask->route.row->what != OCI_OPERATION_blob_get));
}

bool front_forward_to(struct front_call *call, const struct front_forwarding *to)
{
	const struct front *front = call->loop->front;
	enum oci_operation at = call->oci.ask.route.row->what;
	struct peer_forward forward = {
		.cluster = front->cluster,
		.client = call->oci.client,
		.channels = call->loop->channels,
		.small = is_small(&call->oci.ask),
		.request = call->oci.request,
		.snapshot = call->oci.ask.snapshot,
		.identity = call->oci.ask.identity,
		.member = to->member,
		.takes = to->takes,
		.from = call->oci.ask.client,
		.only_there = call->oci.ask.route.row->place == OCI_PLACE_HOLDER,
		.ca_file = front->peer_ca,
		.cert_file = front->peer_cert,
		.key_file = front->peer_key,
		.body_is_collected = call->oci.body,
		.body = call->oci.ask.body,
		.has_call = is_change(&call->oci.ask),
		.on_answer =
			call->oci.ask.route.row->place == OCI_PLACE_HOLDER ? front_upload_answered : NULL,
		.on_unreachable = on_unreachable,
		.refuse = on_refused,
		.arg = call,
	};

	if (call->peers_len == FRONT_PEERS_MOST)
		return false;
	if (forward.has_call) {
		random_bytes(call->oci.ask.call.id.raw, sizeof(call->oci.ask.call.id.raw));
		memcpy(forward.call, call->oci.ask.call.id.raw, sizeof(forward.call));
		forward.issued_ms = call->oci.ask.call.issued_ms =
			store_clock_s(front->registry->store, name_str(&call->oci.ask.route.name)) * 1000;
	}
	if (!to->takes)
		counter_add(&call->loop->counters.proxied_total, 1);
	call->proxied = !to->takes;
	if (at == OCI_OPERATION_upload_put || at == OCI_OPERATION_upload_start)
		http_request_wait_limit(call->oci.request, UPLOAD_FINISH_WAIT_MS);
	else
		http_request_wait_limit(call->oci.request, FORWARD_WAIT_MS);
	call->place.member = to->member;
	call->peers[call->peers_len++] = peer_forward_start(&forward);
	return true;
}

enum front_turn front_forward(struct front_call *call)
{
	if (front_catalog_is_of_all(call)) {
		front_catalog_start(call);
		return FRONT_WAIT;
	}
	if (call->place.place == PLACE_HERE || front_upload_need_not_ask(call))
		return FRONT_MORE;
	front_upload_or_forward(call);
	return FRONT_WAIT;
}

enum front_turn front_serve(struct front_call *call)
{
	const struct identity *identity = call->oci.ask.identity;

	call->oci.keeps_bytes = call->bytes || (identity && identity->peer);
	oci_serve(&call->oci);
	return FRONT_WAIT;
}

/* Refused before anybody asked us: the client gets an error of the API all the same. */
static struct http_response *refuse(void *app, unsigned status, const char *why)
{
	enum error_kind kind = status == 503   ? ERROR_BUSY
			       : status == 403 ? ERROR_DENIED
			       : status == 413 ? ERROR_TOO_LARGE
					       : ERROR_INVALID;
	struct error err;

	(void)app;
	(void)error_set(&err, kind, kind == ERROR_INVALID ? "UNSUPPORTED" : NULL, "%s", why);
	return oci_reply_status(status, &err);
}

/* Beginning and end. */

/* What is asked, as far as the head tells. */
static void ask_of(struct front_call *call, struct front_loop *loop)
{
	struct http_request *request = call->oci.request;
	struct oci_ask *ask = &call->oci.ask;

	ask->registry = loop->front->registry;
	ask->counters = &loop->oci_counters;
	ask->others = loop->front->others.mounts ? &loop->front->others : NULL;
	ask->extensions = &loop->front->extensions;
	ask->realm = auth_realm(loop->front->auth);
	ask->snapshot = cluster_snapshot(loop->front->cluster);
	ask->method = http_request_method(request);
	ask->query = http_request_query(request);
	ask->content_type = http_request_header(request, "Content-Type");
	ask->if_match = http_request_header_list(request, "If-Match", &call->lists[0]);
	ask->if_none_match = http_request_header_list(request, "If-None-Match", &call->lists[1]);
	ask->user_agent = http_request_header(request, "User-Agent");
	ask->client = front_limit_client(call);
}

static void on_request(void *app, struct http_request *request)
{
	struct front_loop *loop = app;
	struct front_call *call = xnew(struct front_call);

	loop_assert(loop->loop);
	counter_add(&loop->counters.http_begun_total, 1);
	call->magic = FRONT_MAGIC;
	call->loop = loop;
	call->oci.request = request;
	call->oci.loop = loop->loop;
	call->oci.client = loop->client;
	call->oci.fills = loop->front->fills;
	ask_of(call, loop);
	http_request_set_client(request, &call->oci.ask.client);
	http_request_set_context(request, call);
	front_again(call);
}

static const struct route no_route = { .operation = "", .what = OCI_OPERATIONS };

/* Of the registry's API; what is none has no operation. */
static const struct route *operation_of(const struct front_call *call)
{
	const struct route *row = call->oci.ask.route.row;

	return row && row->flags & OCI_API ? row : &no_route;
}

static bool is_refusal(unsigned status)
{
	return status == 401 || status == 403 || status == 429;
}

static void count(const struct front_call *call, unsigned status, uint64_t bytes_in, uint64_t bytes_out)
{
	struct front_counters *counters = &call->loop->counters;

	counter_add(&counters->http_ended_total, 1);
	counter_add(&counters->received_bytes_total, bytes_in);
	counter_add(&counters->sent_bytes_total, bytes_out);
	if (call->proxied)
		counter_add(&counters->proxied_bytes_total, bytes_in + bytes_out);
	if (status >= 500)
		counter_add(&counters->http_errors_total, 1);
	if (is_refusal(status))
		counter_add(&counters->http_refused_total, 1);
	if (call->oci.ask.identity && call->oci.ask.identity->peer)
		counter_add(&counters->peer_requests_total, 1);
}

static void count_usage(struct front_call *call, unsigned status, uint64_t bytes_in, uint64_t bytes_out)
{
	const struct identity *identity = call->oci.ask.identity;
	enum oci_operation at = operation_of(call)->what;
	struct usage_event event;
	uint64_t granted_bytes = front_bytes_end(call, bytes_in, &bytes_out);

	if (at == OCI_OPERATIONS || !identity || identity->peer)
		return;
	event = (struct usage_event){ .apikey = call->admitted ? identity->apikey : "",
		.day = call->day,
		.granted = call->granted,
		.granted_month = call->granted_month,
		.bytes_in = bytes_in,
		.bytes_out = bytes_out,
		.granted_bytes = granted_bytes };
	if (status < 400)
		event.repository = name_str(&call->oci.ask.route.name);
	event.pull = at == OCI_OPERATION_manifest_get && call->oci.ask.method == HTTP_GET && status == 200;
	event.push = at == OCI_OPERATION_manifest_put && status == 201;
	usage_count(call->loop->front->usage, call->oci.loop, &event);
}

/* A repository's requests count where the client is, not at the owner too. */
static void count_traffic(const struct front_call *call, unsigned status, int64_t us)
{
	unsigned operation = operation_of(call)->what;
	struct traffic_event event = { .method = call->oci.ask.method,
		.status = status,
		.operation = operation,
		.us = us > 0 ? (uint64_t)us : 0 };

	if (operation != OCI_OPERATIONS && status && status < 400 && call->oci.ask.identity &&
		!call->oci.ask.identity->peer) {
		event.repository = name_str(&call->oci.ask.route.name);
		event.download = operation == OCI_OPERATION_manifest_get && status == 200;
		event.upload = operation == OCI_OPERATION_manifest_put && status == 201;
	}
	traffic_count(&call->loop->traffic, &event);
}

/* Balancers and platforms ask for pages all the time. */
static enum log_level level_of(const struct front_call *call, unsigned status)
{
	const struct route *row = call->oci.ask.route.row;

	return row && !(row->flags & OCI_API) && status < 400 ? LOG_DEBUG : LOG_INFO;
}

static void log_request(
	const struct front_call *call, unsigned status, uint64_t bytes_in, uint64_t bytes_out, int64_t us)
{
	const struct identity *identity = call->oci.ask.identity;
	enum log_level level = level_of(call, status);
	char from[INET6_ADDRSTRLEN];

	if (!log_enabled(level))
		return;
	ip_format(&call->oci.ask.client, from);
	log_line(level, "request",
		"method=%s path=%s status=%u bytes_in=%" PRIu64 " bytes_out=%" PRIu64 " ms=%" PRId64
		".%03" PRId64 " user=%s from=%s id=%" PRIu64 "%s",
		http_method_name(call->oci.ask.method), log_quote(http_request_path(call->oci.request)),
		status, bytes_in, bytes_out, us / 1000, us % 1000,
		log_quote(str_of(identity ? identity->user : "")), from, http_request_id(call->oci.request),
		call->proxied ? " proxied=true" : "");
}

static bool changes(enum http_method method)
{
	return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH || method == HTTP_DELETE;
}

/* The registry's API, and what administrators ask for beside it. */
static bool is_audited(const struct front_call *call)
{
	const struct route *row = call->oci.ask.route.row;

	return row && row->flags & (OCI_API | OCI_AUDITED);
}

static void audit_request(const struct front_call *call, unsigned status)
{
	const struct identity *identity = call->oci.ask.identity;
	char client[INET6_ADDRSTRLEN];

	if (!call->loop->front->audit || !is_audited(call) || !changes(call->oci.ask.method) ||
		status < 200 || status > 299 || !identity)
		return;
	ip_format(&call->oci.ask.client, client);
	audit_put(call->loop->front->audit, &(struct audit_event){ .client = client,
						    .subject = identity->user,
						    .apikey = identity->apikey,
						    .peer = identity->peer_name,
						    .action = http_method_name(call->oci.ask.method),
						    .object = http_request_target(call->oci.request),
						    .status = status });
}

static void front_free(struct front_call *call)
{
	if (call->errand)
		call->errand->cancel(call->errand);
	for (unsigned i = 0; i < call->peers_len; i++)
		peer_call_done(call->peers[i]);
	front_upload_end(call);
	if (call->oci.stream_done)
		call->oci.stream_done(call->oci.stream);
	identity_free(call->oci.ask.identity);
	snapshot_free(call->oci.ask.snapshot);
	free(call->oci.body);
	free(call->lists[0]);
	free(call->lists[1]);
	call->magic = 0;
	free(call);
}

static void on_done(void *app, struct http_request *request)
{
	struct front_call *call = own(http_request_context(request));
	int64_t us = clock_us() - http_request_started_us(request);
	uint64_t bytes_out = http_request_bytes_out(request);
	uint64_t bytes_in = http_request_bytes_in(request);
	unsigned status = http_request_status(request);

	CHECK(call->loop == app);
	count(call, status, bytes_in, bytes_out);
	count_usage(call, status, bytes_in, bytes_out);
	count_traffic(call, status, us);
	log_request(call, status, bytes_in, bytes_out, us);
	if (is_refusal(status))
		front_refused(call, status);
	audit_request(call, status);
	front_free(call);
}

uint64_t front_open_requests(const struct front *front)
{
	uint64_t ended = 0, begun = 0;

	/* Ends are read first: a request that ends in between counts as open, never the other way round. */
	for (unsigned i = 0; i < front->loops_len; i++)
		ended += counter_get(&front->loops[i].counters.http_ended_total);
	for (unsigned i = 0; i < front->loops_len; i++)
		begun += counter_get(&front->loops[i].counters.http_begun_total);
	return begun > ended ? begun - ended : 0;
}

bool front_loops_turn(const struct front *front, int64_t within_ms)
{
	int64_t now = clock_ms();

	for (unsigned i = 0; i < front->loops_len; i++)
		if (now - __atomic_load_n(&front->loops[i].beat_ms, __ATOMIC_RELAXED) > within_ms)
			return false;
	return true;
}

struct http_app front_app(struct front_loop *loop)
{
	return (struct http_app){
		.app = loop, .on_request = on_request, .on_done = on_done, .refuse = refuse
	};
}
