/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   client --request--> [ pipe ] --http_call--> peer        bodies of unknown or large size
 *   client <--reply---- [ pipe ] <--http_call-- peer        answers over SMALL_MAX
 *
 * Life    peer_forward_start() makes it, peer_call_done() frees it; an http_call that is still under
 *         way is cancelled there. Nothing is replied twice: `over` says that the reply, or
 *         on_unreachable, has had its turn.
 *
 * Time    of a change, from its first sending:
 *
 *         0 ----- first ----- 20 s --- again --- 30 s        50 s: the limit      60 s: the server's own 503
 *                                       isolated: ---------> |
 *
 *         A call that is cut ends before, and where storage is shared one to a member that does not answer the question
 *         whether it is there, which it is asked after 2 s (reach.h). Each sending has a token of its own, which is good for peer_guard.h's
 *         time; a kept connection that dies makes the library send the same bytes once more, which the receiver
 *         refuses if it had them: then they are signed anew, under the same id.
 */
#include "worker/cluster/peer.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/crypto.h"
#include "common/http_client.h"
#include "common/http_server.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pipe.h"
#include "worker/auth/identity.h"
#include "worker/auth/peer_headers.h"
#include "worker/auth/snapshot.h"
#include "worker/cluster/cluster.h"
#include "worker/cluster/peer_channels.h"
#include "worker/cluster/peer_claims.h"

#define PEER_MAGIC MAGIC('P', 'E', 'E', 'R')
#define SMALL_MAX  (64 * 1024)
#define PIPE_BYTES (256u * 1024)
#define CONNECT_MS 2000
/* A read can be served elsewhere, so it does not wait for long; a write may be on its way into an object
 * store, and the wait limit of the request answers the client before this ends it. */
#define STALL_MS (20 * 1000)
/* Then it is asked whether it is there (reach.h). */
#define DOUBT_MS        2000
#define DOUBT_EVERY_MS  500
#define TAKES_MS        (3 * 1000) /* an upload without a byte, which can be begun anew */
#define STALL_UPLOAD_MS (60 * 60 * 1000)
/* Less than a request waits for its reply: what comes last still has time to be done here. */
#define LIMIT_MS       (50 * 1000)
#define UNKNOWN_WAIT_S 5

struct peer_call {
	uint32_t magic;
	struct peer_forward how; /* snapshot and identity are references of ours */
	struct str target;       /* of the request, from its path on; or taking */
	char *taking;            /* the target that asks for an upload */
	char *member_id;
	char *token;                   /* of the newest sending */
	struct str key;                /* that it is signed with; of the snapshot or the cluster */
	struct peer_answer answer;     /* who answered, where that is proven */
	struct http_call *call;        /* NULL: not under way */
	struct loop_timer patience;    /* with a read or a change, until its reply begins */
	int64_t asked_ms;              /* the newest sending */
	struct pipe *upward;           /* the writer's end of the request's body */
	int64_t sent_ms, sent_wall_ms; /* first; the limit is counted from here */
	uint8_t digest[HASH_MAX];      /* of a body that was collected */
	bool repeated, signed_anew;
	bool proven;    /* one who knows the secret answered */
	bool is_member; /* and is the one that was asked */
	bool strange;   /* what came is no answer of the member's */
	bool odd;       /* what it answers is no answer */
	bool streamed;  /* the client's body goes through, once */
	bool lost;      /* somebody had it and did not answer */
	bool over;
	bool over_channel; /* the newest sending */
	bool no_channel;   /* one was lost with this call */
};

/* Every callback comes through here: on the request's loop, as long as it lives. */
static struct peer_call *own(void *arg)
{
	struct peer_call *peer = OBJ_CAST(peer_call, PEER_MAGIC, arg);

	loop_assert(http_request_loop(peer->how.request));
	return peer;
}

static enum http_method method_of(const struct peer_forward *how)
{
	return how->takes ? HTTP_PATCH : http_request_method(how->request);
}

static bool is_read(const struct peer_call *peer)
{
	enum http_method method = method_of(&peer->how);

	return method == HTTP_GET || method == HTTP_HEAD;
}

/* The clocks of a change. */

/* Since the first sending. Where the two clocks do not agree (this machine was paused, one was set) it is the
 * longer time: the safe one. */
