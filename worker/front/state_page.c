/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_page - GET /cluster/state: the state that this worker serves by, for a leader that lost its own (proto/state_token.h).
 *
 * Only a question that is signed is answered; it is made on the pool, since a state may be large.
 */
#include "worker/front/pages.h"

#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/pool.h"
#include "proto/state_token.h"
#include "worker/auth/peer_guard.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/cluster.h"
#include "worker/front/front_call.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/registry.h"

struct telling {
	struct http_ticket *ticket;
	struct snapshot *snapshot;
};

static struct http_response *tell(const struct state *state)
{
	struct buf body = buf_limit(STATE_BYTES_MAX);
	struct http_response *response;
	struct error err;

	state_seal(state, &body);
	if (!buf_check(&body, "state", &err)) {
		buf_fini(&body);
		return oci_reply_error(&err);
	}
	response = http_response_buf(200, &body);
	http_response_header(response, "Content-Type", "application/octet-stream");
	http_response_header(response, "Cache-Control", "no-store");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	return response;
}

static void run(void *arg)
{
	struct telling *telling = arg;

	http_ticket_reply(telling->ticket, tell(telling->snapshot->state));
	snapshot_free(telling->snapshot);
	free(telling);
}

static bool is_signed(const struct front_call *call, struct error *err)
{
	struct peer_guard *guard = call->loop->front->state_guard;
	const char *header = http_request_header(call->oci.request, PEER_HEADER);
	const struct peer_request request = state_token_request();
	const struct peer_came asked = { .request = &request,
		.header = str_of(header),
		.now = { .wall_ms = clock_wall_ms(), .boot_ms = clock_ms() } };
	struct peer_claims claims;

	if (!header)
		return error_set(err, ERROR_DENIED, "UNAUTHORIZED",
			"this is told only to who signs the question with the cluster's secret: zot-leader "
			"restore "
			"--from-worker");
	if (!peer_guard_admit(guard, &asked, &claims, err))
		return false;
	peer_claims_fini(&claims);
	return true;
}

void pages_state(void *arg)
{
	struct front_call *call = arg;
	struct telling *telling;
	struct error err;

	if (!call->loop->front->state_guard) {
		(void)error_set(&err, ERROR_UNKNOWN, NULL, "this worker has no leader, and no state of one");
		http_request_reply(call->oci.request, oci_reply_error(&err));
		return;
	}
	if (!is_signed(call, &err)) {
		http_request_reply(call->oci.request, oci_reply_status(401, &err));
		return;
	}
	log_warn("state.told", "to=a leader that is restored");
	telling = xnew(struct telling);
	*telling =
		(struct telling){ http_ticket_new(call->oci.request), snapshot_ref(call->oci.ask.snapshot) };
	pool_push(call->loop->front->registry->pool, run, telling);
}
