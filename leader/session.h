/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session - a login that a browser keeps: a cookie which this leader made, and every leader of the cluster knows again.
 *
 *     zot_session=<id>.<until>.<seal>.<user>
 *
 * Nothing is stored for one. The seal is HMAC-SHA-256 over id, until, user and the user's password hash as it is in the state,
 * under a secret that the leaders alone have (entity kind sessionkey, made at the first start; it survives restarts). So a session
 * is over when its time is, and at once when the user is deleted or has another password; what the user may do is looked up
 * for each request.
 * Time   SESSION_S from the last use on: who uses it gets it anew where it is older than SESSION_RENEW_S.
 * CSRF   A browser sends a cookie whoever made the request. What changes something must therefore say a text too, which only who
 *        has read the answer to the login knows: session_csrf(). It stays the same as long as the session lives.
 *
 * Thread  any; pure.
 */
#pragma once

#include "common/buf.h"
#include "proto/state.h"

#define SESSION_COOKIE  "zot_session"
#define SESSION_S       (12 * 3600)
#define SESSION_RENEW_S 600
#define SESSION_ID_SIZE 33
#define SESSION_CSRF_SIZE 65
#define SESSION_TEXT_MAX 512 /* bytes of a cookie's value */

struct session {
	char id[SESSION_ID_SIZE];
	int64_t until_s;           /* wall seconds */
	char user[ENTITY_ID_MAX + 1];
};

/* The entity that the leaders sign with, new. */
struct entity *session_key_new(void);
/* A session of this user from now on. */
void session_begin(struct session *session, struct str user, int64_t now_s);
/* The cookie's value. False: there is no such user, or no secret. */
bool session_seal(const struct state *state, const struct session *session, struct buf *into) MUST_CHECK;
/* False: it is no session, or is over. Of a user who is disabled it is one: what they may do is another question. */
bool session_open(const struct state *state, struct str text, int64_t now_s, struct session *ret) MUST_CHECK;
/* What a request that changes something must say. The session is one that was sealed or opened. */
void session_csrf(const struct state *state, const struct session *session, char into[SESSION_CSRF_SIZE]);
/* Its value in a Cookie header, or STR_NONE. */
struct str session_in_cookies(const char *header);
