/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_chunk - may these bytes be appended to an upload that has `size` already?
 *
 * Source  OCI distribution-spec, "Pushing a blob in chunks".   Thread  any; pure.
 */
#pragma once

#include <stdint.h>

#include "common/error.h"

/* content_range: the header, or NULL; length: Content-Length, -1 = unknown. False: err says why, *ret_status
 * is the reply's: 416 out of order or another length than announced, 400 malformed. */
bool upload_chunk_check(const char *content_range, int64_t length, uint64_t size, unsigned *ret_status,
	struct error *err) MUST_CHECK;
/* What came must be what was announced, where the length was not known before. */
bool upload_chunk_check_end(
	const char *content_range, uint64_t came, unsigned *ret_status, struct error *err) MUST_CHECK;

#define UPLOAD_RANGE_SIZE 32
void upload_range_format(uint64_t size, char into[UPLOAD_RANGE_SIZE]); /* "0-<last>", "0-0" when empty */
