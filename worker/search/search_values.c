/* SPDX-License-Identifier: Apache-2.0 */
/* search_values - the fields of records. Most take a member out of the struct that the number of their row points to. */
#include "common/clock.h"
#include "proto/image_facts.h"
#include "worker/search/search_priv.h"

#define RESOLVER(name) bool search_##name(struct graphql_call *call, const void *object, struct error *err)

static const void *member(const struct graphql_call *call, const void *object)
{
	return (const char *)object + graphql_call_number(call);
}

/* ---- members ---- */

RESOLVER(text)
{
	(void)err;
	graphql_put_text(call, *(const char *const *)member(call, object));
	return true;
}

RESOLVER(digest)
{
	char text[DIGEST_TEXT_SIZE];

	(void)err;
	digest_format(member(call, object), text);
	graphql_put_text(call, text);
	return true;
}

/* As text: bytes may be more than a number of JavaScript has. */
RESOLVER(size)
{
	char digits[STR_DECIMAL];

	(void)err;
	graphql_put_str(call, str_decimal(*(const uint64_t *)member(call, object), digits));
	return true;
}

RESOLVER(count)
{
	uint64_t count = *(const uint64_t *)member(call, object);

	(void)err;
	graphql_put_int(call, count > INT64_MAX ? INT64_MAX : (int64_t)count);
	return true;
}

RESOLVER(time)
{
	int64_t ms = *(const int64_t *)member(call, object);
	char text[CLOCK_RFC3339_SIZE];

	(void)err;
	if (!ms)
		return true;
	clock_rfc3339(ms, text);
	graphql_put_text(call, text);
	return true;
}

RESOLVER(flag)
{
	(void)err;
	graphql_put_bool(call, *(const bool *)member(call, object));
	return true;
}

/* ---- what is always the same ---- */

RESOLVER(nothing)
{
	(void)call, (void)object, (void)err;
	return true;
}

RESOLVER(empty_list)
{
	(void)object, (void)err;
	graphql_list_open(call);
	graphql_list_close(call);
	return true;
}

/* Of an image that nobody looked at, as none is here. */
RESOLVER(vulnerabilities)
{
	(void)err;
	graphql_put_object(call, object);
	return true;
}

RESOLVER(no_severity)
{
	(void)object, (void)err;
	graphql_put_text(call, "");
	return true;
}

RESOLVER(zero)
{
	(void)object, (void)err;
	graphql_put_int(call, 0);
	return true;
}

/* ---- lists in records ---- */

static void put_list(struct graphql_call *call, const void *first, size_t len, size_t stride)
{
	graphql_list_open(call);
	for (size_t i = 0; i < len && !graphql_call_stopped(call); i++)
		graphql_put_object(call, (const char *)first + i * stride);
	graphql_list_close(call);
}
#define PUT_LIST(call, list, len) put_list(call, list, len, sizeof(*(list)))

RESOLVER(image_manifests)
{
	const struct metadata_image *image = object;

	(void)err;
	PUT_LIST(call, image->manifests, image->manifests_len);
	return true;
}

RESOLVER(image_is_signed)
{
	(void)err;
	graphql_put_bool(call, ((const struct metadata_image *)object)->signatures_len > 0);
	return true;
}

RESOLVER(image_signatures)
{
	const struct metadata_image *image = object;

	(void)err;
	PUT_LIST(call, image->signatures, image->signatures_len);
	return true;
}

RESOLVER(image_referrers)
{
	const struct metadata_image *image = object;

	(void)err;
	PUT_LIST(call, image->referrers, image->referrers_len);
	return true;
}

RESOLVER(image_is_deletable)
{
	const struct search_asking *asking = graphql_call_context(call);
	const struct metadata_image *image = object;

	(void)err;
	if (asking->tells_deletable)
		graphql_put_bool(call,
			asking->ask->may_delete &&
				asking->ask->may_delete(asking->ask->who.arg, str_of(image->repository)));
	return true;
}

RESOLVER(manifest_config)
{
	const struct metadata_manifest *manifest = object;
	char text[DIGEST_TEXT_SIZE] = "";

	(void)err;
	if (manifest->has_config)
		digest_format(&manifest->config, text);
	graphql_put_text(call, text);
	return true;
}

RESOLVER(manifest_is_signed)
{
	(void)err;
	graphql_put_bool(call, ((const struct metadata_manifest *)object)->signatures_len > 0);
	return true;
}

