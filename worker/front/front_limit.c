/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_limit - the step LIMIT: does this client ask too often.
 *
 * It stands before AUTHENTICATE, so that a flood of passwords costs no bcrypt. A request that says it comes
 * from a peer is passed on: the peer has counted it, if it is one.
 */
#include <inttypes.h>

#include "common/http_server.h"
#include "common/proxies.h"
#include "proto/peer_token.h"
#include "worker/auth/rate_limit.h"
#include "worker/front/front_step.h"
#include "worker/oci/oci_reply.h"

#define FORWARDED_HEADER "X-Forwarded-For"

struct ip front_limit_client(const struct front_call *call)
{
	const struct proxies *proxies = call->loop->front->proxies;
	struct ip peer = http_request_ip(call->oci.request);
	AUTO_STR *joined = NULL;

	if (!proxies_has(proxies, &peer))
		return peer;
	return proxies_client(proxies, &peer,
		str_of(http_request_header_list(call->oci.request, FORWARDED_HEADER, &joined)));
}

static void reply_too_many(struct front_call *call, const struct rate_refusal *refusal)
{
	char client[INET6_ADDRSTRLEN];
	struct http_response *response;
	struct error err;

	ip_format(&call->oci.ask.client, client);
	(void)error_set(&err, ERROR_BUSY, "TOOMANYREQUESTS",
		"client %s makes more than %" PRIu32 " requests a second", client, refusal->limit);
	response = oci_reply_status(429, &err);
	http_response_headerf(response, "Retry-After", "%" PRId64, refusal->retry_after_s);
	http_response_headerf(response, "RateLimit-Limit", "%" PRIu32, refusal->limit);
	http_response_header(response, "RateLimit-Remaining", "0");
	http_response_headerf(response, "RateLimit-Reset", "%" PRId64, refusal->reset_s);
	http_request_reply(call->oci.request, response);
}

bool front_limit_take(struct front_call *call)
{
	struct rate_refusal refusal;

	if (rate_limit_take(call->loop->front->rate_limit, &call->oci.ask.client, call->oci.ask.method,
		    http_request_started_us(call->oci.request), &refusal))
		return true;
	counter_add(&call->loop->counters.rate_limited_total, 1);
	reply_too_many(call, &refusal);
	return false;
}

enum front_turn front_limit(struct front_call *call)
{
	if (http_request_header(call->oci.request, PEER_HEADER))
		return FRONT_MORE;
	/* A scrape costs little, but for a password. */
	if (call->oci.ask.route.row->flags & OCI_SCRAPE &&
		!http_request_header(call->oci.request, "Authorization"))
		return FRONT_MORE;
	return front_limit_take(call) ? FRONT_MORE : FRONT_WAIT;
}
