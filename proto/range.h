/* SPDX-License-Identifier: Apache-2.0 */
/*
 * range - Range on pulls (RFC 9110, 14.2) and Content-Range on chunks (distribution-spec: `a-b`).
 *
 * Thread  any; pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"

enum range_kind {
	RANGE_WHOLE,         /* none, not bytes, or malformed in a way that is to be ignored */
	RANGE_PART,          /* *ret_first..*ret_last, clipped to size */
	RANGE_UNSATISFIABLE, /* 416 */
};
/* header NULL = none. Several ranges in one header: at most 16, more are refused as unsatisfiable; ret[] is
 * filled in the order of the file, overlapping and touching ones joined, so that together they are never longer
 * than the content; *ret_len is their number. Inverted (500-0) and out of the content: unsatisfiable, but left
 * out where another range remains. */
#define RANGE_MAX 16
struct range { uint64_t first, last; };
static inline uint64_t range_length(const struct range *range)
{
	return range->last - range->first + 1;
}
enum range_kind range_parse(const char *header, uint64_t size, struct range ret[RANGE_MAX], unsigned *ret_len);
/* `a-b`, with or without "bytes " before and "/total" after it. False: malformed, inverted, or so large
 * that a length would not fit into an int64_t. */
bool content_range_parse(struct str header, struct range *ret);
/* `bytes a-b/total`, as an answer has it. */
bool content_range_parse_answer(struct str header, struct range *ret, uint64_t *ret_total);
