/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata_order - which of two comes first, and how well a name fits a text.
 */
#include <string.h>

#include "worker/metadata/metadata.h"

static int order_of(int64_t a, int64_t b)
{
	return a < b ? -1 : a > b;
}

static int names(const char *a, const char *b)
{
	return strcmp(a, b);
}

static int more_first(uint64_t a, uint64_t b)
{
	return a > b ? -1 : a < b;
}

int metadata_compare_repositories(
	enum metadata_sort sort, const struct metadata_repository *a, const struct metadata_repository *b)
{
	int order = 0;

	switch (sort) {
	case METADATA_RELEVANCE:
		order = order_of(a->rank, b->rank);
		break;
	case METADATA_UPDATE_TIME:
		order = order_of(b->updated_ms, a->updated_ms);
		break;
	case METADATA_DOWNLOADS:
		order = more_first(a->downloads, b->downloads);
		break;
	case METADATA_ALPHABETIC_ASC:
		break;
	case METADATA_ALPHABETIC_DSC:
		return names(b->name, a->name);
	}
	return order ? order : names(a->name, b->name);
}

static int digests(const struct digest *a, const struct digest *b)
{
	char x[DIGEST_TEXT_SIZE], y[DIGEST_TEXT_SIZE];

	digest_format(a, x);
	digest_format(b, y);
	return strcmp(x, y);
}

static int images_by_name(const struct metadata_image *a, const struct metadata_image *b)
{
	int order = names(a->repository, b->repository);

	if (!order)
		order = names(a->tag, b->tag);
	return order ? order : digests(&a->digest, &b->digest);
}

int metadata_compare_images(
	enum metadata_sort sort, const struct metadata_image *a, const struct metadata_image *b)
{
	int order = 0;

	switch (sort) {
	case METADATA_RELEVANCE:
	case METADATA_ALPHABETIC_ASC:
		break;
	case METADATA_UPDATE_TIME:
		order = order_of(b->updated_ms, a->updated_ms);
		break;
	case METADATA_DOWNLOADS:
		order = more_first(a->downloads, b->downloads);
		break;
	case METADATA_ALPHABETIC_DSC:
		return images_by_name(b, a);
	}
	return order ? order : images_by_name(a, b);
}

/* Rank. */

/* From 0; below 0: it is not in there. */
static int64_t place_in(struct str text, struct str part)
{
	const char *found = part.len ? memmem(text.at, text.len, part.at, part.len) : text.at;

	return found ? found - text.at : -1;
}

static size_t parts_of(struct str s)
{
	size_t n = 1;

	for (size_t i = 0; i < s.len; i++)
		n += s.at[i] == '/';
	return n;
}

static struct str last_of(struct str s)
{
	struct str head, tail;

	return str_split_last(s, '/', &head, &tail) ? tail : s;
}

static struct str first_of(struct str s)
{
	struct str head;

	return str_until(&s, '/', &head) ? head : s;
}

/* All parts of the text but its last are the first ones of the name. */
static bool begins_alike(struct str text, struct str name)
{
	size_t len = (size_t)(last_of(text).at - text.at);

	return name.len >= len && !memcmp(text.at, name.at, len);
}

int64_t metadata_rank(struct str text, struct str name)
{
	int64_t at;

	if (!text.len)
		return 1;
	if (parts_of(text) > parts_of(name))
		return -1;
	if (str_equal(text, name))
		return 0;
	if (begins_alike(text, name) && (at = place_in(last_of(name), last_of(text))) >= 0)
		return at + 1;
	if (parts_of(text) == 1 && (at = place_in(first_of(name), text)) >= 0)
		return (at + 1) * 10;
	if (name.len >= text.len && !memcmp(name.at, text.at, text.len))
		return 10;
	at = place_in(name, text);
	return at >= 0 ? (at + 1) * 100 : -1;
}
