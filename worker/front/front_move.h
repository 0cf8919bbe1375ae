/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_move - a request for a repository that is ours by the ring, and may lie with another member still (worker/moves/moves.h).
 *
 *   PLACE says: here --> nothing moves                      -> goes on
 *                   `--> it, or the blob, is looked for     -> goes on here, is sent on to who has the blob, or 503
 *
 * Thread  the request's loop.
 */
#pragma once

#include "common/route.h"
#include "worker/front/front_step.h"

/* From PLACE, where the place is here. */
enum front_turn front_move(struct front_call *call);
/* What members ask each other about it; served on the pool (pages.c). */
route_stream_f pages_moves;
