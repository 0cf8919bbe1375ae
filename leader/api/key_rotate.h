/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_rotate - POST /api/apikey/{id}/rotate: another secret for an API key, told once; the one before opens on for a grace time.
 *
 *     {"graceSeconds": 86400, "again": false}     both may be left out, and so may the body
 *
 *     now                          then
 *     secret A                     B, and A for the grace time
 *     B, and A for a while yet     409; with "again" C, and A for the grace time: whoever asked did not get B
 *     any, graceSeconds 0          the new one alone
 *
 * When the grace time is over is a wall time that the leader writes into the key; leader and workers compare it with their own clocks,
 * as validUntil. A worker of an older version knows the new secret alone: it is where the one of a key always was, so that what is
 * in force in the end is so there from the beginning.
 * Thread  pool.
 */
#pragma once

#include "leader/api/call.h"

#define GRACE_DEFAULT_S (24 * 3600)
#define GRACE_MAX_S     (30 * 24 * 3600)

bool key_rotate_is_asked(struct str rest); /* of the path, behind the kind */
struct http_response *key_rotate(struct api_job *job);
