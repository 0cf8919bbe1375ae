/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/retention_remove.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/check.h"
#include "common/clock.h"
#include "worker/registry/registry.h"
#include "worker/registry/retention_facts.h"
#include "worker/registry/retention_guard.h"
#include "worker/registry/retention_plan.h"

#define WHY_MAX 1024

struct removing {
	struct retention_work *work;
	const struct retention_plan *plan;
	struct retention_guard *guard; /* NULL: nothing is removed */
	char *name;
	size_t at;            /* the row of what is being removed, a tag or a manifest */
	size_t *first, *next; /* rows of the tags of each manifest, one behind the other; RETENTION_NONE */
	bool over;            /* the worker ends */
	bool stale;           /* the plan does not hold any more */
	struct buf why;
};

static bool is_gone(struct retention_verdict verdict)
{
	return !retention_keeps(verdict);
}

/* ---- one ---- */

/* Pushed or pulled since the plan. */
static bool is_used(const struct removing *r, const struct index *view, const struct index_entry *entry,
	const char *tag, const struct retention_facts *planned)
{
	struct retention_facts now;

	if (!entry)
		return false;
	now = retention_facts_of(r->work->registry, view, entry, tag);
	return now.pushed_ms != planned->pushed_ms || now.pulled_ms != planned->pulled_ms;
}

static bool is_tag_used(const struct removing *r, const struct index *view, size_t at)
{
	const struct retention_tag *tag = &r->plan->tags[at];

	return is_used(r, view, index_find_tag(view, str_of(tag->name)), tag->name, &tag->facts);
}

static bool is_manifest_used(const struct removing *r, const struct index *view, size_t row)
{
	const struct retention_manifest *manifest = &r->plan->manifests[row];
	bool used = is_used(r, view, index_find_digest(view, &manifest->digest), NULL, &manifest->facts);

	for (size_t at = r->first[row]; at != RETENTION_NONE && !used; at = r->next[at])
		used = is_tag_used(r, view, at);
	return used;
}

static bool still(struct registry_removal *removal, const struct index *view, struct error *err)
{
	const struct removing *r = removal->still_arg;

	if (removal->reference.is_digest ? is_manifest_used(r, view, r->at) : is_tag_used(r, view, r->at))
		return error_set(err, ERROR_CONFLICT, NULL, "it was pushed or pulled meanwhile");
	if (removal->reference.is_digest)
		return retention_guard_allows_manifest(r->guard, view, &removal->reference.digest, err);
	return retention_guard_allows_tag(r->guard, view, str_of(removal->reference.tag), err);
}

static void tell(struct removing *r, const char *tag, size_t row, struct retention_verdict verdict)
{
	struct retention_work *work = r->work;

	buf_clear(&r->why);
	retention_explain(&r->plan->terms, verdict, &r->why);
	if (work->removed)
		work->removed(work->arg, work, tag, &r->plan->manifests[row].digest, buf_text(&r->why));
}

/* True: it is gone, or was before. False and no error: the plan is stale. */
static bool take_away(struct removing *r, struct registry_removal *removal, size_t at, struct error *err)
{
	struct error why;

	if (!r->guard)
		return true;
	r->at = at;
	removal->name = r->name;
	removal->limits = r->work->limits;
	removal->still = still;
	removal->still_arg = r;
	if (registry_delete_wait(r->work->registry, removal, &why) || why.kind == ERROR_UNKNOWN)
		return true;
	r->stale = why.kind == ERROR_CONFLICT || removal->limit == REGISTRY_LIMIT_IMMUTABLE;
	if (!r->stale && err)
		*err = why;
	return false;
}

/* False: look at r->stale, then at err. */
static bool remove_tag(struct removing *r, size_t at, struct error *err)
{
	const struct retention_tag *tag = &r->plan->tags[at];
	struct registry_removal removal = { 0 };

	if (!str_copy(str_of(tag->name), removal.reference.tag, sizeof(removal.reference.tag)))
		return true; /* no tag that anybody could name: somebody else's */
	if (!take_away(r, &removal, at, err))
		return false;
	r->work->tags++;
	tell(r, tag->name, tag->manifest, r->plan->tag_verdicts[at]);
	return true;
}

static bool remove_manifest(struct removing *r, size_t row, struct error *err)
{
	struct registry_removal removal = { .reference = { .is_digest = true,
						    .digest = r->plan->manifests[row].digest } };

	if (!take_away(r, &removal, row, err))
		return false;
	r->work->manifests++;
	for (size_t at = r->first[row]; at != RETENTION_NONE; at = r->next[at]) {
		r->work->tags++;
		tell(r, r->plan->tags[at].name, row, r->plan->tag_verdicts[at]);
	}
	if (r->first[row] == RETENTION_NONE)
		tell(r, "", row, r->plan->manifest_verdicts[row]);
	return true;
}

