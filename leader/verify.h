/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify - `zot-leader verify`: every check that a start makes, but for binding, writing, and opening the ledger.
 *
 * What the settings say by themselves is checked when they are loaded (settings.h); here are the files and addresses that they name.
 */
#pragma once

#include "common/buf.h"

struct leader_settings;

/* Everything that is wrong is appended, one a line. */
void leader_verify(const struct leader_settings *settings, struct buf *errors);
