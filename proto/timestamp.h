/* SPDX-License-Identifier: Apache-2.0 */
/*
 * timestamp - a point in time as people write it: RFC 3339, "2026-11-20T12:00:00Z", with a fraction
 * (which is dropped) and an offset ("+01:00") if wanted. From 1970 to 9999.
 * Thread  any; pure.
 */
#pragma once

#include <stdint.h>

#include "common/error.h"
#include "common/str.h"

bool timestamp_parse(struct str text, int64_t *ret_wall_s, struct error *err) MUST_CHECK;
