/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention - which tags and manifests of a repository stay, as zot's storage.retention says it.
 *
 *   { "dryRun": false, "delay": "24h", "policies": [
 *       { "repositories": ["team-*"], "deleteReferrers": false, "deleteUntagged": true,
 *         "keepTags": [ { "patterns": ["v2.*"], "pulledWithin": "720h", "pushedWithin": "720h",
 *                         "mostRecentlyPulledCount": 3, "mostRecentlyPushedCount": 3 } ],
 *         "keepUntagged": { the same four rules } } ] }
 *
 * The first policy decides of which a glob matches the repository; without any all tags stay. A tag belongs to the first entry of keepTags of which
 * a pattern is found in it (regexp.h; no patterns: all), and goes where there is none. Within an entry it stays if any of the rules keeps it, or
 * if there are none. What is decided of that: retention_decide.h.
 *
 * A `repository` entity has one policy: the same without `repositories`, with `dryRun` and `delay` beside. It goes before those here.
 *
 * Keys are compared without case, null is absent, times are Go's ("720h", "1h30m") or numbers of milliseconds. Errors name the key, what is wrong and
 * the nearest known one.
 * Life    counted, and nobody changes it.   Thread  any; pure.
 */
#pragma once

#include <stdint.h>

#include "common/json.h"

#define RETENTION_POLICIES_MAX 256
#define RETENTION_GLOBS_MAX    256 /* of a policy */
#define RETENTION_ENTRIES_MAX  64  /* of keepTags */
#define RETENTION_PATTERNS_MAX 64  /* of an entry */
#define RETENTION_TEXT_MAX     (16 * 1024) /* of an entity's */

#define RETENTION_UNKNOWN (-1)

struct regexp;

/* An entry of keepTags, or keepUntagged. */
struct retention_entry {
	struct regexp **patterns;   /* none: all tags */
	size_t patterns_len;
	int64_t pulled_within_ms, pushed_within_ms; /* RETENTION_UNKNOWN: there is no such rule */
	int64_t pulled_count, pushed_count;         /* 0: there is no such rule */
};

struct retention_policy {
	char **repositories;        /* globs */
	size_t repositories_len;
	bool delete_referrers, delete_untagged;
	struct retention_entry *keep_tags;
	size_t keep_tags_len;
	struct retention_entry *keep_untagged; /* NULL: none */
};

struct retention;
/* Of the settings. ERROR_INVALID, ERROR_TOO_LARGE. */
bool retention_new(struct retention **ret, const struct json *node, struct error *err) MUST_CHECK;
/* Of an entity, as JSON text. */
bool retention_new_of_entity(struct retention **ret, struct str text, struct error *err) MUST_CHECK;
/* The same and dropped again: a field's check. */
bool retention_check(struct str text, struct error *err) MUST_CHECK;
struct retention *retention_ref(struct retention *retention);
void retention_free(struct retention *retention); /* drops a reference; NULL is fine */
AUTO_DEFINE(retention)
/* The first of `policies` that names no repositories, and so is for none, as at zot, or SIZE_MAX. */
size_t retention_policy_for_none(const struct retention *retention);

/* What is asked of one repository. Borrowed from the retention. */
struct retention_terms {
	const struct retention_policy *policy; /* NULL: none is for it */
	size_t at;           /* which of `policies` */
	bool is_set;         /* false: nobody has said anything, so nothing goes */
	bool of_entity;
	bool dry_run;
	int64_t delay_ms;    /* what is untagged stays for so long after it was pushed */
};
/* retention NULL: it is not set. delay_ms: where it names none. */
struct retention_terms retention_terms(const struct retention *retention, struct str repository, int64_t delay_ms);
