/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata_links - images by what they are made of: by a digest, by the layers that they begin with.
 *
 *     manifests that fit, by an index of the file --> the tags that name them, or an index that has them --> each image once, with the manifests that fit
 *
 * At most METADATA_MATCHES_MAX manifests are looked at, so that what all images have in common costs no more.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/least.h"
#include "worker/metadata/metadata_priv.h"

#define BASE_LAYERS_MAX 1000u

struct search {
	struct asking asking;
	struct hits hits;
	struct map *images; /* repository's id and tag -> its hit, from 1 */
	struct onlies *onlies;
	size_t onlies_len, onlies_room;
	int64_t *manifests; /* that fit, to be looked at */
	size_t len, room;
};

static void search_fini(struct search *search)
{
	hits_fini(&search->hits);
	map_free(search->images);
	free(search->onlies);
	free(search->manifests);
}

static void add_manifest(struct search *search, int64_t id)
{
	if (search->len == METADATA_MATCHES_MAX) {
		search->hits.cut = true;
		return;
	}
	if (search->len == search->room) {
		search->room = search->room ? 2 * search->room : 64;
		search->manifests = realloc(search->manifests, search->room * sizeof(*search->manifests));
		CHECK(search->manifests);
	}
	search->manifests[search->len++] = id;
}

/* ---- images of a manifest ---- */

static uint32_t add_only(struct search *search, const struct digest *digest, uint32_t next)
{
	if (search->onlies_len == search->onlies_room) {
		search->onlies_room = search->onlies_room ? 2 * search->onlies_room : 64;
		search->onlies = realloc(search->onlies, search->onlies_room * sizeof(*search->onlies));
		CHECK(search->onlies);
	}
	search->onlies[search->onlies_len++] = (struct onlies){ *digest, next };
	return (uint32_t)search->onlies_len;
}

/* only: NULL: all of its manifests are told. */
static void add_image(
	struct search *search, struct list_repository *repository, size_t tag, const struct digest *only)
{
	struct {
		int64_t id;
		size_t tag;
	} key = { repository->id, tag };
	struct str bytes = str_from((const char *)&key, sizeof(key));
	uintptr_t at = (uintptr_t)map_find(search->images, bytes);

	if (!at) {
		hits_add(&search->hits, repository, tag, 0);
		at = search->hits.len;
		(void)map_put(search->images, bytes, (void *)at);
	}
	if (only)
		search->hits.at[at - 1].only = add_only(search, only, search->hits.at[at - 1].only);
}

static bool add_tags_of(struct search *search, struct list_repository *repository, int64_t manifest,
	const struct digest *only, struct error *err)
{
	struct sql q = sql_of(search->asking.md->db, "SELECT name FROM tag WHERE manifest = ? AND shown");

	sql_int(&q, manifest);
	while (sql_next(&q)) {
		struct str name = sql_column_bytes(&q, 0);
		size_t at = list_tag_find(repository, name);

		if (at < repository->tags_len && str_is(name, list_tag_name(repository, at)) &&
			metadata_passes(search->asking.query, repository, at))
			add_image(search, repository, at, only);
	}
	return sql_end(&q, err);
}

static bool add_parents_of(struct search *search, struct list_repository *repository,
	const struct digest *digest, struct error *err)
{
	struct sql q =
		sql_of(search->asking.md->db, "SELECT parent FROM member WHERE repository = ? AND child = ?");
	bool ok = true;

	sql_int(&q, repository->id);
	sql_bytes(&q, metadata_digest_raw(digest));
	while (ok && sql_next(&q))
		ok = add_tags_of(search, repository, sql_column_int(&q, 0), digest, err);
	return sql_end(&q, ok ? err : NULL) && ok;
}

/* A manifest as far as it is needed here. */
struct light {
	int64_t repository;
	struct digest digest;
	bool is_index, found;
};

static bool look(struct search *search, int64_t id, struct light *ret, struct error *err)
{
	struct sql q =
		sql_of(search->asking.md->db, "SELECT repository, digest, kind FROM manifest WHERE id = ?");

	ret->found = false;
	sql_int(&q, id);
	while (sql_next(&q)) {
		ret->repository = sql_column_int(&q, 0);
		ret->found = metadata_digest_of_raw(sql_column_bytes(&q, 1), &ret->digest);
		ret->is_index = sql_column_int(&q, 2);
	}
	return sql_end(&q, err);
}

static bool add_images_of(struct search *search, int64_t id, const struct light *light, struct error *err)
{
	struct list_repository *repository = image_list_by_id(search->asking.md->list, light->repository);

	if (!repository || !metadata_may_see(&search->asking, repository))
		return true;
	return add_tags_of(search, repository, id, light->is_index ? NULL : &light->digest, err) &&
	       (light->is_index || add_parents_of(search, repository, &light->digest, err));
}

