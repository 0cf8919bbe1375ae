/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import - the walk through all folders of a store: what others wrote gets its place in the catalog, and what is not in it is found. It goes on beside the requests: a repository is
 * served before it is found, only the catalog lacks it until then.
 *
 * Who has a marker is not asked for its index.json, so a walk that finds nothing new costs a look and a listing for each
 * repository. What was emptied has no marker and keeps its index.json, which is read to know that. Versions before wrote an empty mark: it says that there was a walk, long ago.
 */
#include <stdio.h>

#include "common/check.h"
#include "common/crypto.h"
#include "proto/name.h"
#include "worker/storage/pace.h"
#include "worker/storage/store_driver.h"

#define MARK      STORE_CATALOG ".imported"
#define MARK_MAX  32
#define DEPTH_MAX 64
#define VACANT_MAX                                                                                           \
	(512 * 1024) /* bytes of the index.json of an empty repository: what it remembers (index_memo.h) is smaller */

struct walk {
	struct store *store;
	const struct store_import *how;
	struct buf path; /* of the folder at hand, "" or "library/" */
	bool strays;     /* it looks for blobs, not for an index.json */
	unsigned depth;
	uint64_t found;
	bool stopped, failed;
	struct error err;
};

/* ---- the mark ---- */

/* One that is none of ours is one of long ago. */
static bool read_mark(struct store *store, bool *ret_there, int64_t *ret_s, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(MARK_MAX);
	uint64_t seconds = 0;
	struct error why;

	*ret_there = store->driver->get(store, MARK, &text, NULL, &why) || why.kind == ERROR_TOO_LARGE;
	if (!*ret_there && why.kind != ERROR_UNKNOWN) {
		if (err)
			*err = why;
		return false;
	}
	*ret_s = str_to_number(buf_str(&text), INT64_MAX, &seconds) ? (int64_t)seconds : 0;
	return true;
}

static bool write_mark(struct store *store, struct error *err)
{
	AUTO_FINI(buf) text = buf_limit(MARK_MAX);
	struct store_version version;

	buf_format(&text, "%lld", (long long)store_clock_s(store, STR_NONE));
	return store->driver->put_if(store, MARK, buf_str(&text), NULL, &version, err) == STORE_OK;
}

/* A mark of the future is of a clock that went wrong. */
static bool is_due(struct store *store, int64_t older_s, bool *ret_due, struct error *err)
{
	int64_t marked_s, age_s;
	bool there;

	if (!read_mark(store, &there, &marked_s, err))
		return false;
	age_s = store_clock_s(store, STR_NONE) - marked_s;
	*ret_due = !there || (older_s != STORE_IMPORT_ONCE && (age_s >= older_s || age_s < 0));
	return true;
}

/* ---- the walk ---- */

static bool fail(struct walk *walk, const struct error *err)
{
	walk->err = *err;
	walk->failed = true;
	return false;
}

/* False: the walk is over. */
static bool has(struct walk *walk, const char *key, bool *ret_has)
{
	struct error err;
	uint64_t size;

	*ret_has = walk->store->driver->size(walk->store, key, &size, &err);
	return *ret_has || err.kind == ERROR_UNKNOWN || fail(walk, &err);
}

static bool take_new(struct walk *walk, struct str name)
{
	struct error err;

	if (!store_name_put(walk->store, name, 0, &err))
		return fail(walk, &err);
	walk->found++;
	walk->stopped = walk->how->found && !walk->how->found(walk->how->arg, name);
	return !walk->stopped;
}

/* One that cannot be read whole is not empty. */
static bool is_vacant(struct walk *walk, const char *key, bool *ret)
{
	AUTO_FINI(buf) text = buf_limit(VACANT_MAX);
	struct error err;

	*ret = false;
	if (!walk->how->is_vacant)
		return true;
	if (walk->store->driver->get(walk->store, key, &text, NULL, &err)) {
		*ret = walk->how->is_vacant(buf_str(&text));
		return true;
	}
	*ret = err.kind == ERROR_UNKNOWN;
	return *ret || err.kind == ERROR_TOO_LARGE || fail(walk, &err);
}

/* The path without its slash is the repository's name. */
static bool take_repository(struct walk *walk)
{
	struct str name = str_from(walk->path.at, walk->path.len - 1);
	struct name valid;
	char key[STORE_KEY_MAX];
	struct error err;
	bool known, there, vacant;

	if (!name_parse(name, &valid, &err) || !store_owns(walk->store, name))
		return true;
	if (!store_marker_key(name, key, &err))
		return fail(walk, &err);
	if (!has(walk, key, &known) || known)
		return !walk->failed;
	(void)snprintf(key, sizeof(key), "%s/index.json", valid.text);
	if (!has(walk, key, &there) || !there)
		return !walk->failed;
	return is_vacant(walk, key, &vacant) && (vacant || take_new(walk, name));
}

static bool on_blob(void *arg, const struct store_object *object)
{
	(void)object;
	*(bool *)arg = true;
	return false;
}