static int64_t gone_ms(const struct peer_call *peer)
{
	int64_t ms = clock_ms() - peer->sent_ms, by_wall = clock_wall_ms() - peer->sent_wall_ms;

	return ms > by_wall ? ms : by_wall;
}

static int64_t limit_ms(const struct peer_call *peer)
{
	return peer->how.limit_ms ? peer->how.limit_ms : LIMIT_MS;
}

static int64_t left_ms(const struct peer_call *peer)
{
	return limit_ms(peer) - gone_ms(peer);
}

static int64_t attempt_ms(const struct peer_call *peer)
{
	int64_t left = left_ms(peer), ms = limit_ms(peer) * (peer->repeated ? 1 : 2) / 5;

	if (ms > left || (peer->repeated && peer->how.snapshot->isolated))
		ms = left;
	return ms > 0 ? ms : 1;
}

/* The body of the request. */

static void on_room(void *arg)
{
	http_request_more(own(arg)->how.request);
}

static size_t on_client_bytes(void *arg, const void *bytes, size_t len)
{
	struct peer_call *peer = own(arg);
	size_t taken = 0;

	if (!peer->upward)
		return len;
	switch (pipe_write(peer->upward, bytes, len, &taken)) {
	case PIPE_OK:
		if (taken < len) {
			size_t rest = 0;
			/* Asking once more arms the pipe: it tells when there is room. */
			(void)!pipe_write(peer->upward, (const char *)bytes + taken, len - taken, &rest);
			taken += rest;
		}
		return taken;
	case PIPE_AGAIN:
		return 0;
	case PIPE_END:
	case PIPE_FAILED:
		break;
	}
	return len; /* the call has ended or is about to: its end says what the client gets */
}

static void on_client_end(void *arg)
{
	struct peer_call *peer = own(arg);

	if (!peer->upward)
		return;
	pipe_finish(peer->upward);
	pipe_unref_writer(TAKE(peer->upward));
}

static void drop_upward(struct peer_call *peer)
{
	if (peer->upward)
		pipe_unref_writer(TAKE(peer->upward));
}

static void on_client_gone(void *arg)
{
	struct peer_call *peer = own(arg);

	peer->over = true;
	drop_upward(peer);
}

/* What the client gets. */

static void refuse(struct peer_call *peer, const struct error *err)
{
	struct error told;

	log_warn("peer.failed", "member=%s error=%s", log_quote(str_of(peer->member_id)),
		log_quote(str_of(err->text)));
	(void)error_set(&told, ERROR_UNAVAILABLE, NULL, "member %s, which has the repository, did not answer",
		peer->member_id);
	peer->how.refuse(
		peer->how.arg, peer->how.request, peer->how.only_there ? PEER_HOLDER_WAIT_S : 0, &told);
}

static void refuse_unknown(struct peer_call *peer, const struct error *err)
{
	struct error told;

	log_warn("peer.unknown", "member=%s error=%s", log_quote(str_of(peer->member_id)),
		log_quote(str_of(err->text)));
	(void)error_set(&told, ERROR_UNAVAILABLE, NULL,
		"member %s, which has the repository, did not answer: the outcome is unknown, the change may "
		"have been made",
		peer->member_id);
	peer->how.refuse(peer->how.arg, peer->how.request, UNKNOWN_WAIT_S, &told);
}

/* By the wall clock of now. */
static int64_t first_sent_ms(const struct peer_call *peer)
{
	int64_t sent = clock_wall_ms() - gone_ms(peer);

	return sent > 0 ? sent : 1;
}

static void give_up(struct peer_call *peer, const struct error *err, bool untouched)
{
	struct peer_forward *how = &peer->how;

	if (peer->over || http_request_is_replied(how->request))
		return;
	peer->over = true;
	if (is_read(peer) || how->takes || (untouched && !peer->lost))
		how->on_unreachable(how->arg, how->request, 0, err);
	else if (!how->has_call)
		refuse(peer, err);
	else if (!how->snapshot->isolated && left_ms(peer) > 0)
		how->on_unreachable(how->arg, how->request, first_sent_ms(peer), err);
	else
		refuse_unknown(peer, err);
}

static void begin_stream(struct peer_call *peer, struct http_call *call, unsigned status)
{
	struct pipe *pipe = pipe_new(http_request_loop(peer->how.request), PIPE_BYTES);
	struct http_response *response = http_response_pipe(status, pipe, http_call_length(call));

	http_call_into(call, pipe);
	peer_copy_answer(http_call_headers(call), response);
	peer->over = true;
	http_request_reply(peer->how.request, response);
}

