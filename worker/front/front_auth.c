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
#include "worker/auth/access.h"
#include "worker/auth/auth.h"
#include "worker/auth/identity.h"
#include "worker/auth/snapshot.h"
#include "worker/front/front_step.h"
#include "worker/front/health.h"
#include "worker/oci/oci_denied.h"
#include "worker/oci/oci_reply.h"

static struct http_response *unauthorized(const struct front_call *call, const struct error *err)
{
	struct http_response *response = oci_reply_status(401, err);

	oci_denied_challenge(&call->ask, response);
	http_response_header(response, "Docker-Distribution-API-Version", "registry/2.0");
	return response;
}

static void reply_unauthorized(struct front_call *call, const struct error *err)
{
	http_request_reply(call->request, unauthorized(call, err));
}

/* A refused login is answered late, so that guessing is slow. How many are is bounded, since each has a
 * connection. */

#define DELAYS_MAX 256 /* of a loop */

struct delay {
	struct front_errand errand;
	struct worker_loop *loop;
	struct loop_timer timer;
	struct error err;
};

static void delay_cancel(struct front_errand *errand)
{
	struct delay *delay = (struct delay *)errand;

	loop_timer_stop(delay->loop->loop, &delay->timer);
	delay->loop->delays--;
	free(delay);
}

static void on_delayed(void *arg)
{
	struct delay *delay = arg;

	delay->errand.call->errand = NULL;
	delay->loop->delays--;
	reply_unauthorized(delay->errand.call, &delay->err);
	free(delay);
}

static void refuse(struct front_call *call, const struct error *err)
{
	int64_t ms = auth_fail_delay_ms(call->ask.worker->auth);
	struct delay *delay;

	if (!ms || call->loop->delays == DELAYS_MAX || !http_request_header(call->request, "Authorization")) {
		reply_unauthorized(call, err);
		return;
	}
	delay = xnew(struct delay);
	delay->errand = (struct front_errand){ .call = call, .cancel = delay_cancel };
	delay->loop = call->loop;
	delay->err = *err;
	call->errand = &delay->errand;
	call->loop->delays++;
	loop_timer_start(call->loop->loop, &delay->timer, ms, on_delayed, delay);
}

/* Somebody says that he is a peer, and is not believed. Anybody can make us say so, thus at most once a
 * second. */

static bool is_time_to_tell(struct worker *worker)
{
	int64_t now = clock_ms(), next = atomic_load(&worker->tell_peers_ms);

	return now >= next && atomic_compare_exchange_strong(&worker->tell_peers_ms, &next, now + 1000);
}

void front_refuse_peer(struct front_call *call, const struct error *err)
{
	struct http_response *response = unauthorized(call, err);
	char from[INET6_ADDRSTRLEN];

	counter_add(&call->loop->counters.peer_refused_total, 1);
	if (is_time_to_tell(call->ask.worker)) {
		ip_format(&call->client, from);
		log_warn("peer.refused", "from=%s why=%s", from, log_quote(str_of(err->text)));
	}
	http_response_header(
		response, PEER_REFUSED_HEADER, err->kind == ERROR_CONFLICT ? PEER_USED : PEER_REFUSED);
	http_request_reply(call->request, response);
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
	http_request_reply(call->request, response);
}

static void on_verified(void *arg, struct identity *identity, const struct error *err, unsigned retry_after_s)
{
	struct verify *verify = arg;
	struct front_call *call = verify->errand.call;

	free(verify);
	call->errand = NULL;
	call->ask.identity = identity;
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
	auth_start(call->ask.worker->auth, attempt, call->loop->loop, on_verified, verify);
}

/* Where no repository is open to the anonymous, the metrics may be. */
static bool is_anonymous_scrape(const struct front_call *call)
{
	AUTO(identity) *nobody = NULL;

	if (!call->is_metrics || http_request_header(call->request, "Authorization") ||
		http_request_header(call->request, PEER_HEADER))
		return false;
	nobody = identity_new_anonymous();
	return access_allows_metrics(call->ask.snapshot->access, nobody);
}

