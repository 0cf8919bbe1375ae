/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy - zot-leader copy --from A --to B: a store moves from SQLite to Redis, or back (leader/ledger.h).
 *
 * Thread  main of a command.
 */
#pragma once

#include <stdbool.h>

struct leader_settings;
struct copy_ends {
	const char *from, *to; /* "sqlite:FOLDER", or a Redis' address */
	bool replace;
};
/* The process's exit status. */
int copy_run(const struct leader_settings *settings, const struct copy_ends *ends);