/* ---- in which order ---- */

/* Rows of manifests that go, an index before what it names. Links that go round cannot be of digests, and would stay. */
static size_t order(const struct retention_plan *plan, size_t *into)
{
	size_t *named = xnew_array(size_t, plan->manifests_len + 1), len = 0;

	for (size_t i = 0; i < plan->manifests_len; i++)
		for (size_t at = 0;
			is_gone(plan->manifest_verdicts[i]) && at < plan->manifests[i].children_len; at++)
			named[plan->manifests[i].children[at]]++;
	for (size_t i = 0; i < plan->manifests_len; i++)
		if (is_gone(plan->manifest_verdicts[i]) && !named[i])
			into[len++] = i;
	for (size_t i = 0; i < len; i++) {
		const struct retention_manifest *manifest = &plan->manifests[into[i]];

		for (size_t at = 0; at < manifest->children_len; at++)
			if (!--named[manifest->children[at]] &&
				is_gone(plan->manifest_verdicts[manifest->children[at]]))
				into[len++] = manifest->children[at];
	}
	free(named);
	return len;
}

static bool may_go_on(struct removing *r)
{
	r->over = !pace_go_on(r->work->pace);
	return !r->over;
}

static bool remove_tags(struct removing *r, struct error *err)
{
	const struct retention_plan *plan = r->plan;

	for (size_t i = 0; i < plan->tags_len; i++) {
		if (!is_gone(plan->tag_verdicts[i]) ||
			is_gone(plan->manifest_verdicts[plan->tags[i].manifest]))
			continue;
		if (!may_go_on(r) || !remove_tag(r, i, err))
			return false;
	}
	return true;
}

static void find_tags(struct removing *r)
{
	const struct retention_plan *plan = r->plan;

	r->first = xnew_array(size_t, plan->manifests_len + 1);
	r->next = xnew_array(size_t, plan->tags_len + 1);
	for (size_t i = 0; i < plan->manifests_len; i++)
		r->first[i] = RETENTION_NONE;
	for (size_t i = plan->tags_len; i--;) {
		r->next[i] = r->first[plan->tags[i].manifest];
		r->first[plan->tags[i].manifest] = i;
	}
}

static bool remove_manifests(struct removing *r, struct error *err)
{
	size_t *rows = xnew_array(size_t, r->plan->manifests_len + 1), len = order(r->plan, rows);
	bool ok = true;

	find_tags(r);
	for (size_t i = 0; i < len && ok; i++)
		ok = may_go_on(r) && remove_manifest(r, rows[i], err);
	free(rows);
	free(TAKE(r->first));
	free(TAKE(r->next));
	return ok;
}

/* ---- a plan ---- */

static void count_immutable(struct removing *r)
{
	r->work->immutable = 0;
	for (size_t i = 0; i < r->plan->tags_len; i++)
		r->work->immutable += r->plan->tag_verdicts[i].why == RETENTION_IMMUTABLE;
}

static bool do_plan(struct removing *r, const struct retention_plan *plan, struct error *err)
{
	AUTO(retention_guard) *guard = NULL;
	bool ok;

	if (!plan->terms.dry_run)
		guard = retention_guard_new(r->work->registry, r->work->name, plan->view);
	r->plan = plan;
	r->guard = guard;
	r->stale = false;
	count_immutable(r);
	ok = remove_tags(r, err) && remove_manifests(r, err);
	r->guard = NULL;
	return ok || r->stale || r->over;
}

static bool go_through(struct removing *r, struct error *err)
{
	struct retention_work *work = r->work;

	for (unsigned i = 0; i < RETENTION_PLANS_MAX && !r->over; i++) {
		AUTO(retention_plan) *plan = NULL;

		if (!retention_plan_new(&plan, work->registry, work->name, &work->terms, work->limits,
			    work->now_ms ? work->now_ms : clock_wall_ms(), err) ||
			!do_plan(r, plan, err))
			return false;
		if (!r->stale)
			break;
	}
	work->left = r->stale || r->over;
	return true;
}

bool retention_remove(struct retention_work *work, struct error *err)
{
	struct removing r = { .work = work, .name = str_dup(work->name), .why = buf_limit(WHY_MAX) };
	bool ok = go_through(&r, err);

	buf_fini(&r.why);
	free(r.name);
	return ok;
}
