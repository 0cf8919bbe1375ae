/* SPDX-License-Identifier: Apache-2.0 */
/*
 * release - the version of a program, "0.2.0" (semver.org), and which of them work together (docs/install.md).
 *
 * Pure.   Thread  any.
 */
#pragma once

#include <stdbool.h>

#include "common/str.h"

struct release {
	unsigned major, minor, patch;
};

/* Three numbers below 10000 with dots between them. False: it is none, *ret is untouched. */
bool release_parse(struct str text, struct release *ret) MUST_CHECK;
/* A leader and a worker, or two workers: of one major version, and one minor version apart at the most. */
bool release_works_with(const struct release *one, const struct release *other);