static bool has_no_body(const struct peer_call *peer, unsigned status)
{
	return method_of(&peer->how) == HTTP_HEAD || status == 204 || status == 304 || status < 200;
}

static void reply_bodyless(struct peer_call *peer, struct http_call *call, unsigned status)
{
	int64_t len = http_call_length(call);
	bool announces = method_of(&peer->how) == HTTP_HEAD && len > 0;
	struct http_response *response =
		announces ? http_response_announce(status, (uint64_t)len) : http_response_empty(status);

	peer_copy_answer(http_call_headers(call), response);
	peer->over = true;
	http_request_reply(peer->how.request, response);
}

/* It does not serve the request: whatever else it says does not matter. */
static bool turns_away(unsigned status, const struct http_headers *headers)
{
	return status == 421 || (status == 401 && http_headers_find(headers, PEER_REFUSED_HEADER));
}

static bool is_odd(const struct peer_call *peer, unsigned status, int64_t len)
{
	return status < 200 || status > 599 || (len < 0 && !has_no_body(peer, status));
}

/* Who is it? One who is not the member may only turn us away. */
static void look_who(struct peer_call *peer, struct http_call *call)
{
	const struct http_headers *headers = http_call_headers(call);
	const char *proof = http_headers_find(headers, PEER_ANSWER_HEADER);
	AUTO_FINI(buf) name = buf_limit(PEER_NAME_MAX + 1);

	cluster_name_of(peer->how.cluster, peer->how.snapshot, peer->how.member, &name);
	peer->proven = peer_answer_parse(peer->key, str_of(peer->token), proof, &peer->answer);
	peer->is_member = proof ? peer->proven && !strcmp(peer->answer.name, buf_text(&name))
				: cluster_peer_signs_not(peer->how.cluster, str_of(peer->member_id));
	peer->strange = !peer->is_member && !turns_away(http_call_status(call), headers);
}

static void on_head(void *arg, struct http_call *call)
{
	struct peer_call *peer = own(arg);
	unsigned status = http_call_status(call);
	int64_t len = http_call_length(call);

	look_who(peer, call);
	if (peer->is_member)
		cluster_peer_answered(peer->how.cluster, str_of(peer->member_id));
	if (peer->over)
		return;
	peer->odd = is_odd(peer, status, len);
	if (peer->odd || peer->strange || peer->how.takes || turns_away(status, http_call_headers(call)))
		http_call_collect(call, SMALL_MAX);
	else if (has_no_body(peer, status))
		reply_bodyless(peer, call, status);
	else if (len <= SMALL_MAX)
		http_call_collect(call, SMALL_MAX);
	else
		begin_stream(peer, call, status);
}

static void finish_small(struct peer_call *peer, struct http_call *call)
{
	struct http_response *response = http_response_copy(http_call_status(call), http_call_body(call));

	peer_copy_answer(http_call_headers(call), response);
	peer->over = true;
	http_request_reply(peer->how.request, response);
}

static bool start(struct peer_call *peer);

/* Whoever gets it twice does it once. */
static bool try_again(struct peer_call *peer, const struct error *err)
{
	if (!peer->how.has_call || peer->repeated || http_request_is_replied(peer->how.request) ||
		left_ms(peer) <= 0)
		return false;
	peer->repeated = true;
	log_info("peer.again", "member=%s error=%s", log_quote(str_of(peer->member_id)),
		log_quote(str_of(err->text)));
	return start(peer);
}

/* As a kept connection that dies, a lost channel says nothing of the member. A change whose fate nobody knows is for try_again(). */
static bool try_without_channel(struct peer_call *peer, const struct error *err)
{
	if (!peer->over_channel || err->kind == ERROR_TIMEOUT)
		return false;
	peer->no_channel = true;
	return !peer->over && !http_request_is_replied(peer->how.request) &&
	       (is_read(peer) || err->kind == ERROR_UNAVAILABLE) && left_ms(peer) > 0 && start(peer);
}

static void on_failed(struct peer_call *peer, const struct error *err)
{
	bool untouched = err->kind == ERROR_UNAVAILABLE;

	if (try_without_channel(peer, err))
		return;
	if (untouched || (err->kind == ERROR_TIMEOUT && !peer->over))
		cluster_peer_failed(peer->how.cluster, str_of(peer->member_id));
	else
		cluster_peer_doubted(peer->how.cluster, str_of(peer->member_id));
	if (peer->over)
		return;
	peer->lost |= !untouched;
	if (untouched || !try_again(peer, err))
		give_up(peer, err, untouched);
}

