/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retention_decide - tags first; then what stays by itself, and from there along the links: so no order of links matters, and no circle.
 */
#include "proto/retention_decide.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "proto/regexp.h"

struct deciding {
	const struct retention_terms *terms;
	const struct retention_repository *repository;
	int64_t now_ms;
	struct retention_verdict *tags, *manifests;
	size_t *pulled_rank, *pushed_rank; /* of tags, later of manifests; from 1, 0: it has none */
	bool *stays;                       /* manifests that were found to */
	size_t *waiting, waiting_len;      /* those whose links were not followed yet */
};

static struct retention_verdict verdict_of(enum retention_why why, int64_t number)
{
	return (struct retention_verdict){ why, RETENTION_OUTSIDE, number };
}

/* ---- one rule ---- */

/* What is compared for a rank. */
struct candidate {
	const struct retention_facts *facts;
	struct str name;
	const struct digest *digest; /* NULL: the name counts */
	size_t row;
	bool by_pull;
};

static int newest_first(int64_t a, int64_t b)
{
	return (a < b) - (a > b);
}

static int by_rank(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	int order = x->by_pull ? newest_first(x->facts->pulled_ms, y->facts->pulled_ms) : 0;

	if (!order)
		order = newest_first(x->facts->pushed_ms, y->facts->pushed_ms);
	if (!order && x->digest)
		order = memcmp(x->digest->raw, y->digest->raw, hash_size(x->digest->alg));
	return order ? order : str_compare(x->name, y->name);
}

/* Those whose time is known get ranks. */
static void rank(struct candidate *candidates, size_t len, bool by_pull, size_t *ranks)
{
	size_t known = 0;

	for (size_t i = 0; i < len; i++) {
		const struct retention_facts *facts = candidates[i].facts;

		if ((by_pull ? facts->pulled_ms : facts->pushed_ms) == RETENTION_UNKNOWN)
			continue;
		candidates[known] = candidates[i];
		candidates[known++].by_pull = by_pull;
	}
	if (known)
		qsort(candidates, known, sizeof(*candidates), by_rank);
	for (size_t i = 0; i < known; i++)
		ranks[candidates[i].row] = i + 1;
}

static bool is_within(int64_t then_ms, int64_t within_ms, int64_t now_ms)
{
	return then_ms > 0 && then_ms > now_ms - within_ms;
}

static bool has_rules(const struct retention_entry *entry)
{
	return entry->pulled_count || entry->pushed_count || entry->pulled_within_ms != RETENTION_UNKNOWN ||
	       entry->pushed_within_ms != RETENTION_UNKNOWN;
}

/* Would a rule that has not kept it, if it were known? */
static bool lacks_facts(const struct retention_entry *entry, const struct retention_facts *facts)
{
	bool asks_pull = entry->pulled_count || entry->pulled_within_ms != RETENTION_UNKNOWN;
	bool asks_push = entry->pushed_count || entry->pushed_within_ms != RETENTION_UNKNOWN ||
			 entry->pulled_within_ms != RETENTION_UNKNOWN;

	return (asks_pull && facts->pulled_ms == RETENTION_UNKNOWN) ||
	       (asks_push && facts->pushed_ms == RETENTION_UNKNOWN);
}

/* In zot's order, the first that keeps it. */
static struct retention_verdict ask_rules(const struct deciding *d, const struct retention_entry *entry,
	const struct retention_facts *facts, size_t row)
{
	int64_t now = d->now_ms, pulled = facts->pulled_ms, pushed = facts->pushed_ms;
	size_t by_pull = d->pulled_rank[row], by_push = d->pushed_rank[row];

	if (by_pull && (int64_t)by_pull <= entry->pulled_count)
		return verdict_of(RETENTION_PULLED_COUNT, (int64_t)by_pull);
	if (by_push && (int64_t)by_push <= entry->pushed_count)
		return verdict_of(RETENTION_PUSHED_COUNT, (int64_t)by_push);
	if (entry->pulled_within_ms != RETENTION_UNKNOWN && is_within(pulled, entry->pulled_within_ms, now))
		return verdict_of(RETENTION_PULLED_WITHIN, now - pulled);
	/* What was just pushed had no time to be pulled. */
	if (entry->pulled_within_ms != RETENTION_UNKNOWN && is_within(pushed, entry->pulled_within_ms, now))
		return verdict_of(RETENTION_PUSHED_WITHIN, now - pushed);
	if (entry->pushed_within_ms != RETENTION_UNKNOWN && is_within(pushed, entry->pushed_within_ms, now))
		return verdict_of(RETENTION_PUSHED_WITHIN, now - pushed);
	if (lacks_facts(entry, facts))
		return verdict_of(RETENTION_NO_FACTS, 0);
	return verdict_of(RETENTION_NO_RULE, 0);
}

