/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_headers - which headers of a request go on to a peer, and which of its answer come back.
 *
 * All end-to-end ones, repeated ones too. Not: hop-by-hop headers (those that Connection names as
 * well), credentials, what the transport writes itself, and whatever only a peer may say.
 */
#pragma once

#include "common/http.h"

struct http_request;
struct http_response;

/* False: the list is full. */
bool peer_copy_request(const struct http_request *request, struct http_headers *into) MUST_CHECK;
void peer_copy_answer(const struct http_headers *from, struct http_response *into);
