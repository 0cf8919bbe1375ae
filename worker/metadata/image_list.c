/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/metadata/image_list.h"

#include "common/check.h"
#include "common/map.h"

struct image_list {
	struct list_repository **by_name;
	size_t len, room;
	struct map *by_id;
	uint64_t images, bytes;
};

/* One repository. */

struct list_repository *list_repository_new(struct str name, int64_t id)
{
	struct list_repository *repository = xnew(struct list_repository);

	repository->name = str_dup(name);
	repository->id = id;
	repository->newest = LIST_NONE;
	return repository;
}

void list_repository_free(struct list_repository *repository)
{
	if (!repository)
		return;
	free(repository->name);
	free(repository->tags);
	free(repository->texts);
	free(repository->folded);
	free(repository);
}

/* Room for twice as many. */
static void *grow(void *at, size_t len, size_t *room, size_t size)
{
	void *larger;

	if (len <= *room)
		return at;
	*room = len * 2;
	larger = realloc(at, *room * size);
	CHECK(larger);
	return larger;
}

static uint32_t add_text(struct list_repository *repository, struct str text)
{
	size_t at = repository->texts_len;

	repository->texts = grow(repository->texts, at + text.len + 1, &repository->texts_room, 1);
	if (text.len)
		memcpy(repository->texts + at, text.at, text.len);
	repository->texts[at + text.len] = '\0';
	repository->texts_len = at + text.len + 1;
	return (uint32_t)at;
}

/* Names come first, so platforms wait behind the tags' own places until all are there: a tag's are those of the one before where they are the same. */
bool list_repository_add(struct list_repository *repository, struct str tag, struct str platforms,
	const struct list_tag *facts)
{
	size_t len = repository->tags_len;
	struct list_tag *into;

	if (repository->texts_len + tag.len + platforms.len + 2 > UINT32_MAX)
		return false;
	repository->tags = grow(repository->tags, len + 1, &repository->tags_room, sizeof(*repository->tags));
	into = &repository->tags[repository->tags_len++];
	*into = *facts;
	into->name = add_text(repository, tag);
	if (len && str_is(platforms, list_tag_platforms(repository, len - 1)))
		into->platforms = repository->tags[len - 1].platforms;
	else
		into->platforms = add_text(repository, platforms);
	return true;
}

static void sum_up(struct list_repository *repository)
{
	repository->newest = LIST_NONE;
	repository->updated_ms = 0;
	repository->pulls = 0;
	for (size_t i = 0; i < repository->tags_len; i++) {
		const struct list_tag *tag = &repository->tags[i];

		repository->pulls += tag->pulls;
		if (repository->newest == LIST_NONE ||
			tag->updated_ms >= repository->tags[repository->newest].updated_ms)
			repository->newest = i;
		if (tag->tagged_ms > repository->updated_ms)
			repository->updated_ms = tag->tagged_ms;
	}
	if (repository->newest != LIST_NONE &&
		repository->tags[repository->newest].updated_ms > repository->updated_ms)
		repository->updated_ms = repository->tags[repository->newest].updated_ms;
}

