/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/storage/store_roots.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/check.h"
#include "common/crypto.h"
#include "proto/name.h"
#include "worker/storage/store_driver.h"

#define READ_BYTES (256u * 1024)

struct part {
	char *path;        /* "/a" */
	struct str prefix; /* "a/", of `begin` */
	char *begin, *end; /* all its names are behind the one and before the other: "a/", "a/{" */
	struct store *store;
};

struct roots {
	struct store store;
	struct store *first;
	struct part *parts; /* by prefix */
	size_t len;
};

static const struct roots *roots_of(const struct store *store)
{
	CHECK(store->magic == STORE_MAGIC);
	return (const struct roots *)store;
}

static bool is_below(struct str name, const struct part *part)
{
	return name.len >= part->prefix.len && !memcmp(name.at, part->prefix.at, part->prefix.len);
}

static struct store *root_of(const struct store *store, struct str name)
{
	const struct roots *roots = roots_of(store);

	for (size_t i = 0; i < roots->len; i++)
		if (is_below(name, &roots->parts[i]))
			return roots->parts[i].store;
	return roots->first;
}

static size_t roots_len(const struct store *store)
{
	return roots_of(store)->len + 1;
}

static struct store *root_at(const struct store *store, size_t at, const char **ret_path)
{
	const struct roots *roots = roots_of(store);

	*ret_path = at ? roots->parts[at - 1].path : "";
	return at ? roots->parts[at - 1].store : roots->first;
}

/* ---- the catalog ---- */

struct reading {
	const struct roots *roots;
	store_catalog_f *fn;
	void *arg;
	struct str after;
	size_t left;
	bool over, more; /* nothing more is wanted; there is something more */
	/* Of the piece at hand. */
	const struct part *part;  /* whose it is; NULL: the first root's */
	const struct part *until; /* which comes behind; NULL: none */
	bool behind;              /* a name behind this piece was seen */
	size_t first_next;        /* pieces of the first root before this one are empty */
};

static bool is_behind(const struct reading *reading, struct str name)
{
	if (reading->part)
		return !is_below(name, reading->part);
	return reading->until && str_compare(name, reading->until->prefix) > 0;
}

/* The first root has something behind this piece: the pieces before that are empty. */
static void skip_first(struct reading *reading, struct str name)
{
	size_t next = 0;

	while (next < reading->roots->len && str_compare(name, str_of(reading->roots->parts[next].begin)) > 0)
		next++;
	reading->first_next = next;
}

static bool on_name(void *arg, struct str name)
{
	struct reading *reading = arg;

	reading->behind = is_behind(reading, name);
	if (reading->behind) {
		if (!reading->part)
			skip_first(reading, name);
		return false;
	}
	reading->more = reading->over;
	if (reading->over)
		return false;
	reading->left--;
	reading->over = !reading->fn(reading->arg, name) || !reading->left;
	return true;
}

/* What of a store lies behind `begin`. One name more than is wanted tells whether there is one. */
static bool read_piece(struct reading *reading, struct store *store, struct str begin, struct error *err)
{
	size_t n = reading->over ? 1 : reading->left < SIZE_MAX ? reading->left + 1 : SIZE_MAX;
	struct str after = str_compare(reading->after, begin) > 0 ? reading->after : begin;
	bool more = false;

	reading->behind = false;
	if (!store_catalog(store, after, n, on_name, reading, &more, err))
		return error_add(err, "storage.subPaths %s", reading->part ? reading->part->path : "/");
	/* Nothing is left there at all. */
	if (!reading->part && !reading->behind && !more)
		reading->first_next = SIZE_MAX;
	return true;
}

/* The first root's names before the at-th part. */
static bool read_first(struct reading *reading, size_t at, struct error *err)
{
	const struct roots *roots = reading->roots;

	reading->part = NULL;
	reading->until = at < roots->len ? &roots->parts[at] : NULL;
	if (at < reading->first_next ||
		(reading->until && str_compare(reading->after, reading->until->prefix) >= 0))
		return true;
	return read_piece(reading, roots->first, at ? str_of(roots->parts[at - 1].end) : STR(""), err);
}

static bool read_part(struct reading *reading, size_t at, struct error *err)
{
	const struct part *part = &reading->roots->parts[at];

	reading->part = part;
	if (str_compare(reading->after, str_of(part->end)) >= 0)
		return true;
	return read_piece(reading, part->store, part->prefix, err);
}