static void say_refused(const struct peer_call *peer, const char *why, struct error *err)
{
	if (peer->proven && !peer->is_member)
		(void)error_set(err, ERROR_DENIED, NULL,
			"%s, the address of member %s, is that of member %.100s", peer->how.member->url,
			peer->member_id, peer->answer.name);
	else
		(void)error_set(err, ERROR_DENIED, NULL,
			"member %s does not believe this worker (%.20s); its log says why (peer.refused)",
			peer->member_id, why);
}

/* Our token was not believed. What came before may have been done. */
static void on_refused(struct peer_call *peer, const char *why)
{
	bool used = !strcmp(why, PEER_USED);
	struct error err;

	say_refused(peer, why, &err);
	if (!peer->is_member)
		cluster_peer_strange(peer->how.cluster, str_of(peer->member_id), &err);
	peer->lost |= used;
	if (!peer->signed_anew && !peer->streamed && !http_request_is_replied(peer->how.request) &&
		left_ms(peer) > 0) {
		peer->signed_anew = true;
		if (start(peer))
			return;
	}
	if (peer->how.only_there || peer->streamed)
		refuse(peer, &err);
	else
		give_up(peer, &err, !used);
}

static void on_misdirected(struct peer_call *peer)
{
	struct error err;

	(void)error_set(&err, ERROR_CONFLICT, NULL,
		"member %s has another ring, in which it is not the owner", peer->member_id);
	give_up(peer, &err, true);
}

/* Its answer is nobody's. It may be a proxy that has passed the call on, so a change may have been made. */
static void on_strange(struct peer_call *peer, struct http_call *call)
{
	struct error err;

	(void)error_set(&err, ERROR_INTERNAL, NULL,
		"%s, the address of member %s, answered %u, and not as a member of this cluster: the answer "
		"is "
		"not signed",
		peer->how.member->url, peer->member_id, http_call_status(call));
	cluster_peer_strange(peer->how.cluster, str_of(peer->member_id), &err);
	if (peer->over)
		return;
	peer->lost = true;
	if (peer->how.only_there || peer->streamed)
		refuse(peer, &err);
	else if (!try_again(peer, &err))
		give_up(peer, &err, false);
}

static void on_odd(struct peer_call *peer, struct http_call *call)
{
	struct error err;

	(void)error_set(&err, ERROR_INTERNAL, NULL,
		"member %s answered %u%s, which is no answer of a registry", peer->member_id,
		http_call_status(call), http_call_length(call) < 0 ? " and told no length" : "");
	on_failed(peer, &err);
}

/* The application may start another call about the same request. */
static bool is_taken(struct peer_call *peer, struct http_call *call)
{
	unsigned status = http_call_status(call);

	if (!peer->how.on_answer || !peer->is_member || (!peer->how.takes && status != 421))
		return false;
	peer->over = true;
	/* Where it was taken the request may have ended, and this call with it. */
	if (peer->how.on_answer(peer->how.arg, peer->how.request, status, http_call_headers(call)))
		return true;
	peer->over = false;
	return false;
}

static void on_call_done(void *arg, struct http_call *call, const struct error *err)
{
	struct peer_call *peer = own(arg);
	unsigned status = http_call_status(call);

	peer->call = NULL;
	loop_timer_stop(http_request_loop(peer->how.request), &peer->patience);
	drop_upward(peer);
	if (peer->strange)
		on_strange(peer, call);
	else if (peer->odd)
		on_odd(peer, call);
	else if (err)
		on_failed(peer, err);
	else if (peer->over || is_taken(peer, call))
		return;
	else if (status == 421)
		on_misdirected(peer);
	else if (turns_away(status, http_call_headers(call)))
		on_refused(peer, http_headers_find(http_call_headers(call), PEER_REFUSED_HEADER));
	else
		finish_small(peer, call);
}

static void wait_on(struct peer_call *peer, int64_t ms);

