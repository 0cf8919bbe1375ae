/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage - what a worker reports (also its heartbeat) and what the leader answers, as JSON.
 *
 *   PUT /api/cluster/quotas     Content-Type: application/json
 *
 * docs/cluster-protocol.md says what each part means, and when it is believed.
 *
 * Exactly once. Counts are those of (boot, after, seq): all that the boot counted after `after`, up to `seq`. They are repeated
 * unchanged until they are acknowledged. The leader merges them when nothing of that boot after `after` was merged before, and
 * stores seq in the same transaction; otherwise it adds nothing and acknowledges. seq 0: no counts in this report.
 *
 * In order. `number` grows with each report that a process sends. A lower one changes nothing about the member, and its demands
 * count for nothing, unless they are final. 0: the seq stands in for it.
 *
 * Grants. A call that a quota applies to is admitted only out of a grant. All numbers of a grant are absolute for
 * (boot, subject, window), see proto/limits.h, so a repeated report or answer changes nothing:
 *     worker -> granted  as it knows it
 *               used     calls (or bytes) admitted so far out of grants
 *               want     how many more it would like to hold unused, 0 = none
 *               waits    of these, how many calls wait for now
 *               needs    of these, how many the smallest of those calls lacks: less is of use to nobody; 0 = none waits, or it does not say
 *               reserved of what is granted, how many calls under way have and have not used yet. They may come back unused
 *               release  "I hold no unused grant": granted := used at the leader
 *     leader -> granted  what this worker may admit in all
 *               used     as the leader knows it; the larger counts
 *               total    of the whole fleet in that window, as merged so far or as told in `used`: the more of both
 *               coming   beside a demand with `needs` that was not met: how many it may yet get. Nobody has them, or live members
 *                        hold them unused, which the leader fetches
 *               recall   another worker is out, or the quota was lowered: release what is unused and report at once
 * Of the window "second" `granted` is how many calls the worker may admit in each second of the leader's clock, and `used` is 0.
 * Those of keys and days are in the lists "demands" and "grants", all others in "quotas" of both messages: who is of before them
 * ignores that list, and does not say `deals`.
 * `all`: every grant that the boot holds is named in this report or in an earlier one, since an answer of this very `leader`.
 * `final`: the boot is over; what the demands say is what it used in the end. With `all` it is over as a whole. Of another
 * process it is believed when the boot's own was silent for grant_ms.
 *
 * Chores. A report brings those of which something is another thing than the leader that answers has taken (`chores`), each whole, or with `chores_whole`
 * all there are: at first, when an answer says `tell_chores`, and once in a while, so that a leader that overhears comes to know them. What an
 * administrator asks for is in the answers (`orders`) until a report has it as the `order` of its chore, or it is too old.
 *
 * Members' names are those of the structs, but `rows` is "usage" and `rate` is "rate_milli".
 * Parsing: unknown members are ignored, missing ones have defaults (texts "", state "active", after seq - 1), but
 * worker, boot and the apikey, day and name of rows must be there. Bounds: below, of both sides.   Thread  any; pure.
 */
#pragma once

#include <stdint.h>

#include "common/buf.h"
#include "common/error.h"
#include "common/metrics.h"
#include "proto/limits.h"

/* Of a message, either way: what is larger is refused. */
#define USAGE_BYTES_MAX (1024u * 1024)
#define USAGE_ROWS_MAX  1000u /* of all lists together */
#define USAGE_NAME_MAX  255u
#define USAGE_WORD_MAX  15u
/* What either side puts into a message, all its lists together: rows until there are so many, or until their texts have so many
 * bytes. Escaped six times, and with the rest of the message, that is below the above. */
#define USAGE_CHUNK_ROWS  500u
#define USAGE_CHUNK_BYTES (64u * 1024)
/* Where there is no room for more names the rest is counted under this one. No key or repository can have it. */
#define USAGE_OTHERS "*"
#define USAGE_WITNESS_MAX 64u
#define USAGE_COMPLAINTS_MAX 8192u
/* The mark of the secret that the leaders give. */
#define USAGE_SECRET_OF_LEADERS 1u
#define USAGE_CHORES_MAX 64u /* of one report, or orders of one answer: more are not read */
/* Texts of chores, as they are read: what was cut when it was written may grow where it is not UTF-8. */
#define USAGE_UNIT_MAX 32u
#define USAGE_AT_MAX   512u
#define USAGE_WHY_MAX  800u

