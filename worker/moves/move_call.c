/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/moves/move_call.h"

#include <inttypes.h>

#include "proto/peer_token.h"
#include "worker/auth/peer_headers.h"
#include "worker/cluster/cluster.h"
#include "worker/cluster/peer_claims.h"

#define CONNECT_MS 2000
#define STALL_MS   20000
/* For the other's log: nobody but this worker asks. */
#define NO_CLIENT "127.0.0.1"

static void sign(const struct move_caller *caller, const struct move_call *call, const char *name,
	struct str key, struct str headers, struct buf *into)
{
	const struct peer_request request = {
		.method = str_of(call->method), .target = str_of(call->target), .headers = headers
	};
	struct peer_claims claims = peer_claims_of(caller->cluster, call->snapshot, name);

	claims.client = NO_CLIENT;
	claims.admin = true;
	peer_token_format(key, &request, &claims, into);
}

static bool add_range(const struct range *part, struct http_headers *headers)
{
	AUTO_FINI(buf) text = buf_limit(64);

	if (!part)
		return true;
	buf_format(&text, "bytes=%" PRIu64 "-%" PRIu64, part->first, part->last);
	return http_headers_add(headers, STR("Range"), buf_str(&text));
}

/* Is it the member that was asked? */
static bool is_member(const char *name, struct str key, struct str token, const struct http_result *result)
{
	return result->headers &&
	       peer_answer_is_of(key, token, http_headers_find(result->headers, PEER_ANSWER_HEADER), name);
}

static bool send_signed(const struct move_caller *caller, const struct move_call *call,
	struct http_result *result, struct error *err)
{
	AUTO(http_headers) *headers = http_headers_new();
	AUTO_FINI(buf) name = buf_limit(PEER_NAME_MAX + 1);
	AUTO_FINI(buf) lines = buf_limit(4096);
	AUTO_FINI(buf) token = buf_limit(PEER_TOKEN_MAX);
	AUTO_FINI(buf) url = buf_limit(16 * 1024);
	struct http_call_spec spec = { .method = call->method,
		.headers = headers,
		.has_body = !strcmp(call->method, "POST"),
		.ca_file = caller->ca_file,
		.cert_file = caller->cert_file,
		.key_file = caller->key_file,
		.connect_ms = CONNECT_MS,
		.stall_ms = STALL_MS,
		.total_ms = call->total_ms };
	struct str key = peer_claims_key(caller->cluster, call->snapshot);

	if (!add_range(call->part, headers))
		return error_set(err, ERROR_INTERNAL, NULL, "a range that is none");
	peer_signed_list(headers, &lines);
	cluster_name_of(caller->cluster, call->snapshot, call->member, &name);
	sign(caller, call, buf_text(&name), key, buf_str(&lines), &token);
	buf_puts(&url, call->member->url);
	buf_puts(&url, call->target);
	if (token.failed || lines.failed || url.failed ||
		!http_headers_add(headers, STR(PEER_HEADER), buf_str(&token)))
		return error_set(err, ERROR_INTERNAL, NULL, "a call that cannot be signed");
	spec.url = buf_text(&url);
	if (!http_send(&spec, result, err))
		return false;
	return is_member(buf_text(&name), key, buf_str(&token), result) ||
	       error_set(err, ERROR_UNAVAILABLE, NULL, "what answers is not that member (status %u)",
		       result->status);
}

bool move_call(const struct move_caller *caller, const struct move_call *call, struct http_result *result,
	struct error *err)
{
	if (send_signed(caller, call, result, err))
		return true;
	if (err && err->kind != ERROR_TOO_LARGE)
		err->kind = ERROR_UNAVAILABLE;
	return error_add(err, "member %s", call->member->id);
}
