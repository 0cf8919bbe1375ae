/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata_query - questions that are a look through the list: what passes is found there, and what is on the page is read from the file.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/least.h"
#include "worker/metadata/metadata_priv.h"

/* ---- a question ---- */

bool metadata_ask(
	struct metadata *md, const struct metadata_query *query, struct asking *ret, struct error *err)
{
	lock_take(&md->lock);
	if (!metadata_file_ready_locked(md, err)) {
		lock_drop(&md->lock);
		return false;
	}
	md->questions++;
	*ret = (struct asking){ .md = md, .query = query, .ring = md->settings.ring(md->settings.arg) };
	return true;
}

bool metadata_asked(struct metadata *md, bool ok, struct error *err)
{
	if (!ok && err && (err->kind == ERROR_INVALID || err->kind == ERROR_UNAVAILABLE)) {
		metadata_file_broke_locked(md, err);
		err->kind = ERROR_UNAVAILABLE;
	}
	lock_drop(&md->lock);
	return ok;
}

bool metadata_may_see(const struct asking *asking, struct list_repository *repository)
{
	const struct metadata_who *who = &asking->query->who;
	const struct metadata_settings *settings = &asking->md->settings;
	const struct registry *registry = settings->registry;
	struct str name = str_of(repository->name);

	if (repository->asked == asking->md->questions)
		return repository->may_see;
	if (repository->ring != asking->ring) {
		repository->ring = asking->ring;
		repository->is_ours = asking->ring && settings->owns(settings->arg, name);
	}
	repository->asked = asking->md->questions;
	repository->may_see = repository->is_ours && (!who->may_read || who->may_read(who->arg, name)) &&
			      !(registry->is_away && registry->is_away(registry->away_arg, name));
	return repository->may_see;
}

/* ---- filters ---- */

static bool is_one_of(struct str text, const struct str *list, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text.len == list[i].len && !strncasecmp(text.at, list[i].at, text.len))
			return true;
	return !len;
}

static bool has_platform(const struct metadata_query *query, struct str platforms)
{
	struct str one, os;

	while (str_next(&platforms, '\n', &one))
		if (str_until(&one, '/', &os) && is_one_of(os, query->os, query->os_len) &&
			is_one_of(one, query->arch, query->arch_len))
			return true;
	return false;
}

bool metadata_passes(const struct metadata_query *query, const struct list_repository *repository, size_t tag)
{
	return (!query->is_signed || repository->tags[tag].is_signed) &&
	       (!query->by_platform || has_platform(query, str_of(list_tag_platforms(repository, tag))));
}

static bool repository_has_platform(
	const struct metadata_query *query, const struct list_repository *repository)
{
	uint32_t last = UINT32_MAX;

	for (size_t i = 0; i < repository->tags_len; i++) {
		if (repository->tags[i].platforms != last &&
			has_platform(query, str_of(list_tag_platforms(repository, i))))
			return true;
		last = repository->tags[i].platforms;
	}
	return false;
}

static bool repository_passes(const struct metadata_query *query, const struct list_repository *repository)
{
	const struct metadata_who *who = &query->who;
	struct str name = str_of(repository->name);

	if (!repository->tags_len && (!query->untagged_too || query->is_signed))
		return false;
	if (query->is_signed && !repository->tags[repository->newest].is_signed)
		return false;
	if (query->is_starred && !(who->is_starred && who->is_starred(who->arg, name)))
		return false;
	if (query->is_bookmarked && !(who->is_bookmarked && who->is_bookmarked(who->arg, name)))
		return false;
	return !query->by_platform || repository_has_platform(query, repository);
}

/* ---- the first of many ---- */

typedef int order_f(const void *a, const void *b, void *sort);

static void swap(char *a, char *b, size_t size)
{
	char kept[64];

	memcpy(kept, a, size);
	memcpy(a, b, size);
	memcpy(b, kept, size);
}

