/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/front.h"

#include <inttypes.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/cross_site.h"
#include "common/crypto.h"
#include "common/http_server.h"
#include "common/log.h"
#include "proto/peer_token.h"
#include "worker/front/audit.h"
#include "worker/auth/auth.h"
#include "worker/cluster/peer.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/usage.h"
#include "worker/front/front_step.h"
#include "worker/front/health.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/oci_serve.h"
#include "worker/oci/upload.h"
#include "worker/storage/store.h"

#define FRONT_MAGIC MAGIC('F', 'R', 'N', 'T')

struct front_step {
	const char *name;
	front_step_f *run;
};

static const struct front_step steps[] = {
#define STEP(name) { #name, front_##name },
	FRONT_STEPS(STEP)
#undef STEP
};
enum step_at {
#define STEP(name) STEP_##name,
	FRONT_STEPS(STEP)
#undef STEP
};

void front_again(struct front_call *call)
{
	CHECK(call->magic == FRONT_MAGIC);
	while (call->step->run(call) == FRONT_MORE)
		call->step++;
}

void front_next(struct front_call *call)
{
	call->step++;
	front_again(call);
}

/* Route. */

static void reply_error(struct front_call *call, const struct error *err)
{
	http_request_reply(call->request, oci_reply_error(err));
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
	oci_route_allow(allowed, &allow);
	http_response_header(response, "Allow", buf_text(&allow));
	http_request_reply(call->request, response);
}

/* A peer sends on what its client's browser said, which was judged there, and the header that claims to be
 * one is none that a page may send. */
static bool is_own_site(const struct front_call *call, struct error *err)
{
	enum http_method method = call->ask.method;
	struct cross_site from;

	if (method == HTTP_GET || method == HTTP_HEAD || http_request_header(call->request, PEER_HEADER))
		return true;
	from = (struct cross_site){ .fetch_site = http_request_header(call->request, "Sec-Fetch-Site"),
		.origin = http_request_header(call->request, "Origin"),
		.host = http_request_header(call->request, "Host") };
	return cross_site_check(method, &from, err);
}

enum front_turn front_route(struct front_call *call)
{
	struct str path = http_request_path(call->request);
	unsigned allowed = 0;
	struct error err;

	if (!str_starts(path, "/v2")) {
		call->is_metrics = health_is_metrics(call);
		if (call->is_metrics)
			return FRONT_MORE;
		if (!health_serve(call))
			reply_no_path(call);
		return FRONT_WAIT;
	}
	switch (oci_route_parse(call->ask.method, path, &call->ask.route, &allowed, &err)) {
	case OCI_ROUTED:
		call->is_routed = true;
		if (is_own_site(call, &err))
			return FRONT_MORE;
		reply_error(call, &err);
		return FRONT_WAIT;
	case OCI_NO_PATH:
		reply_no_path(call);
		return FRONT_WAIT;
	case OCI_NO_METHOD:
		reply_no_method(call, allowed);
		return FRONT_WAIT;
	case OCI_MALFORMED:
		break;
	}
	reply_error(call, &err);
	return FRONT_WAIT;
}

/* Place. */

static struct place_found find_place(const struct front_call *call)
{
	const struct oci_ask *ask = &call->ask;
	struct cluster *cluster = ask->worker->cluster;

	switch (ask->route.row->place) {
	case OCI_PLACE_RECEIVER:
		if (!ask->snapshot->isolated)
			break;
		return cluster_place(cluster, ask->snapshot, name_str(&ask->route.name));
	case OCI_PLACE_OWNER:
		return cluster_place(cluster, ask->snapshot, name_str(&ask->route.name));
	case OCI_PLACE_HOLDER:
		return cluster_place_upload(cluster, ask->snapshot, ask->route.upload.worker);
	case OCI_PLACE_ANYWHERE:
		break;
	}
	return (struct place_found){ .place = PLACE_HERE };
}

static void reply_upload_unknown(struct front_call *call)
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
	http_request_reply(call->request, oci_reply_later(2, &err));
}

static void reply_misdirected(struct front_call *call, uint64_t ring)
{
	struct http_response *response;
	struct error err;

	(void)error_set(&err, ERROR_CONFLICT, NULL, "another member owns this repository");
	response = oci_reply_status(421, &err);
	http_response_headerf(response, PEER_RING_HEADER, "%016" PRIx64, ring);
	http_request_reply(call->request, response);
}

/* It was sent to us by a peer, so it goes nowhere else. One whose ring is another is told so: which of the
 * two is newer cannot be seen (a store of the leaders that was put back counts its epochs anew), and its
 * client asks again when both have the same. */
static enum front_turn place_of_peer(struct front_call *call)
{
	const struct snapshot *snapshot = call->ask.snapshot;
	uint64_t ring = ring_mark(snapshot->ring);

	if (call->ask.route.row->place == OCI_PLACE_HOLDER) {
		reply_upload_unknown(call);
		return FRONT_WAIT;
	}
	if (snapshot->isolated && ring != call->ask.identity->peer_ring) {
		reply_misdirected(call, ring);
		return FRONT_WAIT;
	}
	call->place = (struct place_found){ .place = PLACE_HERE };
	return FRONT_MORE;
}

