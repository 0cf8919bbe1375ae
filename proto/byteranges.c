/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/byteranges.h"

#include <inttypes.h>
#include <stdio.h>

size_t byteranges_frame(const struct byteranges *parts, unsigned at, char into[BYTERANGES_FRAME_MAX])
{
	int len;

	if (at == parts->len)
		len = snprintf(into, BYTERANGES_FRAME_MAX, "\r\n--%s--\r\n", parts->boundary);
	else
		len = snprintf(into, BYTERANGES_FRAME_MAX,
			"%s--%s\r\nContent-Type: application/octet-stream\r\n"
			"Content-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\n\r\n",
			at ? "\r\n" : "", parts->boundary, parts->ranges[at].first, parts->ranges[at].last,
			parts->size);
	return (size_t)len;
}

uint64_t byteranges_length(const struct byteranges *parts)
{
	char frame[BYTERANGES_FRAME_MAX];
	uint64_t total = byteranges_frame(parts, parts->len, frame);

	for (unsigned at = 0; at < parts->len; at++)
		total += byteranges_frame(parts, at, frame) + range_length(&parts->ranges[at]);
	return total;
}
