/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard - what is refused before anybody is asked who they are: a page of another site that changes something (403,
 * common/cross_site.h), and a body that does not say that it is JSON (415).
 *
 * The second is needed beside the first: without leave a page of any site can send a form or text/plain, and a browser of
 * long ago says neither whose page it was nor where from. JSON it may not send.
 *
 *     POST, PUT     Content-Type: application/json, with parameters or without
 *     PATCH         that, or application/merge-patch+json
 *
 * Thread  the leader's loop.
 */
#pragma once

struct http_request;
struct http_response;
/* NULL: go on. */
struct http_response *guard_refuse(struct http_request *request);