/* ---- tags ---- */

static uint32_t entry_of(const struct retention_policy *policy, struct str tag)
{
	for (size_t i = 0; i < policy->keep_tags_len; i++) {
		const struct retention_entry *entry = &policy->keep_tags[i];

		if (!entry->patterns_len)
			return (uint32_t)i;
		for (size_t at = 0; at < entry->patterns_len; at++)
			if (regexp_match(entry->patterns[at], tag))
				return (uint32_t)i;
	}
	return RETENTION_OUTSIDE;
}

/* Each to its entry; *verdict is a last word where none has it. */
static void find_entry(const struct deciding *d, size_t row)
{
	const struct retention_policy *policy = d->terms->policy;
	const struct retention_tag *tag = &d->repository->tags[row];
	struct retention_verdict *verdict = &d->tags[row];

	*verdict = verdict_of(RETENTION_NO_POLICY, 0);
	if (tag->subject != RETENTION_NONE)
		verdict->why = RETENTION_REFERRER; /* until what it refers to is known */
	else if (policy && !policy->keep_tags_len)
		verdict->why = RETENTION_NO_KEEP_TAGS;
	else if (policy) {
		verdict->entry = entry_of(policy, str_of(tag->name));
		verdict->why = RETENTION_NO_ENTRY;
	}
}

static void rank_tags(struct deciding *d, uint32_t entry, struct candidate *candidates)
{
	const struct retention_repository *repository = d->repository;

	for (unsigned by_pull = 0; by_pull < 2; by_pull++) {
		size_t len = 0;

		for (size_t i = 0; i < repository->tags_len; i++)
			if (d->tags[i].entry == entry)
				candidates[len++] = (struct candidate){ .facts = &repository->tags[i].facts,
					.name = str_of(repository->tags[i].name),
					.row = i };
		rank(candidates, len, by_pull, by_pull ? d->pulled_rank : d->pushed_rank);
	}
}

static void decide_tag(const struct deciding *d, size_t row)
{
	const struct retention_tag *tag = &d->repository->tags[row];
	struct retention_verdict *verdict = &d->tags[row];
	const struct retention_entry *entry;
	uint32_t at = verdict->entry;

	if (at != RETENTION_OUTSIDE) {
		entry = &d->terms->policy->keep_tags[at];
		*verdict = has_rules(entry) ? ask_rules(d, entry, &tag->facts, row)
					    : verdict_of(RETENTION_PATTERNS, 0);
		verdict->entry = at;
	}
	if (!retention_keeps(*verdict) && tag->immutable)
		verdict->why = RETENTION_IMMUTABLE;
}

static void decide_tags(struct deciding *d)
{
	const struct retention_policy *policy = d->terms->policy;
	size_t len = d->repository->tags_len;
	struct candidate *candidates = xnew_array(struct candidate, len + 1);

	for (size_t i = 0; i < len; i++)
		find_entry(d, i);
	for (size_t at = 0; policy && at < policy->keep_tags_len; at++)
		if (policy->keep_tags[at].pulled_count || policy->keep_tags[at].pushed_count)
			rank_tags(d, (uint32_t)at, candidates);
	for (size_t i = 0; i < len; i++)
		decide_tag(d, i);
	free(candidates);
}

/* ---- what stays by itself ---- */

static bool may_go_as_referrer(const struct deciding *d)
{
	return d->terms->policy && d->terms->policy->delete_referrers;
}

static struct retention_verdict ask_delay(
	const struct deciding *d, const struct retention_facts *facts, enum retention_why otherwise)
{
	int64_t age = d->now_ms - facts->pushed_ms;

	if (facts->pushed_ms == RETENTION_UNKNOWN)
		return verdict_of(RETENTION_NO_FACTS, 0);
	return verdict_of(age < d->terms->delay_ms ? RETENTION_YOUNG : otherwise, age);
}

/* tagged: it had tags, and they all go. */
static struct retention_verdict decide_untagged(const struct deciding *d, size_t row, bool tagged)
{
	const struct retention_policy *policy = d->terms->policy;
	const struct retention_facts *facts = &d->repository->manifests[row].facts;
	struct retention_verdict verdict;

