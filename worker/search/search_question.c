/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/search/search_question.h"

bool search_question_is_of_one(const struct search_question *question)
{
	switch (question->verb) {
	case SEARCH_REPOSITORY:
	case SEARCH_IMAGE:
	case SEARCH_TAG_START:
	case SEARCH_REFERRERS:
		return true;
	case SEARCH_IMAGES:
		return question->name.len > 0;
	case SEARCH_REPOSITORIES:
	case SEARCH_TAG_PART:
	case SEARCH_DIGEST:
	case SEARCH_DERIVED:
	case SEARCH_BASES:
	case SEARCH_VERBS:
		break;
	}
	return false;
}

static bool run_repository(struct metadata *metadata, const struct search_question *question,
	struct arena *arena, struct search_records *ret, struct error *err)
{
	struct metadata_repository *one = arena_take(arena, sizeof(*one));

	if (!one)
		return error_set(err, ERROR_TOO_LARGE, NULL, "the answer is too large");
	if (!metadata_repository(metadata, question->name, &question->query, arena, one, &ret->images, err))
		return false;
	ret->repos = (struct metadata_repositories){ one, 1, 1 };
	return true;
}

static bool run_image(struct metadata *metadata, const struct search_question *question, struct arena *arena,
	struct search_records *ret, struct error *err)
{
	struct metadata_image *one = arena_take(arena, sizeof(*one));

	if (!one)
		return error_set(err, ERROR_TOO_LARGE, NULL, "the answer is too large");
	if (!metadata_image(metadata, question->name, question->text, &question->query, arena, one, err))
		return false;
	ret->images = (struct metadata_images){ one, 1, 1, false };
	return true;
}

bool search_question_run(struct metadata *metadata, const struct search_question *question,
	struct arena *arena, struct search_records *ret, struct error *err)
{
	const struct search_question *q = question;
	struct search_records records = { .of_repos = q->verb == SEARCH_REPOSITORIES };
	bool ok = false;

	switch (q->verb) {
	case SEARCH_REPOSITORIES:
		ok = metadata_repositories(metadata, q->text, &q->query, arena, &records.repos, err);
		break;
	case SEARCH_REPOSITORY:
		ok = run_repository(metadata, q, arena, &records, err);
		break;
	case SEARCH_IMAGE:
		ok = run_image(metadata, q, arena, &records, err);
		break;
	case SEARCH_IMAGES:
		ok = metadata_images(metadata, q->name, &q->query, arena, &records.images, err);
		break;
	case SEARCH_TAG_START:
		ok = metadata_by_tag_start(
			metadata, q->name, q->text, &q->query, arena, &records.images, err);
		break;
	case SEARCH_TAG_PART:
		ok = metadata_by_tag_part(metadata, q->text, &q->query, arena, &records.images, err);
		break;
	case SEARCH_DIGEST:
		ok = metadata_by_digest(metadata, q->text, &q->query, arena, &records.images, err);
		break;
	case SEARCH_DERIVED:
		ok = metadata_derived(
			metadata, q->references, q->references_len, &q->query, arena, &records.images, err);
		break;
	case SEARCH_BASES:
		ok = metadata_bases(
			metadata, q->references, q->references_len, &q->query, arena, &records.images, err);
		break;
	case SEARCH_REFERRERS:
		ok = metadata_referrers(metadata, q->name, &q->subject, q->types, q->types_len, &q->query.who,
			arena, &records.referrers, &records.referrers_len, err);
		break;
	case SEARCH_VERBS:
		return error_set(err, ERROR_INVALID, NULL, "there is no such question");
	}
	if (ok)
		*ret = records;
	return ok;
}