RESOLVER(manifest_signatures)
{
	const struct metadata_manifest *manifest = object;

	(void)err;
	PUT_LIST(call, manifest->signatures, manifest->signatures_len);
	return true;
}

RESOLVER(manifest_platform)
{
	(void)err;
	graphql_put_object(call, &((const struct metadata_manifest *)object)->platform);
	return true;
}

RESOLVER(manifest_layers)
{
	const struct metadata_manifest *manifest = object;

	(void)err;
	PUT_LIST(call, manifest->layers, manifest->layers_len);
	return true;
}

RESOLVER(manifest_history)
{
	const struct metadata_manifest *manifest = object;

	(void)err;
	graphql_list_open(call);
	for (size_t i = 0; i < manifest->history_len && !graphql_call_stopped(call); i++)
		graphql_put_object(call, &(const struct search_row){ manifest, &manifest->history[i] });
	graphql_list_close(call);
	if (manifest->history_differs)
		graphql_complain(
			call, "the history of this image has not as many layers as the image", STR_NONE);
	return true;
}

RESOLVER(manifest_referrers)
{
	const struct metadata_manifest *manifest = object;

	(void)err;
	PUT_LIST(call, manifest->referrers, manifest->referrers_len);
	return true;
}

RESOLVER(row_layer)
{
	const struct search_row *row = object;
	size_t layer = row->history->layer;

	(void)err;
	graphql_put_object(call, layer < row->manifest->layers_len ? &row->manifest->layers[layer] : NULL);
	return true;
}

RESOLVER(row_description)
{
	(void)err;
	graphql_put_object(call, ((const struct search_row *)object)->history);
	return true;
}

RESOLVER(referrer_annotations)
{
	const struct metadata_referrer *referrer = object;

	(void)err;
	PUT_LIST(call, referrer->annotations, referrer->annotations_len);
	return true;
}

RESOLVER(repo_platforms)
{
	const struct metadata_repository *repo = object;

	(void)err;
	PUT_LIST(call, repo->platforms, repo->platforms_len);
	return true;
}

RESOLVER(repo_vendors)
{
	const struct metadata_repository *repo = object;

	(void)err;
	graphql_list_open(call);
	for (size_t i = 0; i < repo->vendors_len; i++)
		graphql_put_text(call, repo->vendors[i]);
	graphql_list_close(call);
	return true;
}

RESOLVER(repo_newest)
{
	(void)err;
	graphql_put_object(call, ((const struct metadata_repository *)object)->newest);
	return true;
}

RESOLVER(repo_stars)
{
	int64_t stars = ((const struct metadata_repository *)object)->stars;

	(void)err;
	if (stars < 0)
		graphql_put_null(call);
	else
		graphql_put_int(call, stars);
	return true;
}

RESOLVER(repo_rank)
{
	(void)err;
	graphql_put_int(call, ((const struct metadata_repository *)object)->rank);
	return true;
}

/* ---- pages ---- */

RESOLVER(list_page)
{
	(void)err;
	graphql_put_object(call, object);
	return true;
}

RESOLVER(page_total)
{
	const struct search_list *list = object;

	(void)err;
	graphql_put_int(call, (int64_t)(list->of_repos ? list->repos.total : list->images.total));
	return true;
}

RESOLVER(page_items)
{
	const struct search_list *list = object;

	(void)err;
	graphql_put_int(call, (int64_t)(list->of_repos ? list->repos.len : list->images.len));
	return true;
}

/* Repos is null where images were searched for, and Images empty where repositories were: as zot has it. */
RESOLVER(list_repos)
{
	const struct search_list *list = object;

	(void)err;
	if (list->of_repos)
		PUT_LIST(call, list->repos.at, list->repos.len);
	return true;
}

RESOLVER(list_images)
{
	const struct search_list *list = object;

	(void)err;
	PUT_LIST(call, list->images.at, list->images.len);
	return true;
}

RESOLVER(info_images)
{
	const struct search_info *info = object;

	(void)err;
	PUT_LIST(call, info->images.at, info->images.len);
	return true;
}

RESOLVER(info_summary)
{
	(void)err;
	graphql_put_object(call, &((const struct search_info *)object)->summary);
	return true;
}

void search_put_referrers(struct graphql_call *call, const struct metadata_referrer *referrers, size_t len)
{
	PUT_LIST(call, referrers, len);
}
