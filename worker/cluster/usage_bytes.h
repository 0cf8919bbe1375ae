/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage_bytes - the bytes that one call moves, taken out of the grants of its quotas of bytes before they move.
 *
 * What was taken and did not flow is given back at the end. The quotas and their month are those of the call's beginning.
 * Thread  the call's loop.
 */
#pragma once

#include "worker/cluster/usage.h"

struct usage_bytes;
/* NULL: none of these is a quota of bytes. */
struct usage_bytes *usage_bytes_new(struct usage *usage, struct loop *loop, const struct limits *limits, size_t len);
/* So many more, which is not 0. ask->limits do not matter. */
enum admission usage_bytes_take(struct usage_bytes *bytes, uint64_t more, const struct admission_ask *ask, struct admission_info *ret_info);
/* The call is over, and so many moved. Returns how many of them were part of a grant of its key. */
uint64_t usage_bytes_end(struct usage_bytes *bytes, uint64_t moved);