	if (!d->terms->is_set)
		return verdict_of(RETENTION_NOT_SET, 0);
	if (policy && !policy->delete_untagged)
		return verdict_of(RETENTION_KEEPS_UNTAGGED, 0);
	if (policy && policy->keep_untagged && has_rules(policy->keep_untagged)) {
		verdict = ask_rules(d, policy->keep_untagged, facts, row);
		if (retention_keeps(verdict))
			return verdict;
	}
	return tagged ? verdict_of(RETENTION_LAST_TAG, 0) : ask_delay(d, facts, RETENTION_UNTAGGED);
}

static struct retention_verdict decide_manifest(const struct deciding *d, size_t row, bool tagged)
{
	const struct retention_manifest *manifest = &d->repository->manifests[row];

	if (manifest->subject == RETENTION_NONE)
		return decide_untagged(d, row, tagged);
	if (!may_go_as_referrer(d))
		return verdict_of(RETENTION_REFERRER, 0);
	return tagged ? verdict_of(RETENTION_LAST_TAG, 0)
		      : ask_delay(d, &manifest->facts, RETENTION_SUBJECT_GONE);
}

/* Who may have a rank among the untagged: what no index names and what refers to nothing. */
static void rank_untagged(struct deciding *d, const bool *tagged, const bool *named)
{
	const struct retention_repository *repository = d->repository;
	struct candidate *candidates = xnew_array(struct candidate, repository->manifests_len + 1);

	memset(d->pulled_rank, 0, repository->manifests_len * sizeof(*d->pulled_rank));
	memset(d->pushed_rank, 0, repository->manifests_len * sizeof(*d->pushed_rank));
	for (unsigned by_pull = 0; by_pull < 2; by_pull++) {
		size_t len = 0;

		for (size_t i = 0; i < repository->manifests_len; i++)
			if (!d->stays[i] && !tagged[i] && !named[i] &&
				repository->manifests[i].subject == RETENTION_NONE)
				candidates[len++] =
					(struct candidate){ .facts = &repository->manifests[i].facts,
						.digest = &repository->manifests[i].digest,
						.row = i };
		rank(candidates, len, by_pull, by_pull ? d->pulled_rank : d->pushed_rank);
	}
	free(candidates);
}

/* ---- links ---- */

static void keep(struct deciding *d, size_t row, struct retention_verdict verdict)
{
	if (row >= d->repository->manifests_len || d->stays[row])
		return;
	d->stays[row] = true;
	d->manifests[row] = verdict;
	d->waiting[d->waiting_len++] = row;
}

/* What refers to each manifest: lists in two arrays. */
struct referrers {
	size_t *first, *next; /* rows of manifests, then of tags behind them; RETENTION_NONE */
};

static struct referrers find_referrers(const struct retention_repository *repository)
{
	size_t manifests = repository->manifests_len, all = manifests + repository->tags_len;
	struct referrers found = { xnew_array(size_t, manifests + 1), xnew_array(size_t, all + 1) };

	for (size_t i = 0; i < manifests; i++)
		found.first[i] = RETENTION_NONE;
	for (size_t i = 0; i < all; i++) {
		size_t subject = i < manifests ? repository->manifests[i].subject
					       : repository->tags[i - manifests].subject;

		if (subject >= manifests)
			continue;
		found.next[i] = found.first[subject];
		found.first[subject] = i;
	}
	return found;
}

static void keep_referrer(struct deciding *d, size_t row)
{
	const struct retention_verdict of_subject = verdict_of(RETENTION_OF_SUBJECT, 0);
	size_t manifests = d->repository->manifests_len;

	if (row < manifests) {
		keep(d, row, of_subject);
		return;
	}
	d->tags[row - manifests] = of_subject;
	keep(d, d->repository->tags[row - manifests].manifest, verdict_of(RETENTION_TAGGED, 0));
}

static void follow(struct deciding *d)
{
	struct referrers referrers = find_referrers(d->repository);

	while (d->waiting_len) {
		size_t row = d->waiting[--d->waiting_len];
		const struct retention_manifest *manifest = &d->repository->manifests[row];

		for (size_t i = 0; i < manifest->children_len; i++)
			keep(d, manifest->children[i], verdict_of(RETENTION_CHILD, 0));
		for (size_t i = referrers.first[row]; i != RETENTION_NONE; i = referrers.next[i])
			keep_referrer(d, i);
	}
	free(referrers.first);
	free(referrers.next);
}

/* ---- the whole ---- */

