/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_refused - one line of the log for each request that is answered with 401, 403 or 429: why, and what decided it.
 *
 *     request.refused status=403 reason=no_rule user="bob" from=192.0.2.1 method=PUT path="/v2/t/app/manifests/v1" id=77
 *         repository=t/app action=create policy="t/{app,web}" of=leader
 *
 * reason is a word of proto/login_refusal.h (401), of access_by_name() (403, and 401 for the anonymous), or
 *
 *   another_site    a browser sent a change for a page of another site
 *   metrics         the metrics are not for this user
 *   rate_limit      its address asks too often
 *   logins_limit    too many failed logins of its address or for its user, or too many are being verified
 *   quota           the API key's; `why` where it is not used up
 *   uploads_limit   it has too many uploads
 *   other           what the answer itself says
 *
 * Of an address FEW_EACH lines a minute, of all FEW_ALL; refusals.suppressed has the number of the others, once a minute. Requests
 * without a login that are told to log in have as many lines of their own. A peer's call is told as peer.refused.
 * Thread  the request's loop; front_refused_tell: any.
 */
#pragma once

struct few_each;
struct front;
struct front_call;
struct ip;

struct few_each *front_refused_few(void); /* for struct front: refusals, challenges */
void front_refused(const struct front_call *call, unsigned status);
/* For the HTTP server: a handshake was ended for the client's certificate (certificate.refused from= why=). loop: struct front_loop. */
void front_refused_certificate(void *loop, const struct ip *from, const char *why);
/* Each second or so. */
void front_refused_tell(struct front *front);
