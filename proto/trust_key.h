/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trust_key - whose signatures of images count: a public key of cosign, or certificates of notation, as an entity of the kind `trust`
 * (entity_kinds.def), the same at leaders and at a worker that has none.
 *
 * Its id is made of what it has: "cosign-<SHA-256 of the PEM, 64 hex digits>", "ca-...", "signingAuthority-...". So the same upload is the same entity
 * however often it comes, and none is ever changed: it is there, or not.
 *
 * Here is looked at PEM's form alone. What a key or certificate is was found out by the worker that it was uploaded to (worker/trust/signers.h).
 *
 * Bounds  TRUST_KEYS_MOST in all; TRUST_PEM_MAX bytes each.
 * Thread  any; pure.
 */
#pragma once

#include "proto/entity.h"

#define TRUST_KEYS_MOST 100u
#define TRUST_PEM_MAX   (32u * 1024)
#define TRUST_BODY_MAX  (64u * 1024) /* what a client uploads, and what a worker tells a leader */

/* What stands in `type`. */
enum trust_type { TRUST_COSIGN, TRUST_CA, TRUST_SIGNING_AUTHORITY };
#define TRUST_TYPES 3u
const char *trust_type_name(enum trust_type type); /* "cosign", "ca", "signingAuthority" */
bool trust_type_parse(struct str name, enum trust_type *ret) MUST_CHECK;

/* Of revision 0, the caller's. pem: as public_key_pem() or signing_chain_pem() write it. */
bool trust_key_new(enum trust_type type, struct str pem, struct entity **ret, struct error *err) MUST_CHECK;
enum trust_type trust_key_type(const struct entity *key); /* of one that is there */

/* Is there room for one more beside so many? ERROR_CONFLICT. */
bool trust_keys_check_room(size_t keys, struct error *err) MUST_CHECK;

/* entity_check.c: the id's form; that the PEM is of what the type needs. */
bool trust_key_check_id(struct str id, struct error *err);
bool trust_key_check(const void *body, struct error *err);