/* Tags that are made of a digest, and belong to no entry. They go with deleteReferrers, unless what they refer to stays. */
static void decide_referrer_tags(struct deciding *d)
{
	for (size_t i = 0; i < d->repository->tags_len; i++) {
		const struct retention_tag *tag = &d->repository->tags[i];

		if (tag->subject == RETENTION_NONE || !may_go_as_referrer(d))
			continue;
		d->tags[i] = ask_delay(d, &tag->facts, RETENTION_SUBJECT_GONE);
		if (!retention_keeps(d->tags[i]) && tag->immutable)
			d->tags[i].why = RETENTION_IMMUTABLE;
	}
}

static void keep_tagged(struct deciding *d, bool *tagged)
{
	for (size_t i = 0; i < d->repository->tags_len; i++) {
		const struct retention_tag *tag = &d->repository->tags[i];

		tagged[tag->manifest] = true;
		if (retention_keeps(d->tags[i]))
			keep(d, tag->manifest, verdict_of(RETENTION_TAGGED, 0));
	}
}

static void find_named(const struct retention_repository *repository, bool *named)
{
	for (size_t i = 0; i < repository->manifests_len; i++)
		for (size_t at = 0; at < repository->manifests[i].children_len; at++)
			named[repository->manifests[i].children[at]] = true;
}

static void decide_manifests(struct deciding *d)
{
	const struct retention_repository *repository = d->repository;
	bool *tagged = xnew_array(bool, repository->manifests_len + 1);
	bool *named = xnew_array(bool, repository->manifests_len + 1);

	keep_tagged(d, tagged);
	find_named(repository, named);
	rank_untagged(d, tagged, named);
	for (size_t i = 0; i < repository->manifests_len; i++) {
		if (d->stays[i])
			continue;
		d->manifests[i] = decide_manifest(d, i, tagged[i]);
		if (retention_keeps(d->manifests[i]))
			keep(d, i, d->manifests[i]);
	}
	follow(d);
	free(tagged);
	free(named);
}

void retention_decide(const struct retention_terms *terms, const struct retention_repository *repository,
	int64_t now_ms, struct retention_verdict *tags, struct retention_verdict *manifests)
{
	size_t most = repository->tags_len > repository->manifests_len ? repository->tags_len
								       : repository->manifests_len;
	struct deciding d = { .terms = terms,
		.repository = repository,
		.now_ms = now_ms,
		.tags = tags,
		.manifests = manifests,
		.pulled_rank = xnew_array(size_t, most + 1),
		.pushed_rank = xnew_array(size_t, most + 1),
		.stays = xnew_array(bool, most + 1),
		.waiting = xnew_array(size_t, most + 1) };

	decide_tags(&d);
	decide_referrer_tags(&d);
	decide_manifests(&d);
	free(d.pulled_rank);
	free(d.pushed_rank);
	free(d.stays);
	free(d.waiting);
}

/* ---- in words ---- */

static void say_age(struct buf *into, const char *what, int64_t ms)
{
	int64_t s = ms > 0 ? ms / 1000 : 0;

	if (s >= 2 * 86400)
		buf_format(into, "%s %lld days ago", what, (long long)(s / 86400));
	else if (s >= 2 * 3600)
		buf_format(into, "%s %lld hours ago", what, (long long)(s / 3600));
	else
		buf_format(into, "%s %lld s ago", what, (long long)s);
}

static void say_policy(const struct retention_terms *terms, struct buf *into)
{
	if (terms->of_entity)
		buf_puts(into, "retention of the repository's entity");
	else
		buf_format(into, "policies[%zu]", terms->at);
}

static const struct retention_entry *say_entry(
	const struct retention_terms *terms, struct retention_verdict verdict, struct buf *into)
{
	say_policy(terms, into);
	if (verdict.entry == RETENTION_OUTSIDE) {
		buf_puts(into, ".keepUntagged");
		return terms->policy->keep_untagged;
	}
	buf_format(into, ".keepTags[%u]", verdict.entry);
	return &terms->policy->keep_tags[verdict.entry];
}

static void say_rank(const struct retention_terms *terms, struct retention_verdict verdict, struct buf *into)
{
	const struct retention_entry *entry = say_entry(terms, verdict, into);
	bool pulled = verdict.why == RETENTION_PULLED_COUNT;

	buf_format(into, ": mostRecently%sCount %lld, it is number %lld", pulled ? "Pulled" : "Pushed",
		(long long)(pulled ? entry->pulled_count : entry->pushed_count), (long long)verdict.number);
}