enum front_turn front_place(struct front_call *call)
{
	call->place = find_place(call);
	if (call->place.place == PLACE_HERE)
		return FRONT_MORE;
	if (call->ask.identity->peer)
		return place_of_peer(call);
	if (call->place.place == PLACE_PEER)
		return FRONT_MORE;
	if (call->ask.route.row->place == OCI_PLACE_HOLDER)
		reply_upload_unknown(call);
	else
		reply_missing(call, call->place.member ? call->place.member->id : NULL);
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
	struct front_call *call = OBJ_CAST(front_call, FRONT_MAGIC, arg);
	const struct identity *identity = call->ask.identity;
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
	call->body = check_strndup(body.at ? body.at : "", body.len);
	call->ask.body = str_from(call->body, body.len);
	front_next(call);
}

enum front_turn front_collect(struct front_call *call)
{
	if (!call->ask.route.row->body_max)
		return FRONT_MORE;
	http_request_collect(call->request, call->ask.route.row->body_max, on_collected, call);
	return FRONT_WAIT;
}

/* Forward. */

/* It is ours now; what others may have done of it is done again under the same id. */
static void on_unreachable(void *arg, struct http_request *request, int64_t sent_ms, const struct error *err)
{
	struct front_call *call = OBJ_CAST(front_call, FRONT_MAGIC, arg);

	(void)request;
	counter_add(&call->loop->counters.proxy_failed_total, 1);
	log_info("peer.unreachable", "member=%s error=%s", log_quote(str_of(call->place.member->id)),
		log_quote(str_of(err->text)));
	if (call->ask.route.row->place == OCI_PLACE_HOLDER) {
		reply_upload_unknown(call);
	} else if (call->ask.snapshot->isolated) {
		reply_missing(call, call->place.member->id);
	} else {
		call->ask.has_call = sent_ms != 0;
		call->ask.call_sent_ms = sent_ms;
		call->step = &steps[STEP_serve];
		front_again(call);
	}
}

/* A change of the repository's index, which its owner makes. */
static bool is_change(const struct oci_ask *ask)
{
	return ask->route.row->place == OCI_PLACE_OWNER &&
	       (ask->method == HTTP_PUT || ask->method == HTTP_DELETE);
}

enum front_turn front_forward(struct front_call *call)
{
	const struct worker_settings *settings = call->ask.worker->settings;
	struct peer_forward forward = {
		.cluster = call->ask.worker->cluster,
		.client = call->loop->client,
		.request = call->request,
		.snapshot = call->ask.snapshot,
		.identity = call->ask.identity,
		.member = call->place.member,
		.from = call->client,
		.only_there = call->ask.route.row->place == OCI_PLACE_HOLDER,
		.ca_file = settings->peer_ca,
		.cert_file = settings->peer_cert,
		.key_file = settings->peer_key,
		.body_is_collected = call->body,
		.body = call->ask.body,
		.has_call = is_change(&call->ask),
		.on_unreachable = on_unreachable,
		.arg = call,
	};

	if (call->place.place == PLACE_HERE)
		return FRONT_MORE;
	if (forward.has_call) {
		random_bytes(call->ask.call.raw, sizeof(call->ask.call.raw));
		forward.call = call->ask.call;
		forward.issued_ms = call->ask.call_issued_ms = store_clock_s(call->ask.worker->store) * 1000;
	}
	counter_add(&call->loop->counters.proxied_total, 1);
	if (call->ask.route.row->at == OCI_OPERATION_upload_put ||
		call->ask.route.row->at == OCI_OPERATION_upload_start)
		http_request_wait_limit(call->request, UPLOAD_FINISH_WAIT_MS);
	call->peer = peer_forward_start(&forward);
	return FRONT_WAIT;
}

