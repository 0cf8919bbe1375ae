/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index_told - what a change does that clients see, looked up in the view that it is about to be made in.
 */
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "worker/index/indexes_priv.h"

static struct index_told *told_new(const struct digest *digest, const char *media_type, size_t tags_most)
{
	struct index_told *told = xnew(struct index_told);

	told->digest = *digest;
	told->media_type = check_strdup(media_type);
	told->tags = xnew_array(char *, tags_most + 1);
	return told;
}

void index_told_free(struct index_told *told)
{
	if (!told)
		return;
	for (size_t i = 0; i < told->tags_len; i++)
		free(told->tags[i]);
	free(told->tags);
	free(told->media_type);
	free(told);
}

static void add_tag(struct index_told *told, const char *tag)
{
	told->tags[told->tags_len++] = check_strdup(tag);
}

static bool names(const struct index *view, const char *tag, const struct digest *digest)
{
	const struct index_entry *entry = index_find_tag(view, str_of(tag));

	return entry && digest_equal(&entry->descriptor.digest, digest);
}

static struct index_told *tell_put(const struct index *view, bool exists, const struct index_change *change)
{
	const struct descriptor *put = change->descriptor;
	const struct index_entry *there = index_find_digest(view, &put->digest);
	struct index_told *told = told_new(&put->digest, put->media_type, change->tags_len);

	told->made = !exists || index_is_vacant(view);
	for (size_t i = 0; i < change->tags_len; i++)
		if (!names(view, change->tags[i], &put->digest))
			add_tag(told, change->tags[i]);
	if (told->tags_len || !there || strcmp(there->descriptor.media_type, put->media_type) != 0)
		return told;
	index_told_free(told);
	return NULL;
}

static struct index_told *tell_tag(const struct index *view, const struct index_change *change)
{
	const struct index_entry *entry =
		change->tags_len ? index_find_tag(view, str_of(change->tags[0])) : NULL;
	struct index_told *told;

	if (!entry)
		return NULL;
	told = told_new(&entry->descriptor.digest, entry->descriptor.media_type, 1);
	add_tag(told, change->tags[0]);
	return told;
}

/* With all tags that name it. */
static struct index_told *tell_digest(const struct index *view, const struct index_change *change)
{
	const struct index_entry *entry = index_find_digest(view, &change->digest);
	size_t len = 0;
	struct index_told *told;

	if (!entry)
		return NULL;
	for (size_t i = 0; i < index_tags_len(view); i++)
		len += names(view, index_tag_at(view, i), &change->digest);
	told = told_new(&change->digest, entry->descriptor.media_type, len);
	for (size_t i = 0; i < index_tags_len(view) && told->tags_len < len; i++)
		if (names(view, index_tag_at(view, i), &change->digest))
			add_tag(told, index_tag_at(view, i));
	return told;
}

struct index_told *index_told_new(const struct index *view, bool exists, const struct index_change *change)
{
	switch (change->op) {
	case INDEX_PUT_MANIFEST:
		return tell_put(view, exists, change);
	case INDEX_DELETE_TAG:
		return tell_tag(view, change);
	case INDEX_DELETE_DIGEST:
		return tell_digest(view, change);
	default:
		return NULL;
	}
}
