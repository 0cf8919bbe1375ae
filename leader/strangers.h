/* SPDX-License-Identifier: Apache-2.0 */
/*
 * strangers - workers that have a state which is none of this leader's history: refused, told, shown.
 *
 *     a question, a report --> history_judge() -- may follow ------> served
 *                                 `-- may not --> 409, a line of the log, a row of GET /api/cluster/members, a metric
 *
 * A worker refuses such a leader by itself; that the leader refuses too keeps its counts and grants away from a store that
 * they do not belong to, and makes it seen where one looks.
 *
 * Each answer to a worker says whose history it is of: the headers of proto/history.h.
 * Thread  any; a lock of its own.
 */
#pragma once

#include "common/json.h"
#include "proto/history.h"

#define STRANGERS_MAX 256        /* shown at once; where there are more, the longest silent goes */
#define STRANGERS_SHOWN_MS 60000 /* since it was heard last */

struct http_response;
struct leader;
struct strangers;
struct strangers *strangers_new(void);
void strangers_free(struct strangers *strangers);
AUTO_DEFINE(strangers)

/* Who asks or reports, as it says; borrowed. */
struct stranger {
	const char *name, *process, *url; /* NULL: it did not say */
	struct history history;           /* of its state; cluster "": none was said */
	uint64_t revision;
	const char *digest;               /* 64 hex digits, or "" */
};
/* False: what it has is of another history; *why, of HISTORY_TEXT_MAX, gets both. */
bool strangers_admit(struct leader *leader, const struct stranger *who, struct buf *why) MUST_CHECK;
/* What this leader claims, beside the pair of somebody. */
struct history_claim strangers_claim(struct leader *leader, uint64_t revision, const char *digest);
void strangers_head(struct leader *leader, uint64_t revision, const char *digest, struct http_response *response);

/* An array of those that were heard not long ago. */
void   strangers_write(struct strangers *strangers, struct json_writer *w);
size_t strangers_count(struct strangers *strangers);