struct usage_row {          /* deltas since the last acknowledged report */
	char *apikey;
	char day[11];           /* UTC day of the calls, "2026-11-20" */
	uint64_t calls, bytes_in, bytes_out;
	uint64_t ungranted;     /* of the calls: those that were no part of a grant, because the key had no quota */
	uint64_t granted_month; /* of the calls: those that were part of a grant of the month */
	uint64_t granted_bytes; /* the same of the bytes */
};
struct usage_repository {
	char *name;
	uint64_t pulls, pushes, bytes_in, bytes_out;
};
struct usage_demand {
	char *apikey;           /* the subject */
	char day[LIMITS_WINDOW_SIZE]; /* the window */
	uint64_t granted, used, want, waits, needs, reserved;
	bool release;
};
struct usage_run {          /* one run of a chore; all 0 = none */
	char *how;              /* of one that is over: "done" "failed" "stopped" "refused"; "" = under way, or none */
	char *unit;             /* of what it does so many: "repositories" */
	uint64_t done, total;   /* total 0 = not known */
	uint64_t about;         /* of one under way: so many it were the last time; 0 = not known */
	uint64_t removed, bytes; /* that went, or (dry_run) would; bytes: also of what was counted or fetched */
	uint64_t at_s;          /* wall clock, seconds: when it began; of one that is over when it ended */
	uint64_t ms;            /* of one that is over: that it took */
	bool dry_run;
	char *what;             /* that it works at */
	char *error;            /* failed, refused */
};
struct usage_chore {
	char name[USAGE_WORD_MAX + 1];
	char *state;            /* "idle" "waiting" (due, or asked for, and not begun) "running" */
	bool can_dry_run;
	uint64_t order;         /* the newest one that it was given; 0 = none */
	struct usage_run run, last;
};
struct usage_order {        /* what an administrator asks of a chore */
	uint64_t id;
	char chore[USAGE_WORD_MAX + 1];
	bool stop, dry_run;     /* stop: the run under way ends; else one begins */
};
struct usage_stats {        /* what the cluster view shows */
	double rate;            /* requests a second */
	uint64_t requests, open_requests, bytes_in, bytes_out; /* since start */
	uint64_t rss, cpu_ms, uptime_ms;
	uint64_t p50_us, p99_us;
	uint64_t proxied, s3_requests, spool_bytes;
	uint64_t errors;        /* requests answered with a status of 500 or more, since start */
	uint64_t uploads;       /* that are open now */
	bool uploads_rest;      /* no request has had one of them for some seconds: their clients may be gone */
	uint64_t chores;        /* that run now */
	char chore[USAGE_WORD_MAX + 1]; /* of these, the one that has run for longest, and for how long; "" = none */
	uint64_t chore_ms;
	bool weighed;           /* these two are known; those of before do not say it */
	uint64_t storage_bytes, storage_repositories; /* of the repositories that it owns */
	bool counted;           /* these three too, of the same */
	uint64_t storage_blobs, storage_manifests, storage_tags;
	bool moves;             /* isolated storage: these four are known; of the ring of this epoch */
	uint64_t moves_epoch;
	uint64_t moves_held;    /* repositories that others own and have not whole yet */
	uint64_t moves_coming;  /* that came to it and are not whole yet */
	uint64_t chore_failures, chore_failed_ms; /* since start; time since the last, 0 = none */
};
struct usage_report {
	char *worker;           /* member name: stable across restarts */
	char *process;          /* id of this process, random */
	char *boot;             /* whose counts and demands these are: the process itself, or one before it */
	uint64_t number;        /* of the reports that this process has sent */
	uint64_t after, seq;
	bool final, all;
	char *url, *zone, *version;
	char *tenants;          /* which repositories it serves (tenants.h); "" = all */
	char *state;            /* "joining" "active" "draining" "left" */
	uint64_t revision;      /* applied state */
	char *state_digest;     /* of it, 64 hex digits; "" = none */
	char *cluster;          /* whose history it is of (history.h); "" = not known */
	uint64_t generation;    /* the same */
	int64_t state_age_ms;
	uint64_t secret;        /* a mark of what it signs calls to other workers with, the same for the same secret; 0 = it does not say */
	char *complaints;       /* what it says is wrong with it: lines "kind: text" */
	char *leader;           /* the process of the leader whose answer the newest beat had; "" = none yet */
	char *witness;          /* of that answer; "" where the lease that it gave is over */
	struct usage_row *rows;            size_t rows_len;
	struct usage_repository *repositories; size_t repositories_len;
	struct usage_demand *demands;      size_t demands_len;
	struct usage_chore *chores;        size_t chores_len;
	bool chores_whole;      /* these are all there are */
	struct usage_stats stats;
};
void usage_chore_fini(struct usage_chore *chore);
void usage_chore_copy(const struct usage_chore *from, struct usage_chore *into);
void usage_report_fini(struct usage_report *report);
void usage_report_encode(const struct usage_report *report, struct buf *into);
bool usage_report_parse(struct str text, struct usage_report *ret, struct error *err) MUST_CHECK;

struct usage_grant {
	char *apikey;           /* the subject */
	char day[LIMITS_WINDOW_SIZE]; /* the window */
	uint64_t granted, used, total, limit, coming;
	bool recall;
};
struct usage_unsigned {     /* a member of a version that does not sign its answers to other workers */
	char *name;
};
#define USAGE_UNSIGNED_MOST 100u
struct usage_answer {
	uint64_t seq, number;   /* of the report that it answers */
	char *leader;           /* this process of the leader, random */
	char *version;          /* of that program; "" = it does not say */
	char *witness;          /* how far its ledger has come: to be told with each report from now on */
	int64_t now_ms;         /* its wall clock */
	int64_t lease_ms, push_every_ms, grant_ms;
	int64_t hold_ms;        /* no grants for so long: it hears all workers first; 0 = none */
	uint64_t ring_epoch, revision;
	bool deals;             /* grants of all windows and subjects; false: of keys and days alone */
	bool cut;               /* most workers reach each other, and not this one */
	bool other_secret;      /* this worker's secret is another than the others': it is in no ring */
	bool tell_chores;       /* it does not know this process's chores */
	struct usage_grant *grants; size_t grants_len;
	struct usage_order *orders; size_t orders_len; /* at most USAGE_CHORES_MAX */
	struct usage_unsigned *unsigned_members; size_t unsigned_members_len; /* at most USAGE_UNSIGNED_MOST */
};
void usage_answer_fini(struct usage_answer *answer);
void usage_answer_encode(const struct usage_answer *answer, struct buf *into);
bool usage_answer_parse(struct str text, struct usage_answer *ret, struct error *err) MUST_CHECK;
