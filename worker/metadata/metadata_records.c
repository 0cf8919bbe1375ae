/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata_records - what is told of an image or a repository: rows of the file, put into the caller's arena.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/least.h"
#include "worker/metadata/metadata_priv.h"

#define SCRATCH_MAX (4 * IMAGE_FACTS_ARENA)

/* Filling: `arena` is the caller's, `scratch` is given back behind each image. */
struct fill {
	struct metadata *md;
	int64_t repository;
	const struct index *view; /* NULL: not in memory */
	unsigned want;
	struct arena *arena, *scratch;
	const char *author; /* the last that was kept */
	bool full;
};

static void *take(struct fill *fill, size_t len, size_t size)
{
	void *at = len ? arena_take(fill->arena, len * size) : NULL;

	fill->full |= len && !at;
	return at;
}

static const char *keep(struct fill *fill, const char *text)
{
	const char *copy = text && *text ? arena_text(fill->arena, str_of(text)) : "";

	fill->full |= !copy;
	return copy ? copy : "";
}

static bool does_fit(const struct fill *fill, struct error *err)
{
	return !fill->full ||
	       error_set(err, ERROR_TOO_LARGE, NULL, "the answer is too large; ask for fewer at a time");
}

bool metadata_resolve_locked(struct metadata *md, int64_t repository, struct str tag, struct digest *ret,
	bool *ret_found, struct error *err)
{
	struct sql q = sql_of(md->db, "SELECT m.digest FROM tag t JOIN manifest m ON m.id = t.manifest WHERE "
				      "t.repository = ? AND t.name = ?");

	lock_assert(&md->lock);
	*ret_found = false;
	sql_int(&q, repository);
	sql_str(&q, tag);
	while (sql_next(&q))
		*ret_found = metadata_digest_of_raw(sql_column_bytes(&q, 0), ret);
	return sql_end(&q, err);
}

/* ---- signatures ---- */

struct found_signatures {
	const struct metadata_signature *at;
	size_t len;
};

#define SIGNATURES_MAX 1000u

/* A manifest that signs something, and how many layers it has: each is one signature. */
struct signing {
	int64_t id;
	unsigned layers;
	bool is_notation;
};
struct signings {
	struct signing at[SIGNATURES_MAX];
	size_t len;
	unsigned layers; /* of all */
};

/* Those of cosign first. */
static bool find_signings(
	struct fill *fill, const struct digest *digest, struct signings *into, struct error *err)
{
	struct sql q = sql_of(fill->md->db,
		"SELECT m.id, max(m.layers, 1), 0 FROM tag t JOIN manifest m ON m.id = t.manifest WHERE "
		"t.repository = ?1 AND t.name = ?3 "
		"UNION ALL SELECT id, max(layers, 1), signs = 1 FROM manifest WHERE repository = ?1 AND "
		"subject = ?2 AND signs "
		"ORDER BY 3");
	char name[8 + 64 + 5] = "", hex[129];

	digest_encoded(digest, hex);
	if (digest->alg == HASH_SHA256)
		(void)snprintf(name, sizeof(name), "sha256-%.64s.sig", hex);
	sql_int(&q, fill->repository);
	sql_bytes(&q, metadata_digest_raw(digest));
	sql_text(&q, name);
	while (sql_next(&q)) {
		uint64_t layers = least(sql_column_count(&q, 1), SIGNATURES_MAX - into->layers);

		if (!layers)
			continue;
		into->at[into->len++] = (struct signing){ .id = sql_column_int(&q, 0),
			.layers = (unsigned)layers,
			.is_notation = sql_column_int(&q, 2) };
		into->layers += (unsigned)layers;
	}
	return sql_end(&q, err);
}

/* The same author has made most of what is told. */
static const char *keep_author(struct fill *fill, const char *author)
{
	if (!fill->author || strcmp(fill->author, author) != 0)
		fill->author = keep(fill, author);
	return fill->author;
}