static void sift(char *at, size_t len, size_t size, size_t from, order_f *order, void *sort)
{
	for (size_t child; (child = 2 * from + 1) < len; from = child) {
		if (child + 1 < len && order(at + child * size, at + (child + 1) * size, sort) < 0)
			child++;
		if (order(at + from * size, at + child * size, sort) >= 0)
			return;
		swap(at + from * size, at + child * size, size);
	}
}

/* The first `few` of all come to the front, in order: a heap of them has its last on top. */
static void sort_first(void *items, size_t len, size_t size, size_t few, order_f *order, void *sort)
{
	char *at = items;

	CHECK(size <= 64);
	if (few < len / 4) {
		for (size_t i = few / 2 + 1; i; i--)
			sift(at, few, size, i - 1, order, sort);
		for (size_t i = few; few && i < len; i++) {
			if (order(at + i * size, at, sort) >= 0)
				continue;
			swap(at, at + i * size, size);
			sift(at, few, size, 0, order, sort);
		}
		len = few;
	}
	if (len)
		qsort_r(at, len, size, order, sort);
}

/* From which item to which the page goes. */
static void range_of(const struct metadata_query *query, size_t len, size_t *ret_from, size_t *ret_to)
{
	*ret_from = least(query->offset, len);
	*ret_to = query->no_limit ? len : *ret_from + least(query->limit, len - *ret_from);
}

/* ---- repositories ---- */

struct found_repository {
	struct list_repository *repository;
	int64_t rank;
};

static int order_repositories(const void *a, const void *b, void *sort)
{
	const struct found_repository *x = a, *y = b;
	const struct metadata_repository one = { .name = x->repository->name,
		.updated_ms = x->repository->updated_ms,
		.downloads = x->repository->pulls,
		.rank = x->rank };
	const struct metadata_repository other = { .name = y->repository->name,
		.updated_ms = y->repository->updated_ms,
		.downloads = y->repository->pulls,
		.rank = y->rank };

	return metadata_compare_repositories(*(enum metadata_sort *)sort, &one, &other);
}

static size_t find_repositories(const struct asking *asking, struct str text, struct found_repository *into)
{
	const struct image_list *list = asking->md->list;
	size_t len = 0;

	for (size_t i = 0; i < image_list_len(list); i++) {
		struct list_repository *one = image_list_at(list, i);
		int64_t rank = metadata_rank(text, str_of(one->name));

		if (rank >= 0 && metadata_may_see(asking, one) && repository_passes(asking->query, one))
			into[len++] = (struct found_repository){ one, rank };
	}
	return len;
}

static bool is_there(const void *taken, struct error *err)
{
	return taken ||
	       error_set(err, ERROR_TOO_LARGE, NULL, "the answer is too large; ask for fewer at a time");
}

static bool fill_repository_key(const struct list_repository *of, struct arena *arena,
	struct metadata_repository *ret, struct error *err)
{
	*ret = (struct metadata_repository){ .name = arena_text(arena, str_of(of->name)),
		.updated_ms = of->updated_ms,
		.downloads = of->pulls };
	return is_there(ret->name, err);
}

static bool fill_repositories(struct metadata *md, const struct metadata_query *query,
	const struct found_repository *found, size_t len, struct arena *arena,
	struct metadata_repositories *ret, struct error *err)
{
	struct metadata_repository *into = len ? arena_take(arena, len * sizeof(*into)) : NULL;
	bool ok = !len || is_there(into, err);

	for (size_t i = 0; ok && i < len; i++) {
		ok = query->want & METADATA_KEYS
			     ? fill_repository_key(found[i].repository, arena, &into[i], err)
			     : metadata_fill_repository_locked(
				       md, found[i].repository, query, arena, &into[i], err);
		if (ok)
			into[i].rank = found[i].rank;
	}
	ret->at = into;
	ret->len = len;
	return ok;
}

bool metadata_repositories(struct metadata *md, struct str text, const struct metadata_query *query,
	struct arena *arena, struct metadata_repositories *ret, struct error *err)
{
	enum metadata_sort sort = query->sort;
	struct metadata_repositories page = { .len = 0 };
	struct found_repository *found;
	struct asking asking;
	size_t len, from, to;
	bool ok;

