/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats - publishes to a NATS server over one connection, and knows what the server has taken.
 *
 *     resolve (pool) --> connect --> INFO --> (TLS) --> CONNECT, PING --PONG--> open:  HPUB, PING --PONG--> taken
 *
 * Each message has a PING behind it. The server answers in order, so the PONG says that it has read the message; "-ERR" before it, that it refuses it. (What it has read a
 * server may lose when it dies: a stream of JetStream keeps it, and drops what comes twice by Nats-Msg-Id.)
 *
 * It connects with the first message and again when the connection is gone. A connection that is idle answers the server's PINGs.
 *
 * Login   user and password, a token, or the file that `nsc` writes (a JWT and the seed of its key: the server's nonce is signed with Ed25519).
 * TLS     where the address is tls://, files for it are set, or the server asks for it. Its certificate is checked, always.
 * Limits  NATS_PENDING messages at a time, as large as the server says (max_payload).
 * Source  NATS client protocol (docs.nats.io/reference/reference-protocols/nats-protocol).
 * Thread  own loop.
 */
#pragma once

#include "common/error.h"
#include "common/http.h"

struct loop;
struct pool;
struct nats;

#define NATS_PENDING 16

struct nats_settings {
	const char *address; /* nats://host[:port] or tls://host[:port]; borrowed, as all texts */
	const char *user, *password, *token, *credentials_file; /* NULL: without */
	const char *ca_file, *cert_file, *key_file;
	unsigned timeout_ms; /* to connect, and for each message */
	struct loop *loop;
	struct pool *pool;
};
/* host and port of an address; false: it is none. */
bool nats_address(const char *address, char host[256], char port[6], bool *ret_tls) MUST_CHECK;
/* ERROR_INVALID: files cannot be used. */
bool nats_new(struct nats **ret, const struct nats_settings *settings, struct error *err) MUST_CHECK;
void nats_stop(struct nats *nats);           /* no callback any more */
bool nats_is_still(const struct nats *nats); /* no job of the pool is under way */
void nats_free(struct nats *nats);
AUTO_DEFINE(nats)

/* err NULL: it was taken. ERROR_TOO_LARGE, ERROR_DENIED: it will never be. Once, later, from the loop. */
typedef void nats_done_f(void *arg, const struct error *err);
struct nats_message {
	const char *subject;
	const struct http_headers *headers;
	struct str payload;
};
/* Copied. */
void nats_publish(struct nats *nats, const struct nats_message *message, nats_done_f *done, void *arg);
/* A subject that may be published to: tokens with '.' between, no blanks, no wildcards. */
bool nats_subject_is_valid(struct str subject);