/* A folder stays when what was in it has gone; a prefix of a bucket does not. */
static bool has_blobs(struct walk *walk, struct str name, bool *ret)
{
	bool more;
	struct error err;

	*ret = walk->store->driver->objects != NULL;
	return *ret || store_objects(walk->store, name, NULL, 1, on_blob, ret, &more, &err) ||
	       fail(walk, &err);
}

static bool take_stray(struct walk *walk)
{
	struct str name = str_from(walk->path.at, walk->path.len - 1);
	char key[STORE_KEY_MAX];
	struct name valid;
	struct error err;
	bool known, any;

	if (!name_parse(name, &valid, &err) || !store_owns(walk->store, name))
		return true;
	if (!store_marker_key(name, key, &err))
		return fail(walk, &err);
	if (!has(walk, key, &known) || known || !has_blobs(walk, name, &any) || !any)
		return !walk->failed;
	walk->stopped = !walk->how->found(walk->how->arg, name_str(&valid));
	return !walk->stopped;
}

/* What lies below belongs to another root. */
static bool is_elsewhere(const struct walk *walk)
{
	return !store_owns(walk->store, buf_str(&walk->path));
}

/* Ours, hidden ones, and what lies inside of a repository. */
static bool is_passed_over(const struct walk *walk, struct str folder)
{
	return str_starts(folder, "_") || str_starts(folder, ".") ||
	       (walk->path.len && (str_is(folder, "blobs") || str_is(folder, "index.log")));
}

static bool look_into(struct walk *walk);

static bool on_folder(void *arg, struct str folder)
{
	struct walk *walk = arg;
	size_t len = walk->path.len;
	bool go_on;

	walk->stopped = !pace_go_on(walk->how->pace);
	if (walk->stopped)
		return false;
	if (walk->strays && walk->path.len && str_is(folder, "blobs"))
		return take_stray(walk);
	if (is_passed_over(walk, folder))
		return true;
	buf_add(&walk->path, folder);
	buf_putc(&walk->path, '/');
	go_on = walk->path.failed ||
		((walk->strays || take_repository(walk)) && (is_elsewhere(walk) || look_into(walk)));
	walk->path.len = len;
	walk->path.failed = false;
	walk->path.at[len] = '\0';
	return go_on;
}

/* False: the walk is over. */
static bool look_into(struct walk *walk)
{
	struct error err;

	if (walk->depth == DEPTH_MAX)
		return true;
	walk->depth++;
	if (!walk->store->driver->folders(walk->store, buf_text(&walk->path), on_folder, walk, &err))
		(void)fail(walk, &err);
	walk->depth--;
	return !walk->failed && !walk->stopped;
}

static bool import_root(struct store *store, const struct store_import *how, uint64_t *ret_found,
	bool *ret_stopped, struct error *err)
{
	struct walk walk = { .store = store, .how = how, .path = buf_limit(STORE_KEY_MAX) };
	bool due;

	CHECK(store->magic == STORE_MAGIC);
	if (!is_due(store, how->older_s, &due, err))
		return false;
	if (!due)
		return true;
	buf_puts(&walk.path, "");
	(void)look_into(&walk);
	buf_fini(&walk.path);
	*ret_found += walk.found;
	*ret_stopped = walk.stopped;
	if (walk.failed && err)
		*err = walk.err;
	return !walk.failed && (walk.stopped || write_mark(store, err));
}

bool store_import(struct store *store, const struct store_import *how, uint64_t *ret_found, struct error *err)
{
	bool ok = true, stopped = false;

	*ret_found = 0;
	for (size_t i = 0; i < store_roots_len(store) && !stopped; i++) {
		const char *path;
		struct store *root = store_root_at(store, i, &path);

		if (import_root(root, how, ret_found, &stopped, ok ? err : NULL))
			continue;
		if (ok && *path)
			(void)error_add(err, "%s", path);
		ok = false;
	}
	return ok;
}

static bool strays_of(
	struct store *store, const struct store_import *how, bool *ret_stopped, struct error *err)
{
	struct walk walk = { .store = store, .how = how, .path = buf_limit(STORE_KEY_MAX), .strays = true };

	CHECK(store->magic == STORE_MAGIC);
	buf_puts(&walk.path, "");
	(void)look_into(&walk);
	buf_fini(&walk.path);
	*ret_stopped = walk.stopped;
	if (walk.failed && err)
		*err = walk.err;
	return !walk.failed;
}

bool store_strays(
	struct store *store, const struct pace *pace, store_catalog_f *fn, void *arg, struct error *err)
{
	const struct store_import how = { .pace = pace, .found = fn, .arg = arg };
	bool ok = true, stopped = false;

	for (size_t i = 0; i < store_roots_len(store) && ok && !stopped; i++) {
		const char *path;

		ok = strays_of(store_root_at(store, i, &path), &how, &stopped, err);
	}
	if (ok && stopped && !pace_go_on(pace))
		return error_set(err, ERROR_UNAVAILABLE, NULL, "not looked through to the end");
	return ok;
}