static bool catalog(struct store *store, struct str after, size_t n, store_catalog_f *fn, void *arg,
	bool *ret_more, struct error *err)
{
	const struct roots *roots = roots_of(store);
	struct reading reading = {
		.roots = roots, .fn = fn, .arg = arg, .after = after, .left = n, .over = !n
	};

	for (size_t i = 0; i <= roots->len && !reading.more; i++) {
		if (!read_first(&reading, i, err))
			return false;
		if (i < roots->len && !reading.more && !read_part(&reading, i, err))
			return false;
	}
	*ret_more = reading.more;
	return true;
}

/* ---- a blob from one to another ---- */

static bool hash_file(int fd, const struct digest *digest, bool *ret_same, struct error *err)
{
	AUTO(hasher) *hasher = hasher_new(digest->alg);
	AUTO_STR *bytes = xnew_array(char, READ_BYTES);
	struct digest found;
	ssize_t n;

	for (uint64_t at = 0; (n = pread(fd, bytes, READ_BYTES, (off_t)at)) != 0;
		at += n > 0 ? (uint64_t)n : 0) {
		if (n < 0 && errno != EINTR)
			return error_sys(err, "read a blob of another root");
		if (n > 0)
			hasher_add(hasher, bytes, (size_t)n);
	}
	found = digest_of_hasher(digest->alg, hasher);
	*ret_same = digest_equal(&found, digest);
	return true;
}

bool store_roots_copy(struct store *from, const char *from_key, struct store *to, const char *to_key,
	const struct digest *digest, struct error *err)
{
	struct blob_source source = { .fd = -1 };
	bool ok = false, same = false;

	if (!from->driver->has_files)
		return error_set(
			err, ERROR_INVALID, NULL, "a blob in a bucket is not copied into another root");
	if (!from->driver->source(from, from_key, NULL, &source, err))
		return false;
	if (!hash_file(source.fd, digest, &same, err))
		ok = false;
	else if (!same)
		(void)error_set(err, ERROR_UNKNOWN, NULL, "%s is damaged", from_key);
	else
		ok = to->driver->put_file(to, to_key, digest, source.fd, NULL, source.size, err);
	blob_source_fini(&source);
	return ok;
}

/* ---- life ---- */

static void free_roots(struct store *store)
{
	struct roots *roots = (struct roots *)OBJ_CAST(store, STORE_MAGIC, store);

	for (size_t i = 0; i < roots->len; i++) {
		store_free(roots->parts[i].store);
		free(roots->parts[i].path);
		free(roots->parts[i].begin);
		free(roots->parts[i].end);
	}
	store_free(roots->first);
	free(roots->parts);
	free(store->place);
	store->magic = 0;
	free(roots);
}

static const struct store_driver driver = {
	.free = free_roots,
	.root_of = root_of,
	.roots_len = roots_len,
	.root_at = root_at,
	.catalog = catalog,
};

static char *text_of(const char *before, const char *component, const char *behind)
{
	AUTO_FINI(buf) text = buf_limit(NAME_MAX_LEN + 16);

	buf_format(&text, "%s%s%s", before, component, behind);
	return buf_take(&text, NULL);
}

static int by_prefix(const void *a, const void *b)
{
	return strcmp(((const struct part *)a)->begin, ((const struct part *)b)->begin);
}

struct store *store_roots_new(struct store *first, const struct store_part *parts, size_t len)
{
	struct roots *roots = xnew(struct roots);

	CHECK(len < STORE_ROOTS_MAX);
	roots->store = (struct store){
		.magic = STORE_MAGIC, .driver = &driver, .place = check_strdup(first->place)
	};
	roots->first = first;
	roots->parts = xnew_array(struct part, len + 1);
	roots->len = len;
	first->above = &roots->store;
	for (size_t i = 0; i < len; i++) {
		struct part *part = &roots->parts[i];

		part->path = text_of("/", parts[i].component, "");
		part->begin = text_of("", parts[i].component, "/");
		part->end = text_of("", parts[i].component, "/{");
		part->prefix = str_of(part->begin);
		part->store = parts[i].store;
		part->store->above = &roots->store;
	}
	qsort(roots->parts, len, sizeof(roots->parts[0]), by_prefix);
	return &roots->store;
}
