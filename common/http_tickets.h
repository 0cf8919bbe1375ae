/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_tickets - what tickets of TLS are sealed with: who shows one when it comes again is spared the signature.
 *
 * A ticket holds all of a session, so that nothing is kept here of who may come back. Keys are new each HTTP_TICKET_S by the wall
 * clock; a ticket is good for as long, so one of the key before is opened still. Two families:
 *
 *   own      random, of this process alone: for TLS 1.2, where who has the key can read what was said under the ticket's session
 *   shared   derived from a secret of several processes, and the hour: for TLS 1.3, where each session exchanges keys anew. One that
 *            another process gave is good here. Clocks may be an hour apart. Without a secret, the own ones.
 *
 * Who knows the secret and sits between a client and us can answer a client that comes with a ticket, without our certificate's
 * key: so the secret is one that only those have who could answer for each other anyway.
 *
 * Life    process: it outlives the servers that have it.
 * Thread  any; shared() runs on any thread that makes a handshake.
 * Source  RFC 5077, RFC 8446 4.6.1.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"

#define HTTP_TICKET_S      3600
#define HTTP_TICKET_SECRET 32
#define HTTP_TICKET_NAME   16

/* The secret of now; false: there is none. */
typedef bool http_tickets_shared_f(void *arg, uint8_t into[HTTP_TICKET_SECRET]);

struct http_tickets;
struct http_tickets *http_tickets_new(http_tickets_shared_f *shared, void *arg); /* shared NULL: never one */
void http_tickets_free(struct http_tickets *tickets);
AUTO_DEFINE(http_tickets)

struct http_ticket_key {
	uint8_t name[HTTP_TICKET_NAME]; /* goes with the ticket, in the clear */
	uint8_t cipher[32], mac[32];
};
/* What a ticket is sealed with now. may_share: the session is of TLS 1.3. */
struct http_ticket_key http_tickets_seal(struct http_tickets *tickets, bool may_share, int64_t wall_s);
/* What opens the ticket of this name. False: nothing does, any more. *ret_old: it should be sealed anew. */
bool http_tickets_open(struct http_tickets *tickets, const uint8_t name[HTTP_TICKET_NAME], int64_t wall_s,
		       struct http_ticket_key *ret_key, bool *ret_old);
