/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_range - a Range header that can be sent on to a store as it is, before the size is known.
 *
 * Thread  any; pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum blob_range {
	BLOB_RANGE_NONE,     /* none, several, or not understood: the whole blob */
	BLOB_RANGE_SIMPLE,   /* one of a-b, a-, -n: `into` has it, normalised */
	BLOB_RANGE_INVERTED, /* b before a, or the last 0 bytes: 416 */
};
#define BLOB_RANGE_SIZE 64
enum blob_range blob_range_simple(const char *header, char into[BLOB_RANGE_SIZE]);