/* What was proven of them, for this image. */
static bool fill_proven(struct fill *fill, const struct digest *digest, const struct signing *signing,
	struct metadata_signature *list, struct error *err)
{
	struct sql q = sql_of(fill->md->db,
		"SELECT nth, author, from_ms, until_ms FROM signature WHERE manifest = ? AND target = ?");
	int64_t now = clock_wall_ms();

	sql_int(&q, signing->id);
	sql_bytes(&q, metadata_digest_raw(digest));
	while (sql_next(&q)) {
		uint64_t nth = sql_column_count(&q, 0);
		int64_t from = sql_column_int(&q, 2), until = sql_column_int(&q, 3);

		if (nth >= signing->layers)
			continue;
		list[nth].author = keep_author(fill, sql_column_text(&q, 1));
		list[nth].is_trusted = now >= from && (!until || now < until);
	}
	return sql_end(&q, err);
}

static bool fill_signings(struct fill *fill, const struct digest *digest, const struct signings *signings,
	struct metadata_signature *list, struct error *err)
{
	bool ok = true;
	size_t at = 0;

	for (size_t i = 0; i < signings->len; i++) {
		const struct signing *one = &signings->at[i];

		for (size_t n = 0; n < one->layers; n++)
			list[at + n] =
				(struct metadata_signature){ .tool = one->is_notation ? "notation" : "cosign",
					.author = "" };
		ok = ok && (!fill->md->settings.trust_by || fill_proven(fill, digest, one, list + at, err));
		at += one->layers;
	}
	return ok;
}

/* One for each layer of each manifest that signs it. */
static bool fill_signatures(
	struct fill *fill, const struct digest *digest, struct found_signatures *ret, struct error *err)
{
	struct signings *signings = xnew(struct signings);
	struct metadata_signature *list;
	bool ok = find_signings(fill, digest, signings, err);

	list = take(fill, ok ? signings->layers : 0, sizeof(*list));
	ret->at = list;
	ret->len = list ? signings->layers : 0;
	ok = ok && (!list || fill_signings(fill, digest, signings, list, err));
	free(signings);
	return ok;
}

/* ---- referrers ---- */

static const struct annotation *keep_annotations(
	struct fill *fill, const struct image_facts *facts, size_t *ret_len)
{
	struct annotation *list = take(fill, facts->annotations_len, sizeof(*list));

	*ret_len = list ? facts->annotations_len : 0;
	for (size_t i = 0; i < *ret_len; i++) {
		list[i].key = (char *)(uintptr_t)keep(fill, facts->annotations[i].key);
		list[i].value = (char *)(uintptr_t)keep(fill, facts->annotations[i].value);
	}
	return list;
}

static bool is_of(const char *type, const struct str *types, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!types[i].len || str_is(types[i], type))
			return true;
	return !len;
}

static bool fill_referrer(struct fill *fill, int64_t id, struct metadata_referrer *into, struct error *err)
{
	AUTO_FINI(arena) scratch = arena_limit(2 * IMAGE_FACTS_ARENA);
	struct manifest_row row;
	int64_t ignored;
	bool found;

	if (!metadata_row_by_id_locked(fill->md, id, &ignored, &scratch, &row, &found, err))
		return false;
	*into = (struct metadata_referrer){ .media_type = keep(fill, found ? row.media_type : ""),
		.artifact_type = keep(fill, found ? row.artifact_type : ""),
		.digest = row.digest,
		.size = row.size };
	if (found && row.has_facts)
		into->annotations = keep_annotations(fill, &row.facts, &into->annotations_len);
	return true;
}

#define REFERRERS_MAX 10000u

