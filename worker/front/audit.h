/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit - who changed what: a file with one JSON line for each request that did.
 *
 *     {"time":"2026-11-20T12:34:56.789Z","level":"info","message":"HTTP API Audit","clientIP":"192.0.2.1",
 *      "subject":"ann","action":"PUT","object":"/v2/team/app/manifests/v1","status":201}
 *
 * In a cluster the member that the client reached writes a line, and so does the owner, with "peer" for the former.
 *
 * audit_put() only appends to a queue of at most 1 MiB; a job on the pool writes it out, each line with
 * one write(2) to a file that is opened O_APPEND, so that several processes may share it. A line that does not
 * fit into the queue, or cannot be written (full disk), is lost and counted; the log says so when it begins
 * and, with the number, when it is over. audit_reopen() is for logrotate.
 * Thread  any.
 */
#pragma once

#include "common/error.h"
#include "common/metrics.h"
#include "common/str.h"

struct pool;

struct audit_event {
	const char *client;  /* address */
	const char *subject; /* user, "" when anonymous */
	const char *apikey;  /* that was used, "" when none */
	const char *peer;    /* member that the client reached and that sent it on, "" when it reached us */
	const char *action;  /* method */
	struct str object;   /* path and query, as they came */
	unsigned status;
};

struct audit;
/* lost: where lines that could not be written are counted. */
bool audit_open(struct audit **ret_audit, const char *path, struct pool *pool, counter *lost, struct error *err) MUST_CHECK;
/* After the pool has ended: writes what is left. */
void audit_free(struct audit *audit);
AUTO_DEFINE(audit)
void audit_put(struct audit *audit, const struct audit_event *event); /* NULL: nothing is kept */
/* The file of that name is opened anew before the next line; the old one goes on when that fails. */
void audit_reopen(struct audit *audit);
