/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While the other worker is asked, call->oci.upload is coming; once it was given, SERVE takes it.
 */
#include "worker/front/front_upload.h"

#include "common/check.h"
#include "worker/auth/auth.h"
#include "worker/cluster/peer.h"
#include "worker/front/front_step.h"
#include "worker/oci/oci_reply.h"
#include "worker/oci/upload_chunk.h"
#include "worker/oci/upload_give.h"
#include "worker/oci/upload_owner_key.h"
#include "worker/registry/registry.h"

static enum upload_at find(const struct front_call *call, struct upload_id *ret_moved)
{
	const struct oci_ask *ask = &call->oci.ask;

	return uploads_where(
		ask->registry->uploads, name_str(&ask->route.name), &ask->route.upload, ret_moved);
}

/* Another one began it anew while we could not be asked: ours, without a byte, is not the one that the client was told of. */
static bool is_elsewhere(const struct front_call *call)
{
	const struct oci_ask *ask = &call->oci.ask;
	struct upload_id here;
	struct error ignored;
	uint64_t size;

	return upload_id_is_begun(&ask->route.upload) &&
	       strcmp(ask->route.upload.worker, cluster_self(call->loop->front->cluster)) != 0 &&
	       uploads_look(ask->registry->uploads, name_str(&ask->route.name), &ask->route.upload, &size,
		       &here, &ignored) &&
	       !size;
}

struct place_found front_upload_place(const struct front_call *call)
{
	const struct oci_ask *ask = &call->oci.ask;
	struct upload_id moved;

	switch (find(call, &moved)) {
	case UPLOAD_HERE:
		if (!is_elsewhere(call))
			return (struct place_found){ .place = PLACE_HERE };
		break;
	case UPLOAD_MOVED:
		return cluster_place_upload(call->loop->front->cluster, ask->snapshot, moved.worker);
	case UPLOAD_NOT_HERE:
		break;
	}
	return cluster_place_upload(call->loop->front->cluster, ask->snapshot, ask->route.upload.worker);
}

bool front_upload_reply_moved(struct front_call *call)
{
	struct http_response *response;
	struct upload_id moved;
	struct error err;

	if (find(call, &moved) != UPLOAD_MOVED)
		return false;
	(void)error_set(&err, ERROR_CONFLICT, NULL, "another member has this upload");
	response = oci_reply_status(421, &err);
	http_response_header(response, UPLOAD_HOLDER_HEADER, moved.text);
	http_request_reply(call->oci.request, response);
	return true;
}

static bool wants(const struct front_call *call)
{
	const struct oci_ask *ask = &call->oci.ask;
	struct cluster *cluster = call->loop->front->cluster;

	return (ask->route.row->what == OCI_OPERATION_upload_patch ||
		       ask->route.row->what == OCI_OPERATION_upload_put) &&
	       http_request_length(call->oci.request) != 0 && !ask->snapshot->isolated &&
	       !cluster_is_draining(cluster) && !snapshot_is_drained(ask->snapshot) &&
	       cluster_serves(cluster, name_str(&ask->route.name));
}

/* False: there is no place for it. */
static bool make_place(struct front_call *call)
{
	AUTO_FINI(buf) owner = buf_limit(UPLOAD_OWNER_KEY_MAX);
	const struct oci_ask *ask = &call->oci.ask;
	struct error ignored;

	upload_owner_key(ask->identity, &ask->client, &owner);
	return !owner.failed &&
	       uploads_adopt(ask->registry->uploads, buf_str(&owner), name_str(&ask->route.name),
		       &ask->route.upload, &call->oci.upload, &ignored);
}

static void drop_place(struct front_call *call)
{
	if (call->oci.upload)
		upload_not_adopted(TAKE(call->oci.upload));
}

/* Nothing but first bytes is a beginning. */
static bool may_begin(const struct front_call *call)
{
	const char *range = http_request_header(call->oci.request, "Content-Range");
	struct error ignored;
	unsigned status;

	return wants(call) && !upload_id_is_begun(&call->oci.ask.route.upload) &&
	       (!range || upload_chunk_check(
				  range, http_request_length(call->oci.request), 0, &status, &ignored));
}

bool front_upload_begin_here(struct front_call *call)
{
	if (!may_begin(call) || (!call->oci.upload && !make_place(call)))
		return false;
	upload_adopted(call->oci.upload, upload_id_alg(&call->oci.ask.route.upload));
	counter_add(&call->loop->counters.uploads_taken_total, 1);
	call->place = (struct place_found){ .place = PLACE_HERE };
	return true;
}