/* Ids, by digest. Signatures are told as such. */
static bool list_referrers(struct fill *fill, const struct digest *subject, const struct str *types,
	size_t types_len, int64_t **ret, size_t *ret_len, struct error *err)
{
	struct sql q = sql_of(fill->md->db, "SELECT id, artifact_type FROM manifest WHERE repository = ? AND "
					    "subject = ? AND NOT signs ORDER BY digest");
	int64_t *list = NULL;
	size_t len = 0, room = 0;

	sql_int(&q, fill->repository);
	sql_bytes(&q, metadata_digest_raw(subject));
	while (sql_next(&q)) {
		if (!is_of(sql_column_text(&q, 1), types, types_len))
			continue;
		if (len == REFERRERS_MAX) {
			fill->full = true;
			break;
		}
		if (len == room) {
			room = room ? 2 * room : 16;
			list = realloc(list, room * sizeof(*list));
			CHECK(list);
		}
		list[len++] = sql_column_int(&q, 0);
	}
	*ret = list;
	*ret_len = len;
	return sql_end(&q, err);
}

static bool fill_referrers(struct fill *fill, const struct digest *subject, const struct str *types,
	size_t types_len, const struct metadata_referrer **ret, size_t *ret_len, struct error *err)
{
	struct metadata_referrer *into;
	int64_t *ids;
	size_t len;
	bool ok = list_referrers(fill, subject, types, types_len, &ids, &len, err);

	into = take(fill, ok ? len : 0, sizeof(*into));
	for (size_t i = 0; ok && into && i < len; i++)
		ok = fill_referrer(fill, ids[i], &into[i], err);
	*ret = into;
	*ret_len = into ? len : 0;
	free(ids);
	return ok;
}

bool metadata_fill_referrers_locked(struct metadata *md, int64_t repository, const struct digest *subject,
	const struct str *types, size_t types_len, struct arena *arena, const struct metadata_referrer **ret,
	size_t *ret_len, struct error *err)
{
	struct fill fill = { .md = md, .repository = repository, .arena = arena };

	return fill_referrers(&fill, subject, types, types_len, ret, ret_len, err) && does_fit(&fill, err);
}

/* ---- manifests ---- */

static void keep_layers(struct fill *fill, const struct image_facts *facts, struct metadata_manifest *into)
{
	struct image_layer *list = take(fill, facts->layers_len, sizeof(*list));

	into->layers = list;
	into->layers_len = list ? facts->layers_len : 0;
	if (list)
		memcpy(list, facts->layers, facts->layers_len * sizeof(*list));
}

static void keep_history(struct fill *fill, const struct image_facts *facts, struct metadata_manifest *into)
{
	struct image_history *list = take(fill, facts->history_len, sizeof(*list));

	into->history = list;
	into->history_len = list ? facts->history_len : 0;
	into->history_differs = facts->history_differs;
	for (size_t i = 0; i < into->history_len; i++) {
		list[i] = facts->history[i];
		list[i].created_by = keep(fill, facts->history[i].created_by);
		list[i].author = keep(fill, facts->history[i].author);
		list[i].comment = keep(fill, facts->history[i].comment);
	}
}

/* What was pulled since the rows were written. */
static uint64_t pulls_of(const struct fill *fill, const struct manifest_row *row)
{
	struct index_stats stats;

	return fill->view && index_digest_stats(fill->view, &row->digest, &stats) ? stats.pulls : row->pulls;
}

static bool fill_manifest(
	struct fill *fill, const struct manifest_row *row, struct metadata_manifest *into, struct error *err)
{
	struct found_signatures signatures;

	*into = (struct metadata_manifest){ .digest = row->digest,
		.size = row->size,
		.downloads = pulls_of(fill, row),
		.platform = { "", "" },
		.artifact_type = "" };
	if (!fill_signatures(fill, &row->digest, &signatures, err))
		return false;
	into->signatures = signatures.at;
	into->signatures_len = signatures.len;
	if ((fill->want & METADATA_REFERRERS) &&
		!fill_referrers(fill, &row->digest, NULL, 0, &into->referrers, &into->referrers_len, err))
		return false;
	if (!row->has_facts)
		return true;
	into->has_config = row->facts.has_config;
	into->config = row->facts.config_digest;
	into->updated_ms = row->facts.created_ms;
	into->size = row->facts.size;
	into->platform = (struct metadata_platform){ keep(fill, row->facts.os), keep(fill, row->facts.arch) };
	into->artifact_type = keep(fill, row->facts.artifact_type);
	if (fill->want & METADATA_LAYERS)
		keep_layers(fill, &row->facts, into);
	if (fill->want & METADATA_HISTORY)
		keep_history(fill, &row->facts, into);
	return true;
}

