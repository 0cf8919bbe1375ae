/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_list - repositories by name, and of each its tags with what lists are sorted and filtered by: all in memory, to be gone through.
 *
 *     list_repository_new() --list_repository_add() of each tag, in byte order--> list_repository_close() --image_list_put()--> found, walked
 *
 * Texts of one repository lie in one piece, those of its tags first, and once more in lower case, so that a part of a tag is looked for
 * in all tags of a repository at once.
 *
 * Thread  owner's.
 */
#pragma once

#include "common/cleanup.h"
#include "common/str.h"
#include "worker/index/index.h"

#define LIST_NONE SIZE_MAX

struct list_tag {
	uint32_t name, platforms; /* where in texts; platforms: "linux/arm/v7\nlinux/amd64", each on a line: os, '/', arch */
	int64_t updated_ms, tagged_ms;
	uint64_t pulls;           /* of its digest */
	bool is_signed;
};

struct list_repository {
	char *name;
	int64_t id;               /* of its row */
	struct list_tag *tags;    /* by name */
	size_t tags_len, tags_room;
	char *texts, *folded;
	size_t texts_len, texts_room, names_len;
	size_t newest;            /* the tag with the latest updated_ms, of several the last; LIST_NONE: there is no tag */
	int64_t updated_ms;       /* of the newest, or a later tagged_ms */
	uint64_t pulls, size;
	struct index_version version; /* what it was derived from */
	uint64_t changes;
	int64_t weighed_ms;       /* clock_ms() when `size` was found; 0: in another process */
	uint64_t ring, walk;      /* the owner's: whose it is was asked at this ring; a walk has seen it */
	bool is_ours;
	int64_t judged;           /* its signatures were looked at with the keys of this stamp; 0: not since the list was made */
	uint64_t asked;               /* the question that it was looked at for, and what came out */
	bool may_see;
};
struct list_repository *list_repository_new(struct str name, int64_t id);
void list_repository_free(struct list_repository *repository);
AUTO_DEFINE(list_repository)
/* False: over 4 GiB of texts. */
bool list_repository_add(struct list_repository *repository, struct str tag, struct str platforms, const struct list_tag *facts) MUST_CHECK;
void list_repository_close(struct list_repository *repository);
static inline const char *list_tag_name(const struct list_repository *repository, size_t at)
{
	return repository->texts + repository->tags[at].name;
}
static inline const char *list_tag_platforms(const struct list_repository *repository, size_t at)
{
	return repository->texts + repository->tags[at].platforms;
}
/* The next tag from `at` on that has `part`, in lower case and not empty, in its lower-case name; LIST_NONE: none. */
size_t list_tag_with(const struct list_repository *repository, size_t at, struct str part);
size_t list_tag_find(const struct list_repository *repository, struct str name); /* the first that is not before it */

struct image_list;
struct image_list *image_list_new(void);
void image_list_free(struct image_list *list);
AUTO_DEFINE(image_list)
struct list_repository *image_list_find(const struct image_list *list, struct str name); /* NULL: none */
struct list_repository *image_list_by_id(const struct image_list *list, int64_t id);
void image_list_put(struct image_list *list, struct list_repository *repository); /* the list's; the one of this name is freed */
void image_list_drop(struct image_list *list, struct str name);
size_t image_list_len(const struct image_list *list);
struct list_repository *image_list_at(const struct image_list *list, size_t at); /* by name */
uint64_t image_list_images(const struct image_list *list);
uint64_t image_list_bytes(const struct image_list *list);
