/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_range - a Range header that can be sent on to a store as it is, before the size is known.
 *
 * Thread  any; pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/range.h"

#define BLOB_RANGE_SIZE 64
/* One of a-b, a-, -n: `into` has it, normalised. False: none, several, not understood, or never satisfiable. */
bool blob_range_simple(const char *header, char into[BLOB_RANGE_SIZE]);
void blob_range_format(const struct range *range, char into[BLOB_RANGE_SIZE]);
