/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frames - records one after the other.
 *
 *     [length, 4 bytes little endian][first 8 bytes of a SHA-256][payload]
 *
 * Plain frames stand in a batch, which is an object of S3 or an entry of a folder's log; the sum is that of the payload. In a chain, the log
 * of a folder, an entry is such a frame whose sum also covers the sum before it, so that it counts only behind what it was written behind,
 * and a mark (the length is all ones, there is no payload) says that all before it is durable:
 *
 *     entry mark   entry mark   entry mark
 *
 * A reader stops at the first frame that is not whole and true.
 * Thread  any; pure.
 */
#pragma once

#include "common/buf.h"

#define FRAME_HEAD 12u
#define FRAME_MAX  (12u * 1024 * 1024) /* of a payload: a manifest of 4 MiB, with its annotations escaped twice */

void frame_add(struct buf *into, struct str payload);
/* The next payload, borrowed from rest, which moves behind it. */
bool frame_next(struct str *rest, struct str *ret_payload) MUST_CHECK;
/* Bytes of the whole frames at the front. */
size_t frames_len(struct str bytes);

/* Chains. */
#define FRAME_ENTRY_MAX (20u * 1024 * 1024)
#define FRAME_SUM 8u
struct frame_chain { uint8_t sum[FRAME_SUM]; }; /* of what was written last */
struct frame_chain frame_chain_begin(struct str name);
/* They move the chain on. */
void frame_chain_add(struct buf *into, struct frame_chain *chain, struct str payload);
void frame_chain_mark(struct buf *into, struct frame_chain *chain);
enum frame_kind { FRAME_NONE, FRAME_ENTRY, FRAME_MARK };
/* NONE: what follows is not whole, or not behind this; nothing moves. ret_payload is set for an ENTRY. */
enum frame_kind frame_chain_next(struct str *rest, struct frame_chain *chain, struct str *ret_payload) MUST_CHECK;
/* Is this (FRAME_HEAD bytes) the mark that a chain stands at? */
bool frame_chain_is_at(const struct frame_chain *chain, const void *mark);
