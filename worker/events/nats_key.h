/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nats_key - a NATS credentials file: a user's JWT, and the seed of the key that signs the server's nonce.
 *
 *     -----BEGIN NATS USER JWT-----          a line with the JWT, and any line that begins with dashes ends it
 *     -----BEGIN USER NKEY SEED-----         a line with the seed: base32 of two bytes that say whose key it is, 32 of seed, CRC-16
 *
 * Limits  NATS_CREDENTIALS_MAX bytes of file.
 * Source  the NATS project's description of NKeys and of credentials files; RFC 4648, 6; RFC 8032.
 * Thread  any; nats_key_read() waits for the disk.
 */
#pragma once

#include "common/buf.h"
#include "common/error.h"

#define NATS_CREDENTIALS_MAX ((size_t)64 * 1024)
#define NATS_SEED_BYTES      32
#define NATS_SIGNATURE_SIZE  87 /* of 64 bytes as base64url, and NUL */

struct nats_key {
	struct buf jwt;
	unsigned char seed[NATS_SEED_BYTES];
};
bool nats_key_read(const char *path, struct nats_key *ret, struct error *err) MUST_CHECK;
/* The same of a text, without a file. */
bool nats_key_parse(struct str text, struct nats_key *ret, struct error *err) MUST_CHECK;
void nats_key_fini(struct nats_key *key); /* wipes the seed */
void nats_key_sign(const struct nats_key *key, struct str nonce, char into[NATS_SIGNATURE_SIZE]);
