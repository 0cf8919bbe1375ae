/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import - the one walk through a store that somebody else filled. It goes on beside the requests: a
 * repository is served before it is found, only the catalog lacks it until then.
 */
#include <stdio.h>

#include "common/check.h"
#include "common/crypto.h"
#include "proto/name.h"
#include "worker/storage/store_driver.h"

#define MARK      STORE_CATALOG ".imported"
#define DEPTH_MAX 64

struct walk {
	struct store *store;
	const atomic_bool *go_on;
	struct buf path; /* of the folder at hand, "" or "library/" */
	unsigned depth;
	uint64_t found;
	bool failed;
	struct error err;
};

static bool on_folder(void *arg, struct str folder);

/* False: the walk is over. */
static bool look_into(struct walk *walk)
{
	if (walk->depth == DEPTH_MAX)
		return true;
	walk->depth++;
	if (!walk->store->driver->folders(walk->store, buf_text(&walk->path), on_folder, walk, &walk->err))
		walk->failed = true;
	walk->depth--;
	return !walk->failed && atomic_load(walk->go_on);
}

/* The path without its slash is the repository's name. */
static bool take_repository(struct walk *walk)
{
	struct str name = str_from(walk->path.at, walk->path.len - 1);
	struct name valid;
	char key[STORE_KEY_MAX];
	struct error err;
	uint64_t size;

	if (!name_parse(name, &valid, &err))
		return true;
	(void)snprintf(key, sizeof(key), "%s/index.json", valid.text);
	if (!walk->store->driver->size(walk->store, key, &size, &err)) {
		if (err.kind == ERROR_UNKNOWN)
			return true;
		walk->err = err;
		walk->failed = true;
		return false;
	}
	walk->found++;
	walk->failed = !store_put_marker(walk->store, name, &walk->err);
	return !walk->failed;
}

static bool on_folder(void *arg, struct str folder)
{
	struct walk *walk = arg;
	size_t len = walk->path.len;
	bool go_on;

	if (!atomic_load(walk->go_on))
		return false;
	/* Ours, hidden ones, and what lies inside of a repository. */
	if (str_starts(folder, "_") || str_starts(folder, ".") ||
		(len && (str_is(folder, "blobs") || str_is(folder, "index.log"))))
		return true;
	buf_add(&walk->path, folder);
	buf_putc(&walk->path, '/');
	go_on = walk->path.failed || (take_repository(walk) && look_into(walk));
	walk->path.len = len;
	walk->path.failed = false;
	walk->path.at[len] = '\0';
	return go_on;
}

bool store_import(struct store *store, const atomic_bool *go_on, uint64_t *ret_found, struct error *err)
{
	struct digest digest = digest_of(HASH_SHA256, STR(""));
	struct walk walk = { .store = store, .go_on = go_on, .path = buf_limit(STORE_KEY_MAX) };
	uint64_t size;
	bool whole;

	CHECK(store->magic == STORE_MAGIC);
	*ret_found = 0;
	if (store->driver->size(store, MARK, &size, err))
		return true;
	buf_puts(&walk.path, "");
	whole = look_into(&walk);
	buf_fini(&walk.path);
	*ret_found = walk.found;
	if (walk.failed && err)
		*err = walk.err;
	if (walk.failed)
		return false;
	return !whole || store->driver->put(store, MARK, &digest, STR(""), err);
}
