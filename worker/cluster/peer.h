/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer - a request goes on at another worker: streaming proxy both ways over pooled connections, or over a channel (peer_channels.h).
 *
 * Over a channel goes what is small and has its body here. Such a call is signed, answered and settled as any other; where the channel is lost, what may be
 * sent again goes once more over a connection of its own.
 *
 * Everything end-to-end is kept (repeated headers, lengths, ranges); hop-by-hop headers, Authorization
 * and any peer header of the client's are not sent; the signed peer header says who the client is. Small
 * answers (Content-Length up to 64 KiB) are collected and sent in one piece, larger ones flow through a pipe.
 *
 * When the peer cannot be reached or answers 421, and for reads also when it fails before its answer, on_unreachable runs and nothing was
 * replied: the request can still be served here, if its body was collected or is not needed (a body that was streamed is consumed).
 * The same when it answers that it does not believe our token: that is a quarrel among workers, which no client hears of. What can be sent
 * again is signed anew once first. The same when it is asked for an upload and nothing is heard for 3 s. Where only this member can serve (only_there), and where a body has gone, it is 503.
 * A read waits 20 s for its reply to begin (a small one: to be there), however much of it dribbles in; on shared storage it ends when the member
 * turns out not to be there (reach.h), and so does a change, which is done here then, under its id.
 * An answer counts only where it is signed by the member that was asked (peer_token.h): what a stranger at its address says, or another
 * member, no client hears. It is as if the member had not answered, and is told (peer.stranger).
 * A member that the leader says to be of a version before that need not sign.
 * What is no answer of a registry (a status below 200 or over 599, a body of which no length is told) counts as none.
 * After that point the client gets 503 with Retry-After, or a cut connection when the reply had begun. What an error looks like is
 * the application's: refuse() replies with it.
 *
 * Instead of the request the peer may be asked for the upload that it is about (takes): then nothing of the request is sent on, and its answer
 * goes to on_answer, which is also told of a 421 that says who has the upload.
 *
 * A change (a PUT or DELETE with a call) is done once under its id, so one whose answer was lost is done again under the same:
 *
 *   sent, no answer -> sent once more to the same member -> storage shared: on_unreachable, with the time of the first sending
 *                                                           isolated, or the limit is over: 503, the outcome is unknown
 *
 * Thread  the request's loop.
 */
#pragma once

#include "common/error.h"
#include "common/ip.h"
#include "common/str.h"
#include "proto/peer_token.h"

/* The pause that a client is told where the worker that holds an upload cannot be reached. The leaders notice who is cut off, and balancers in two looks. */
#define PEER_HOLDER_WAIT_S 3

struct http_client;
struct http_headers;
struct http_request;
struct identity;
struct ring_member;
struct snapshot;
struct cluster;
struct peer_channels;

/* sent_ms: wall clock when the change was first sent to somebody who did not answer and may have done it; 0: nobody has. */
typedef void peer_unreachable_f(void *arg, struct http_request *request, int64_t sent_ms, const struct error *err);
/* Replies with the error. retry_after_s: the pause that the client is told with 503; 0: what the error says. */
/* Of the member that was asked, proven. False: it is as if nobody had looked. The call is over: another may be started for the request. */
typedef bool peer_answer_f(void *arg, struct http_request *request, unsigned status, const struct http_headers *headers);
typedef void peer_refuse_f(void *arg, struct http_request *request, unsigned retry_after_s, const struct error *err);
struct peer_forward {
	struct cluster *cluster;
	struct http_client *client; /* of this loop */
	struct peer_channels *channels; /* of this loop; NULL: it has none */
	bool small; /* the answer is, as a rule: over a channel, where there is one */
	struct http_request *request;
	struct snapshot *snapshot;
	struct identity *identity;
	const struct ring_member *member;
	struct ip from; /* the client's address, for the owner's log */
	bool only_there; /* nobody else can serve it: it holds the upload */
	const char *takes; /* the upload's id here: asks for it, with PATCH (worker/oci/upload_give.h); NULL: the request is sent on */
	peer_answer_f *on_answer; /* or NULL: to an upload's call. Also after a body has gone, which cannot go again */
	const char *ca_file, *cert_file, *key_file; /* towards https members; each may be NULL */
	/* The body: collected before (then sent from here, and kept for on_unreachable), or streamed. */
	bool body_is_collected;
	struct str body; /* borrowed until the end of the request */
	/* Of a change. Its body is collected, or none is sent on. */
	bool has_call;
	uint8_t call[PEER_CALL_BYTES]; /* its id */
	int64_t issued_ms; /* now, by the clock of the store that both share */
	int64_t limit_ms; /* from the first sending: later it is not done again; 0: 50 s */
	peer_unreachable_f *on_unreachable;
	peer_refuse_f *refuse;
	void *arg;
};
/* Takes its own references; the struct itself may be on the stack. */
struct peer_call;
struct peer_call *peer_forward_start(const struct peer_forward *forward);
/* From the application's on_done, always: the client is gone or served; cancels what is left, frees.
 * After on_unreachable has run the call is only to be freed by this. */
void peer_call_done(struct peer_call *call);