static void reply_unreachable(struct front_call *call, const char *worker)
{
	struct error err;

	(void)error_set(&err, ERROR_UNAVAILABLE, NULL,
		"worker %s, which has this upload, cannot be reached; try again, or start it again", worker);
	http_request_reply(call->oci.request, oci_reply_later(PEER_HOLDER_WAIT_S, &err));
}

void front_upload_unreachable(struct front_call *call)
{
	const char *member = call->place.member->id;

	if (front_upload_begin_here(call)) {
		front_serve_now(call);
		return;
	}
	drop_place(call);
	reply_unreachable(call, member);
}

bool front_upload_need_not_ask(struct front_call *call)
{
	return call->oci.ask.route.row->place == OCI_PLACE_HOLDER &&
	       cluster_peer_is_failed(call->loop->front->cluster, str_of(call->place.member->id)) &&
	       front_upload_begin_here(call);
}

static void ask_or_forward(struct front_call *call, const struct ring_member *member)
{
	struct front_forwarding to = { .member = member };
	struct upload_id here;

	if (call->oci.upload) {
		upload_id_at(&call->oci.ask.route.upload, cluster_self(call->loop->front->cluster), &here);
		to.takes = here.text;
	}
	if (front_forward_to(call, &to))
		return;
	drop_place(call);
	front_reply_upload_unknown(call);
}

void front_upload_or_forward(struct front_call *call)
{
	const struct ring_member *member = call->place.member;

	if (call->oci.ask.route.row->place == OCI_PLACE_HOLDER && wants(call))
		(void)make_place(call);
	ask_or_forward(call, member);
}

/* Who has it by what another one says; NULL: nobody that can be asked. */
static const struct ring_member *find_holder(
	const struct front_call *call, const struct http_headers *headers)
{
	const char *text = http_headers_find(headers, UPLOAD_HOLDER_HEADER);
	const struct oci_ask *ask = &call->oci.ask;
	struct place_found found;
	struct upload_id holder;
	struct error ignored;

	if (!text || !upload_id_parse(str_of(text), &holder, &ignored) ||
		!str_equal(upload_id_session(&holder), upload_id_session(&ask->route.upload)))
		return NULL;
	found = cluster_place_upload(call->loop->front->cluster, ask->snapshot, holder.worker);
	return found.place == PLACE_PEER ? found.member : NULL;
}

/* Where several send the first bytes at once, it may move between two questions. */
static void reply_moving(struct front_call *call)
{
	struct error err;

	(void)error_set(&err, ERROR_UNAVAILABLE, NULL,
		"another request works on this upload, which went to another worker meanwhile");
	http_request_reply(call->oci.request, oci_reply_later(1, &err));
}

static void follow(struct front_call *call, const struct http_headers *headers)
{
	const struct ring_member *member = find_holder(call, headers);

	if (call->proxied && http_request_length(call->oci.request) != 0) {
		reply_moving(call);
		return;
	}
	if (member) {
		ask_or_forward(call, member);
		return;
	}
	drop_place(call);
	front_reply_upload_unknown(call);
}

static bool is_given(const struct http_headers *headers, unsigned status, enum hash_kind *ret_alg)
{
	const char *alg = http_headers_find(headers, UPLOAD_GIVEN_HEADER);

	return status == 202 && alg && digest_algorithm_parse(str_of(alg), ret_alg);
}

bool front_upload_answered(
	void *arg, struct http_request *request, unsigned status, const struct http_headers *headers)
{
	struct front_call *call = arg;
	enum hash_kind alg;

	(void)request;
	if (status == 421 && http_headers_find(headers, UPLOAD_HOLDER_HEADER)) {
		follow(call, headers);
		return true;
	}
	if (!call->oci.upload)
		return false;
	if (is_given(headers, status, &alg)) {
		upload_adopted(call->oci.upload, alg);
		counter_add(&call->loop->counters.uploads_taken_total, 1);
		front_serve_now(call);
		return true;
	}
	drop_place(call);
	if (status == 404)
		front_reply_upload_unknown(call);
	else
		ask_or_forward(call, call->place.member);
	return true;
}

void front_upload_end(struct front_call *call)
{
	struct upload *upload = TAKE(call->oci.upload);

	if (!upload)
		return;
	if (upload_is_coming(upload))
		upload_not_adopted(upload);
	else
		upload_release(upload);
}
