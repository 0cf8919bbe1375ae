/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tried_name - how the log tells a name that somebody tried to log in with: it may be a password in the wrong place.
 *
 *     known here             the whole
 *     begins as a secret     "zak_..." or "zwk_..."
 *     any other              its first 16 bytes, and "..." where there are more
 *
 * It is for log_quote(). Thread  any; pure.
 */
#pragma once

#include <stdbool.h>

#include "common/str.h"
#include "proto/entity.h"

#define TRIED_NAME_SIZE (ENTITY_ID_MAX + 4)
void tried_name(struct str typed, bool known, char into[TRIED_NAME_SIZE]);
