/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/blob_range.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/str.h"

bool blob_range_simple(const char *header, char into[BLOB_RANGE_SIZE])
{
	struct str s = str_of(header);
	uint64_t first = 0, last = 0;
	bool has_first, has_last;

	if (!header || !str_skip(&s, "bytes="))
		return false;
	s = str_trim(s);
	has_first = str_number(&s, INT64_MAX, &first);
	if (!str_skip(&s, "-"))
		return false;
	has_last = str_number(&s, INT64_MAX, &last);
	if (s.len || (!has_first && !last) || (has_first && has_last && last < first))
		return false;
	if (!has_first)
		(void)snprintf(into, BLOB_RANGE_SIZE, "bytes=-%" PRIu64, last);
	else if (!has_last)
		(void)snprintf(into, BLOB_RANGE_SIZE, "bytes=%" PRIu64 "-", first);
	else
		blob_range_format(&(struct range){ first, last }, into);
	return true;
}

void blob_range_format(const struct range *range, char into[BLOB_RANGE_SIZE])
{
	(void)snprintf(into, BLOB_RANGE_SIZE, "bytes=%" PRIu64 "-%" PRIu64, range->first, range->last);
}
