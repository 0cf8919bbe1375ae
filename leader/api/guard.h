/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guard - what is refused whoever asks: a page of another site that changes something (403, common/cross_site.h; before anybody is asked who
 * they are), and a body that does not say that it is what the row takes (415).
 *
 * The second is needed beside the first: without leave a page of any site can send a form or text/plain, and a browser of
 * long ago says neither whose page it was nor where from. JSON, or lines of it, it may not send.
 *
 *     POST, PUT     Content-Type: application/json, with parameters or without
 *     PATCH         that, or application/merge-patch+json
 *     lines         Content-Type: application/x-ndjson, where the row takes those (api/describe.h)
 *
 * Thread  the leader's loop.
 */
#pragma once

struct http_request;
struct http_response;
struct route;
/* NULL: go on. */
struct http_response *guard_refuse(struct http_request *request);
/* Of whom it is known who they are: a body that does not say that it is what the row takes. */
struct http_response *guard_refuse_body(struct http_request *request, const struct route *row);
