/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_give - a session without a byte goes to the worker where its bytes arrive, which asks for it.
 *
 *     PATCH /v2/<name>/blobs/uploads/<id>?holder=<id>     of a peer, without a body, with PEER_TAKES_HEADER; holder: the session's id at who asks
 *     202, Zot-Upload-Given: <hash algorithm>             it is who asks's; whoever else asks for it is told so
 *     421, Zot-Upload-Holder: <id>                        another one has it (worker/front); also to any other call of a peer about it
 *     404, 400, 429                                       there is none, it has bytes, a request works on it
 *
 * The target of a peer's call is signed, so is who it speaks for; may that one push here, was decided there. The header says that it is the
 * peer who asks: those of clients are not sent on. A worker of before appends
 * nothing and answers 202 without the header: then the bytes are sent on to it.
 * Who asks: worker/front/front_upload.h.   Thread  the request's loop.
 */
#pragma once

#include <stdbool.h>

struct http_response;
struct oci_ask;
struct oci_call;

#define UPLOAD_GIVE_QUERY    "holder"
#define UPLOAD_GIVEN_HEADER  "Zot-Upload-Given"
#define UPLOAD_HOLDER_HEADER "Zot-Upload-Holder"

bool upload_give_is_asked(const struct oci_call *call);
struct http_response *upload_give(const struct oci_ask *ask);