static bool is_wanted(const struct image_of *of, const struct digest *digest)
{
	for (size_t i = 0; i < of->only_len; i++)
		if (digest_equal(&of->only[i], digest))
			return true;
	return !of->only_len;
}

/* ---- an image ---- */

/* An index says less than its members: what it does not say is what the first of them does. */
struct said {
	const struct image_facts *own, *first;
};
#define SAID(said, field) (*(said).own->field || !(said).first ? (said).own->field : (said).first->field)

static void keep_texts(struct fill *fill, const struct said *said, struct metadata_image *into)
{
	into->title = keep(fill, SAID(*said, title));
	into->description = keep(fill, SAID(*said, description));
	into->licenses = keep(fill, SAID(*said, licenses));
	into->labels = keep(fill, SAID(*said, labels));
	into->source = keep(fill, SAID(*said, source));
	into->documentation = keep(fill, SAID(*said, documentation));
	into->vendor = keep(fill, SAID(*said, vendor));
	into->authors = keep(fill, SAID(*said, authors));
}

/* The first member that says something is kept in the scratch. */
struct first {
	struct image_facts facts;
	bool is;
};

/* One that lies in the repository. */
static bool fill_member(struct fill *fill, const struct image_of *of, const struct digest *digest,
	bool takes_time, struct first *first, struct metadata_manifest *list, struct metadata_image *into,
	struct error *err)
{
	AUTO_FINI(arena) own = arena_limit(2 * IMAGE_FACTS_ARENA);
	struct manifest_row member;
	bool found = false;

	if (!metadata_row_by_digest_locked(fill->md, fill->repository, digest,
		    first->is ? &own : fill->scratch, &member, &found, err))
		return false;
	if (!found || member.kind == MANIFEST_INDEX)
		return true;
	into->size += member.has_facts ? member.facts.size : member.size;
	if (member.has_facts && !first->is)
		*first = (struct first){ member.facts, true };
	if (member.has_facts && takes_time && member.facts.created_ms > into->updated_ms)
		into->updated_ms = member.facts.created_ms;
	return !is_wanted(of, &member.digest) ||
	       fill_manifest(fill, &member, &list[into->manifests_len++], err);
}

static bool fill_members(struct fill *fill, const struct image_of *of, const struct manifest_row *row,
	struct first *first, struct metadata_image *into, struct error *err)
{
	size_t len = row->facts.members_len;
	struct metadata_manifest *list = take(fill, len, sizeof(*list));
	bool ok = true;

	into->manifests = list;
	into->size = 0;
	for (size_t i = 0; ok && list && i < len; i++)
		ok = fill_member(fill, of, &row->facts.members[i].digest, !row->facts.created_ms, first, list,
			into, err);
	return ok;
}

static bool fill_facts(struct fill *fill, const struct image_of *of, const struct manifest_row *row,
	struct metadata_image *into, struct error *err)
{
	struct first first = { .is = false };
	bool ok = true;
	struct said said = { .own = &row->facts };

	into->updated_ms = row->facts.created_ms;
	into->artifact_type = keep(fill, row->facts.own_type);
	into->size = row->facts.size;
	if (row->kind == MANIFEST_INDEX)
		ok = fill_members(fill, of, row, &first, into, err);
	said.first = first.is ? &first.facts : NULL;
	keep_texts(fill, &said, into);
	return ok;
}

