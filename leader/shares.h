/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shares - which part of all repositories each member of the ring owns, as people see it.
 *
 * Counted once for each ring, as workers do it (proto/ring.h): about 2 ms for each active member, so it is pool's work.
 * Thread  pool; a lock of its own, held while it counts.
 */
#pragma once

#include "common/json.h"
#include "proto/state.h"

struct shares;
struct shares *shares_new(void);
void shares_free(struct shares *shares);
AUTO_DEFINE(shares)
/* {"epoch","revision","algorithm","members":[{"name","zone","url","state","share"}]}, of the ring in this state. */
void shares_write(struct shares *shares, const struct state *state, struct json_writer *w);
