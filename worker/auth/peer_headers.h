/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_headers - which headers of a request go on to a peer, and which of its answer come back.
 *
 * All end-to-end ones, repeated ones too. Not: hop-by-hop headers (those that Connection names as
 * well), credentials, what the transport writes itself, and whatever only a peer may say.
 *
 * Those that decide what a request does or is answered are signed (peer_token.h), as lines "<name>: <value>\n", name by name
 * in one order and the lines of a name as they come: the sender's list gives what the receiver's request gives.
 */
#pragma once

#include "common/http.h"

struct http_request;
struct http_response;

/* False: the list is full. */
bool peer_copy_request(const struct http_request *request, struct http_headers *into) MUST_CHECK;
void peer_signed_list(const struct http_headers *headers, struct buf *into);
void peer_signed_request(const struct http_request *request, struct buf *into);
void peer_copy_answer(const struct http_headers *from, struct http_response *into);