/* One that is not there is not asked again. */
static void stop_waiting(struct peer_call *peer, bool is_silent)
{
	struct error err;

	http_call_cancel(TAKE(peer->call));
	drop_upward(peer);
	peer->repeated |= is_silent;
	(void)error_set(&err, ERROR_TIMEOUT, NULL, "member %s has not answered in %lld s", peer->member_id,
		(long long)(clock_ms() - peer->asked_ms) / 1000);
	on_failed(peer, &err);
}

static void on_slow(void *arg)
{
	struct peer_call *peer = own(arg);
	struct str id = str_of(peer->member_id);

	if (peer->over || !peer->call)
		return;
	if (cluster_peer_is_failed(peer->how.cluster, id) && !peer->how.snapshot->isolated) {
		stop_waiting(peer, true);
	} else if (is_read(peer) && clock_ms() - peer->asked_ms >= STALL_MS) {
		/* It says something all the time, and never enough to reply with. */
		stop_waiting(peer, false);
	} else {
		cluster_peer_doubted(peer->how.cluster, id);
		wait_on(peer, DOUBT_EVERY_MS);
	}
}

static void wait_on(struct peer_call *peer, int64_t ms)
{
	loop_timer_start(http_request_loop(peer->how.request), &peer->patience, ms, on_slow, peer);
}

/* Start. */

/* As the receiver sees it. */
static int64_t length_of(const struct peer_forward *how)
{
	if (how->body_is_collected)
		return (int64_t)how->body.len;
	return how->takes || how->has_call ? 0 : http_request_length(how->request);
}

static void claim_call(const struct peer_call *peer, struct peer_claims *claims)
{
	const struct peer_forward *how = &peer->how;

	claims->has_call = how->has_call;
	memcpy(claims->call, how->call, sizeof(claims->call));
	claims->call_sent_ms = peer->lost ? peer->sent_wall_ms : 0;
	claims->call_age_ms = peer->lost ? gone_ms(peer) : 0;
	claims->call_issued_ms = how->issued_ms;
}

static void sign(const struct peer_call *peer, struct str headers, struct buf *into)
{
	const struct peer_forward *how = &peer->how;
	const struct peer_request request = { .method = str_of(http_method_name(method_of(how))),
		.target = peer->target,
		.length = length_of(how),
		.headers = headers };
	AUTO_FINI(buf) receiver = buf_limit(PEER_NAME_MAX + 1);
	char client[INET6_ADDRSTRLEN];
	struct peer_claims claims;

	cluster_name_of(how->cluster, how->snapshot, how->member, &receiver);
	claims = peer_claims_of(how->cluster, how->snapshot, buf_text(&receiver));
	ip_format(&how->from, client);
	claims.client = client;
	claims.has_digest = how->body_is_collected;
	memcpy(claims.digest, peer->digest, sizeof(claims.digest));
	identity_claim(how->identity, &claims);
	claim_call(peer, &claims);
	peer_token_format(peer->key, &request, &claims, into);
}

static bool make_headers(struct peer_call *peer, struct http_headers *headers)
{
	AUTO_FINI(buf) token = buf_limit((size_t)16 * 1024);
	AUTO_FINI(buf) lines = buf_limit((size_t)64 * 1024);

	if (peer->how.takes ? !http_headers_add(headers, STR(PEER_TAKES_HEADER), STR("1"))
			    : !peer_copy_request(peer->how.request, headers))
		return false;
	peer_signed_list(headers, &lines);
	peer->key = peer_claims_key(peer->how.cluster, peer->how.snapshot);
	sign(peer, buf_str(&lines), &token);
	free(peer->token);
	peer->token = check_strdup(buf_text(&token));
	return !lines.failed && !token.failed &&
	       http_headers_add(headers, STR(PEER_HEADER), buf_str(&token)) &&
	       http_headers_add(headers, STR(HOP_HEADER), STR("1"));
}

static void give_body(struct peer_call *peer, struct http_call_spec *spec)
{
	const struct peer_forward *how = &peer->how;
	enum http_method method = method_of(how);

	spec->has_body = method == HTTP_PUT || method == HTTP_POST || method == HTTP_PATCH;
	if (how->body_is_collected) {
		spec->body = how->body;
	} else if (!how->takes && !how->has_call && http_request_length(how->request)) {
		peer->streamed = true;
		peer->upward = pipe_new(http_request_loop(how->request), PIPE_BYTES);
		pipe_on_room(peer->upward, on_room, peer);
		spec->has_body = true;
		spec->body_pipe = peer->upward;
		spec->body_pipe_len = http_request_length(how->request);
	}
}

