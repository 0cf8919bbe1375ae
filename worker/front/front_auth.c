/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_auth - the steps AUTHENTICATE and ACCESS: who asks, and may they.
 */
#include <stdatomic.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/loop.h"
#include "proto/peer_token.h"
#include "worker/auth/auth.h"
#include "worker/auth/identity.h"
#include "worker/auth/snapshot.h"
#include "worker/front/front_others.h"
#include "worker/front/front_step.h"
#include "worker/oci/oci_denied.h"
#include "worker/oci/oci_reply.h"

static struct http_response *unauthorized(const struct front_call *call, const struct error *err)
{
	struct http_response *response = oci_reply_status(401, err);

	oci_denied_challenge(&call->oci.ask, response);
	http_response_header(response, "Docker-Distribution-API-Version", "registry/2.0");
	return response;
}

static void reply_unauthorized(struct front_call *call, const struct error *err)
{
	http_request_reply(call->oci.request, unauthorized(call, err));
}

/* A refused login is answered late, so that guessing is slow. How many are is bounded, since each has a
 * connection. */

#define DELAYS_MAX 256 /* of a loop */

struct delay {
	struct front_errand errand;
	struct front_loop *loop;
	struct loop_timer timer;
	struct error err;
};

static void delay_cancel(struct front_errand *errand)
{
	struct delay *delay = (struct delay *)errand;

	loop_assert(delay->loop->loop);
	loop_timer_stop(delay->loop->loop, &delay->timer);
	delay->loop->delays--;
	free(delay);
}

static void on_delayed(void *arg)
{
	struct delay *delay = arg;

	loop_assert(delay->loop->loop);
	delay->errand.call->errand = NULL;
	delay->loop->delays--;
	reply_unauthorized(delay->errand.call, &delay->err);
	free(delay);
}

static void refuse(struct front_call *call, const struct error *err)
{
	int64_t ms = auth_fail_delay_ms(call->loop->front->auth);
	struct delay *delay;

	if (!ms || call->loop->delays == DELAYS_MAX ||
		!http_request_header(call->oci.request, "Authorization")) {
		reply_unauthorized(call, err);
		return;
	}
	delay = xnew(struct delay);
	delay->errand = (struct front_errand){ .call = call, .cancel = delay_cancel };
	delay->loop = call->loop;
	delay->err = *err;
	call->errand = &delay->errand;
	call->loop->delays++;
	loop_timer_start(call->oci.loop, &delay->timer, ms, on_delayed, delay);
}

/* Somebody says that he is a peer, and is not believed. Anybody can make us say so, thus at most once a
 * second. */

static bool is_time_to_tell(struct front *front)
{
	int64_t now = clock_ms(), next = atomic_load(&front->tell_peers_ms);

	return now >= next && atomic_compare_exchange_strong(&front->tell_peers_ms, &next, now + 1000);
}

void front_refuse_peer(struct front_call *call, const struct error *err)
{
	struct http_response *response = unauthorized(call, err);
	char from[INET6_ADDRSTRLEN];

	counter_add(&call->loop->counters.peer_refused_total, 1);
	if (is_time_to_tell(call->loop->front)) {
		ip_format(&call->oci.ask.client, from);
		log_warn("peer.refused", "from=%s why=%s", from, log_quote(str_of(err->text)));
	}
	http_response_header(
		response, PEER_REFUSED_HEADER, err->kind == ERROR_CONFLICT ? PEER_USED : PEER_REFUSED);
	http_request_reply(call->oci.request, response);
}

/* A password that is not remembered. */

struct verify {
	struct front_errand errand;
	struct auth_attempt *attempt;
};

static void verify_cancel(struct front_errand *errand)
{
	struct verify *verify = (struct verify *)errand;

	auth_cancel(verify->attempt);
	free(verify);
}

static void reply_later(struct front_call *call, const struct error *err, unsigned retry_after_s)
{
	struct http_response *response = oci_reply_status(429, err);

	http_response_headerf(response, "Retry-After", "%u", retry_after_s);
	http_request_reply(call->oci.request, response);
}

static void on_verified(void *arg, struct identity *identity, const struct error *err, unsigned retry_after_s)
{
	struct verify *verify = arg;
	struct front_call *call = verify->errand.call;

	free(verify);
	call->errand = NULL;
	call->oci.ask.identity = identity;
	if (identity)
		front_next(call);
	else if (retry_after_s)
		reply_later(call, err, retry_after_s);
	else
		refuse(call, err);
}

