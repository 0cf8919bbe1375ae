/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/collect.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "worker/index/index_memo.h"
#include "worker/registry/asked_blobs.h"
#include "worker/registry/live_set.h"
#include "worker/registry/registry.h"
#include "worker/storage/pace.h"
#include "worker/storage/store.h"

#define PAGE      1000
#define PARTS_MAX 4096

struct collection {
	struct registry *registry;
	const char *name;
	const struct collect_how *how;
	struct collected *told;
	struct index *view;    /* all of its manifests are in the set; NULL: there is none yet */
	struct live_set *live; /* of this part */
	unsigned part, parts;
	bool full;                                           /* the set was */
	struct store_object found[COLLECT_BATCH - 1 + PAGE]; /* that go; a page is taken whole */
	size_t found_len;
	struct store_object *batch; /* of those, what goes at once */
	size_t batch_len;
	struct digest last; /* that was listed */
	bool has_last;
	bool stopped; /* there is no more time */
	bool failed;  /* of this batch; err says why */
	struct error err;
};

static struct str name_of(const struct collection *c)
{
	return str_of(c->name);
}

static bool may_go_on(struct collection *c)
{
	c->stopped = c->stopped || !pace_go_on(c->how->pace);
	return !c->stopped;
}

/* ---- what is needed ---- */

static bool need(struct collection *c, const struct digest *digest)
{
	if (live_set_part(digest, c->parts) != c->part || live_set_add(c->live, digest))
		return true;
	c->full = true;
	return error_set(&c->err, ERROR_FULL, NULL, "too much of it is needed");
}

static bool need_named(struct collection *c, const struct manifest *manifest)
{
	bool ok = !manifest->has_config || need(c, &manifest->config.digest);

	for (size_t i = 0; i < manifest->layers_len && ok; i++)
		ok = need(c, &manifest->layers[i].digest);
	for (size_t i = 0; i < manifest->manifests_len && ok; i++)
		ok = need(c, &manifest->manifests[i].digest);
	return ok;
}

static bool unreadable(struct collection *c, const struct index_entry *entry)
{
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&entry->descriptor.digest, digest);
	return error_add(
		&c->err, "nothing is collected while %s can't be read, which may name anything", digest);
}

static bool need_entry(struct collection *c, const struct index_entry *entry)
{
	AUTO_FINI(buf) bytes = buf_limit(REGISTRY_MANIFEST_MAX);
	struct manifest manifest;
	bool ok;

	if (!need(c, &entry->descriptor.digest))
		return false;
	if (!registry_manifest_read(c->registry, name_of(c), &entry->descriptor.digest, &bytes, &c->err) ||
		!manifest_parse(
			buf_str(&bytes), str_of(entry->descriptor.media_type), true, &manifest, &c->err))
		return unreadable(c, entry);
	ok = need_named(c, &manifest);
	manifest_fini(&manifest);
	return ok;
}

/* Of this part. False: c->full, or c->err says why. */
static bool need_all(struct collection *c)
{
	live_set_clear(c->live);
	c->full = false;
	for (size_t at = 0; c->view && at < index_len(c->view) && may_go_on(c); at++)
		if (!need_entry(c, index_at(c->view, at)))
			return false;
	return true;
}

struct following {
	struct collection *collection;
	bool ok, moved;
};

static void on_difference(void *arg, const struct index_entry *entry, bool in_after)
{
	struct following *f = arg;

	f->moved = true;
	if (in_after && f->ok)
		f->ok = need_entry(f->collection, entry);
}

/* What came since is needed as well; what went may be needed by nobody, which is for the next time. */
static bool follow(struct collection *c, const struct index *view)
{
	struct following f = { .collection = c, .ok = true };

	index_compare(c->view, view, on_difference, &f);
	if (f.moved && f.ok) {
		index_free(c->view);
		c->view = index_keep(view);
	}
	return f.ok;
}

/* ---- removal ---- */

struct condemning {
	struct index_change change; /* first */
	struct collection *collection;
	const struct store_object *object;
};

static bool was_asked(const struct collection *c, const struct digest *digest)
{
	return asked_blobs_has(c->registry->asked, name_of(c), digest, clock_ms());
}

/* In the place of its record. */
static bool check_in_place(struct index_change *change, const struct index *view, struct error *err)
{
	struct collection *c = ((struct condemning *)change)->collection;
	int64_t now_s = store_clock_s(c->registry->store, name_of(c));

	if (index_is_condemned(view, &change->digest, now_s) || !index_may_condemn(view, now_s))
		return error_set(err, ERROR_BUSY, NULL, "somebody else removes blobs just now");
	if (!follow(c, view)) {
		if (err)
			*err = c->err;
		return false;
	}
	return !(live_set_has(c->live, &change->digest) || was_asked(c, &change->digest)) ||
	       error_set(err, ERROR_DENIED, NULL, "it is needed");
}

