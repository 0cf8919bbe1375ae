/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/pages.h"

#include "common/http_frame.h"
#include "common/http_server.h"
#include "graphql/graphql_limits.h"
#include "proto/chore_view.h"
#include "proto/own_key.h"
#include "proto/state_token.h"
#include "proto/trust_key.h"
#include "worker/auth/identity.h"
#include "worker/auth/rights.h"
#include "worker/cluster/channel_spread.h"
#include "worker/cluster/peer_probe.h"
#include "worker/cluster/peer_channels.h"
#include "worker/front/front_call.h"
#include "worker/front/front_move.h"
#include "worker/front/front_search.h"
#include "worker/front/health_metrics.h"
#include "worker/moves/moves.h"
#include "worker/oci/extensions.h"
#include "worker/oci/oci_may.h"
#include "worker/oci/oci_reply.h"
#include "worker/search/search_others.h"

static bool may_scrape(const void *arg)
{
	const struct oci_call *call = arg;

	return rights_allow_metrics(call->ask.snapshot, call->ask.identity);
}

/* A member asks whether it is itself that answers at its address; the proof is in the answer's head (auth.c). */
static bool is_peer(const void *arg)
{
	const struct oci_call *call = arg;

	return call->ask.identity->peer;
}

static struct http_response *hello(void *arg)
{
	(void)arg;
	return http_response_empty(204);
}

/* Many calls over one connection, for a peer. A call on a channel has none of its own. */
static struct http_response *channel(void *arg)
{
	const struct front_call *call = arg;
	struct http_response *response;
	struct error err;

	if (!call->loop->front->channels_off && http_request_may_upgrade(call->oci.request)) {
		response = http_response_upgrade();
		http_response_headerf(response, CHANNEL_LOOP_HEADER, "%zu %u",
			(size_t)(call->loop - call->loop->front->loops), call->loop->front->loops_len);
		return response;
	}
	(void)error_set(&err, ERROR_INVALID, "UNSUPPORTED",
		call->loop->front->channels_off ? "this worker has no channels (ZOT_PEER_CHANNEL is false)"
						: "this is asked with \"Upgrade: " HTTP_FRAME_PROTOCOL "\"");
	response = oci_reply_status(call->loop->front->channels_off ? 404 : 426, &err);
	http_response_header(response, "Upgrade", HTTP_FRAME_PROTOCOL);
	return response;
}

/* Clients send something, and nothing of it is read. */
#define PREFS_BODY_MAX 8192

static const struct route rows[] = {
	{ .operation = "channel",
		.path = PEER_CHANNEL_PATH,
		.methods = ROUTE_M(GET),
		.kind = ROUTE_INLINE,
		.authorise = is_peer,
		.inline_f = channel },
	{ .operation = "hello",
		.path = PEER_PROBE_PATH,
		.methods = ROUTE_READS,
		.kind = ROUTE_INLINE,
		.authorise = is_peer,
		.inline_f = hello },
	{ .operation = "livez",
		.path = "/livez",
		.methods = ROUTE_READS,
		.kind = ROUTE_INLINE,
		.inline_f = health_live },
	{ .operation = "moves",
		.path = MOVES_PATH,
		.methods = ROUTE_M(GET) | ROUTE_M(POST),
		.kind = ROUTE_STREAM,
		.authorise = is_peer,
		.stream_f = pages_moves },
	{ .operation = "startupz",
		.path = "/startupz",
		.methods = ROUTE_READS,
		.kind = ROUTE_INLINE,
		.inline_f = health_started },
	{ .operation = "readyz",
		.path = "/readyz",
		.methods = ROUTE_READS,
		.kind = ROUTE_STREAM,
		.stream_f = health_ready },
	{ .operation = "apikey",
		.path = "/zot/auth/apikey",
		.methods = ROUTE_READS | ROUTE_M(POST) | ROUTE_M(DELETE),
		.kind = ROUTE_STREAM,
		.authorise = pages_by_user,
		.body_max = OWN_KEY_BODY_MAX,
		.stream_f = pages_apikey },
	{ .operation = "search",
		.path = EXTENSION_PATH("search"),
		.methods = ROUTE_M(GET) | ROUTE_M(POST),
		.kind = ROUTE_STREAM,
		.flags = OCI_EXTENSION | OCI_OPEN,
		.authorise = oci_may_base,
		.body_max = GRAPHQL_BODY_MAX,
		.stream_f = pages_search },
	{ .operation = "search_part",
		.path = FRONT_SEARCH_PATH,
		.methods = ROUTE_M(POST),
		.kind = ROUTE_STREAM,
		.authorise = is_peer,
		.body_max = SEARCH_ASK_MAX,
		.stream_f = pages_search_part },
	{ .operation = "search_preflight",
		.path = EXTENSION_PATH("search"),
		.methods = ROUTE_M(OPTIONS),
		.kind = ROUTE_INLINE,
		.inline_f = pages_search_preflight },
	{ .operation = "userprefs",
		.path = EXTENSION_PATH("userprefs"),
		.methods = ROUTE_M(PUT),
		.kind = ROUTE_STREAM,
		.flags = OCI_EXTENSION | OCI_KEPT | OCI_AUDITED,
		.authorise = oci_may_base,
		.place = OCI_PLACE_OWNER,
		.body_max = PREFS_BODY_MAX,
		.stream_f = pages_prefs },
	{ .operation = "cosign",
		.path = EXTENSION_PATH("cosign"),
		.methods = ROUTE_READS | ROUTE_M(POST) | ROUTE_M(DELETE),
		.kind = ROUTE_STREAM,
		.flags = OCI_EXTENSION | OCI_AUDITED,
		.authorise = pages_by_admin,
		.body_max = TRUST_BODY_MAX,
		.stream_f = pages_trust },
	{ .operation = "notation",
		.path = EXTENSION_PATH("notation"),
		.methods = ROUTE_READS | ROUTE_M(POST) | ROUTE_M(DELETE),
		.kind = ROUTE_STREAM,
		.flags = OCI_EXTENSION | OCI_AUDITED,
		.authorise = pages_by_admin,
		.body_max = TRUST_BODY_MAX,
		.stream_f = pages_trust },
	{ .operation = "mgmt",
		.path = EXTENSION_PATH("mgmt"),
		.methods = ROUTE_READS,
		.kind = ROUTE_INLINE,
		.flags = OCI_EXTENSION | OCI_OPEN,
		.authorise = pages_by_who_comes,
		.inline_f = pages_mgmt },
	{ .operation = "mgmt_preflight",
		.path = EXTENSION_PATH("mgmt"),
		.methods = ROUTE_M(OPTIONS),
		.kind = ROUTE_INLINE,
		.inline_f = pages_mgmt_preflight },
	{ .operation = "chores",
		.path = "/zot/chores",
		.methods = ROUTE_READS | ROUTE_M(POST),
		.kind = ROUTE_STREAM,
		.flags = OCI_AUDITED,
		.authorise = pages_by_admin,
		.body_max = CHORE_ORDER_BODY_MAX,
		.stream_f = pages_chores },
	{ .operation = "usage",
		.path = "/zot/auth/usage",
		.methods = ROUTE_READS,
		.kind = ROUTE_STREAM,
		.authorise = pages_by_login,
		.stream_f = pages_usage },
	{ .operation = "state",
		.path = STATE_TOKEN_PATH,
		.methods = ROUTE_M(GET),
		.kind = ROUTE_STREAM,
		.stream_f = pages_state },
};
static const struct route_table pages = { rows, sizeof(rows) / sizeof(rows[0]) };