	if (!metadata_ask(md, query, &asking, err))
		return false;
	found = xnew_array(struct found_repository, image_list_len(md->list) + 1);
	len = find_repositories(&asking, text, found);
	range_of(query, len, &from, &to);
	/* They come by name. */
	if (sort != METADATA_ALPHABETIC_ASC && !(sort == METADATA_RELEVANCE && !text.len))
		sort_first(found, len, sizeof(*found), to, order_repositories, &sort);
	ok = fill_repositories(md, query, found + from, to - from, arena, &page, err);
	page.total = len;
	free(found);
	if (!metadata_asked(md, ok, err))
		return false;
	*ret = page;
	return true;
}

/* ---- images ---- */

static int64_t key_of(enum metadata_sort sort, const struct list_tag *tag)
{
	if (sort == METADATA_UPDATE_TIME)
		return -tag->updated_ms;
	return sort == METADATA_DOWNLOADS ? -(int64_t)least(tag->pulls, INT64_MAX) : 0;
}

void hits_add(struct hits *hits, struct list_repository *repository, size_t tag, uint32_t only)
{
	if (hits->len == hits->room) {
		hits->room = hits->room ? 2 * hits->room : 64;
		hits->at = realloc(hits->at, hits->room * sizeof(*hits->at));
		CHECK(hits->at);
	}
	hits->at[hits->len++] = (struct hit){ .repository = repository,
		.tag = tag,
		.key = key_of(hits->sort, &repository->tags[tag]),
		.only = only };
}

void hits_fini(struct hits *hits)
{
	free(hits->at);
}

static int order_hits(const void *a, const void *b, void *sort)
{
	const struct hit *x = a, *y = b;
	int order;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->repository != y->repository)
		order = strcmp(x->repository->name, y->repository->name);
	else
		order = x->tag < y->tag ? -1 : x->tag > y->tag;
	return *(enum metadata_sort *)sort == METADATA_ALPHABETIC_DSC ? -order : order;
}

static bool fill_hit(struct metadata *md, const struct metadata_query *query, const struct hit *hit,
	const struct onlies *onlies, struct arena *arena, struct metadata_image *into, struct error *err)
{
	struct digest *only = NULL;
	size_t len = 0;
	struct image_of of = { .repository = hit->repository,
		.tag = list_tag_name(hit->repository, hit->tag) };
	bool ok;

	for (uint32_t at = hit->only; at; at = onlies[at - 1].next)
		len++;
	if (len)
		only = xnew_array(struct digest, len);
	for (uint32_t at = hit->only; at; at = onlies[at - 1].next)
		only[of.only_len++] = onlies[at - 1].digest;
	of.only = only;
	ok = metadata_fill_image_locked(md, &of, query->want, arena, into, err);
	free(only);
	return ok;
}

static bool fill_hit_key(
	const struct hit *hit, struct arena *arena, struct metadata_image *ret, struct error *err)
{
	const struct list_tag *tag = &hit->repository->tags[hit->tag];

	*ret = (struct metadata_image){ .repository = arena_text(arena, str_of(hit->repository->name)),
		.tag = arena_text(arena, str_of(list_tag_name(hit->repository, hit->tag))),
		.updated_ms = tag->updated_ms,
		.downloads = tag->pulls };
	return is_there(ret->repository && ret->tag ? ret : NULL, err);
}

