/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/registry/contents.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/least.h"
#include "common/lock.h"
#include "common/map.h"
#include "worker/registry/manifest_cache.h"
#include "worker/registry/registry.h"

/* Nothing is larger; so no sum of CONTENTS_EACH overflows. */
#define SIZE_MOST ((uint64_t)1 << 43)
/* What a place in a map costs beside its value, more or less. */
#define PLACE_BYTES 96u

struct content {
	uint64_t size;
	unsigned refs; /* how often manifests name it */
	struct digest digest;
};

/* A manifest that is counted, and what it names. */
struct holder {
	struct content *own;
	size_t len;
	struct content *named[];
};

struct table {
	char *name;
	unsigned users; /* who may not be left without it: of the list's lock, as the next two */
	uint64_t used;
	size_t bytes;
	struct lock busy;               /* of all below */
	struct map *contents, *holders; /* by digest */
	struct index *view;             /* that it counts; NULL: an empty one */
	uint64_t total;
	size_t memory;
};

struct contents {
	struct lock lock;
	struct map *tables; /* by name */
	uint64_t uses;
};

static struct str key_of(const struct digest *digest)
{
	return str_from(digest->raw, hash_size(digest->alg));
}

/* ---- a table ---- */

static struct table *table_new(struct str name)
{
	struct table *table = xnew(struct table);

	table->name = str_dup(name);
	lock_init(&table->busy);
	table->contents = map_new();
	table->holders = map_new();
	return table;
}

static void free_values(struct map *map)
{
	void *value;

	for (size_t at = 0; map_next(map, &at, NULL, &value);)
		free(value);
	map_free(map);
}

static void table_free(struct table *table)
{
	free_values(table->holders);
	free_values(table->contents);
	index_free(table->view);
	lock_fini(&table->busy);
	free(table->name);
	free(table);
}

/* What was begun and not ended counts for nothing. */
static void clear(struct table *table)
{
	free_values(table->holders);
	free_values(table->contents);
	index_free(TAKE(table->view));
	table->contents = map_new();
	table->holders = map_new();
	table->total = table->memory = 0;
}

static struct content *take_content(struct table *table, const struct digest *digest, uint64_t size)
{
	struct content *content = map_find(table->contents, key_of(digest));

	size = size < SIZE_MOST ? size : SIZE_MOST;
	if (!content) {
		content = xnew(struct content);
		content->digest = *digest;
		(void)map_put(table->contents, key_of(digest), content);
		table->memory += sizeof(*content) + PLACE_BYTES;
	}
	/* Where manifests differ about a size, the larger one counts. */
	if (size > content->size) {
		table->total += size - content->size;
		content->size = size;
	}
	content->refs++;
	return content;
}

static void drop_content(struct table *table, struct content *content)
{
	if (--content->refs)
		return;
	table->total -= content->size;
	table->memory -= sizeof(*content) + PLACE_BYTES;
	(void)map_delete(table->contents, key_of(&content->digest));
	free(content);
}

static size_t holder_bytes(const struct holder *holder)
{
	return sizeof(*holder) + holder->len * sizeof(holder->named[0]) + PLACE_BYTES;
}

static bool is_counted(const struct descriptor *layer)
{
	return !media_type_is_nondistributable(str_of(layer->media_type));
}

/* manifest NULL: nobody can tell what it names. */
static void add_holder(struct table *table, const struct descriptor *own, const struct manifest *manifest)
{
	size_t most = manifest ? 1 + manifest->layers_len : 0;
	struct holder *holder = check_alloc(1, sizeof(*holder) + most * sizeof(holder->named[0]));

	holder->own = take_content(table, &own->digest, own->size);
	if (manifest && manifest->has_config)
		holder->named[holder->len++] =
			take_content(table, &manifest->config.digest, manifest->config.size);
	for (size_t i = 0; manifest && i < manifest->layers_len; i++)
		if (is_counted(&manifest->layers[i]))
			holder->named[holder->len++] =
				take_content(table, &manifest->layers[i].digest, manifest->layers[i].size);
	(void)map_put(table->holders, key_of(&own->digest), holder);
	table->memory += holder_bytes(holder);
}

static void drop_holder(struct table *table, const struct digest *digest)
{
	struct holder *holder = map_delete(table->holders, key_of(digest));

	CHECK(holder);
	table->memory -= holder_bytes(holder);
	for (size_t i = 0; i < holder->len; i++)
		drop_content(table, holder->named[i]);
	drop_content(table, holder->own);
	free(holder);
}

/* ---- following a view ---- */

struct following {
	struct registry *registry;
	struct table *table;
	struct error *err;
	bool failed;
};

static bool may_work_later(const struct error *err)
{
	return err->kind == ERROR_UNAVAILABLE || err->kind == ERROR_TIMEOUT || err->kind == ERROR_BUSY;
}

/* False: it may be read another time, so nothing can be said now. */
static bool read_holder(struct following *f, const struct descriptor *own, struct error *err)
{
	AUTO(manifest_body) *body = NULL;
	struct manifest manifest;
	bool parsed;

	parsed = registry_manifest(f->registry, str_of(f->table->name), &own->digest, &body, err) &&
		 manifest_parse(body->bytes, str_of(own->media_type), true, &manifest, err);
	if (!parsed && may_work_later(err))
		return false;
	add_holder(f->table, own, parsed ? &manifest : NULL);
	if (parsed)
		manifest_fini(&manifest);
	return map_len(f->table->contents) <= CONTENTS_EACH ||
	       error_set(err, ERROR_FULL, NULL,
		       "the repository holds more than %u different contents, which is too much for a "
		       "byteQuota",
		       CONTENTS_EACH);
}

