/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_seen - which tokens of peers were used: each of them is good once.
 *
 *     process ->  window:  [ ......11110111.... ]     one bit for each of its sequence numbers, PEER_SEEN_WINDOW of them
 *                              |            ^ highest seen, about
 *     lower numbers are not believed any more: nobody remembers whether they were used
 *
 * The numbers of a process lie on a wheel of words; a word has 32 bits and the round that they are of, and whoever comes
 * with a later round takes it over. So a number is taken by one compare-and-swap, in any order, by any thread, without a lock for all.
 *
 * Processes are remembered by their random id, at most PEER_SEEN_PROCESSES. When one more comes, the one that was
 * quiet longest is forgotten, and a floor is raised to its last token: of a process that becomes known from then on, nothing that was
 * issued at the floor or before is believed. So what was forgotten does not come back.
 *
 * Memory  64 KiB for each process that has sent a token with a right signature; nobody else has an entry.
 * Thread  any; the table is read under a shared lock, each of 16 parts under one of its own.
 */
#pragma once

#include <stdint.h>

#include "common/cleanup.h"
#include "proto/peer_token.h"

#define PEER_SEEN_WINDOW (256u * 1024)
#define PEER_SEEN_PROCESSES 1024u

enum peer_seen_answer {
	PEER_SEEN_NEW,
	PEER_SEEN_USED,  /* or so old that nobody knows */
	PEER_SEEN_EARLY, /* issued at the floor or before: perhaps it was forgotten */
};
struct peer_seen;
struct peer_seen *peer_seen_new(void);
void peer_seen_free(struct peer_seen *seen);
AUTO_DEFINE(peer_seen)
/* Takes it: the same again is USED. sequence is at most PEER_SEQUENCE_MAX. */
enum peer_seen_answer peer_seen_take(struct peer_seen *seen, const uint8_t process[PEER_PROCESS_BYTES], uint64_t sequence, int64_t issued_ms);
