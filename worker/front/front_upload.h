/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_upload - an upload is where its bytes are.
 *
 *     client --POST--> A        its id names A
 *     client --PATCH-> B        the first bytes: B asks A for the session, keeps them, and Location names B
 *     client --PUT---> C        nothing but the digest: sent on to B
 *
 * On shared storage a session without a byte belongs to nobody: behind a balancer that knows nothing of sessions the bytes of a push
 * would else cross from B to A, each of them. B has a place for the session before it asks, so that bounds are B's as for one that is opened
 * there; where it has none, is leaving, or does not serve the repository, the request is sent on as any other. A gives a session once
 * (uploads_give()); who comes later is told who has it, and asks there. Where A cannot be asked, B begins the session anew, under its id: nothing
 * was in it when the client was told of it (proto/upload_id.h). If a byte came to A since and its answer was lost, the client sends it
 * again, and the digest decides. A session with bytes at who cannot be reached is 503; at who has left, 404. On isolated storage an upload stays
 * where it began.
 *
 * Messages  worker/oci/upload_give.h.     Thread  the request's loop.
 */
#pragma once

#include <stdbool.h>

#include "worker/cluster/cluster.h"

struct front_call;
struct http_headers;
struct http_request;

/* Of a row with the place HOLDER. */
struct place_found front_upload_place(const struct front_call *call);
/* 421 to a peer, where we know who has the upload. False: nothing was replied. */
bool front_upload_reply_moved(struct front_call *call);
/* In FORWARD: asks for the upload, or sends the request on to call->place.member. */
void front_upload_or_forward(struct front_call *call);
/* Who has it cannot be asked: it is begun here, in place HERE. False: it cannot be, nothing was changed. */
bool front_upload_begin_here(struct front_call *call);
/* The same, after the other one was tried: serves or replies. */
void front_upload_unreachable(struct front_call *call);
/* The same, where it is known that the other one does not answer. What can be done nowhere else is tried there all the same. */
bool front_upload_need_not_ask(struct front_call *call);
/* peer_answer_f. */
bool front_upload_answered(void *arg, struct http_request *request, unsigned status, const struct http_headers *headers);
/* The call is over. */
void front_upload_end(struct front_call *call);
