/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage - what a worker pushes (also its heartbeat) and what the leader answers, as JSON.
 *
 *   PUT /api/cluster/quotas     Content-Type: application/json
 *
 * Exactly once. (worker, boot, seq) names a push; a push is repeated, unchanged in its deltas, until
 * it is acknowledged. The leader adds the deltas and stores the highest seq of (worker, boot) in
 * one transaction; a seq that is not higher adds nothing and is acknowledged again.
 *
 * Grants. A call of a key with a daily quota is admitted only out of a grant, so the sum over all
 * workers can never pass the quota. All numbers of a grant are absolute for (worker, boot, key, day),
 * so a repeated push or answer changes nothing:
 *     worker -> used     calls admitted so far out of grants
 *               want     how many more it would like to hold unused, 0 = none
 *               release  "I hold no unused grant": granted := used at the leader
 *     leader -> granted  calls that this worker may admit in all (never lowered but by a release)
 *               total    calls of the whole fleet in that day, as merged so far
 *               recall   another worker is out: release what is unused and push at once
 * A boot that ended without saying so keeps its grant until the day is over: it may have been used.
 * `final` in a push says that the boot is over and counted everything: its unused grants are free.
 *
 * Members' names are those of the structs, but `rows` is "usage" and `rate` is "rate_milli".
 * Parsing: unknown members are ignored, missing ones have defaults (texts "", state "active"), but
 * worker, boot and the apikey, day and name of rows must be there. Bounds: 8 MiB, 100,000 rows in all
 * lists of a message, names 255 bytes.   Thread  any; pure.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/metrics.h"

#define USAGE_BYTES_MAX (8u * 1024 * 1024)

struct usage_row {          /* deltas since the last acknowledged push */
	char *apikey;
	char day[11];           /* UTC day of the calls, "2026-11-20" */
	uint64_t calls, bytes_in, bytes_out;
};
struct usage_repository {
	char *name;
	uint64_t pulls, pushes, bytes_in, bytes_out;
};
struct usage_demand {
	char *apikey;
	char day[11];
	uint64_t used, want;
	bool release;
};
struct usage_stats {        /* what the cluster view shows */
	double rate;            /* requests a second */
	uint64_t requests, open_requests, bytes_in, bytes_out; /* since start */
	uint64_t rss, cpu_ms, uptime_ms;
	uint64_t p50_us, p99_us;
	uint64_t proxied, s3_requests, spool_bytes;
};
struct usage_push {
	char *worker;           /* member name: stable across restarts */
	char *process;          /* id of this process, random */
	char *boot;             /* the boot that the deltas belong to: random, one for each start */
	uint64_t seq;
	bool final;
	char *url, *zone, *version;
	char *state;            /* "joining" "active" "draining" "left" */
	uint64_t revision;      /* applied state */
	int64_t state_age_ms;
	struct usage_row *rows;            size_t rows_len;
	struct usage_repository *repositories; size_t repositories_len;
	struct usage_demand *demands;      size_t demands_len;
	struct usage_stats stats;
};
void usage_push_fini(struct usage_push *push);
void usage_push_encode(const struct usage_push *push, struct buf *into);
bool usage_push_parse(struct str text, struct usage_push *ret, struct error *err) MUST_CHECK;

struct usage_grant {
	char *apikey;
	char day[11];
	uint64_t granted, total, limit;
	bool recall;
};
struct usage_answer {
	uint64_t seq;
	int64_t lease_ms, push_every_ms;
	uint64_t ring_epoch, revision;
	struct usage_grant *grants; size_t grants_len;
};
void usage_answer_fini(struct usage_answer *answer);
void usage_answer_encode(const struct usage_answer *answer, struct buf *into);
bool usage_answer_parse(struct str text, struct usage_answer *ret, struct error *err) MUST_CHECK;