static void change_all(struct collection *c, struct condemning *condemned, size_t len)
{
	struct index_change *first = NULL, **last = &first;

	for (size_t i = 0; i < len; i++) {
		*last = &condemned[i].change;
		last = &condemned[i].change.next;
	}
	*last = NULL;
	if (first)
		indexes_change_all(c->registry->indexes, first);
}

/* Those that are condemned now, at the front; the rest is needed, or somebody else's. */
static size_t condemn(struct collection *c, struct condemning *into)
{
	int64_t until_s = store_clock_s(c->registry->store, name_of(c)) + MEMO_CONDEMN_S;
	size_t kept = 0;

	for (size_t i = 0; i < c->batch_len; i++)
		into[i] = (struct condemning){ .change = { .op = INDEX_CONDEMN,
						       .name = c->name,
						       .digest = c->batch[i].digest,
						       .until_s = until_s,
						       .check = check_in_place },
			.collection = c,
			.object = &c->batch[i] };
	change_all(c, into, c->batch_len);
	for (size_t i = 0; i < c->batch_len; i++) {
		if (into[i].change.ok && into[i].change.changed)
			into[kept++] = into[i];
		else if (into[i].change.err.kind != ERROR_DENIED && into[i].change.err.kind != ERROR_BUSY) {
			c->failed = true;
			c->err = into[i].change.err;
		}
	}
	return kept;
}

static void tell(struct collection *c, const struct store_object *object)
{
	c->told->removed++;
	c->told->bytes += object->size;
	if (c->how->told)
		c->how->told(c->how->arg, c->name, &object->digest, object->size);
}

/* What comes behind the removal; where it fails the condemnations end by themselves. */
static void say_removed(struct collection *c, struct condemning *condemned, size_t len, const bool *gone)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		struct condemning *one = &condemned[i];

		if (!gone[i]) {
			c->told->unknown++;
			continue;
		}
		tell(c, one->object);
		condemned[n++] = (struct condemning){ .change = { .op = INDEX_REMOVED,
							      .name = c->name,
							      .digest = one->object->digest,
							      .until_s = one->change.until_s } };
	}
	change_all(c, condemned, n);
}

static bool remove_batch(struct collection *c)
{
	struct condemning *condemned = xnew_array(struct condemning, c->batch_len + 1);
	struct digest *digests = xnew_array(struct digest, c->batch_len + 1);
	bool *gone = xnew_array(bool, c->batch_len + 1);
	size_t len;

	c->failed = false;
	len = condemn(c, condemned);
	for (size_t i = 0; i < len; i++)
		digests[i] = condemned[i].object->digest;
	if (len && !store_blobs_delete(c->registry->store, name_of(c), digests, len,
			   condemned[0].change.until_s, gone, &c->err))
		c->failed = true;
	say_removed(c, condemned, len, gone);
	free(condemned);
	free(digests);
	free(gone);
	return !c->failed;
}

static bool do_batch(struct collection *c)
{
	if (!c->how->dry_run)
		return remove_batch(c);
	for (size_t i = 0; i < c->batch_len; i++)
		tell(c, &c->batch[i]);
	return true;
}

/* Until fewer than so many are left. */
static bool do_batches(struct collection *c, size_t fewer)
{
	size_t done = 0;
	bool ok = true;

	while (ok && c->found_len - done >= fewer) {
		c->batch = c->found + done;
		c->batch_len = c->found_len - done < COLLECT_BATCH ? c->found_len - done : COLLECT_BATCH;
		ok = do_batch(c);
		done += c->batch_len;
	}
	c->found_len -= done;
	memmove(c->found, c->found + done, c->found_len * sizeof(*c->found));
	return ok;
}

/* ---- all blobs ---- */

/* Both times are cut to seconds. */
static bool is_young(const struct collection *c, const struct store_object *object)
{
	int64_t now_s = store_clock_s(c->registry->store, name_of(c));
	int64_t delay_s = c->how->delay_ms ? (c->how->delay_ms + 999) / 1000 + 1 : 0;

	return object->changed_s > now_s - delay_s || was_asked(c, &object->digest);
}