/* Its path is a setting. */
static const struct route metrics = { .operation = "metrics",
	.methods = ROUTE_READS,
	.kind = ROUTE_INLINE,
	.flags = OCI_SCRAPE,
	.authorise = may_scrape,
	.inline_f = pages_metrics };

static enum route_found take(const struct front_call *call, const struct route *row, const struct route **ret,
	unsigned *ret_allowed)
{
	*ret_allowed = row->methods;
	if (!(row->methods & 1u << call->oci.ask.method))
		return ROUTE_NO_METHOD;
	*ret = row;
	return ROUTE_FOUND;
}

static bool take_repository(struct front_call *call, struct error *err)
{
	AUTO_FINI(buf) name = buf_limit(NAME_MAX_LEN + 1);
	unsigned given = http_query_get(call->oci.ask.query, "repo", &name);

	if (given != 1)
		return error_set(
			err, ERROR_INVALID, NULL, "repo: needed once, the repository that it is about");
	if (!name.len && !name.failed)
		return error_set(err, ERROR_UNKNOWN, "NAME_UNKNOWN", "repo: is empty");
	if (name.failed)
		return error_set(err, ERROR_INVALID, "NAME_INVALID", "repo: is over %d bytes", NAME_MAX_LEN);
	return name_parse(buf_str(&name), &call->oci.ask.route.name, err);
}

enum route_found pages_find(struct front_call *call, unsigned *ret_allowed, struct error *err)
{
	struct str path = http_request_path(call->oci.request), rest;
	const char *scraped = call->loop->front->metrics_path;
	const struct route **ret = &call->oci.ask.route.row;
	enum route_found found;

	if (extension_is_off(&call->loop->front->extensions, path))
		return ROUTE_NO_PATH;
	if (scraped && str_is(path, scraped))
		return take(call, &metrics, ret, ret_allowed);
	found = route_find(pages, path, call->oci.ask.method, ret, &rest, ret_allowed);
	if (found == ROUTE_FOUND && (*ret)->place == OCI_PLACE_OWNER && !take_repository(call, err))
		return ROUTE_MALFORMED;
	return found;
}

struct http_response *pages_metrics(void *arg)
{
	const struct front_call *call = arg;
	AUTO_FINI(buf) body = buf_limit(HEALTH_METRICS_MAX);
	struct http_response *response;

	health_metrics(call->loop->front, &body);
	response = http_response_buf(200, &body);
	http_response_header(response, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
	http_response_header(response, "X-Content-Type-Options", "nosniff");
	return response;
}
