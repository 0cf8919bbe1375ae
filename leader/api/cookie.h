/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cookie - a session (leader/session.h) in a request and in its reply.
 *
 *     Cookie: zot_session=...              who asks, where there is no Authorization
 *     X-CSRF-Token: <csrf>                 beside it, where something is changed
 *     X-Requested-With: zot-pages          or the cookie: a page asks, so that a 401 opens no dialog of the browser
 *
 * A cookie is HttpOnly, SameSite=Strict, and Secure where the request came by TLS: this leader's own, or that of a trusted proxy
 * (http.trustedProxies) which says so: X-Forwarded-Proto: https. Of anybody else that header counts for nothing.
 *
 * Thread  the leader's loop.
 */
#pragma once

#include "leader/api/call.h"

/* Who asks by cookie: call->who, session and csrf. False: there is none that is good. */
bool cookie_open(struct api_call *call, const struct state *state) MUST_CHECK;
/* The reply has it anew, where that is due. */
void cookie_renew(struct api_call *call, const struct state *state);
/* The request came without a cookie, changes nothing, or says the text that belongs to the cookie. */
bool cookie_allows(const struct api_call *call);
/* A page asks. */
bool cookie_is_page(const struct http_request *request);
/* Set-Cookie of the reply; once for each request. An empty value: the browser forgets it. */
void cookie_put(const struct leader *leader, struct http_request *request, const char *value);
