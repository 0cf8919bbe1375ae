/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file_lock - one process at a time has a file or a folder: flock(2), for as long as the descriptor is open.
 *
 * The system gives it back when the process ends, however it ends.
 * Thread  any that may block.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"

/* False: errno says why; EWOULDBLOCK another has it, still after within_ms. */
bool file_lock_try(int fd, int64_t within_ms) MUST_CHECK;
/* Makes the file `name` in the folder if it is absent, and locks it; whoever has *ret_fd open has the lock. ERROR_CONFLICT: another
 * process has it. ERROR_UNAVAILABLE: this file system knows no locks; *ret_fd is -1. */
bool file_lock_folder(const char *folder, const char *name, int64_t within_ms, int *ret_fd, struct error *err) MUST_CHECK;
