/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state_file - the last good state on disk: written whole, digest checked when read.
 *
 * Thread  pool, or start-up.
 */
#pragma once

#include "common/error.h"
#include "proto/state.h"

bool state_file_save(const char *path, const struct state *state, struct error *err) MUST_CHECK;
/* ERROR_UNKNOWN when there is none; ERROR_INVALID when it is damaged. */
bool state_file_load(const char *path, struct state **ret_state, struct error *err) MUST_CHECK;
