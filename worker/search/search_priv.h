/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_priv - what the files of this folder share.
 *
 * search_schema.c has the table, search_queries.c what the fields of Query do, search_values.c what the fields of records do.
 * Thread  that of the request.
 */
#pragma once

#include <stddef.h>

#include "graphql/graphql_execute.h"
#include "worker/search/search.h"

/* The context of a call. */
struct search_asking {
	struct metadata *metadata;
	const struct search_ask *ask;
	int64_t until_ms;    /* clock_ms() */
	unsigned questions;
	bool tells_deletable; /* ExpandedRepoInfo is being answered */
};

/* The values of SortCriteria. */
enum search_sort {
	SEARCH_RELEVANCE, SEARCH_UPDATE_TIME, SEARCH_ALPHABETIC_ASC, SEARCH_ALPHABETIC_DSC, SEARCH_SEVERITY, SEARCH_STARS, SEARCH_DOWNLOADS,
};

/* A list, of repositories or of images: of GlobalSearchResult, PaginatedReposResult, PaginatedImagesResult, and its PageInfo. */
struct search_list {
	bool of_repos;
	struct metadata_repositories repos;
	struct metadata_images images;
};
/* Of RepoInfo. */
struct search_info {
	struct metadata_repository summary;
	struct metadata_images images;
};
/* Of LayerHistory. */
struct search_row {
	const struct metadata_manifest *manifest;
	const struct image_history *history;
};

bool search_schema_new(struct graphql_schema **ret, struct error *err) MUST_CHECK;

#define TYPE(kind, name, about)
#define FIELD(name, type, resolver, number, about) graphql_resolve_f search_##resolver;
#define ARGUMENT(name, type)
#define INPUT_FIELD(name, type)
#define VALUE(name, number)
#include "worker/search/search_schema.def"
#undef TYPE
#undef FIELD
#undef ARGUMENT
#undef INPUT_FIELD
#undef VALUE
/* A reason of its own to be null. */
void search_put_referrers(struct graphql_call *call, const struct metadata_referrer *referrers, size_t len);
