/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ring - who owns a repository: a pure function of the member list and a 16 byte hash key.
 *
 *   modulo  members[SipHash(key, name) mod N], in the configured order, of the N that are active: zot's rule, bit for bit
 *   slots   slot = SipHash(key, name) mod 16384; a slot belongs to the active member whose
 *           SipHash(key, member id '\0' slot as 2 bytes big endian) is the highest (rendezvous),
 *           ties to the smaller id. Where members have tenants (tenants.h) it is the highest of those that serve the
 *           repository, so a ring without tenants owns as it always has
 *
 * Every worker computes the same table from {epoch, hash_key, members}; it is never shipped.
 * A table is immutable and counted. Losing one of N members moves 1/N of the slots.
 * Thread  any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "common/str.h"

#define RING_SLOTS 16384
#define RING_MEMBERS_MAX 1024
#define RING_MEMBER_ID_MAX 255
#define RING_NOBODY (-1)

enum ring_algorithm { RING_MODULO, RING_SLOTS_RENDEZVOUS };

struct ring_member {
	const char *id;   /* name of the member */
	const char *url;  /* "http://10.0.0.7:8080", no slash at the end */
	bool active;      /* only active members own slots; others are still reached (uploads) */
	const char *tenants; /* which repositories it serves; "" or NULL: all. Slots only */
};

struct ring;
/* Copies everything. Duplicate, empty and overlong ids are ERROR_INVALID. Slots cost 16384 hashes for each
 * active member, about 2 ms: a pool thread's work when there are many. */
bool ring_new(struct ring **ret_ring, uint64_t epoch, enum ring_algorithm algorithm, const uint8_t hash_key[16],
	      const struct ring_member *members, size_t len, struct error *err) MUST_CHECK;
struct ring *ring_ref(struct ring *ring);
void         ring_free(struct ring *ring); /* drops a reference */
AUTO_DEFINE(ring)

uint64_t ring_epoch(const struct ring *ring); /* for people: a store that was put back counts anew */
/* What is in them: epoch, algorithm, hash key, members with their URLs, tenants and whether they are active. */
bool     ring_same(const struct ring *a, const struct ring *b);
/* What decides who owns what, as a number: epoch, algorithm, hash key, and how many members (modulo: each spells them its own way), which of them are not
 * active, or (slots) which, whether active, and for which tenants. */
uint64_t ring_mark(const struct ring *ring);
enum ring_algorithm ring_algorithm(const struct ring *ring);
const uint8_t *ring_hash_key(const struct ring *ring); /* 16 bytes */
size_t   ring_len(const struct ring *ring);
const struct ring_member *ring_at(const struct ring *ring, size_t at);
int      ring_find(const struct ring *ring, struct str id);     /* place, or RING_NOBODY */
int      ring_owner(const struct ring *ring, struct str name);  /* place, or RING_NOBODY when no active member serves it */
bool     ring_has_active(const struct ring *ring);
unsigned ring_slot(const struct ring *ring, struct str name);   /* slots only */
int      ring_slot_owner(const struct ring *ring, unsigned slot); /* of what all members serve */
