/* SPDX-License-Identifier: Apache-2.0 */
/*
 * told_ok - OK(call(..., &failure)): the test fails with what the call said, where it fails.
 *
 * After cmocka.h.
 */
#pragma once

#include "common/error.h"

/* Of this test program. */
static struct error failure;

#define OK(expr)                                                 \
	do {                                                     \
		if (!(expr))                                     \
			fail_msg("%s: %s", #expr, failure.text); \
	} while (0)
