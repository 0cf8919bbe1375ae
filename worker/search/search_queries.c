/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_queries - the fields of Query: each asks the metadata one question, and its answer is put before the records go.
 *
 * Source  zot: pkg/extensions/search/resolver.go; its order of checks and its defaults.
 */
#include "common/clock.h"
#include "proto/image_facts.h"
#include "worker/search/search_priv.h"

#define RESOLVER(name) bool search_##name(struct graphql_call *call, const void *object, struct error *err)
#define TEXT_MAX       METADATA_TEXT_MAX
#define FILTERS_MAX    100u

RESOLVER(no_cve)
{
	(void)call, (void)object;
	return error_set(err, ERROR_INVALID, NULL, "cve search is disabled");
}

/* ---- one question ---- */

struct question {
	struct arena arena;
	struct metadata *metadata;
	struct metadata_query query;
};

static void question_fini(struct question *question)
{
	arena_fini(&question->arena);
}

/* What costs is read only where it is asked for, however deep. */
static unsigned want_of(const struct graphql_selected *selected)
{
	static const struct {
		const char *name;
		unsigned want;
	} costs[] = { { "Layers", METADATA_LAYERS }, { "History", METADATA_HISTORY | METADATA_LAYERS },
		{ "Referrers", METADATA_REFERRERS }, { "NewestImage", METADATA_NEWEST } };
	unsigned want = 0;

	for (const struct graphql_selected *s = graphql_selected_first(selected); s;
		s = graphql_selected_next(s)) {
		for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++)
			if (str_is(graphql_selected_name(s), costs[i].name))
				want |= costs[i].want;
		want |= want_of(s);
	}
	return want;
}

static bool begin(struct graphql_call *call, struct question *question, struct error *err)
{
	struct search_asking *asking = graphql_call_context(call);

	if (++asking->questions > SEARCH_QUESTIONS_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL, "one query asks %u questions at most",
			SEARCH_QUESTIONS_MAX);
	if (clock_ms() > asking->until_ms)
		return error_set(err, ERROR_TIMEOUT, NULL, "the questions before this one took %d s",
			SEARCH_TIME_MS / 1000);
	if (asking->ask->others)
		graphql_complain(call,
			"other members of the cluster were not asked: this is of the repositories of one",
			STR_NONE);
	question->arena = arena_limit(SEARCH_ARENA_MAX);
	question->metadata = asking->metadata;
	question->query = (struct metadata_query){
		.who = asking->ask->who, .no_limit = true, .want = want_of(graphql_call_selected(call))
	};
	return true;
}

static const struct graphql_value *member(const struct graphql_value *object, const char *name)
{
	return graphql_value_find(object, str_of(name));
}

static bool take_sort(const struct graphql_value *page, enum search_sort otherwise,
	struct metadata_query *query, struct error *err)
{
	switch ((enum search_sort)graphql_value_int(member(page, "sortBy"), otherwise)) {
	case SEARCH_RELEVANCE:
		query->sort = METADATA_RELEVANCE;
		return true;
	case SEARCH_UPDATE_TIME:
		query->sort = METADATA_UPDATE_TIME;
		return true;
	case SEARCH_ALPHABETIC_ASC:
		query->sort = METADATA_ALPHABETIC_ASC;
		return true;
	case SEARCH_ALPHABETIC_DSC:
		query->sort = METADATA_ALPHABETIC_DSC;
		return true;
	case SEARCH_DOWNLOADS:
		query->sort = METADATA_DOWNLOADS;
		return true;
	case SEARCH_SEVERITY:
	case SEARCH_STARS:
		break;
	}
	return error_set(err, ERROR_INVALID, NULL, "sorting by %.*s is not supported",
		STR_ARGS(graphql_value_str(member(page, "sortBy"))));
}

/* No page, or one of 0 from 0: everything. The offset counts items. */
static bool take_page(struct graphql_call *call, enum search_sort otherwise, struct metadata_query *query,
	struct error *err)
{
	const struct graphql_value *page = graphql_argument(call, "requestedPage");
	int64_t limit = graphql_value_int(member(page, "limit"), 0);
	int64_t offset = graphql_value_int(member(page, "offset"), 0);

