/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_wire_priv - what the files of http_wire share; nobody else includes it.
 *
 *   http_wire.c       a connection: reading, writing, handshake
 *   http_wire_bio.c   the socket as OpenSSL sees it
 *   http_wire_tls.c   what connections share: certificate, key, rules
 */
#pragma once

#include "common/http_wire.h"

struct bio_st;
struct ssl_st;

/* The server's side of a new connection; the caller's to free. */
struct ssl_st *http_wire_tls_begin(struct http_wire_tls *tls);
/* The client's, towards a name or an address. */
struct ssl_st *http_wire_tls_dial(struct http_wire_tls *tls, const char *host);
void http_wire_tls_ref(struct http_wire_tls *tls);
/* What OpenSSL says of its last error; good until the thread asks again. */
const char *http_wire_tls_reason(void);
/* Borrows the wire; the caller's to free. */
struct bio_st *http_wire_bio_new(struct http_wire *wire);
