/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip - whole buffers in and out of RFC 1952, bounded.
 *
 * Thread  any that may take its time.
 */
#pragma once

#include "common/buf.h"

/* level 0..9. */
bool gzip_compress(struct str bytes, int level, struct buf *into, struct error *err) MUST_CHECK;
/* Stops with ERROR_TOO_LARGE at the buffer's limit: a bomb costs no more than that. */
bool gzip_expand(struct str bytes, struct buf *into, struct error *err) MUST_CHECK;
const char *gzip_library(void); /* the version of zlib */
