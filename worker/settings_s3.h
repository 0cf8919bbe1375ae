/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings_s3 - zot's storage.storageDriver, read into the settings where no variable was set.
 *
 * Keys are compared without case. Unknown ones are errors that name the nearest known one; those that have no meaning here are
 * warnings that say why. zot puts driver.rootdirectory and storage.rootDirectory in front of every key, one after the other; so do we.
 */
#pragma once

#include "worker/settings.h"

/* Texts that have to be made live in `memory`. */
void settings_s3_read(const struct json *driver, struct worker_settings *settings, struct settings_memory *memory,
		      struct buf *warnings, struct buf *errors);
/* What does not go together, wherever it was said. */
void settings_s3_check(struct worker_settings *settings, struct buf *warnings, struct buf *errors);