static void on_difference(void *arg, const struct index_entry *entry, bool in_after)
{
	struct following *f = arg;

	if (f->failed)
		return;
	if (in_after)
		f->failed = !read_holder(f, &entry->descriptor, f->err);
	else
		drop_holder(f->table, &entry->descriptor.digest);
}

static bool follow(
	struct registry *registry, struct table *table, const struct index *view, struct error *err)
{
	struct error cause;
	struct following f = { .registry = registry, .table = table, .err = &cause };

	lock_assert(&table->busy);
	index_compare(table->view, view, on_difference, &f);
	if (f.failed) {
		clear(table);
		*err = cause;
		return error_add(err, "the repository's bytes cannot be counted");
	}
	index_free(table->view);
	table->view = index_keep(view);
	return true;
}

/* ---- what a manifest would add ---- */

/* Content that it names twice counts once. */
static void add_more(const struct table *table, struct map *seen, const struct digest *digest, uint64_t size,
	uint64_t *more)
{
	static char here;

	if (!map_find(table->contents, key_of(digest)) && !map_put(seen, key_of(digest), &here))
		*more += size < SIZE_MOST ? size : SIZE_MOST;
}

static uint64_t more_of(const struct table *table, const struct manifest *manifest,
	const struct digest *digest, uint64_t size)
{
	AUTO(map) *seen = map_new();
	uint64_t more = 0;

	add_more(table, seen, digest, size, &more);
	if (manifest->has_config)
		add_more(table, seen, &manifest->config.digest, manifest->config.size, &more);
	for (size_t i = 0; i < manifest->layers_len; i++)
		if (is_counted(&manifest->layers[i]))
			add_more(table, seen, &manifest->layers[i].digest, manifest->layers[i].size, &more);
	return more;
}

/* ---- all of them ---- */

struct contents *contents_new(void)
{
	struct contents *contents = xnew(struct contents);

	lock_init(&contents->lock);
	contents->tables = map_new();
	return contents;
}

void contents_free(struct contents *contents)
{
	void *value;

	if (!contents)
		return;
	for (size_t at = 0; map_next(contents->tables, &at, NULL, &value);)
		table_free(value);
	map_free(contents->tables);
	lock_fini(&contents->lock);
	free(contents);
}

static struct table *use(struct contents *contents, struct str name)
{
	struct table *table;

	lock_take(&contents->lock);
	table = map_find(contents->tables, name);
	if (!table) {
		table = table_new(name);
		(void)map_put(contents->tables, name, table);
	}
	table->users++;
	table->used = ++contents->uses;
	lock_drop(&contents->lock);
	return table;
}

/* The one that nobody has used for the longest time, or NULL; *ret_bytes: of all. */
static struct table *find_oldest_locked(
	const struct contents *contents, const struct table *kept, size_t *ret_bytes)
{
	struct table *oldest = NULL, *table;
	void *value;

	lock_assert(&contents->lock);
	*ret_bytes = 0;
	for (size_t at = 0; map_next(contents->tables, &at, NULL, &value);) {
		table = value;
		*ret_bytes += table->bytes;
		if (!table->users && table != kept && (!oldest || table->used < oldest->used))
			oldest = table;
	}
	return oldest;
}

static void leave(struct contents *contents, struct table *table, size_t memory)
{
	struct table *oldest;
	size_t bytes;

	lock_take(&contents->lock);
	table->users--;
	table->bytes = memory + sizeof(*table) + PLACE_BYTES;
	while ((oldest = find_oldest_locked(contents, table, &bytes)) && bytes > CONTENTS_BYTES) {
		(void)map_delete(contents->tables, str_of(oldest->name));
		table_free(oldest);
	}
	lock_drop(&contents->lock);
}

/* To whoever has it alone, until it is given back. */
static struct table *take(struct contents *contents, struct str name)
{
	struct table *table = use(contents, name);

	lock_take(&table->busy);
	return table;
}

static void give_back(struct contents *contents, struct table *table)
{
	size_t memory = table->memory;

	lock_drop(&table->busy);
	leave(contents, table, memory);
}

bool contents_measure(struct registry *registry, struct str name, const struct index *view,
	const struct manifest *manifest, const struct digest *digest, uint64_t size,
	struct contents_size *ret, struct error *err)
{
	struct table *table = take(registry->contents, name);
	bool ok = follow(registry, table, view, err);

	if (ok)
		*ret = (struct contents_size){ table->total, more_of(table, manifest, digest, size) };
	give_back(registry->contents, table);
	return ok;
}

static uint64_t largest_of(const struct table *table)
{
	uint64_t largest = 0;
	void *value;

	for (size_t at = 0; map_next(table->contents, &at, NULL, &value);)
		largest = most(largest, ((const struct content *)value)->size);
	return largest;
}

static struct contents_blob look(const struct table *table, const struct digest *digest)
{
	struct contents_blob blob = { .there = table->total,
		.is_counted = digest && map_find(table->contents, key_of(digest)) };

	lock_assert(&table->busy);
	if (!digest)
		blob.largest = largest_of(table);
	return blob;
}

bool contents_look(struct registry *registry, struct str name, const struct index *view,
	const struct digest *digest, struct contents_blob *ret, struct error *err)
{
	struct table *table;
	bool ok;

	if (!view) {
		*ret = (struct contents_blob){ 0 };
		return true;
	}
	table = take(registry->contents, name);
	ok = follow(registry, table, view, err);
	if (ok)
		*ret = look(table, digest);
	give_back(registry->contents, table);
	return ok;
}
