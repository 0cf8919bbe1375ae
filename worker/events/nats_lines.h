/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_lines - what a NATS server says to who only publishes: a line at a time.
 *
 *     INFO {json}      PING      PONG      +OK      -ERR 'why'
 *
 * Case of the first word does not matter; a line ends with CR LF or LF. MSG and HMSG come to subscribers alone, and are errors here, as all else is.
 * Limits  NATS_LINE_MAX bytes of a line, NATS_INFO_MEMORY of an INFO that was parsed.
 * Source  NATS client protocol.
 * Thread  any; pure.
 */
#pragma once

#include <stdint.h>

#include "common/error.h"
#include "common/str.h"

#define NATS_LINE_MAX    ((size_t)64 * 1024)
#define NATS_INFO_MEMORY ((size_t)2 * 1024 * 1024)
#define NATS_NONCE_MAX   256

enum nats_word { NATS_MORE, NATS_INFO, NATS_PING, NATS_PONG, NATS_OK, NATS_ERR, NATS_WRONG };
/* The line at the front of *bytes leaves it, and what follows its word is *ret. NATS_MORE: it has no end yet. */
enum nats_word nats_line(struct str *bytes, struct str *ret);

struct nats_info {
	bool headers, tls_required;
	uint64_t max_payload; /* 1 MiB unless it says another */
	char nonce[NATS_NONCE_MAX]; /* "": none */
};
bool nats_info_read(struct str json, struct nats_info *ret, struct error *err) MUST_CHECK;