bool metadata_page_locked(struct metadata *md, const struct metadata_query *query, struct hits *hits,
	const struct onlies *onlies, struct arena *arena, struct metadata_images *ret, struct error *err)
{
	enum metadata_sort sort = query->sort;
	struct metadata_image *into;
	size_t from, to;
	bool ok;

	range_of(query, hits->len, &from, &to);
	if (!hits->by_name || (sort != METADATA_RELEVANCE && sort != METADATA_ALPHABETIC_ASC))
		sort_first(hits->at, hits->len, sizeof(*hits->at), to, order_hits, &sort);
	into = to > from ? arena_take(arena, (to - from) * sizeof(*into)) : NULL;
	ok = to == from || is_there(into, err);
	for (size_t i = from; ok && i < to; i++)
		ok = query->want & METADATA_KEYS
			     ? fill_hit_key(&hits->at[i], arena, &into[i - from], err)
			     : fill_hit(md, query, &hits->at[i], onlies, arena, &into[i - from], err);
	*ret = (struct metadata_images){ .at = into, .len = to - from, .total = hits->len, .cut = hits->cut };
	return ok;
}

static void add_tags(const struct asking *asking, struct list_repository *one, size_t from, struct str start,
	struct hits *hits)
{
	for (size_t i = from; i < one->tags_len; i++) {
		struct str tag = str_of(list_tag_name(one, i));

		if (tag.len < start.len || (start.len && memcmp(tag.at, start.at, start.len) != 0))
			return;
		if (metadata_passes(asking->query, one, i))
			hits_add(hits, one, i, 0);
	}
}

static bool answer(const struct asking *asking, struct hits *hits, struct arena *arena,
	struct metadata_images *ret, struct error *err)
{
	struct metadata_images page;
	bool ok;

	hits->by_name = true;
	ok = metadata_page_locked(asking->md, asking->query, hits, NULL, arena, &page, err);
	hits_fini(hits);
	if (!metadata_asked(asking->md, ok, err))
		return false;
	*ret = page;
	return true;
}

static bool of_one(struct metadata *md, struct str name, struct str start, const struct metadata_query *query,
	struct arena *arena, struct metadata_images *ret, struct error *err)
{
	struct hits hits = { .sort = query->sort };
	struct list_repository *one;
	struct asking asking;

	metadata_freshen(md, name);
	if (!metadata_ask(md, query, &asking, err))
		return false;
	one = image_list_find(md->list, name);
	if (one && metadata_may_see(&asking, one))
		add_tags(&asking, one, list_tag_find(one, start), start, &hits);
	return answer(&asking, &hits, arena, ret, err);
}

static bool of_all(struct metadata *md, const struct metadata_query *query, struct arena *arena,
	struct metadata_images *ret, struct error *err)
{
	struct hits hits = { .sort = query->sort };
	struct asking asking;

	if (!metadata_ask(md, query, &asking, err))
		return false;
	for (size_t i = 0; i < image_list_len(md->list); i++) {
		struct list_repository *one = image_list_at(md->list, i);

		if (metadata_may_see(&asking, one))
			add_tags(&asking, one, 0, STR_NONE, &hits);
	}
	return answer(&asking, &hits, arena, ret, err);
}

bool metadata_images(struct metadata *md, struct str name, const struct metadata_query *query,
	struct arena *arena, struct metadata_images *ret, struct error *err)
{
	return name.len ? of_one(md, name, STR_NONE, query, arena, ret, err)
			: of_all(md, query, arena, ret, err);
}

bool metadata_by_tag_start(struct metadata *md, struct str name, struct str start,
	const struct metadata_query *query, struct arena *arena, struct metadata_images *ret,
	struct error *err)
{
	return of_one(md, name, start, query, arena, ret, err);
}

static void add_with(
	const struct asking *asking, struct list_repository *one, struct str part, struct hits *hits)
{
	for (size_t at = 0; (at = list_tag_with(one, at, part)) != LIST_NONE; at++) {
		if (!metadata_may_see(asking, one))
			return;
		if (metadata_passes(asking->query, one, at))
			hits_add(hits, one, at, 0);
	}
}

bool metadata_by_tag_part(struct metadata *md, struct str part, const struct metadata_query *query,
	struct arena *arena, struct metadata_images *ret, struct error *err)
{
	char folded[METADATA_TEXT_MAX];
	struct hits hits = { .sort = query->sort };
	struct asking asking;