enum front_turn front_serve(struct front_call *call)
{
	oci_serve(call);
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

static void on_request(void *app, struct http_request *request)
{
	struct worker_loop *loop = app;
	struct front_call *call = xnew(struct front_call);

	counter_add(&loop->counters.http_begun_total, 1);
	call->magic = FRONT_MAGIC;
	call->loop = loop;
	call->request = request;
	call->step = steps;
	call->ask.worker = loop->worker;
	call->ask.counters = &loop->counters;
	call->ask.snapshot = cluster_snapshot(loop->worker->cluster);
	call->ask.method = http_request_method(request);
	call->ask.query = http_request_query(request);
	call->ask.content_type = http_request_header(request, "Content-Type");
	call->ask.if_match = http_request_header_list(request, "If-Match", &call->lists[0]);
	call->ask.if_none_match = http_request_header_list(request, "If-None-Match", &call->lists[1]);
	call->client = front_limit_client(call);
	http_request_set_client(request, &call->client);
	http_request_set_context(request, call);
	front_again(call);
}

static void count(const struct front_call *call, unsigned status, uint64_t bytes_in, uint64_t bytes_out)
{
	struct worker_counters *counters = &call->loop->counters;

	counter_add(&counters->http_ended_total, 1);
	counter_add(&counters->received_bytes_total, bytes_in);
	counter_add(&counters->sent_bytes_total, bytes_out);
	if (status >= 500)
		counter_add(&counters->http_errors_total, 1);
	if (status == 401 || status == 403 || status == 429)
		counter_add(&counters->http_refused_total, 1);
	if (call->ask.identity && call->ask.identity->peer)
		counter_add(&counters->peer_requests_total, 1);
}

static void count_usage(const struct front_call *call, unsigned status, uint64_t bytes_in, uint64_t bytes_out)
{
	const struct identity *identity = call->ask.identity;
	enum oci_operation at;
	struct usage_event event;

	if (!call->is_routed || !identity || identity->peer)
		return;
	at = call->ask.route.row->at;
	event = (struct usage_event){ .apikey = call->admitted ? identity->apikey : "",
		.day = call->day,
		.granted = call->granted,
		.bytes_in = bytes_in,
		.bytes_out = bytes_out };
	if (status < 400)
		event.repository = name_str(&call->ask.route.name);
	event.pull = at == OCI_OPERATION_manifest_get && call->ask.method == HTTP_GET && status == 200;
	event.push = at == OCI_OPERATION_manifest_put && status == 201;
	usage_count(call->ask.worker->usage, call->loop->loop, &event);
}

/* A repository's requests count where the client is, not at the owner too. */
static void count_traffic(const struct front_call *call, unsigned status, int64_t us)
{
	unsigned operation = call->is_routed ? call->ask.route.row->at : OCI_OPERATIONS;
	struct traffic_event event = { .method = call->ask.method,
		.status = status,
		.operation = operation,
		.us = us > 0 ? (uint64_t)us : 0 };

	if (call->is_routed && status && status < 400 && call->ask.identity && !call->ask.identity->peer) {
		event.repository = name_str(&call->ask.route.name);
		event.download = operation == OCI_OPERATION_manifest_get && status == 200;
		event.upload = operation == OCI_OPERATION_manifest_put && status == 201;
	}
	traffic_count(&call->loop->traffic, &event);
}

static void log_request(
	const struct front_call *call, unsigned status, uint64_t bytes_in, uint64_t bytes_out, int64_t us)
{
	const struct identity *identity = call->ask.identity;
	char from[INET6_ADDRSTRLEN];

	if (!log_enabled(LOG_INFO))
		return;
	ip_format(&call->client, from);
	log_info("request",
		"method=%s path=%s status=%u bytes_in=%" PRIu64 " bytes_out=%" PRIu64 " ms=%" PRId64
		".%03" PRId64 " user=%s from=%s id=%" PRIu64 "%s",
		http_method_name(call->ask.method), log_quote(http_request_path(call->request)), status,
		bytes_in, bytes_out, us / 1000, us % 1000, log_quote(str_of(identity ? identity->user : "")),
		from, http_request_id(call->request), call->peer ? " proxied=true" : "");
}

static bool changes(enum http_method method)
{
	return method == HTTP_POST || method == HTTP_PUT || method == HTTP_PATCH || method == HTTP_DELETE;
}

static void audit_request(const struct front_call *call, unsigned status)
{
	const struct identity *identity = call->ask.identity;
	char client[INET6_ADDRSTRLEN];

	if (!call->ask.worker->audit || !call->is_routed || !changes(call->ask.method) || status < 200 ||
		status > 299 || !identity)
		return;
	ip_format(&call->client, client);
	audit_put(call->ask.worker->audit, &(struct audit_event){ .client = client,
						   .subject = identity->user,
						   .apikey = identity->apikey,
						   .peer = identity->peer_name,
						   .action = http_method_name(call->ask.method),
						   .object = http_request_target(call->request),
						   .status = status });
}

static void front_free(struct front_call *call)
{
	if (call->errand)
		call->errand->cancel(call->errand);
	peer_call_done(call->peer);
	if (call->stream_done)
		call->stream_done(call->stream);
	identity_free(call->ask.identity);
	snapshot_free(call->ask.snapshot);
	free(call->body);
	free(call->lists[0]);
	free(call->lists[1]);
	call->magic = 0;
	free(call);
}

static void on_done(void *app, struct http_request *request)
{
	struct front_call *call = OBJ_CAST(front_call, FRONT_MAGIC, http_request_context(request));
	int64_t us = clock_us() - http_request_started_us(request);
	uint64_t bytes_out = http_request_bytes_out(request);
	uint64_t bytes_in = http_request_bytes_in(request);
	unsigned status = http_request_status(request);

	CHECK(call->loop == app);
	count(call, status, bytes_in, bytes_out);
	count_usage(call, status, bytes_in, bytes_out);
	count_traffic(call, status, us);
	log_request(call, status, bytes_in, bytes_out, us);
	audit_request(call, status);
	front_free(call);
}

struct http_app front_app(struct worker_loop *loop)
{
	return (struct http_app){
		.app = loop, .on_request = on_request, .on_done = on_done, .refuse = refuse
	};
}