	if (limit < 0 || offset < 0)
		return error_set(err, ERROR_INVALID, NULL, "%s is %lld, and may not be negative",
			limit < 0 ? "limit" : "offset", (long long)(limit < 0 ? limit : offset));
	query->limit = (size_t)limit;
	query->offset = (size_t)offset;
	query->no_limit = !limit && !offset;
	return take_sort(page, otherwise, query, err);
}

static void lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text | 0x20);
}

static bool take_list(const struct graphql_value *list, const char *name, struct question *question,
	const struct str **ret, size_t *ret_len, struct error *err)
{
	struct str *texts = arena_take(&question->arena, FILTERS_MAX * sizeof(*texts));
	size_t len = 0;

	if (!graphql_value_given(list) || !texts)
		return true;
	question->query.by_platform = true;
	for (const struct graphql_value *item = list->first; item; item = item->next) {
		struct str text = str_trim(graphql_value_str(item));
		char *copy;

		if (text.len > TEXT_MAX || len == FILTERS_MAX)
			return error_set(err, ERROR_INVALID, NULL,
				"%s has more than %u texts, or one of more than %u bytes", name, FILTERS_MAX,
				TEXT_MAX);
		if (!text.len)
			continue;
		copy = arena_text(&question->arena, text);
		if (!copy)
			return error_set(err, ERROR_TOO_LARGE, NULL, "%s is too large", name);
		lower(copy);
		texts[len++] = str_of(copy);
	}
	*ret = texts;
	*ret_len = len;
	return true;
}

static bool take_filter(struct graphql_call *call, struct question *question, struct error *err)
{
	const struct graphql_value *filter = graphql_argument(call, "filter");
	struct metadata_query *query = &question->query;

	query->is_signed = graphql_value_bool(member(filter, "HasToBeSigned"), false);
	query->is_starred = graphql_value_bool(member(filter, "IsStarred"), false);
	query->is_bookmarked = graphql_value_bool(member(filter, "IsBookmarked"), false);
	return take_list(member(filter, "Os"), "Os", question, &query->os, &query->os_len, err) &&
	       take_list(member(filter, "Arch"), "Arch", question, &query->arch, &query->arch_len, err);
}

static bool put_images(struct graphql_call *call, const struct metadata_images *images)
{
	const struct search_list list = { .images = *images };

	if (images->cut)
		graphql_complain(call,
			"over 10,000 manifests have what was looked for; these are some of them", STR_NONE);
	graphql_put_object(call, &list);
	return true;
}

static bool put_repositories(struct graphql_call *call, const struct metadata_repositories *repos)
{
	graphql_put_object(call, &(const struct search_list){ .of_repos = true, .repos = *repos });
	return true;
}

/* ---- lists ---- */

RESOLVER(image_list_for_digest)
{
	AUTO_FINI(question) q = { 0 };
	AUTO_FINI(buf) start = buf_limit(TEXT_MAX + 8);
	struct str id = str_trim(graphql_value_str(graphql_argument(call, "id")));
	struct metadata_images images;

	(void)object;
	if (!memchr(id.len ? id.at : "", ':', id.len))
		buf_puts(&start, "sha256:");
	buf_add(&start, id);
	return buf_check(&start, "id", err) && begin(call, &q, err) &&
	       take_page(call, SEARCH_RELEVANCE, &q.query, err) &&
	       metadata_by_digest(q.metadata, buf_str(&start), &q.query, &q.arena, &images, err) &&
	       put_images(call, &images);
}

RESOLVER(image_list)
{
	AUTO_FINI(question) q = { 0 };
	struct str name = graphql_value_str(graphql_argument(call, "repo"));
	struct metadata_images images;

	(void)object;
	return begin(call, &q, err) && take_page(call, SEARCH_RELEVANCE, &q.query, err) &&
	       metadata_images(q.metadata, name.len ? name : STR_NONE, &q.query, &q.arena, &images, err) &&
	       put_images(call, &images);
}

