/* SPDX-License-Identifier: Apache-2.0 */
/*
 * byteranges - what stands between the parts of a multipart/byteranges body (RFC 9110, 14.6 and 15.3.7).
 *
 *     --BOUNDARY                                   byteranges_frame(0)
 *     Content-Type: application/octet-stream
 *     Content-Range: bytes 0-9/1000
 *                                                  10 bytes of the content
 *     --BOUNDARY ...                               byteranges_frame(1), which begins with a line's end
 *     --BOUNDARY--                                 byteranges_frame(len): the end
 *
 * The parts are disjoint, so a body is never longer than its content and len + 1 frames.
 * The boundary must not be guessable: whoever pushed the content could have put it there.
 * Thread  any; pure.
 */
#pragma once

#include <stddef.h>

#include "proto/range.h"

#define BYTERANGES_FRAME_MAX 256

struct byteranges {
	struct range ranges[RANGE_MAX]; /* as range_parse() makes them */
	unsigned len;
	uint64_t size;     /* of the whole content, at most INT64_MAX */
	char boundary[33]; /* hex */
};
/* What stands before part `at`, or, at == len, behind the last one. Returns its length; not terminated. */
size_t byteranges_frame(const struct byteranges *parts, unsigned at, char into[BYTERANGES_FRAME_MAX]);
/* Of the whole body, frames and parts. */
uint64_t byteranges_length(const struct byteranges *parts);
