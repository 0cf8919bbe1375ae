/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify - `zot-worker verify`: every check that a start makes, but for binding, writing, and asking stores and leaders.
 *
 * What the settings say by themselves is checked when they are loaded (settings.h); here are the files and addresses that they name.
 */
#pragma once

#include "common/buf.h"

struct worker_settings;

/* Everything that is wrong is appended, one a line. */
void worker_verify(const struct worker_settings *settings, struct buf *errors);
/* What is right and yet worth knowing: where the keys of a bucket come from. */
void worker_verify_tell(const struct worker_settings *settings, struct buf *into);
