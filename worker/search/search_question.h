/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_question - what a field of Query wants to know of the metadata, as one value: it is answered here, or sent to other members (search_wire.h).
 *
 * To add one: a verb, its cases in search_question.c; what it has besides goes into the struct and through search_wire.c.
 * Thread  that of the request.
 */
#pragma once

#include "worker/metadata/metadata.h"

enum search_verb {
	SEARCH_REPOSITORIES, /* whose names fit `text` */
	SEARCH_REPOSITORY,   /* `name`, and all its images */
	SEARCH_IMAGE,        /* `name`, and its tag or digest `text` */
	SEARCH_IMAGES,       /* of `name`, "": of all */
	SEARCH_TAG_START,    /* of `name`, whose tags begin with `text` */
	SEARCH_TAG_PART,     /* of all, whose tags have `text` in them */
	SEARCH_DIGEST,       /* of which something has a digest that begins with `text` */
	SEARCH_DERIVED,      /* made on top of `references` */
	SEARCH_BASES,        /* on top of which `references` were made */
	SEARCH_REFERRERS,    /* of `subject` in `name` */
	SEARCH_VERBS,
};

struct search_question {
	enum search_verb verb;
	struct str name, text;
	struct metadata_query query;
	const struct metadata_reference *references;
	size_t references_len;
	struct digest subject;
	const struct str *types;
	size_t types_len;
};

/* What a question is answered with; also GlobalSearchResult, PaginatedReposResult, PaginatedImagesResult, RepoInfo and PageInfo. In the arena. */
struct search_records {
	bool of_repos;
	struct metadata_repositories repos; /* REPOSITORY: the one */
	struct metadata_images images;      /* IMAGE: the one */
	const struct metadata_referrer *referrers;
	size_t referrers_len;
};

/* Is it of one repository, which its owner knows? Else all members have a part in the answer. */
bool search_question_is_of_one(const struct search_question *question);
/* ERROR_UNKNOWN: REPOSITORY, IMAGE: there is none. Others as the metadata has them. */
bool search_question_run(struct metadata *metadata, const struct search_question *question, struct arena *arena,
			 struct search_records *ret, struct error *err) MUST_CHECK;
