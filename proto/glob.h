/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob - patterns over repository names as zot's accessControl has them: `*` and `?` stay inside a
 * component, `**` spans components, [a-z], {a,b}. At most 255 bytes; matching is bounded (no
 * exponential backtracking).
 * Thread  any; pure.
 */
#pragma once

#include "common/error.h"
#include "common/str.h"

bool glob_check(struct str pattern, struct error *err) MUST_CHECK;
bool glob_match(struct str pattern, struct str text);