static int compare_ids(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* fits: is looked at once more, or NULL. */
typedef bool fits_f(struct search *search, void *arg, int64_t id, const struct light *light, bool *ret,
	struct error *err);

static bool add_all(struct search *search, fits_f *fits, void *arg, struct error *err)
{
	bool ok = true;

	if (search->len)
		qsort(search->manifests, search->len, sizeof(*search->manifests), compare_ids);
	for (size_t i = 0; ok && i < search->len; i++) {
		int64_t id = search->manifests[i];
		struct light light;
		bool does = true;

		if (i && id == search->manifests[i - 1])
			continue;
		ok = look(search, id, &light, err);
		if (ok && light.found && fits)
			ok = fits(search, arg, id, &light, &does, err);
		if (ok && light.found && does)
			ok = add_images_of(search, id, &light, err);
	}
	return ok;
}

static bool finish(
	struct search *search, bool ok, struct arena *arena, struct metadata_images *ret, struct error *err)
{
	struct metadata *md = search->asking.md;
	struct metadata_images page;

	ok = ok &&
	     metadata_page_locked(md, search->asking.query, &search->hits, search->onlies, arena, &page, err);
	if (!metadata_asked(md, ok, err))
		return false;
	*ret = page;
	return true;
}

/* ---- by digest ---- */

struct wanted {
	struct str text; /* "sha256:4f07" */
	struct digest low, high;
	size_t digits;
	bool is_whole;
};

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static uint8_t nibble(char c)
{
	return (uint8_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The digests that begin so lie between two. */
static bool read_start(struct str text, struct wanted *ret)
{
	struct wanted wanted = { .text = text };
	struct str rest = text, algorithm;
	enum hash_kind alg;

	if (!str_until(&rest, ':', &algorithm) || !digest_algorithm_parse(algorithm, &alg) ||
		rest.len < METADATA_DIGEST_LEAST || rest.len > (alg == HASH_SHA512 ? 128u : 64u))
		return false;
	memset(wanted.high.raw, 0xff, sizeof(wanted.high.raw));
	wanted.low.alg = wanted.high.alg = alg;
	for (size_t i = 0; i < rest.len; i++) {
		unsigned shift = i % 2 ? 0 : 4;

		if (!is_hex(rest.at[i]))
			return false;
		wanted.low.raw[i / 2] |= (uint8_t)(nibble(rest.at[i]) << shift);
		wanted.high.raw[i / 2] &= (uint8_t)((nibble(rest.at[i]) << shift) | (shift ? 0x0f : 0xf0));
	}
	wanted.digits = rest.len;
	wanted.is_whole = rest.len == (alg == HASH_SHA512 ? 128u : 64u);
	*ret = wanted;
	return true;
}

static bool begins(const struct digest *digest, const struct wanted *wanted)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	return str_starts(str_of(text), "sha") && strlen(text) >= wanted->text.len &&
	       !memcmp(text, wanted->text.at, wanted->text.len);
}

static bool row_begins(const struct manifest_row *row, const struct wanted *wanted)
{
	bool does = begins(&row->digest, wanted);

	if (!row->has_facts)
		return does;
	does = does || (row->facts.has_config && begins(&row->facts.config_digest, wanted));
	for (size_t i = 0; !does && i < row->facts.layers_len; i++)
		does = begins(&row->facts.layers[i].digest, wanted);
	return does;
}

#define HEAD_DIGITS 14u /* what metadata_head() tells apart */

/* An index by its whole digest; a manifest by more digits than the file sorts by. */
static bool fits_digest(
	struct search *search, void *arg, int64_t id, const struct light *light, bool *ret, struct error *err)
{
	AUTO_FINI(arena) scratch = arena_limit(2 * IMAGE_FACTS_ARENA);
	const struct wanted *wanted = arg;
	struct manifest_row row;
	int64_t repository;
	bool found;

	*ret = light->is_index ? wanted->is_whole && begins(&light->digest, wanted) : true;
	if (light->is_index || wanted->digits <= HEAD_DIGITS)
		return true;
	if (!metadata_row_by_id_locked(search->asking.md, id, &repository, &scratch, &row, &found, err))
		return false;
	*ret = found && row_begins(&row, wanted);
	return true;
}

static bool find_contents(struct search *search, const struct wanted *wanted, struct error *err)
{
	struct sql q = sql_of(search->asking.md->db,
		"SELECT manifest, head & 1 FROM content WHERE head BETWEEN ? AND ? LIMIT 20002");
	int64_t other = wanted->low.alg == HASH_SHA512 ? 0 : 1;

	sql_int(&q, metadata_head(&wanted->low) & ~INT64_C(1));
	sql_int(&q, metadata_head(&wanted->high) | 1);
	while (sql_next(&q))
		if (sql_column_int(&q, 1) != other)
			add_manifest(search, sql_column_int(&q, 0));
	return sql_end(&q, err);
}

bool metadata_by_digest(struct metadata *md, struct str start, const struct metadata_query *query,
	struct arena *arena, struct metadata_images *ret, struct error *err)
{
	AUTO_FINI(search) search = { .len = 0 };
	struct wanted wanted;
	bool ok;

	if (!read_start(start, &wanted)) {
		*ret = (struct metadata_images){ .len = 0 };
		return true;
	}
	search.images = map_new();
	search.hits.sort = query->sort;
	if (!metadata_ask(md, query, &search.asking, err))
		return false;
	ok = find_contents(&search, &wanted, err) && add_all(&search, fits_digest, &wanted, err);
	return finish(&search, ok, arena, ret, err);
}

/* ---- by layers ---- */

static void put_chain(const struct metadata_reference *reference, size_t len, struct buf *into)
{
	for (size_t i = 0; i < len; i++) {
		uint64_t head = (uint64_t)metadata_head(&reference->layers[i].digest);
		uint8_t bytes[8];

		for (size_t j = 0; j < 8; j++)
			bytes[j] = (uint8_t)(head >> (56 - 8 * j));
		buf_append(into, bytes, sizeof(bytes));
	}
}

#define CHAIN_MAX (8 * (size_t)MANIFEST_DESCRIPTORS_MAX)

/* Chains that begin with this one, and go on. */
static bool find_longer(struct search *search, const struct metadata_reference *reference, struct error *err)
{
	AUTO_FINI(buf) low = buf_limit(CHAIN_MAX);
	AUTO_FINI(buf) high = buf_limit(CHAIN_MAX + 16);
	struct sql q = sql_of(
		search->asking.md->db, "SELECT id FROM manifest WHERE chain > ? AND chain < ? LIMIT 10001");
	const uint64_t end[2] = { UINT64_MAX, UINT64_MAX };

	put_chain(reference, reference->layers_len, &low);
	if (!low.len)
		return sql_end(&q, err);
	buf_add(&high, buf_str(&low));
	buf_append(&high, end, sizeof(end));
	if (!buf_check(&high, "the layers", err))
		return false;
	sql_bytes(&q, buf_str(&low));
	sql_bytes(&q, buf_str(&high));
	while (sql_next(&q))
		add_manifest(search, sql_column_int(&q, 0));
	return sql_end(&q, err);
}

static bool find_same(struct search *search, struct str chain, struct error *err)
{
	struct sql q = sql_of(search->asking.md->db, "SELECT id FROM manifest WHERE chain = ? LIMIT 10001");

	sql_bytes(&q, chain);
	while (sql_next(&q))
		add_manifest(search, sql_column_int(&q, 0));
	return sql_end(&q, err);
}

static bool find_shorter(struct search *search, const struct metadata_reference *reference, struct error *err)
{
	AUTO_FINI(buf) chain = buf_limit(CHAIN_MAX);
	size_t most = least(reference->layers_len, BASE_LAYERS_MAX);
	bool ok = true;

	put_chain(reference, most, &chain);
	for (size_t len = 1; ok && len < reference->layers_len && len <= most; len++)
		ok = find_same(search, str_from(buf_text(&chain), 8 * len), err);
	return ok;
}

static bool by_layers(struct metadata *md, const struct metadata_reference *references, size_t len,
	bool (*find)(struct search *search, const struct metadata_reference *reference, struct error *err),
	const struct metadata_query *query, struct arena *arena, struct metadata_images *ret,
	struct error *err)
{
	AUTO_FINI(search) search = { .len = 0 };
	bool ok = true;

	search.images = map_new();
	search.hits.sort = query->sort;
	if (!metadata_ask(md, query, &search.asking, err))
		return false;
	for (size_t i = 0; ok && i < len; i++)
		ok = find(&search, &references[i], err);
	ok = ok && add_all(&search, NULL, NULL, err);
	return finish(&search, ok, arena, ret, err);
}

bool metadata_derived(struct metadata *md, const struct metadata_reference *references, size_t len,
	const struct metadata_query *query, struct arena *arena, struct metadata_images *ret,
	struct error *err)
{
	return by_layers(md, references, len, find_longer, query, arena, ret, err);
}

bool metadata_bases(struct metadata *md, const struct metadata_reference *references, size_t len,
	const struct metadata_query *query, struct arena *arena, struct metadata_images *ret,
	struct error *err)
{
	return by_layers(md, references, len, find_shorter, query, arena, ret, err);
}
