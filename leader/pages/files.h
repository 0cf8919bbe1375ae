/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files - what lay in static/ when this program was built.
 *
 * Thread  any; never changes.
 */
#pragma once

#include "common/str.h"

struct pages_file {
	const char *name; /* its path below static/: "vendor/preact.js" */
	struct str bytes;
};
size_t pages_files(void); /* how many */
struct pages_file pages_file(size_t at);
