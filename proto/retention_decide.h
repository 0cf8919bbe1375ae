/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_decide - what of one repository stays, what goes, and why.
 *
 *     tags       the first entry of keepTags that has the tag, its rules         --> stay or go
 *     manifests  named by a tag that stays                                       --> stay
 *                untagged: deleteUntagged, keepUntagged, the delay               --> stay by themselves
 *                what an index that stays names, what refers to one that stays   --> stay, too
 *                the rest                                                        --> goes
 *
 * So a manifest goes with its last tag, whenever it was pushed, unless one of the others has a use for it. One whose rules ask for
 * what nobody knows stays: nothing is removed for want of statistics. Ranks are of those that are known, newest first, then by name: the same for
 * everybody who asks.
 *
 * Tags that are made of a digest ("sha256-<hex>", "sha256-<hex>.sig": referrers and signatures as older clients keep them) belong to that manifest
 * and to no entry: with deleteReferrers they go when it does.
 *
 * Cost    n log n of tags, times their patterns; memory is the caller's, and a few words for each.
 * Thread  any; pure.
 */
#pragma once

#include "proto/digest.h"
#include "proto/retention.h"

struct buf;

#define RETENTION_NONE SIZE_MAX       /* of a row: there is none */
#define RETENTION_GONE (SIZE_MAX - 1) /* there is one, which the repository does not list */

/* Wall clock in ms; RETENTION_UNKNOWN. pulled_ms 0: never. */
struct retention_facts {
	int64_t pushed_ms, pulled_ms;
};

struct retention_tag {
	const char *name;
	size_t manifest; /* its row */
	size_t subject;  /* of a tag that is made of a digest: the row of that one, or RETENTION_GONE; else RETENTION_NONE */
	bool immutable;  /* it stays whatever a policy says */
	struct retention_facts facts;
};

struct retention_manifest {
	struct digest digest;
	size_t subject;         /* its row, RETENTION_GONE or RETENTION_NONE */
	const size_t *children; /* rows that it names as an index */
	size_t children_len;
	struct retention_facts facts;
};

struct retention_repository {
	const struct retention_tag *tags;
	size_t tags_len;
	const struct retention_manifest *manifests;
	size_t manifests_len;
};

enum retention_why {
	/* stays: */
	RETENTION_NO_POLICY,
	RETENTION_NOT_SET,       /* a manifest without a tag */
	RETENTION_NO_KEEP_TAGS,
	RETENTION_IMMUTABLE,
	RETENTION_PATTERNS,      /* the entry has no rules */
	RETENTION_PULLED_COUNT,  /* number: its rank, from 1 */
	RETENTION_PUSHED_COUNT,
	RETENTION_PULLED_WITHIN, /* number: ms ago */
	RETENTION_PUSHED_WITHIN,
	RETENTION_NO_FACTS,      /* a rule asks for what is not known */
	RETENTION_OF_SUBJECT,    /* a tag or a manifest: what it refers to stays */
	RETENTION_REFERRER,      /* deleteReferrers is not set */
	RETENTION_TAGGED,
	RETENTION_CHILD,
	RETENTION_KEEPS_UNTAGGED, /* deleteUntagged is false */
	RETENTION_YOUNG,         /* number: ms since it was pushed */
	/* goes: */
	RETENTION_NO_ENTRY,
	RETENTION_NO_RULE,
	RETENTION_UNTAGGED,      /* number: ms since it was pushed */
	RETENTION_LAST_TAG,
	RETENTION_SUBJECT_GONE,
};

#define RETENTION_OUTSIDE UINT32_MAX
struct retention_verdict {
	enum retention_why why;
	uint32_t entry; /* of keepTags, or RETENTION_OUTSIDE */
	int64_t number;
};
static inline bool retention_keeps(struct retention_verdict verdict) { return verdict.why < RETENTION_NO_ENTRY; }

/* One for each tag and each manifest. */
void retention_decide(const struct retention_terms *terms, const struct retention_repository *repository, int64_t now_ms,
	struct retention_verdict *tags, struct retention_verdict *manifests);
/* "policies[1].keepTags[0]: mostRecentlyPushedCount 3, it is number 2" */
void retention_explain(const struct retention_terms *terms, struct retention_verdict verdict, struct buf *into);

/* The digest that a tag is made of; false: it is none such. */
bool retention_tag_subject(struct str tag, struct digest *ret);