static void start_verify(struct front_call *call, struct auth_attempt *attempt)
{
	struct verify *verify = xnew(struct verify);

	*verify = (struct verify){ .errand = { .call = call, .cancel = verify_cancel }, .attempt = attempt };
	call->errand = &verify->errand;
	auth_start(call->loop->front->auth, attempt, call->oci.loop, on_verified, verify);
}

/* Some clients send the login of nobody: ":" in base64. */
static bool has_login(const struct front_call *call)
{
	const char *header = http_request_header(call->oci.request, "Authorization");

	return header && strcmp(header, "Basic Og==") != 0;
}

/* Where no repository is open to the anonymous, the metrics may be, and how one logs in is. */
static bool is_welcome(struct front_call *call)
{
	const struct route *row = call->oci.ask.route.row;

	if (!(row->flags & (OCI_SCRAPE | OCI_OPEN)) || has_login(call) ||
		http_request_header(call->oci.request, PEER_HEADER))
		return false;
	call->oci.ask.identity = identity_new_anonymous();
	if (row->authorise(call))
		return true;
	identity_free(TAKE(call->oci.ask.identity));
	return false;
}

/* The peer says whom it serves; it has counted the request already. */
static void learn_client(struct front_call *call)
{
	struct ip client;

	if (!call->oci.ask.identity->peer || !ip_parse(str_of(call->oci.ask.identity->client), &client))
		return;
	call->oci.ask.client = client;
	http_request_set_client(call->oci.request, &client);
}

/* The peer's wall clock may not be ours, and its message may have been on its way for long: the earlier time
 * is the safe one. */
static int64_t first_sent_ms(const struct identity *identity)
{
	int64_t by_age = clock_wall_ms() - identity->call_age_ms;
	int64_t sent = by_age < identity->call_sent_ms ? by_age : identity->call_sent_ms;

	return sent > 0 ? sent : 1;
}

static void learn_call(struct front_call *call)
{
	const struct identity *identity = call->oci.ask.identity;

	if (!identity->peer || !identity->has_call)
		return;
	call->oci.ask.call = (struct registry_call){ .is_call = true,
		.issued_ms = identity->call_issued_ms,
		.sent_ms = identity->call_sent_ms ? first_sent_ms(identity) : 0 };
	memcpy(call->oci.ask.call.id.raw, identity->call, sizeof(call->oci.ask.call.id.raw));
}

enum front_turn front_authenticate(struct front_call *call)
{
	bool claims_peer = http_request_header(call->oci.request, PEER_HEADER);
	struct auth_attempt *attempt = NULL;
	struct error err;

	if (is_welcome(call))
		return FRONT_MORE;
	switch (auth_try(call->loop->front->auth, call->oci.ask.snapshot, call->oci.request,
		&call->oci.ask.client, &call->oci.ask.identity, &attempt, &err)) {
	case AUTH_OK:
		learn_client(call);
		learn_call(call);
		return FRONT_MORE;
	case AUTH_PENDING:
		start_verify(call, attempt);
		return FRONT_WAIT;
	case AUTH_REFUSED:
		break;
	}
	/* Who only claims to be a peer was not counted before. */
	if (!claims_peer)
		refuse(call, &err);
	else if (front_limit_take(call))
		front_refuse_peer(call, &err);
	return FRONT_WAIT;
}

/* Access. */

enum front_turn front_access(struct front_call *call)
{
	const struct route *row = call->oci.ask.route.row;
	struct error err;

	/* For a peer's request this was decided at the peer, but for what it wants to be judged here, too. */
	if ((!call->oci.ask.identity->peer || http_query_get(call->oci.ask.query, FRONT_JUDGE_QUERY, NULL)) &&
		!row->authorise(call)) {
		http_request_reply(call->oci.request,
			oci_denied_reply(&call->oci.ask, "requested access to the resource is denied"));
		return FRONT_WAIT;
	}
	if (call->loop->front->writes_refused && row->flags & OCI_WRITES) {
		(void)error_set(&err, ERROR_UNAVAILABLE, NULL,
			"this store is not safe for several workers, so nothing is written to it");
		http_request_reply(call->oci.request, oci_reply_error(&err));
		return FRONT_WAIT;
	}
	return FRONT_MORE;
}
