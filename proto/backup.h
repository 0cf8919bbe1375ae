/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backup - a leader's state as one document that is put away: what CLUSTER_BACKUP_... writes, workers start from, and
 * `zot-leader restore --from-backup` reads.
 *
 *     "ZOTBACKUP1"                                                      the last is its format
 *     4 bytes                                                           the length of the head, big endian
 *     {cluster, generation, revision, digest, written_ms, kdf, salt, nonce}   the head, msgpack, never sealed
 *     {state: the full state as workers get it, leaders: [entity, ...]} the body, msgpack, sealed where there is a key
 *     32 bytes                                                          SHA-256 of all before
 *
 * leaders: the entities of the kinds that are the leaders' alone (workers' credentials). No usage, no grants, no members.
 * kdf: "" (not sealed), "raw" (the key was given as 64 hex digits) or "scrypt" (made of a passphrase and the salt). Sealed is
 * AES-256-GCM, with all before the body as what is open to all and proven with it.
 *
 * Whoever reads believes nothing before the SHA-256 has shown that it is whole, and takes the state only if it is the one
 * that the head names.
 *
 * Thread  any; a key is used by one at a time.
 */
#pragma once

#include "common/crypto.h"
#include "proto/state.h"

#define BACKUP_FORMAT 1 /* a higher one is refused */
#define BACKUP_BYTES_MAX (STATE_BYTES_MAX + 64u * 1024 * 1024)
/* So many bytes from its begin on have the head. */
#define BACKUP_HEAD_MAX 512u
#define BACKUP_PASSPHRASE_LEAST 16u

struct backup_key;
/* 64 hex digits, or a passphrase of 16 bytes at least. */
bool backup_key_new(struct backup_key **ret_key, struct str text, struct error *err) MUST_CHECK;
void backup_key_free(struct backup_key *key); /* and wiped */
AUTO_DEFINE(backup_key)

struct backup_head {
	struct history history;
	uint64_t revision;
	uint8_t digest[STATE_DIGEST_BYTES];
	int64_t written_ms; /* by the wall clock of the leader that wrote it */
	bool sealed;
};
/* Of the first bytes, BACKUP_HEAD_MAX of them suffice. */
bool backup_read_head(struct str first, struct backup_head *ret, struct error *err) MUST_CHECK;
/* How long ago it was written, never below 0. */
int64_t backup_age_ms(const struct backup_head *head, int64_t wall_ms);

/* The state with all its entities, a leader's. key NULL: not sealed. The buffer fails where its limit is passed. */
void backup_encode(const struct state *state, int64_t written_ms, struct backup_key *key, struct buf *into);
/* What a backup is good for: the state of a worker, or all of it. */
enum backup_for { BACKUP_FOR_WORKER, BACKUP_FOR_LEADER };
/* At most so many bytes of memory for the state. key NULL: none is known. */
bool backup_decode(struct str bytes, struct backup_key *key, enum backup_for whom, size_t most, struct state **ret_state,
		   struct error *err) MUST_CHECK;