/* Texts of tags alone, one behind the other; `names_at` of each is where its own begins. */
void list_repository_close(struct list_repository *repository)
{
	char *texts = repository->texts;
	size_t old_len = repository->texts_len, last = SIZE_MAX, last_at = 0;

	sum_up(repository);
	if (!repository->tags_len)
		return;
	repository->texts = NULL;
	repository->texts_len = 0;
	repository->texts = check_alloc(1, old_len);
	repository->texts_room = old_len;
	for (size_t i = 0; i < repository->tags_len; i++)
		repository->tags[i].name = add_text(repository, str_of(texts + repository->tags[i].name));
	repository->names_len = repository->texts_len;
	for (size_t i = 0; i < repository->tags_len; i++) {
		size_t from = repository->tags[i].platforms;

		if (from != last)
			last_at = add_text(repository, str_of(texts + from));
		last = from;
		repository->tags[i].platforms = (uint32_t)last_at;
	}
	free(texts);
	free(repository->folded);
	repository->folded = check_alloc(1, repository->names_len);
	for (size_t i = 0; i < repository->names_len; i++) {
		char c = repository->texts[i];

		repository->folded[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
}

/* The tag whose name is at this place of the texts. */
static size_t tag_at(const struct list_repository *repository, size_t place)
{
	size_t low = 0, high = repository->tags_len;

	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (repository->tags[mid].name <= place)
			low = mid;
		else
			high = mid;
	}
	return low;
}

size_t list_tag_with(const struct list_repository *repository, size_t at, struct str part)
{
	const char *found;
	size_t from;

	if (at >= repository->tags_len)
		return LIST_NONE;
	from = repository->tags[at].name;
	found = memmem(repository->folded + from, repository->names_len - from, part.at, part.len);
	return found ? tag_at(repository, (size_t)(found - repository->folded)) : LIST_NONE;
}

size_t list_tag_find(const struct list_repository *repository, struct str name)
{
	size_t low = 0, high = repository->tags_len;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (str_compare(str_of(list_tag_name(repository, mid)), name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* All. */

static uint64_t bytes_of(const struct list_repository *repository)
{
	return sizeof(*repository) + repository->tags_room * sizeof(*repository->tags) +
	       repository->texts_room + repository->names_len;
}

struct image_list *image_list_new(void)
{
	struct image_list *list = xnew(struct image_list);

	list->by_id = map_new();
	return list;
}

void image_list_free(struct image_list *list)
{
	if (!list)
		return;
	for (size_t i = 0; i < list->len; i++)
		list_repository_free(list->by_name[i]);
	free(list->by_name);
	map_free(list->by_id);
	free(list);
}

/* The first that is not before it. */
static size_t place_of(const struct image_list *list, struct str name)
{
	size_t low = 0, high = list->len;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (str_compare(str_of(list->by_name[mid]->name), name) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool is_at(const struct image_list *list, size_t at, struct str name)
{
	return at < list->len && str_is(name, list->by_name[at]->name);
}

struct list_repository *image_list_find(const struct image_list *list, struct str name)
{
	size_t at = place_of(list, name);

	return is_at(list, at, name) ? list->by_name[at] : NULL;
}

static struct str key_of(const int64_t *id)
{
	return str_from((const char *)id, sizeof(*id));
}

struct list_repository *image_list_by_id(const struct image_list *list, int64_t id)
{
	return map_find(list->by_id, key_of(&id));
}

static void forget(struct image_list *list, struct list_repository *repository)
{
	list->images -= repository->tags_len;
	list->bytes -= bytes_of(repository);
	(void)map_delete(list->by_id, key_of(&repository->id));
	list_repository_free(repository);
}

void image_list_put(struct image_list *list, struct list_repository *repository)
{
	size_t at = place_of(list, str_of(repository->name));

	if (is_at(list, at, str_of(repository->name))) {
		forget(list, list->by_name[at]);
	} else {
		list->by_name = grow(list->by_name, list->len + 1, &list->room, sizeof(*list->by_name));
		memmove(list->by_name + at + 1, list->by_name + at,
			(list->len - at) * sizeof(*list->by_name));
		list->len++;
	}
	list->by_name[at] = repository;
	list->images += repository->tags_len;
	list->bytes += bytes_of(repository);
	(void)map_put(list->by_id, key_of(&repository->id), repository);
}

void image_list_drop(struct image_list *list, struct str name)
{
	size_t at = place_of(list, name);

	if (!is_at(list, at, name))
		return;
	forget(list, list->by_name[at]);
	list->len--;
	memmove(list->by_name + at, list->by_name + at + 1, (list->len - at) * sizeof(*list->by_name));
}

size_t image_list_len(const struct image_list *list)
{
	return list->len;
}

struct list_repository *image_list_at(const struct image_list *list, size_t at)
{
	return list->by_name[at];
}

uint64_t image_list_images(const struct image_list *list)
{
	return list->images;
}

uint64_t image_list_bytes(const struct image_list *list)
{
	return list->bytes;
}
