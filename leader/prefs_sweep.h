/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefs_sweep - stars and bookmarks of users who are not there any more, however they went, go with the next sweep.
 *
 * Users are looked for where some changed, else of lists that changed; nothing is done where neither did. PREFS_SWEEP_MOST lists go at a time.
 *
 * Thread  pool, with the leader's lock.
 */
#pragma once

#define PREFS_SWEEP_MOST 256

struct leader;
struct prefs_sweep;
struct prefs_sweep *prefs_sweep_new(struct leader *leader);
void prefs_sweep_free(struct prefs_sweep *sweep);
void prefs_sweep_now_locked(struct prefs_sweep *sweep);
