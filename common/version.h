/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version - what this program is made of.
 *
 * Thread  any.
 */
#pragma once

#include "common/buf.h"

/* "0123456789ab", with "+" when the tree had changes; "" when it was built without its history. */
const char *version_commit(void);
/* Lines: "zot-worker 0.1.0 (commit 0123456789ab)", and one for each library of all programs. */
void version_format(const char *program, struct buf *into);
