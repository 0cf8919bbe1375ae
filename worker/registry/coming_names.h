/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coming_names - the names of repositories that are on their way, as `_catalog/.coming` has them (docs/storage-protocol.md).
 *
 *     "<until, seconds> <name>\n"    a line each; what is no such line is passed over, also a last one without its end
 *
 * Thread  any: these are values.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/str.h"
#include "proto/name.h"

struct buf;

#define COMING_NAMES_LINE_MAX (NAME_MAX_LEN + 24) /* with its end */
#define COMING_UNTIL_MAX      (INT64_MAX / 2)     /* some seconds may be added to it */

struct coming_name {
	struct name name;
	int64_t until_s; /* 0 to COMING_UNTIL_MAX, store_clock_s() */
};

/* The next one, taken from the front of the text; false: there is none. */
bool coming_names_next(struct str *text, struct coming_name *ret) MUST_CHECK;
void coming_names_put(struct buf *into, struct str name, int64_t until_s);