static bool fill_own_manifest(
	struct fill *fill, const struct manifest_row *row, struct metadata_image *into, struct error *err)
{
	struct metadata_manifest *own = take(fill, 1, sizeof(*own));

	into->manifests = own;
	into->manifests_len = own ? 1 : 0;
	return !own || fill_manifest(fill, row, own, err);
}

static void fill_stats(struct fill *fill, const struct image_of *of, const struct manifest_row *row,
	struct metadata_image *into)
{
	struct index_stats stats = { .pulls = row->pulls,
		.pulled_ms = row->pulled_ms,
		.pushed_ms = row->pushed_ms,
		.pushed_by = row->pushed_by };
	struct index_stats tagged = { .pushed_ms = 0 };

	if (fill->view) {
		(void)!index_digest_stats(fill->view, &row->digest, &stats);
		if (of->tag)
			(void)!index_tag_stats(fill->view, str_of(of->tag), &tagged);
	} else if (of->tag) {
		size_t at = list_tag_find(of->repository, str_of(of->tag));

		if (at < of->repository->tags_len && !strcmp(list_tag_name(of->repository, at), of->tag))
			tagged.pushed_ms = of->repository->tags[at].tagged_ms;
	}
	into->downloads = stats.pulls;
	into->pulled_ms = stats.pulled_ms;
	into->pushed_ms = stats.pushed_ms;
	into->pushed_by = keep(fill, stats.pushed_by);
	into->tagged_ms = tagged.pushed_ms ? tagged.pushed_ms : stats.pushed_ms;
}

static bool fill_row(struct fill *fill, const struct image_of *of, const struct manifest_row *row,
	struct metadata_image *into, struct error *err)
{
	struct found_signatures signatures;

	*into = (struct metadata_image){ .repository = keep(fill, of->repository->name),
		.tag = keep(fill, of->tag),
		.digest = row->digest,
		.media_type = keep(fill, row->media_type),
		.size = row->size,
		.title = "",
		.description = "",
		.licenses = "",
		.labels = "",
		.source = "",
		.documentation = "",
		.vendor = "",
		.authors = "",
		.artifact_type = "" };
	fill_stats(fill, of, row, into);
	if (!fill_signatures(fill, &row->digest, &signatures, err))
		return false;
	into->signatures = signatures.at;
	into->signatures_len = signatures.len;
	if ((fill->want & METADATA_REFERRERS) &&
		!fill_referrers(fill, &row->digest, NULL, 0, &into->referrers, &into->referrers_len, err))
		return false;
	if (row->has_facts && !fill_facts(fill, of, row, into, err))
		return false;
	return row->kind == MANIFEST_INDEX || fill_own_manifest(fill, row, into, err);
}

bool metadata_fill_image_locked(struct metadata *md, const struct image_of *of, unsigned want,
	struct arena *arena, struct metadata_image *ret, struct error *err)
{
	AUTO_FINI(arena) scratch = arena_limit(SCRATCH_MAX);
	AUTO(index) *view = registry_peek(md->settings.registry, str_of(of->repository->name));
	struct fill fill = { .md = md,
		.repository = of->repository->id,
		.view = view,
		.want = want,
		.arena = arena,
		.scratch = &scratch };
	struct manifest_row row;
	struct digest digest;
	bool found = true;

	if (of->digest)
		digest = *of->digest;
	else if (!metadata_resolve_locked(md, of->repository->id, str_of(of->tag), &digest, &found, err))
		return false;
	if (found &&
		!metadata_row_by_digest_locked(md, of->repository->id, &digest, &scratch, &row, &found, err))
		return false;
	if (!found)
		return error_set(err, ERROR_UNKNOWN, NULL, "there is no such image");
	return fill_row(&fill, of, &row, ret, err) && does_fit(&fill, err);
}

/* ---- a repository ---- */