static bool put_repo_list(struct graphql_call *call, bool starred, bool bookmarked, struct error *err)
{
	AUTO_FINI(question) q = { 0 };
	struct metadata_repositories repos;

	if (!begin(call, &q, err) || !take_page(call, SEARCH_UPDATE_TIME, &q.query, err))
		return false;
	q.query.is_starred = starred;
	q.query.is_bookmarked = bookmarked;
	q.query.untagged_too = starred || bookmarked;
	return metadata_repositories(q.metadata, STR(""), &q.query, &q.arena, &repos, err) &&
	       put_repositories(call, &repos);
}

RESOLVER(repo_list)
{
	(void)object;
	return put_repo_list(call, false, false, err);
}

RESOLVER(starred_repos)
{
	(void)object;
	return put_repo_list(call, true, false, err);
}

RESOLVER(bookmarked_repos)
{
	(void)object;
	return put_repo_list(call, false, true, err);
}

/* ---- what is typed into one line ---- */

static bool search_images(struct graphql_call *call, struct question *q, struct str text, struct error *err)
{
	struct metadata_images images;
	struct str name, rest = text;

	if (str_starts(text, "sha256:"))
		return metadata_by_digest(q->metadata, text, &q->query, &q->arena, &images, err) &&
		       put_images(call, &images);
	if (!str_until(&rest, ':', &name) || memchr(rest.len ? rest.at : "", ':', rest.len))
		return error_set(err, ERROR_INVALID, NULL,
			"the query is no name, no name:tag, no :tag and no sha256:..., which can be searched "
			"for");
	if (!name.len)
		return metadata_by_tag_part(q->metadata, rest, &q->query, &q->arena, &images, err) &&
		       put_images(call, &images);
	return metadata_by_tag_start(q->metadata, name, rest, &q->query, &q->arena, &images, err) &&
	       put_images(call, &images);
}

/* Blanks and slashes around it do not count. */
static struct str trimmed(struct str text)
{
	text = str_trim(text);
	while (text.len && text.at[0] == '/')
		text = str_from(text.at + 1, text.len - 1);
	while (text.len && text.at[text.len - 1] == '/')
		text.len--;
	return text;
}

RESOLVER(global_search)
{
	AUTO_FINI(question) q = { 0 };
	struct str given = graphql_value_str(graphql_argument(call, "query")), text;
	struct metadata_repositories repos;
	char *copy;

	(void)object;
	if (given.len > TEXT_MAX)
		return error_set(err, ERROR_INVALID, NULL, "query has %zu bytes, over the limit of %u",
			given.len, TEXT_MAX);
	if (!begin(call, &q, err) || !take_page(call, SEARCH_RELEVANCE, &q.query, err) ||
		!take_filter(call, &q, err))
		return false;
	copy = arena_text(&q.arena, trimmed(given));
	if (!copy)
		return error_set(err, ERROR_TOO_LARGE, NULL, "query is too large");
	lower(copy);
	text = str_of(copy);
	if (strpbrk(copy, ":@"))
		return search_images(call, &q, text, err);
	return metadata_repositories(q.metadata, text, &q.query, &q.arena, &repos, err) &&
	       put_repositories(call, &repos);
}

/* ---- one repository, one image ---- */

RESOLVER(expanded_repo_info)
{
	AUTO_FINI(question) q = { 0 };
	struct search_asking *asking = graphql_call_context(call);
	struct search_info info;

	(void)object;
	if (!begin(call, &q, err))
		return false;
	q.query.sort = METADATA_UPDATE_TIME;
	q.query.want |=
		METADATA_NEWEST * (graphql_selected_find(graphql_call_selected(call), "Summary") != NULL);
	if (!metadata_repository(q.metadata, graphql_value_str(graphql_argument(call, "repo")), &q.query,
		    &q.arena, &info.summary, &info.images, err))
		return false;
	asking->tells_deletable = true;
	graphql_put_object(call, &info);
	asking->tells_deletable = false;
	return true;
}

/* "repo:tag", "repo@digest". */
static bool find_image(
	struct graphql_call *call, struct question *q, struct metadata_image *ret, struct error *err)
{
	struct str text = graphql_value_str(graphql_argument(call, "image")), name, reference = text;

