/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_question - what one worker asks another for itself, as somebody: signed, and the answer proven. For calls that are not a client's request that goes on.
 *
 * A question changes nothing, so it may be asked twice; each time it is signed anew. The receiver takes it as any call of a peer (peer_token.h): what is
 * asked is asked by the identity, whose rights were looked at here.
 * Life    peer_question_sign() fills a struct peer_asked, which has all that the spec of the call points to; peer_asked_fini() ends it.
 * Thread  any.
 */
#pragma once

#include "common/error.h"
#include "common/http.h"
#include "common/ip.h"
#include "proto/peer_token.h"

struct cluster;
struct http_call_spec;
struct identity;
struct ring_member;
struct snapshot;

/* Towards https members; each may be NULL. */
struct peer_files {
	const char *ca, *cert, *key;
};
/* All of it is borrowed until the call has ended. */
struct peer_question {
	struct cluster *cluster;
	struct snapshot *snapshot;
	struct identity *identity; /* who asks */
	struct ip from;            /* and from where */
	const struct ring_member *member;
	const char *method; /* "GET", "POST" */
	const char *target; /* path and query */
	const char *range;  /* a header that is sent, or NULL */
	struct str body;    /* whole; or empty */
	struct peer_files files;
};
struct peer_asked {
	char *url, *token, *name; /* name: of the member, as members call each other */
	uint8_t key[PEER_KEY_BYTES];
	size_t key_len;
	struct http_headers *headers;
};
/* *spec: method, URL, headers, body, files; the rest of it is untouched. ERROR_TOO_LARGE. */
bool peer_question_sign(const struct peer_question *question, struct peer_asked *ret, struct http_call_spec *spec, struct error *err) MUST_CHECK;
void peer_asked_fini(struct peer_asked *asked);

/*
 * What the head says: it is of the member that was asked, and of one that believed us. False: it is as if nobody had answered; a stranger's is
 * told to the cluster. *ret_again: asked anew it may be believed.
 */
bool peer_question_answered(const struct peer_question *question, const struct peer_asked *asked, unsigned status, const struct http_headers *headers,
	bool *ret_again, struct error *err) MUST_CHECK;
