/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_file - the last good state on disk: written whole, digest checked when read.
 *
 * Thread  pool, or start-up.
 */
#pragma once

#include "common/error.h"
#include "proto/state.h"

/* Now the state is known to be the newest: the file's age starts anew. */
bool state_file_touch(const char *path, struct error *err) MUST_CHECK;
bool state_file_save(const char *path, const struct state *state, struct error *err) MUST_CHECK;
/* *ret_age_ms: since it was last known to be the newest. ERROR_UNKNOWN when there is none; any other: it cannot be read
 * (data_file.h). */
bool state_file_load(const char *path, struct state **ret_state, int64_t *ret_age_ms, struct error *err) MUST_CHECK;
