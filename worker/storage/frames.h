/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frames - records one after the other in a file that may end torn.
 *
 *     [length, 4 bytes little endian][first 8 bytes of the payload's SHA-256][payload]
 *
 * A reader stops at the first frame that is not whole and true: a write that a crash cut, or that is under way.
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