/* One that is gone meanwhile is nobody's. */
static void consider(struct collection *c, struct store_object *object)
{
	struct error ignored;

	if (live_set_part(&object->digest, c->parts) != c->part)
		return;
	c->told->blobs++;
	if (live_set_has(c->live, &object->digest) ||
		(!object->known && !store_object_look(c->registry->store, name_of(c), object, &ignored)))
		return;
	if (is_young(c, object))
		c->told->young++;
	else
		c->found[c->found_len++] = *object;
}

static bool on_object(void *arg, const struct store_object *object)
{
	struct collection *c = arg;
	struct store_object copy = *object;

	c->last = object->digest;
	c->has_last = true;
	consider(c, &copy);
	return may_go_on(c);
}

static bool walk_blobs(struct collection *c)
{
	bool more = true;

	c->has_last = false;
	c->found_len = 0;
	while (more && !c->stopped) {
		if (!store_objects(c->registry->store, name_of(c), c->has_last ? &c->last : NULL, PAGE,
			    on_object, c, &more, &c->err))
			return false;
		if (!do_batches(c, COLLECT_BATCH))
			return false;
	}
	return do_batches(c, 1);
}

static bool walk_part(struct collection *c)
{
	size_t memory;
	bool ok = need_all(c);

	memory = live_set_bytes(c->live) + sizeof(*c);
	if (memory > c->told->memory)
		c->told->memory = memory;
	return ok && (c->stopped || walk_blobs(c));
}

/* What does not fit into the set is taken in more parts, from the first on: what went is not there any more. */
static bool walk_parts(struct collection *c)
{
	bool ok = true;

	for (c->part = 0; c->part < c->parts && ok && !c->stopped; c->part++)
		ok = walk_part(c);
	if (ok || !c->full || c->parts >= PARTS_MAX)
		return ok;
	c->parts *= 2;
	c->told->blobs = c->told->young = 0;
	return walk_parts(c);
}

/* ---- the name ---- */

/* In the place of its record: what came since fills it. */
static bool check_empty(struct index_change *change, const struct index *view, struct error *err)
{
	const struct collection *c = ((struct condemning *)change)->collection;

	if (index_is_vacating(view, store_clock_s(c->registry->store, name_of(c))))
		return error_set(err, ERROR_BUSY, NULL, "somebody else removes its name just now");
	return index_is_empty(view) || error_set(err, ERROR_DENIED, NULL, "it is not empty");
}

static bool change(struct collection *c, enum index_op op, int64_t until_s)
{
	struct condemning vacating = { .change = { .op = op,
					       .name = c->name,
					       .until_s = until_s,
					       .check = op == INDEX_VACATE ? check_empty : NULL },
		.collection = c };

	indexes_change_all(c->registry->indexes, &vacating.change);
	if (!vacating.change.ok)
		c->err = vacating.change.err;
	return vacating.change.ok;
}

/* One that is pushed to just now, or that another one empties, is no trouble. */
static bool vacate(struct collection *c)
{
	int64_t until_s = store_clock_s(c->registry->store, name_of(c)) + MEMO_VACATE_S;

	if (!change(c, INDEX_VACATE, until_s))
		return c->err.kind == ERROR_DENIED || c->err.kind == ERROR_BUSY;
	if (!store_name_remove(c->registry->store, name_of(c), until_s, &c->err) &&
		c->err.kind != ERROR_UNKNOWN)
		return false;
	c->told->vacated = true;
	return change(c, INDEX_VACATED, until_s);
}

/* Nothing is there but what has just gone. */
static bool end_name(struct collection *c)
{
	const struct collected *told = c->told;
	bool left = c->stopped || told->blobs != told->removed || told->unknown ||
		    (c->view && !index_is_empty(c->view));

	if (!c->how->listed || left)
		return true;
	if (c->how->dry_run)
		c->told->vacated = true;
	return c->how->dry_run || vacate(c);
}

bool registry_collect(struct registry *registry, const char *name, const struct collect_how *how,
	struct collected *ret, struct error *err)
{
	struct collection *c = xnew(struct collection);
	bool ok;

	*ret = (struct collected){ 0 };
	c->registry = registry;
	c->name = name;
	c->how = how;
	c->told = ret;
	c->parts = 1;
	ok = indexes_get(registry->indexes, str_of(name), &c->view, &c->err) || c->err.kind == ERROR_UNKNOWN;
	if (ok) {
		c->live = live_set_new(how->live_most ? how->live_most : LIVE_SET_MAX);
		ok = walk_parts(c) && end_name(c);
		live_set_free(c->live);
		index_free(c->view);
	}
	ret->whole = ok && !c->stopped;
	if (!ok && err)
		*err = c->err;
	free(c);
	return ok;
}