static bool start(struct peer_call *peer)
{
	AUTO_FINI(buf) url = buf_limit(16 * 1024);
	AUTO(http_headers) *headers = http_headers_new();
	struct http_call_spec spec = { .connect_ms = CONNECT_MS,
		.stall_ms = is_read(peer) ? STALL_MS : STALL_UPLOAD_MS };

	peer->odd = peer->strange = peer->proven = peer->is_member = false;
	buf_puts(&url, peer->how.member->url);
	buf_add(&url, peer->target);
	if (!peer->target.len || url.failed || !make_headers(peer, headers))
		return false;
	if (peer->how.takes)
		spec.stall_ms = spec.total_ms = TAKES_MS;
	else if (peer->how.has_call)
		spec.stall_ms = spec.total_ms = (unsigned)attempt_ms(peer);
	spec.method = http_method_name(method_of(&peer->how));
	spec.url = buf_text(&url);
	spec.headers = headers;
	spec.ca_file = peer->how.ca_file;
	spec.cert_file = peer->how.cert_file;
	spec.key_file = peer->how.key_file;
	give_body(peer, &spec);
	if (peer->how.small && !peer->streamed && !peer->no_channel)
		spec.channel = peer_channels_find(
			peer->how.channels, peer->how.snapshot, peer->how.member, spec.body.len);
	peer->over_channel = spec.channel;
	peer->call = http_call_start(peer->how.client, &spec,
		(struct http_call_events){ .arg = peer, .on_head = on_head, .on_done = on_call_done });
	peer->asked_ms = clock_ms();
	if (is_read(peer) || peer->how.has_call)
		wait_on(peer, DOUBT_MS);
	if (peer->upward)
		http_request_stream(peer->how.request,
			(struct http_sink){ peer, on_client_bytes, on_client_end, on_client_gone, NULL });
	return true;
}

/* "http://host/path" is legal towards a proxy (RFC 9112, 3.2.2); a peer is asked for the path. */
static struct str without_authority(struct str target)
{
	struct str rest = target;

	if (str_starts(target, "/") || (!str_skip(&rest, "http://") && !str_skip(&rest, "https://")))
		return target;
	while (rest.len && *rest.at != '/')
		rest = str_from(rest.at + 1, rest.len - 1);
	return rest;
}

static struct str target_that_takes(struct peer_call *peer)
{
	AUTO_FINI(buf) target = buf_limit(16 * 1024);
	struct str path = peer->target;
	const char *query = path.len ? memchr(path.at, '?', path.len) : NULL;

	if (query)
		path.len = (size_t)(query - path.at);
	buf_add(&target, path);
	buf_format(&target, "?holder=%s", peer->how.takes);
	peer->taking = check_strdup(target.failed ? "" : buf_text(&target));
	return str_of(peer->taking);
}

struct peer_call *peer_forward_start(const struct peer_forward *forward)
{
	struct peer_call *peer = xnew(struct peer_call);
	struct error err;

	loop_assert(http_request_loop(forward->request));
	peer->magic = PEER_MAGIC;
	peer->how = *forward;
	peer->target = without_authority(http_request_target(forward->request));
	if (forward->takes)
		peer->target = target_that_takes(peer);
	peer->how.snapshot = snapshot_ref(forward->snapshot);
	peer->how.identity = identity_ref(forward->identity);
	peer->member_id = check_strdup(forward->member->id);
	peer->sent_ms = clock_ms();
	peer->sent_wall_ms = clock_wall_ms();
	if (forward->body_is_collected)
		hash_bytes(HASH_SHA256, forward->body.at, forward->body.len, peer->digest);
	if (!start(peer)) {
		(void)error_set(&err, ERROR_TOO_LARGE, NULL, "the request's head is too large to be sent on");
		peer->over = true;
		forward->refuse(forward->arg, forward->request, 0, &err);
	}
	return peer;
}

void peer_call_done(struct peer_call *peer)
{
	if (!peer)
		return;
	(void)own(peer);
	loop_timer_stop(http_request_loop(peer->how.request), &peer->patience);
	if (peer->call)
		http_call_cancel(peer->call);
	drop_upward(peer);
	snapshot_free(peer->how.snapshot);
	identity_free(peer->how.identity);
	free(peer->member_id);
	free(peer->token);
	free(peer->taking);
	peer->magic = 0;
	free(peer);
}
