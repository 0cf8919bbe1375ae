/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c - the sum that stores of objects check a part by: CRC-32 with Castagnoli's polynomial.
 *
 * It finds what lines and memory do to bytes, not what somebody does to them on purpose. Where the processor has an instruction for it
 * (SSE 4.2, asked for at run time) three runs of it go side by side, some 25 GB/s; else by tables, some 1 GB/s.
 *
 * Source  RFC 3720, appendix B.4; "Computing the CRC transmission code in parallel": sums of pieces are joined by a table that says what
 *         following zeros do to a sum.
 * Thread  any.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The sum of what `sum` stands for (0: nothing) and these bytes behind it. */
uint32_t crc32c_add(uint32_t sum, const void *bytes, size_t len);
/* The same by tables, on every processor: what a test compares with. */
uint32_t crc32c_add_by_tables(uint32_t sum, const void *bytes, size_t len);
