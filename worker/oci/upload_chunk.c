/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/upload_chunk.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/range.h"

bool upload_chunk_check(
	const char *content_range, int64_t length, uint64_t size, unsigned *ret_status, struct error *err)
{
	struct range range;

	if (!content_range)
		return true;
	if (!content_range_parse(str_of(content_range), &range) || range.last < range.first) {
		*ret_status = 400;
		return error_set(
			err, ERROR_INVALID, "BLOB_UPLOAD_INVALID", "Content-Range is not <first>-<last>");
	}
	*ret_status = 416;
	if (range.first != size)
		return error_set(err, ERROR_INVALID, "BLOB_UPLOAD_INVALID",
			"the chunk begins at %" PRIu64 ", the upload is at %" PRIu64, range.first, size);
	if (length >= 0 && range.last - range.first != (uint64_t)length - 1)
		return error_set(err, ERROR_INVALID, "SIZE_INVALID",
			"Content-Range and Content-Length contradict each other");
	return true;
}

bool upload_chunk_check_end(const char *content_range, uint64_t came, unsigned *ret_status, struct error *err)
{
	struct range range;

	if (!content_range || !content_range_parse(str_of(content_range), &range) ||
		range.last - range.first + 1 == came)
		return true;
	*ret_status = 416;
	return error_set(err, ERROR_INVALID, "SIZE_INVALID",
		"the chunk has %" PRIu64 " bytes, not as many as Content-Range says", came);
}

void upload_range_format(uint64_t size, char into[UPLOAD_RANGE_SIZE])
{
	(void)snprintf(into, UPLOAD_RANGE_SIZE, "0-%" PRIu64, size ? size - 1 : 0);
}