	if (!str_until(&reference, '@', &name) && !str_until(&reference, ':', &name))
		return error_set(err, ERROR_INVALID, NULL, "no reference provided: image is repo:tag");
	return metadata_image(q->metadata, name, reference, &q->query, &q->arena, ret, err);
}

RESOLVER(image)
{
	AUTO_FINI(question) q = { 0 };
	struct metadata_image image;

	(void)object;
	if (!begin(call, &q, err) || !find_image(call, &q, &image, err))
		return false;
	graphql_put_object(call, &image);
	return true;
}

/* ---- images on top of each other ---- */

typedef bool compare_f(struct metadata *metadata, const struct metadata_reference *references, size_t len,
	const struct metadata_query *query, struct arena *arena, struct metadata_images *ret,
	struct error *err);

/* All manifests of the image, or the one that `digest` says. */
static bool take_references(struct graphql_call *call, struct question *q, struct metadata_reference **ret,
	size_t *ret_len, struct error *err)
{
	struct str wanted = graphql_value_str(graphql_argument(call, "digest"));
	struct metadata_image image;
	unsigned want = q->query.want;

	q->query.want = METADATA_LAYERS;
	if (!find_image(call, q, &image, err))
		return false;
	q->query.want = want;
	*ret = arena_take(&q->arena, (image.manifests_len + 1) * sizeof(**ret));
	if (!*ret)
		return error_set(err, ERROR_TOO_LARGE, NULL, "the image has too many manifests");
	*ret_len = 0;
	for (size_t i = 0; i < image.manifests_len; i++) {
		const struct metadata_manifest *manifest = &image.manifests[i];
		char digest[DIGEST_TEXT_SIZE];

		digest_format(&manifest->digest, digest);
		if (!wanted.len || str_is(wanted, digest))
			(*ret)[(*ret_len)++] = (struct metadata_reference){ manifest->digest,
				manifest->layers, manifest->layers_len };
	}
	return true;
}

static bool compare(struct graphql_call *call, compare_f *how, struct error *err)
{
	AUTO_FINI(question) q = { 0 };
	struct metadata_reference *references = NULL;
	struct metadata_images images;
	size_t len = 0;

	return begin(call, &q, err) && take_references(call, &q, &references, &len, err) &&
	       take_page(call, SEARCH_UPDATE_TIME, &q.query, err) &&
	       how(q.metadata, references, len, &q.query, &q.arena, &images, err) &&
	       put_images(call, &images);
}

RESOLVER(derived_image_list)
{
	(void)object;
	return compare(call, metadata_derived, err);
}

RESOLVER(base_image_list)
{
	(void)object;
	return compare(call, metadata_bases, err);
}

/* ---- referrers ---- */

/* None, or "" among them: all. */
static bool take_types(struct graphql_call *call, struct question *q, const struct str **ret, size_t *ret_len,
	struct error *err)
{
	const struct graphql_value *list = graphql_argument(call, "type");
	struct str *types = arena_take(&q->arena, FILTERS_MAX * sizeof(*types));

	*ret = types;
	*ret_len = 0;
	if (!graphql_value_given(list) || !types)
		return true;
	for (const struct graphql_value *item = list->first; item; item = item->next) {
		if (!graphql_value_str(item).len) {
			*ret_len = 0;
			return true;
		}
		if (*ret_len == FILTERS_MAX)
			return error_set(
				err, ERROR_INVALID, NULL, "type has more than %u texts", FILTERS_MAX);
		types[(*ret_len)++] = graphql_value_str(item);
	}
	return true;
}

RESOLVER(referrers)
{
	AUTO_FINI(question) q = { 0 };
	const struct metadata_referrer *referrers = NULL;
	const struct str *types = NULL;
	struct digest subject;
	size_t types_len = 0, len = 0;

	(void)object;
	if (!digest_parse(graphql_value_str(graphql_argument(call, "digest")), &subject, err))
		return error_add(err, "digest");
	if (!begin(call, &q, err) || !take_types(call, &q, &types, &types_len, err) ||
		!metadata_referrers(q.metadata, graphql_value_str(graphql_argument(call, "repo")), &subject,
			types, types_len, &q.query.who, &q.arena, &referrers, &len, err))
		return false;
	search_put_referrers(call, referrers, len);
	return true;
}
