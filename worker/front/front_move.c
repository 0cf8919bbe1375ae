/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/front_move.h"

#include <stdlib.h>

#include "common/check.h"
#include "common/http_server.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"
#include "worker/moves/moves.h"
#include "worker/oci/oci_job.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/registry.h"

#define ANSWER_MAX ((size_t)160 * 1024 * 1024)

/* ---- a request that waits ---- */

struct preparation {
	struct front_errand errand; /* call NULL: the request has ended */
	struct moves *moves;
	struct name name;
	struct digest digest;
	enum moves_want want;
	bool ok;
	char member[RING_MEMBER_ID_MAX + 1];
	struct error err;
};

/* The pool has it still: it is freed when it comes back. */
static void let_go(struct front_errand *errand)
{
	errand->call = NULL;
}

static void run(void *arg)
{
	struct preparation *preparation = arg;
	const struct moves_ask ask = { .name = name_str(&preparation->name),
		.want = preparation->want,
		.digest = &preparation->digest };

	preparation->ok = moves_prepare(preparation->moves, &ask, preparation->member, &preparation->err);
}

static bool place_at(struct front_call *call, const char *member)
{
	const struct ring *ring = call->oci.ask.snapshot->ring;
	int at = ring_find(ring, str_of(member));

	if (at == RING_NOBODY)
		return false;
	call->place = (struct place_found){ .place = PLACE_PEER, .member = ring_at(ring, (size_t)at) };
	return true;
}

static void on_prepared(void *arg)
{
	struct preparation *preparation = arg;
	struct front_call *call = preparation->errand.call;

	if (call) {
		call->errand = NULL;
		if (preparation->ok && *preparation->member && !place_at(call, preparation->member))
			preparation->ok = error_set(&preparation->err, ERROR_UNAVAILABLE, NULL,
				"the members of the cluster change");
		if (preparation->ok)
			front_next(call);
		else
			http_request_reply(call->oci.request, oci_reply_error(&preparation->err));
	}
	free(preparation);
}

static enum moves_want want_of(const struct oci_ask *ask)
{
	switch ((enum oci_operation)ask->route.row->what) {
	case OCI_OPERATION_blob_get:
		return MOVES_BLOB;
	case OCI_OPERATION_blob_delete:
		return MOVES_BLOB_DELETE;
	default:
		return MOVES_INDEX;
	}
}

/* Of a repository, and not of an upload, which is where it began. */
static bool concerns(const struct oci_ask *ask)
{
	return ask->route.name.text[0] &&
	       (ask->route.row->place == OCI_PLACE_OWNER || ask->route.row->place == OCI_PLACE_RECEIVER);
}

enum front_turn front_move(struct front_call *call)
{
	struct moves *moves = call->loop->front->moves;
	const struct oci_ask *ask = &call->oci.ask;
	struct preparation *preparation;
	struct error err;

	if (!moves || !concerns(ask) ||
		moves_is_ready(moves, ask->snapshot, name_str(&ask->route.name), want_of(ask)))
		return FRONT_MORE;
	preparation = xnew(struct preparation);
	*preparation = (struct preparation){ .errand = { .call = call, .cancel = let_go },
		.moves = moves,
		.name = ask->route.name,
		.digest = ask->route.digest,
		.want = want_of(ask) };
	call->errand = &preparation->errand;
	if (pool_submit_then(
		    call->loop->front->registry->pool, run, call->oci.loop, on_prepared, preparation))
		return FRONT_WAIT;
	call->errand = NULL;
	free(preparation);
	(void)error_set(&err, ERROR_BUSY, NULL, "this worker is overloaded");
	http_request_reply(call->oci.request, oci_reply_error(&err));
	return FRONT_WAIT;
}

/* ---- what members ask ---- */

static struct http_response *answer(void *arg)
{
	struct oci_job *job = arg;
	const struct moves_question question = { .peer = job->ask.identity->peer_name,
		.ring = job->ask.identity->peer_ring,
		.is_post = job->ask.method == HTTP_POST,
		.query = job->ask.query };
	AUTO_FINI(buf) body = buf_limit(ANSWER_MAX);
	unsigned status = moves_answer(job->own, &question, &body);
	struct http_response *response;

	if (body.failed)
		return http_response_empty(500);
	response = http_response_buf(status, &body);
	http_response_header(response, "Content-Type", "application/json");
	return response;
}

void pages_moves(void *arg)
{
	struct front_call *call = arg;

	oci_job_start_with(&call->oci, answer, call->loop->front->moves, NULL);
}