	if (!part.len)
		return of_all(md, query, arena, ret, err);
	if (part.len > sizeof(folded))
		return error_set(err, ERROR_TOO_LARGE, NULL,
			"a text that is searched for has at most %u bytes", METADATA_TEXT_MAX);
	for (size_t i = 0; i < part.len; i++)
		folded[i] =
			part.at[i] >= 'A' && part.at[i] <= 'Z' ? (char)(part.at[i] - 'A' + 'a') : part.at[i];
	if (!metadata_ask(md, query, &asking, err))
		return false;
	for (size_t i = 0; i < image_list_len(md->list); i++)
		add_with(&asking, image_list_at(md->list, i), str_from(folded, part.len), &hits);
	return answer(&asking, &hits, arena, ret, err);
}

/* ---- one ---- */

static bool no_such(struct error *err, const char *what)
{
	return error_set(err, ERROR_UNKNOWN, NULL, "%s not found", what);
}

bool metadata_repository(struct metadata *md, struct str name, const struct metadata_query *query,
	struct arena *arena, struct metadata_repository *ret, struct metadata_images *ret_images,
	struct error *err)
{
	struct metadata_query all = {
		.who = query->who, .sort = METADATA_UPDATE_TIME, .no_limit = true, .want = query->want
	};
	struct metadata_repository repository;
	struct hits hits = { .sort = METADATA_UPDATE_TIME, .by_name = true };
	struct metadata_images images;
	struct list_repository *one;
	struct asking asking;
	bool ok;

	metadata_freshen(md, name);
	if (!metadata_ask(md, &all, &asking, err))
		return false;
	one = image_list_find(md->list, name);
	ok = (one && metadata_may_see(&asking, one)) || no_such(err, "repository");
	if (ok)
		add_tags(&asking, one, 0, STR_NONE, &hits);
	ok = ok && metadata_fill_repository_locked(md, one, &all, arena, &repository, err) &&
	     metadata_page_locked(md, &all, &hits, NULL, arena, &images, err);
	hits_fini(&hits);
	if (!metadata_asked(md, ok, err))
		return false;
	*ret = repository;
	*ret_images = images;
	return true;
}

bool metadata_image(struct metadata *md, struct str name, struct str reference,
	const struct metadata_query *query, struct arena *arena, struct metadata_image *ret,
	struct error *err)
{
	struct image_of of = { .repository = NULL };
	struct metadata_image image;
	struct list_repository *one;
	struct digest digest;
	struct asking asking;
	AUTO_STR *tag = str_dup(reference);
	bool ok;

	if (digest_parse(reference, &digest, NULL))
		of.digest = &digest;
	else
		of.tag = tag;
	metadata_freshen(md, name);
	if (!metadata_ask(md, query, &asking, err))
		return false;
	one = image_list_find(md->list, name);
	ok = (one && metadata_may_see(&asking, one)) || no_such(err, "repository");
	of.repository = one;
	ok = ok && (metadata_fill_image_locked(md, &of, query->want, arena, &image, err));
	if (!metadata_asked(md, ok, err))
		return false;
	*ret = image;
	return true;
}

bool metadata_referrers(struct metadata *md, struct str name, const struct digest *subject,
	const struct str *types, size_t types_len, const struct metadata_who *who, struct arena *arena,
	const struct metadata_referrer **ret, size_t *ret_len, struct error *err)
{
	const struct metadata_query query = { .who = *who };
	const struct metadata_referrer *found = NULL;
	struct list_repository *one;
	struct asking asking;
	size_t len = 0;
	bool ok = true;

	metadata_freshen(md, name);
	if (!metadata_ask(md, &query, &asking, err))
		return false;
	one = image_list_find(md->list, name);
	if (one && metadata_may_see(&asking, one))
		ok = metadata_fill_referrers_locked(
			md, one->id, subject, types, types_len, arena, &found, &len, err);
	if (!metadata_asked(md, ok, err))
		return false;
	*ret = found;
	*ret_len = len;
	return true;
}
