/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_bulk - POST, PUT, PATCH or DELETE /api/{kind}/_bulk: many changes of one kind as one write: all of them, or none.
 *
 *     {"id":"ann","groups":["dev"]}                     each line what the single call takes, with its id
 *     {"id":"bob","enabled":false,"ifMatch":"\"17\""}   ifMatch: the ETag, or "*"
 *
 * The answer has one item for each line, in their order; new keys and workers' credentials have their secrets there, this once. What is
 * wrong is said with the number of the line, and then nothing was changed. No id stands on two lines.
 * Bounds: BULK_BYTES, BULK_LINES, and BULK_PASSWORDS plain passwords, since each costs 50 ms of a processor.
 *
 * Thread  pool.
 */
#pragma once

#include "leader/api/call.h"

#define BULK_BYTES     (8 * 1024 * 1024)
#define BULK_LINES     10000
#define BULK_PASSWORDS 100