/* The peer says whom it serves; it has counted the request already. */
static void learn_client(struct front_call *call)
{
	struct ip client;

	if (!call->ask.identity->peer || !ip_parse(str_of(call->ask.identity->client), &client))
		return;
	call->client = client;
	http_request_set_client(call->request, &client);
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
	const struct identity *identity = call->ask.identity;

	if (!identity->peer || !identity->has_call)
		return;
	call->ask.has_call = true;
	memcpy(call->ask.call.raw, identity->call, sizeof(call->ask.call.raw));
	call->ask.call_issued_ms = identity->call_issued_ms;
	call->ask.call_sent_ms = identity->call_sent_ms ? first_sent_ms(identity) : 0;
}

enum front_turn front_authenticate(struct front_call *call)
{
	bool claims_peer = http_request_header(call->request, PEER_HEADER);
	struct auth_attempt *attempt = NULL;
	struct error err;

	if (is_anonymous_scrape(call)) {
		call->ask.identity = identity_new_anonymous();
		return FRONT_MORE;
	}
	switch (auth_try(call->ask.worker->auth, call->ask.snapshot, call->request, &call->client,
		&call->ask.identity, &attempt, &err)) {
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

/* docker learns only from a 401 on /v2/ that it should log in. */
static bool is_docker(const struct front_call *call)
{
	struct str agent = str_of(http_request_header(call->request, "User-Agent"));

	return str_starts(agent, "docker/") || (agent.len && strstr(agent.at, "Docker-Client"));
}

static bool allows_base(const struct front_call *call)
{
	const struct oci_ask *ask = &call->ask;

	if (!ask->snapshot->auth_required || !ask->identity->anonymous)
		return true;
	return access_has_anonymous(ask->snapshot->access) &&
	       !(ask->route.row->shape == OCI_SHAPE_ROOT && is_docker(call));
}

static bool allows(const struct front_call *call)
{
	const struct access *access = call->ask.snapshot->access;
	const struct identity *identity = call->ask.identity;
	struct str name = name_str(&call->ask.route.name);

	switch (call->ask.route.row->action) {
	case OCI_ACTION_NONE:
		return allows_base(call);
	case OCI_ACTION_READ:
		return access_allows(access, identity, name, ACTION_READ);
	case OCI_ACTION_CREATE:
		return access_allows(access, identity, name, ACTION_CREATE);
	case OCI_ACTION_MANIFEST_WRITE: /* which of the two it must be, the endpoint decides */
		return access_allows(access, identity, name, ACTION_CREATE) ||
		       access_allows(access, identity, name, ACTION_UPDATE);
	case OCI_ACTION_DELETE:
		return access_allows(access, identity, name, ACTION_DELETE);
	}
	return false;
}

static bool allows_metrics(const struct front_call *call)
{
	return access_allows_metrics(call->ask.snapshot->access, call->ask.identity);
}

static bool writes(const struct front_call *call)
{
	return call->ask.route.row->action != OCI_ACTION_NONE &&
	       call->ask.route.row->action != OCI_ACTION_READ;
}

enum front_turn front_access(struct front_call *call)
{
	struct error err;

	/* For a peer's request this was decided at the peer. */
	if (!call->ask.identity->peer && !(call->is_metrics ? allows_metrics(call) : allows(call))) {
		http_request_reply(call->request,
			oci_denied_reply(&call->ask, "requested access to the resource is denied"));
		return FRONT_WAIT;
	}
	if (call->is_metrics) {
		health_serve_metrics(call);
		return FRONT_WAIT;
	}
	if (call->ask.worker->writes_refused && writes(call)) {
		(void)error_set(&err, ERROR_UNAVAILABLE, NULL,
			"this store is not safe for several workers, so nothing is written to it");
		http_request_reply(call->request, oci_reply_error(&err));
		return FRONT_WAIT;
	}
	return FRONT_MORE;
}