/* Of what a policy has a member for. */
static void say_member(const struct retention_terms *terms, const char *text, struct buf *into)
{
	say_policy(terms, into);
	buf_puts(into, text);
}

static void say_keep(const struct retention_terms *terms, struct retention_verdict verdict, struct buf *into)
{
	switch (verdict.why) {
	case RETENTION_PATTERNS:
		(void)say_entry(terms, verdict, into);
		buf_puts(into, ": has it, and has no rules but patterns");
		break;
	case RETENTION_PULLED_COUNT:
	case RETENTION_PUSHED_COUNT:
		say_rank(terms, verdict, into);
		break;
	case RETENTION_PULLED_WITHIN:
		(void)say_entry(terms, verdict, into);
		say_age(into, ": pulledWithin, it was pulled", verdict.number);
		break;
	case RETENTION_PUSHED_WITHIN:
		(void)say_entry(terms, verdict, into);
		say_age(into, ": pushedWithin or pulledWithin, it was pushed", verdict.number);
		break;
	case RETENTION_NO_KEEP_TAGS:
		say_member(terms, ": has no keepTags, tags stay", into);
		break;
	case RETENTION_KEEPS_UNTAGGED:
		say_member(terms, ".deleteUntagged is false", into);
		break;
	case RETENTION_YOUNG:
		say_age(into, "within the delay, it was pushed", verdict.number);
		break;
	case RETENTION_NO_POLICY:
	case RETENTION_NOT_SET:
	case RETENTION_IMMUTABLE:
	case RETENTION_NO_FACTS:
	case RETENTION_OF_SUBJECT:
	case RETENTION_REFERRER:
	case RETENTION_TAGGED:
	case RETENTION_CHILD:
	case RETENTION_NO_ENTRY:
	case RETENTION_NO_RULE:
	case RETENTION_UNTAGGED:
	case RETENTION_LAST_TAG:
	case RETENTION_SUBJECT_GONE:
		break;
	}
}

/* What needs no number and no place. */
static const char *const texts[] = {
	[RETENTION_NO_POLICY] = "no policy is for the repository, tags stay",
	[RETENTION_NOT_SET] = "storage.retention is not set, so nothing goes",
	[RETENTION_IMMUTABLE] = "immutableTags of the repository's entity, whatever a policy says",
	[RETENTION_NO_FACTS] = "no statistics say when it was pushed or pulled",
	[RETENTION_OF_SUBJECT] = "it belongs to a manifest that stays",
	[RETENTION_REFERRER] = "it belongs to another manifest, and deleteReferrers is not set",
	[RETENTION_TAGGED] = "a tag that stays names it",
	[RETENTION_CHILD] = "an index that stays names it",
	[RETENTION_LAST_TAG] = "it has no tag that stays",
};

void retention_explain(
	const struct retention_terms *terms, struct retention_verdict verdict, struct buf *into)
{
	if ((size_t)verdict.why < sizeof(texts) / sizeof(texts[0]) && texts[verdict.why]) {
		buf_puts(into, texts[verdict.why]);
	} else if (retention_keeps(verdict)) {
		say_keep(terms, verdict, into);
	} else if (verdict.why == RETENTION_NO_ENTRY) {
		say_member(terms, ".keepTags: no entry has a pattern for it", into);
	} else if (verdict.why == RETENTION_NO_RULE) {
		(void)say_entry(terms, verdict, into);
		buf_puts(into, ": none of its rules keeps it");
	} else {
		buf_puts(into, verdict.why == RETENTION_UNTAGGED
				       ? "it has no tag, "
				       : "the manifest that it belongs to is gone, ");
		say_age(into, "and was pushed", verdict.number);
	}
}

/* ---- tags that are made of a digest ---- */

bool retention_tag_subject(struct str tag, struct digest *ret)
{
	char text[DIGEST_TEXT_SIZE];
	struct str hex = tag, algorithm;

	if (!str_until(&hex, '-', &algorithm) ||
		(!str_is(algorithm, "sha256") && !str_is(algorithm, "sha512")))
		return false;
	if (hex.len > 2 * hash_size(str_is(algorithm, "sha256") ? HASH_SHA256 : HASH_SHA512)) {
		size_t len = 2 * hash_size(str_is(algorithm, "sha256") ? HASH_SHA256 : HASH_SHA512);

		if (hex.at[len] != '.')
			return false;
		hex.len = len;
	}
	(void)snprintf(text, sizeof(text), "%.*s:%.*s", STR_ARGS(algorithm), STR_ARGS(hex));
	return digest_parse(str_of(text), ret, NULL);
}