/* Of all tags, each once, in the order they are met. */
static void keep_platforms(
	struct fill *fill, const struct list_repository *of, struct metadata_repository *into)
{
	AUTO(map) *seen = map_new();
	struct metadata_platform *list;
	struct str key;
	size_t len = 0;
	uint32_t last = UINT32_MAX;
	void *ignored;

	for (size_t i = 0; i < of->tags_len && map_len(seen) < 1000; i++) {
		if (of->tags[i].platforms == last)
			continue;
		last = of->tags[i].platforms;
		for (struct str rest = str_of(list_tag_platforms(of, i)), one; str_next(&rest, '\n', &one);)
			if (one.len)
				(void)map_put(seen, one, seen);
	}
	list = take(fill, map_len(seen), sizeof(*list));
	for (size_t at = 0; list && map_next(seen, &at, &key, &ignored); len++) {
		struct str os, arch = key;

		if (!str_until(&arch, '/', &os))
			os = STR_NONE;
		list[len].os = os.len ? arena_text(fill->arena, os) : "";
		list[len].arch = arch.len ? arena_text(fill->arena, arch) : "";
		if (!list[len].os || !list[len].arch) {
			fill->full = true;
			break;
		}
	}
	into->platforms = list;
	into->platforms_len = len;
}

static int compare_platforms(const void *a, const void *b)
{
	const struct metadata_platform *x = a, *y = b;
	int order = strcmp(x->os, y->os);

	return order ? order : strcmp(x->arch, y->arch);
}

static bool keep_vendors(struct fill *fill, struct metadata_repository *into, struct error *err)
{
	struct sql q = sql_of(fill->md->db, "SELECT vendors FROM repository WHERE id = ?");
	const char **list = NULL;
	size_t len = 0;

	sql_int(&q, fill->repository);
	while (sql_next(&q)) {
		struct str all = sql_column_bytes(&q, 0), one;

		list = take(fill, all.len ? 101 : 0, sizeof(const char *));
		while (list && len < 100 && str_next(&all, '\n', &one))
			if (one.len && (list[len] = arena_text(fill->arena, one)) != NULL)
				len++;
	}
	into->vendors = list;
	into->vendors_len = len;
	return sql_end(&q, err);
}

static bool fill_newest(struct fill *fill, const struct list_repository *of,
	const struct metadata_query *query, struct metadata_repository *into, struct error *err)
{
	struct metadata_image *newest = take(fill, 1, sizeof(*newest));
	const struct image_of image = { .repository = of, .tag = list_tag_name(of, of->newest) };

	into->newest = newest;
	return !newest || metadata_fill_image_locked(fill->md, &image, query->want, fill->arena, newest, err);
}

bool metadata_fill_repository_locked(struct metadata *md, const struct list_repository *of,
	const struct metadata_query *query, struct arena *arena, struct metadata_repository *ret,
	struct error *err)
{
	const struct metadata_who *who = &query->who;
	struct fill fill = { .md = md, .repository = of->id, .arena = arena };
	struct str name = str_of(of->name);

	*ret = (struct metadata_repository){ .name = keep(&fill, of->name),
		.updated_ms = of->updated_ms,
		.size = of->size,
		.downloads = of->pulls,
		.tags_len = of->tags_len,
		.is_starred = who->is_starred && who->is_starred(who->arg, name),
		.is_bookmarked = who->is_bookmarked && who->is_bookmarked(who->arg, name),
		.stars = who->stars ? (int64_t)who->stars(who->arg, name) : -1 };
	keep_platforms(&fill, of, ret);
	if (ret->platforms_len)
		qsort((void *)(uintptr_t)ret->platforms, ret->platforms_len, sizeof(*ret->platforms),
			compare_platforms);
	return keep_vendors(&fill, ret, err) &&
	       (!(query->want & METADATA_NEWEST) || of->newest == LIST_NONE ||
		       fill_newest(&fill, of, query, ret, err)) &&
	       does_fit(&fill, err);
}
