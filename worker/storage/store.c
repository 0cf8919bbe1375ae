/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store - names and digests become keys, keys go to the driver.
 *
 * Names are checked once more here: a key is what keeps us inside the root. Markers of the catalog are
 * escaped so that their byte order is that of the names: see docs/decisions/0004-catalog-order.md.
 */
#include "worker/storage/store.h"

#include <stdio.h>

#include "common/check.h"
#include "common/clock.h"
#include "proto/name.h"
#include "worker/storage/pace.h"
#include "worker/storage/store_driver.h"
#include "worker/storage/store_roots.h"

#define MARKER_MAX  (3 * (NAME_MAX_LEN + 1) + 1)
#define OCI_LAYOUT  "{\"imageLayoutVersion\":\"1.0.0\"}"
#define PROBE_S     60
#define ESCAPE_UPTO '/' /* this and all bytes before it are escaped */

struct key {
	char text[STORE_KEY_MAX];
};

static const struct store_driver *driver_of(const struct store *store)
{
	CHECK(store && store->magic == STORE_MAGIC);
	return store->driver;
}

/* ---- the root that a repository lies in ---- */

static const struct store *looked_at(const struct store *store, struct str name)
{
	const struct store_driver *driver = driver_of(store);

	return driver->root_of ? driver->root_of(store, name) : store;
}

static struct store *root_of(struct store *store, struct str name)
{
	const struct store_driver *driver = driver_of(store);

	return driver->root_of ? driver->root_of(store, name) : store;
}

size_t store_roots_len(const struct store *store)
{
	const struct store_driver *driver = driver_of(store);

	return driver->root_at ? driver->roots_len(store) : 1;
}

struct store *store_root_at(struct store *store, size_t at, const char **ret_path)
{
	const struct store_driver *driver = driver_of(store);

	CHECK(at < store_roots_len(store));
	if (driver->root_at)
		return driver->root_at(store, at, ret_path);
	*ret_path = "";
	return store;
}

/* ---- keys ---- */

static bool check_name(struct str text, struct error *err)
{
	struct name name;

	return name_parse(text, &name, err);
}

static bool key_of_file(struct str name, const char *file, struct key *key, struct error *err)
{
	if (!check_name(name, err))
		return false;
	(void)snprintf(key->text, sizeof(key->text), "%.*s/%s", STR_ARGS(name), file);
	return true;
}

static bool key_of_blob(struct str name, const struct digest *digest, struct key *key, struct error *err)
{
	char encoded[129];

	if (!check_name(name, err))
		return false;
	digest_encoded(digest, encoded);
	(void)snprintf(key->text, sizeof(key->text), "%.*s/blobs/%s/%s", STR_ARGS(name),
		digest_algorithm(digest), encoded);
	return true;
}

/* Every byte up to '/' becomes %XX. '%' itself sorts before '0', so the order of two texts is the order
 * of their escaped forms, whatever bytes they hold. */
static void escape(struct str text, struct buf *into)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c <= ESCAPE_UPTO)
			buf_format(into, "%%%02X", c);
		else
			buf_putc(into, (char)c);
	}
}

static bool hex_value(char c, unsigned *ret)
{
	if (c >= '0' && c <= '9')
		*ret = (unsigned)(c - '0');
	else if (c >= 'A' && c <= 'F')
		*ret = (unsigned)(c - 'A' + 10);
	else
		return false;
	return true;
}

/* Only what escape() makes is read: a name has one marker. */
static bool unescape(struct str text, struct buf *into)
{
	char *to = buf_reserve(into, text.len);
	unsigned high, low;
	size_t len = 0;

	if (!to)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] != '%') {
			if ((unsigned char)text.at[i] <= ESCAPE_UPTO)
				return false;
			to[len++] = text.at[i];
			continue;
		}
		if (text.len - i < 3 || !hex_value(text.at[i + 1], &high) ||
			!hex_value(text.at[i + 2], &low) || high * 16 + low > ESCAPE_UPTO)
			return false;
		to[len++] = (char)(high * 16 + low);
		i += 2;
	}
	buf_grew(into, len);
	return true;
}

static bool key_of_marker(struct str name, struct key *key, struct error *err)
{
	AUTO_FINI(buf) marker = buf_limit(MARKER_MAX);

	escape(name, &marker);
	if (!buf_check(&marker, "the marker of a repository", err))
		return false;
	(void)snprintf(key->text, sizeof(key->text), STORE_CATALOG "%s", buf_text(&marker));
	return true;
}

bool store_marker_key(struct str name, char into[STORE_KEY_MAX], struct error *err)
{
	struct key key;

	if (!key_of_marker(name, &key, err))
		return false;
	memcpy(into, key.text, sizeof(key.text));
	return true;
}

/* ---- the index ---- */

bool store_index_get(struct store *store, struct str name, struct buf *into,
	struct store_version *ret_version, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	buf_clear(into);
	return key_of_file(name, "index.json", &key, err) &&
	       driver_of(store)->get(store, key.text, into, ret_version, err);
}

enum store_step store_index_get_if_changed(struct store *store, struct str name,
	const struct store_version *version, struct buf *into, struct store_version *ret_version,
	struct error *err)
{
	struct key key;

	store = root_of(store, name);
	buf_clear(into);
	if (!key_of_file(name, "index.json", &key, err))
		return STORE_FAILED;
	return driver_of(store)->get_if_changed(store, key.text, version, into, ret_version, err);
}

static bool put_small(struct store *store, const struct key *key, struct str bytes, struct error *err)
{
	struct digest digest = digest_of(HASH_SHA256, bytes);

	return driver_of(store)->put(store, key->text, &digest, bytes, err);
}

static bool put_layout(struct store *store, struct str name, struct error *err)
{
	struct key layout;

	return key_of_file(name, "oci-layout", &layout, err) &&
	       put_small(store, &layout, STR(OCI_LAYOUT), err);
}

enum store_step store_index_fold(struct store *store, struct str name, struct str bytes,
	const struct store_version *expected, const struct store_log_place *log,
	struct store_version *ret_version, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	CHECK(expected && log);
	if (!key_of_file(name, "index.json", &key, err))
		return STORE_FAILED;
	if (!expected->text[0] && !put_layout(store, name, err))
		return STORE_FAILED;
	if (driver_of(store)->put_index)
		return driver_of(store)->put_index(store, key.text, bytes, expected, log, ret_version, err);
	return driver_of(store)->put_if(store, key.text, bytes, expected, ret_version, err);
}

bool store_has_log(const struct store *store, struct str name)
{
	return driver_of(looked_at(store, name))->log_append != NULL;
}

bool store_log_goes_on(const struct store *store, struct str name)
{
	return driver_of(looked_at(store, name))->log_remove != NULL;
}

enum store_step store_log_get(struct store *store, struct str name, const struct store_version *index,
	struct store_log_place *place, struct buf *into, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	if (!key_of_file(name, "index.json", &key, err))
		return STORE_FAILED;
	return driver_of(store)->log_get(store, key.text, index, place, into, err);
}

enum store_step store_log_append(struct store *store, struct str name, const struct store_version *expected,
	struct store_log_place *place, struct str frames, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	if (!key_of_file(name, "index.json", &key, err))
		return STORE_FAILED;
	return driver_of(store)->log_append(store, key.text, expected, place, frames, err);
}

bool store_log_remove(
	struct store *store, struct str name, const struct store_log_place *upto, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	return key_of_file(name, "index.json", &key, err) &&
	       driver_of(store)->log_remove(store, key.text, upto, err);
}

static bool on_scrap(void *arg, struct str name)
{
	struct buf *into = arg;

	if (str_starts(name, "index.log."))
		buf_add(into, name);
	return false;
}

bool store_log_scrap(struct store *store, struct str name, struct buf *into, struct error *err)
{
	struct key key;
	bool more;

	store = root_of(store, name);
	buf_clear(into);
	return !driver_of(store)->has_files ||
	       (key_of_file(name, "", &key, err) && driver_of(store)->list(store, key.text, STR("index.log."),
							    1, on_scrap, into, &more, err));
}

/* ---- blobs ---- */

void store_on_missing(struct store *store, store_missing_f *fn, void *arg)
{
	store->missing = fn;
	store->missing_arg = arg;
}

bool store_blob_size_here(struct store *store, struct str name, const struct digest *digest,
	uint64_t *ret_size, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	return key_of_blob(name, digest, &key, err) && driver_of(store)->size(store, key.text, ret_size, err);
}

bool store_blob_size(struct store *store, struct str name, const struct digest *digest, uint64_t *ret_size,
	struct error *err)
{
	struct error cause;

	if (store_blob_size_here(store, name, digest, ret_size, &cause))
		return true;
	if (cause.kind == ERROR_UNKNOWN && store->missing)
		return store->missing(store->missing_arg, name, digest, ret_size, NULL, err);
	if (err)
		*err = cause;
	return false;
}

static bool blob_get_here(struct store *store, struct str name, const struct digest *digest, struct buf *into,
	struct error *err)
{
	struct key key;

	store = root_of(store, name);
	return key_of_blob(name, digest, &key, err) &&
	       driver_of(store)->get(store, key.text, into, NULL, err);
}

bool store_blob_get(struct store *store, struct str name, const struct digest *digest, struct buf *into,
	struct error *err)
{
	struct error cause;
	uint64_t size;

	buf_clear(into);
	if (blob_get_here(store, name, digest, into, &cause))
		return true;
	buf_clear(into);
	if (cause.kind == ERROR_UNKNOWN && store->missing)
		return store->missing(store->missing_arg, name, digest, &size, into, err);
	if (err)
		*err = cause;
	return false;
}

bool store_blob_put(struct store *store, struct str name, const struct digest *digest, struct str bytes,
	struct error *err)
{
	struct key key;

	store = root_of(store, name);
	return key_of_blob(name, digest, &key, err) &&
	       driver_of(store)->put(store, key.text, digest, bytes, err);
}

bool store_is_lazy(const struct store *store, struct str name)
{
	return driver_of(looked_at(store, name))->put_lazy != NULL;
}

bool store_blob_put_lazy(struct store *store, struct str name, const struct digest *digest, struct str bytes,
	bool listed, uint64_t *ret_era, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	return key_of_blob(name, digest, &key, err) &&
	       driver_of(store)->put_lazy(store, key.text, bytes, listed, ret_era, err);
}

bool store_blob_put_again(struct store *store, struct str name, const struct digest *digest, struct str bytes,
	struct error *err)
{
	struct key key;

	store = root_of(store, name);
	return key_of_blob(name, digest, &key, err) &&
	       driver_of(store)->put_again(store, key.text, bytes, err);
}

uint64_t store_era(const struct store *store, struct str name)
{
	store = looked_at(store, name);
	return driver_of(store)->era ? driver_of(store)->era(store) : 1;
}

bool store_sync(struct store *store, struct str name, uint64_t era, struct error *err)
{
	store = root_of(store, name);
	return !driver_of(store)->sync || driver_of(store)->sync(store, era, err);
}

bool store_blob_put_file(struct store *store, struct str name, const struct digest *digest, int fd,
	const char *path, uint64_t size, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	CHECK(fd >= 0);
	return key_of_blob(name, digest, &key, err) &&
	       driver_of(store)->put_file(store, key.text, digest, fd, path, size, err);
}

uint64_t store_push_part(const struct store *store, struct str name, uint64_t size)
{
	const struct store *root = looked_at(store, name);

	return root->driver->push_part ? root->driver->push_part(root, size) : 0;
}

bool store_push_begin(struct store *store, struct str name, const struct digest *digest, uint64_t size,
	struct store_push **ret, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	return key_of_blob(name, digest, &key, err) &&
	       driver_of(store)->push_begin(store, key.text, size, ret, err);
}

bool store_push_is_there(const struct store_push *push)
{
	return push->is_there;
}

bool store_push_send(struct store_push *push, unsigned at, struct str bytes, uint32_t sum, struct error *err)
{
	return driver_of(push->store)->push_send(push, at, bytes, sum, err);
}

bool store_push_finish(struct store_push *push, struct error *err)
{
	return driver_of(push->store)->push_finish(push, err);
}

void store_push_stop(struct store_push *push)
{
	atomic_store(&push->stopped, true);
}

void store_push_give_up(struct store_push *push)
{
	driver_of(push->store)->push_give_up(push);
}

void store_push_free(struct store_push *push)
{
	if (push)
		driver_of(push->store)->push_free(push);
}

bool store_blob_put_new(struct store *store, struct str name, const struct digest *digest, struct str bytes,
	struct error *err)
{
	struct key key;

	store = root_of(store, name);
	return key_of_blob(name, digest, &key, err) &&
	       driver_of(store)->put_new(store, key.text, digest, bytes, err);
}

bool store_blob_delete(
	struct store *store, struct str name, const struct digest *digest, int64_t until_s, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	return key_of_blob(name, digest, &key, err) &&
	       driver_of(store)->remove(store, key.text, until_s, err);
}

bool store_blobs_delete(struct store *store, struct str name, const struct digest *digests, size_t len,
	int64_t until_s, bool *gone, struct error *err)
{
	AUTO_STR *texts = check_alloc(len + 1, sizeof(struct key));
	AUTO_STR *pointers = check_alloc(len + 1, sizeof(char *));
	struct key *keys = (struct key *)(void *)texts;
	const char **at = (const char **)(void *)pointers;

	CHECK(len <= STORE_DELETE_MAX);
	if (!len)
		return true;
	store = root_of(store, name);
	memset(gone, 0, len * sizeof(*gone));
	for (size_t i = 0; i < len; i++) {
		if (!key_of_blob(name, &digests[i], &keys[i], err))
			return false;
		at[i] = keys[i].text;
	}
	return driver_of(store)->remove_all(store, at, len, until_s, gone, err);
}

int64_t store_clock_ms(const struct store *store, struct str name)
{
	store = looked_at(store, name);
	return driver_of(store)->clock_ms ? driver_of(store)->clock_ms(store) : clock_wall_ms();
}

int64_t store_clock_s(const struct store *store, struct str name)
{
	return store_clock_ms(store, name) / 1000;
}

bool store_blob_mount(
	struct store *store, struct str from, struct str to, const struct digest *digest, struct error *err)
{
	struct store *source_root = root_of(store, from), *root = root_of(store, to);
	struct key source, target;
	uint64_t size;

	if (!key_of_blob(from, digest, &source, err) || !key_of_blob(to, digest, &target, err))
		return false;
	/* S3 refuses to copy an object onto itself. */
	if (str_equal(from, to))
		return driver_of(root)->size(root, source.text, &size, err);
	if (source_root != root)
		return store_roots_copy(source_root, source.text, root, target.text, digest, err);
	return driver_of(root)->copy(root, source.text, target.text, digest, err);
}

void blob_source_fini(struct blob_source *source)
{
	if (source->fd >= 0)
		(void)close(source->fd);
	free(source->url);
	http_headers_free(source->headers);
	*source = (struct blob_source){ .fd = -1 };
}

bool store_has_files(const struct store *store, struct str name)
{
	return driver_of(looked_at(store, name))->has_files;
}

bool store_blob_source(struct store *store, struct str name, const struct digest *digest,
	const struct range *part, struct blob_source *ret, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	return key_of_blob(name, digest, &key, err) &&
	       driver_of(store)->source(store, key.text, part, ret, err);
}

int64_t store_silent_ms(const struct store *store, struct str name)
{
	store = looked_at(store, name);
	return driver_of(store)->silent_ms ? driver_of(store)->silent_ms(store) : 0;
}

enum store_again store_blob_answered(struct store *store, struct str name, const struct store_signed *with,
	const struct store_answer *answer)
{
	store = root_of(store, name);
	return driver_of(store)->answered ? driver_of(store)->answered(store, with, answer) : STORE_AGAIN_NOT;
}

void store_blob_silent(
	struct store *store, struct str name, const struct store_signed *with, const struct error *why)
{
	store = root_of(store, name);
	if (driver_of(store)->silent)
		driver_of(store)->silent(store, with, why);
}

bool store_has_links(const struct store *store, struct str name)
{
	return driver_of(looked_at(store, name))->link != NULL;
}

bool store_blob_link(struct store *store, struct str name, const struct digest *digest, unsigned seconds,
	struct buf *into, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	CHECK(driver_of(store)->link);
	return key_of_blob(name, digest, &key, err) &&
	       driver_of(store)->link(store, key.text, seconds, into, err);
}

/* ---- the catalog ---- */

struct listing {
	store_catalog_f *fn;
	void *arg;
	struct buf last; /* the marker that was seen last */
	struct buf name;
	size_t left;
	bool stopped;
};

static bool on_marker(void *arg, struct str marker)
{
	struct listing *listing = arg;
	struct buf *name = &listing->name;

	buf_clear(&listing->last);
	buf_add(&listing->last, marker);
	buf_clear(name);
	/* What is no marker of ours is passed over; the driver has counted it, we have not. */
	if (!unescape(marker, name) || !check_name(buf_str(name), NULL))
		return true;
	listing->left--;
	listing->stopped = !listing->fn(listing->arg, buf_str(name));
	return !listing->stopped;
}

/* The client's text, cut where no name can differ any more: past the longest name, and at a byte that
 * sorts behind all that names hold. So it is short, and ASCII whatever was sent. */
static void escape_after(struct str after, struct buf *into)
{
	size_t len = 0;

	while (len < after.len && len <= NAME_MAX_LEN && (unsigned char)after.at[len] <= 'z')
		len++;
	escape(str_from(after.at, len), into);
	if (len < after.len && len <= NAME_MAX_LEN)
		buf_putc(into, '{');
}

/* In a folder of names that were escaped. */
static bool list_names(struct store *store, const char *folder, struct str after, size_t n,
	store_catalog_f *fn, void *arg, bool *ret_more, struct error *err)
{
	struct listing listing = { .fn = fn,
		.arg = arg,
		.last = buf_limit(STORE_KEY_MAX),
		.name = buf_limit(MARKER_MAX),
		.left = n };
	bool more = true, ok = true;

	escape_after(after, &listing.last);
	/* Asking for none still tells whether there are any. */
	do
		ok = driver_of(store)->list(
			store, folder, buf_str(&listing.last), listing.left, on_marker, &listing, &more, err);
	while (ok && more && listing.left && !listing.stopped);
	buf_fini(&listing.last);
	buf_fini(&listing.name);
	if (ok)
		*ret_more = more;
	return ok;
}

bool store_catalog(struct store *store, struct str after, size_t n, store_catalog_f *fn, void *arg,
	bool *ret_more, struct error *err)
{
	const struct store_driver *driver = driver_of(store);

	return driver->catalog ? driver->catalog(store, after, n, fn, arg, ret_more, err)
			       : list_names(store, STORE_CATALOG, after, n, fn, arg, ret_more, err);
}

/* Whoever was stopped between his look at the clock and the removal holds it, and who puts the name again waits for him. */
static bool lock_repository(struct store *store, struct str name, int *ret_lock, struct error *err)
{
	struct key index;

	return key_of_file(name, "index.json", &index, err) &&
	       (!driver_of(store)->lock || driver_of(store)->lock(store, index.text, ret_lock, err));
}

/* A crash behind it leaves a name in the catalog whose repository is empty, never a repository that the catalog does not know. */
bool store_name_put(struct store *store, struct str name, int64_t until_s, struct error *err)
{
	struct key marker;
	AUTO_FD lock = -1;

	store = root_of(store, name);
	if (!key_of_marker(name, &marker, err) || !lock_repository(store, name, &lock, err))
		return false;
	return until_s ? driver_of(store)->put_until(store, marker.text, until_s, err)
		       : put_small(store, &marker, STR(""), err);
}

bool store_name_remove(struct store *store, struct str name, int64_t until_s, struct error *err)
{
	struct key marker;
	AUTO_FD lock = -1;

	store = root_of(store, name);
	return key_of_marker(name, &marker, err) && lock_repository(store, name, &lock, err) &&
	       driver_of(store)->remove(store, marker.text, until_s, err);
}

#define COMING STORE_CATALOG ".coming"

static struct store *first_root(struct store *store)
{
	const char *ignored;

	return store_root_at(store, 0, &ignored);
}

bool store_coming_get(
	struct store *store, struct buf *into, struct store_version *ret_version, struct error *err)
{
	store = first_root(store);
	return driver_of(store)->get(store, COMING, into, ret_version, err);
}

enum store_step store_coming_put(
	struct store *store, struct str bytes, const struct store_version *expected, struct error *err)
{
	store = first_root(store);
	return driver_of(store)->put_if(store, COMING, bytes, expected, NULL, err);
}

bool store_names_settle(struct store *store, struct error *err)
{
	for (size_t i = 0; i < store_roots_len(store); i++) {
		const char *path;
		struct store *root = store_root_at(store, i, &path);
		AUTO_FD lock = -1;

		if (driver_of(root)->lock && !driver_of(root)->lock(root, COMING, &lock, err))
			return false;
	}
	return true;
}

#define EACH_PAGE 1000

struct each {
	store_catalog_f *fn;
	void *arg;
	struct buf name;
	bool stopped;
};

static bool on_each(void *arg, struct str name)
{
	struct each *each = arg;

	buf_clear(&each->name);
	buf_add(&each->name, name);
	each->stopped = !each->fn(each->arg, buf_str(&each->name));
	return !each->stopped;
}

bool store_catalog_each(struct store *store, store_catalog_f *fn, void *arg, struct error *err)
{
	struct each each = { .fn = fn, .arg = arg, .name = buf_limit(NAME_MAX_LEN + 1) };
	AUTO_FINI(buf) after = buf_limit(NAME_MAX_LEN + 1);
	bool ok = true, more = true;

	while (ok && more && !each.stopped) {
		buf_clear(&after);
		buf_add(&after, buf_str(&each.name));
		ok = store_catalog(store, buf_str(&after), EACH_PAGE, on_each, &each, &more, err);
	}
	buf_fini(&each.name);
	return ok;
}

/* ---- notes ---- */

#define REMOVE_S 60

/* Those of all roots lie in the first. */
static bool key_of_note(struct str name, struct key *key, struct error *err)
{
	AUTO_FINI(buf) escaped = buf_limit(MARKER_MAX);

	escape(name, &escaped);
	if (!buf_check(&escaped, "the name of a note", err))
		return false;
	(void)snprintf(key->text, sizeof(key->text), STORE_NOTES "%s", buf_text(&escaped));
	return true;
}

bool store_note_put(struct store *store, struct str name, struct str bytes, struct error *err)
{
	struct store_version ignored = { .text = "" };
	struct key key;

	store = first_root(store);
	return key_of_note(name, &key, err) &&
	       driver_of(store)->put_if(store, key.text, bytes, NULL, &ignored, err) == STORE_OK;
}

bool store_note_get(struct store *store, struct str name, struct buf *into, struct error *err)
{
	struct key key;

	store = first_root(store);
	buf_clear(into);
	return key_of_note(name, &key, err) && driver_of(store)->get(store, key.text, into, NULL, err);
}

static bool remove_key(struct store *store, const struct key *key, struct error *err)
{
	struct error cause;

	if (driver_of(store)->remove(store, key->text, store_clock_s(store, STR_NONE) + REMOVE_S, &cause) ||
		cause.kind == ERROR_UNKNOWN)
		return true;
	*err = cause;
	return false;
}

bool store_note_remove(struct store *store, struct str name, struct error *err)
{
	struct key key;

	store = first_root(store);
	return key_of_note(name, &key, err) && remove_key(store, &key, err);
}

bool store_notes(struct store *store, struct str after, size_t n, store_catalog_f *fn, void *arg,
	bool *ret_more, struct error *err)
{
	return list_names(first_root(store), STORE_NOTES, after, n, fn, arg, ret_more, err);
}

struct digests {
	const char *alg;
	store_digest_f *fn;
	void *arg;
};

static bool on_encoded(void *arg, struct str encoded)
{
	const struct digests *digests = arg;
	AUTO_FINI(buf) text = buf_limit(DIGEST_TEXT_SIZE);
	struct digest digest;

	buf_format(&text, "%s:%.*s", digests->alg, STR_ARGS(encoded));
	return text.failed || !digest_parse(buf_str(&text), &digest, NULL) ||
	       digests->fn(digests->arg, &digest);
}

bool store_blobs(struct store *store, struct str name, enum hash_kind alg, struct str after, size_t n,
	store_digest_f *fn, void *arg, bool *ret_more, struct error *err)
{
	struct digest some = { .alg = alg };
	struct digests digests = { .alg = digest_algorithm(&some), .fn = fn, .arg = arg };
	struct key key;

	store = root_of(store, name);
	if (!check_name(name, err))
		return false;
	(void)snprintf(key.text, sizeof(key.text), "%.*s/blobs/%s/", STR_ARGS(name), digest_algorithm(&some));
	return driver_of(store)->list(store, key.text, after, n, on_encoded, &digests, ret_more, err);
}

struct objects {
	const char *alg; /* of a list of one folder; NULL: it stands in the name */
	store_object_f *fn;
	void *arg;
	size_t left;
	bool stopped;
};

/* "sha256/..." */
static bool parse_object(const struct objects *objects, struct str name, struct digest *ret)
{
	AUTO_FINI(buf) text = buf_limit(DIGEST_TEXT_SIZE);
	const char *slash = objects->alg ? NULL : memchr(name.at, '/', name.len);

	if (slash)
		buf_format(&text, "%.*s:%.*s", (int)(slash - name.at), name.at,
			(int)(name.at + name.len - slash - 1), slash + 1);
	else
		buf_format(&text, "%s:%.*s", objects->alg ? objects->alg : "", STR_ARGS(name));
	return !text.failed && digest_parse(buf_str(&text), ret, NULL);
}

static bool on_object(void *arg, struct str name, uint64_t size, int64_t changed_s)
{
	struct objects *objects = arg;
	struct store_object object = { .size = size, .changed_s = changed_s, .known = !objects->alg };

	objects->left--;
	if (parse_object(objects, name, &object.digest))
		objects->stopped = !objects->fn(objects->arg, &object);
	return !objects->stopped;
}

static bool on_name(void *arg, struct str encoded)
{
	return on_object(arg, encoded, 0, 0);
}

/* Of each algorithm one folder. */
static bool list_folders(struct store *store, struct str name, const struct digest *after,
	struct objects *objects, bool *ret_more, struct error *err)
{
	static const enum hash_kind kinds[] = { HASH_SHA256, HASH_SHA512 };
	char encoded[129];
	struct key key;

	*ret_more = true;
	for (size_t i = after && after->alg == kinds[1]; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct digest some = { .alg = kinds[i] };
		struct str behind = STR_NONE;

		if (after && after->alg == kinds[i]) {
			digest_encoded(after, encoded);
			behind = str_of(encoded);
		}
		objects->alg = digest_algorithm(&some);
		(void)snprintf(key.text, sizeof(key.text), "%.*s/blobs/%s/", STR_ARGS(name), objects->alg);
		if (!driver_of(store)->list(
			    store, key.text, behind, objects->left, on_name, objects, ret_more, err))
			return false;
		if (*ret_more || objects->stopped || !objects->left) {
			*ret_more = *ret_more || i + 1 < sizeof(kinds) / sizeof(kinds[0]);
			return true;
		}
	}
	return true;
}

bool store_objects(struct store *store, struct str name, const struct digest *after, size_t n,
	store_object_f *fn, void *arg, bool *ret_more, struct error *err)
{
	struct objects objects = { .fn = fn, .arg = arg, .left = n };
	char encoded[129], last[160] = "";
	struct key key;

	store = root_of(store, name);
	if (!check_name(name, err))
		return false;
	if (!driver_of(store)->objects)
		return list_folders(store, name, after, &objects, ret_more, err);
	if (after) {
		digest_encoded(after, encoded);
		(void)snprintf(last, sizeof(last), "%s/%s", digest_algorithm(after), encoded);
	}
	(void)snprintf(key.text, sizeof(key.text), "%.*s/blobs/", STR_ARGS(name));
	return driver_of(store)->objects(
		store, key.text, str_of(last), n, on_object, &objects, ret_more, err);
}

bool store_object_look(struct store *store, struct str name, struct store_object *object, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	object->known = key_of_blob(name, &object->digest, &key, err) &&
			driver_of(store)->look(store, key.text, &object->size, &object->changed_s, err);
	return object->known;
}

/* ---- an end ---- */

#define DROP_STEP 64

struct dropping {
	struct digest at[DROP_STEP];
	size_t len;
};

static bool on_dropped(void *arg, const struct digest *digest)
{
	struct dropping *dropping = arg;

	dropping->at[dropping->len++] = *digest;
	return dropping->len < DROP_STEP;
}

/* Listed again from the start each time: what is gone is not in it. */
static bool drop_blobs(
	struct store *store, struct str name, enum hash_kind alg, const struct pace *pace, struct error *err)
{
	bool more = true;

	while (more) {
		struct dropping dropping = { .len = 0 };

		if (!store_blobs(store, name, alg, STR_NONE, DROP_STEP, on_dropped, &dropping, &more, err))
			return false;
		for (size_t i = 0; i < dropping.len; i++) {
			struct key key;

			if (!key_of_blob(name, &dropping.at[i], &key, err) || !remove_key(store, &key, err))
				return false;
		}
		if (!pace_go_on(pace))
			return error_set(err, ERROR_UNAVAILABLE, NULL, "not removed to the end");
	}
	return true;
}

static bool drop_file(struct store *store, struct str name, const char *file, struct error *err)
{
	struct key key;

	return key_of_file(name, file, &key, err) && remove_key(store, &key, err);
}

bool store_drop(struct store *store, struct str name, const struct store_log_place *log,
	const struct pace *pace, struct error *err)
{
	struct key marker;

	store = root_of(store, name);
	if (!key_of_marker(name, &marker, err) || !remove_key(store, &marker, err) ||
		!drop_file(store, name, "index.json", err) || !drop_file(store, name, "oci-layout", err))
		return false;
	if (store_log_goes_on(store, name) ? log->generation[0] && !store_log_remove(store, name, log, err)
					   : !drop_file(store, name, "index.log", err))
		return false;
	return drop_blobs(store, name, HASH_SHA256, pace, err) &&
	       drop_blobs(store, name, HASH_SHA512, pace, err);
}

/* ---- start and health ---- */

static bool put_probe(struct store *store, const char *key, struct str bytes,
	const struct store_version *expected, struct store_version *ret_version, enum store_step *ret,
	struct error *err)
{
	*ret = driver_of(store)->put_if(store, key, bytes, expected, ret_version, err);
	return *ret == STORE_OK || *ret == STORE_CONFLICT;
}

/* Two that must be written, two that must be refused. */
static bool try_conditions(struct store *store, const char *key, bool *ret_conditional, struct error *err)
{
	const struct store_version nothing = { .text = "" };
	struct store_version first = { .text = "" }, second = { .text = "" }, ignored = { .text = "" };
	enum store_step create, create_again, replace, replace_stale;

	if (!put_probe(store, key, STR("1"), &nothing, &first, &create, err) ||
		!put_probe(store, key, STR("2"), &nothing, &ignored, &create_again, err))
		return false;
	if (create != STORE_OK)
		return error_set(err, ERROR_UNAVAILABLE, NULL,
			"the store says that %s exists, which nobody wrote", key);
	if (create_again != STORE_CONFLICT) {
		*ret_conditional = false;
		return true;
	}
	if (!put_probe(store, key, STR("3"), &first, &second, &replace, err) ||
		!put_probe(store, key, STR("4"), &first, &ignored, &replace_stale, err))
		return false;
	*ret_conditional = replace == STORE_OK && replace_stale == STORE_CONFLICT;
	return true;
}

static bool probe(struct store *store, bool *ret_conditional, struct error *err)
{
	char random[33], key[64];
	bool ok, conditional = false;

	random_hex(random, 16);
	(void)snprintf(key, sizeof(key), "_probe/%s", random);
	ok = try_conditions(store, key, &conditional, err);
	if (!driver_of(store)->remove(
		    store, key, store_clock_s(store, STR_NONE) + PROBE_S, ok ? err : NULL) ||
		!ok)
		return false;
	*ret_conditional = conditional;
	return true;
}

/* Which of several it is; those who ask for one have its place. */
static bool told(const char *path, struct error *err)
{
	return *path && error_add(err, "storage.subPaths %s", path);
}

/* Of what goes on with the next root: the first one's error is the whole's, which was given to nobody after it. */
static void note_failure(const char *path, bool *ok, struct error *err)
{
	if (*ok)
		(void)told(path, err);
	*ok = false;
}

bool store_probe(struct store *store, bool *ret_conditional, struct error *err)
{
	bool all = true, one = false;

	for (size_t i = 0; i < store_roots_len(store); i++) {
		const char *path;

		if (!probe(store_root_at(store, i, &path), &one, err))
			return told(path, err);
		all = all && one;
	}
	*ret_conditional = all;
	return true;
}

/* ---- looking whether blobs are what they should be ---- */

bool store_reading_new(struct store *store, struct str name, const struct digest *digest,
	struct store_reading **ret, struct error *err)
{
	struct key key;

	store = root_of(store, name);
	if (!key_of_blob(name, digest, &key, err) ||
		!driver_of(store)->reading_new(store, key.text, digest, ret, err))
		return false;
	(*ret)->store = store;
	return true;
}

void store_reading_free(struct store_reading *reading)
{
	if (reading)
		driver_of(reading->store)->reading_free(reading);
}

bool store_reading_next(
	struct store_reading *reading, char *into, size_t len, size_t *ret_len, struct error *err)
{
	return driver_of(reading->store)->reading_next(reading, into, len, ret_len, err);
}

void store_reading_again(struct store_reading *reading)
{
	driver_of(reading->store)->reading_again(reading);
}

bool store_reading_set_aside(struct store_reading *reading, bool aside, struct error *err)
{
	if (!driver_of(reading->store)->set_aside(reading, aside, err))
		return false;
	reading->aside = aside;
	return true;
}

bool store_aside_trim(struct store *store, const struct pace *pace, uint64_t *ret_removed, struct error *err)
{
	bool ok = true;

	*ret_removed = 0;
	for (size_t i = 0; i < store_roots_len(store); i++) {
		const char *path;
		struct store *root = store_root_at(store, i, &path);

		if (driver_of(root)->aside_trim &&
			!driver_of(root)->aside_trim(root, pace, ret_removed, ok ? err : NULL))
			note_failure(path, &ok, err);
	}
	return ok;
}

static bool sweep(struct store *store, bool was_killed, int64_t before_s, const struct pace *pace,
	const struct would *dry, uint64_t *ret_removed, struct error *err)
{
	const struct store_driver *driver = driver_of(store);

	*ret_removed = 0;
	return !driver->sweep || driver->sweep(store, was_killed, before_s, pace, dry, ret_removed, err);
}

bool store_sweep(struct store *store, bool was_killed, int64_t before_s, const struct pace *pace,
	const struct would *dry, uint64_t *ret_removed, struct error *err)
{
	uint64_t removed;
	bool ok = true;

	*ret_removed = 0;
	for (size_t i = 0; i < store_roots_len(store); i++) {
		const char *path;
		struct store *root = store_root_at(store, i, &path);

		if (!sweep(root, was_killed, before_s, pace, dry, &removed, ok ? err : NULL))
			note_failure(path, &ok, err);
		*ret_removed += removed;
	}
	return ok;
}

bool store_abandoned(struct store *store, const struct pace *pace, const struct would *dry,
	uint64_t *ret_ended, struct error *err)
{
	bool ok = true;

	*ret_ended = 0;
	for (size_t i = 0; i < store_roots_len(store); i++) {
		uint64_t ended = 0;
		const char *path;
		struct store *root = store_root_at(store, i, &path);

		if (driver_of(root)->abandoned &&
			!driver_of(root)->abandoned(root, pace, dry, &ended, ok ? err : NULL))
			note_failure(path, &ok, err);
		*ret_ended += ended;
	}
	return ok;
}

bool store_dedupe(struct store *store, bool always, const struct pace *pace, const struct would *dry,
	struct store_dedupe *ret, struct error *err)
{
	bool ok = true;

	*ret = (struct store_dedupe){ 0 };
	for (size_t i = 0; i < store_roots_len(store); i++) {
		struct store_dedupe one = { 0 };
		const char *path;
		struct store *root = store_root_at(store, i, &path);

		if (driver_of(root)->dedupe &&
			!driver_of(root)->dedupe(root, always, pace, dry, &one, ok ? err : NULL))
			note_failure(path, &ok, err);
		ret->files += one.files;
		ret->saved += one.saved;
		ret->linked += one.linked;
		ret->removed += one.removed;
		ret->restored += one.restored;
		ret->again = ret->again || one.again;
	}
	return ok;
}

bool store_usage(struct store *store, struct str name, const struct pace *pace, struct store_usage *ret,
	struct error *err)
{
	struct name valid;

	store = root_of(store, name);
	return name_parse(name, &valid, err) && driver_of(store)->usage(store, valid.text, pace, ret, err);
}

const struct histogram *store_lock_waits(struct store *store)
{
	const struct store_driver *driver = driver_of(store);

	return driver->lock_waits ? driver->lock_waits(store) : NULL;
}

bool store_check(struct store *store, struct error *err)
{
	for (size_t i = 0; i < store_roots_len(store); i++) {
		const char *path;
		struct store *root = store_root_at(store, i, &path);

		if (!driver_of(root)->check(root, err))
			return told(path, err);
	}
	return true;
}

void store_free(struct store *store)
{
	if (store)
		driver_of(store)->free(store);
}

static const struct store *const_root_at(const struct store *store, size_t at)
{
	const struct store_driver *driver = driver_of(store);
	const char *ignored;

	return driver->root_at ? driver->root_at(store, at, &ignored) : store;
}

uint64_t store_requests(const struct store *store)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < store_roots_len(store); i++) {
		const struct store *root = const_root_at(store, i);

		sum += driver_of(root)->requests(root);
	}
	return sum;
}

uint64_t store_errors(const struct store *store)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < store_roots_len(store); i++) {
		const struct store *root = const_root_at(store, i);

		sum += driver_of(root)->errors ? driver_of(root)->errors(root) : 0;
	}
	return sum;
}

uint64_t store_saved(const struct store *store)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < store_roots_len(store); i++) {
		const struct store *root = const_root_at(store, i);

		sum += driver_of(root)->saved ? driver_of(root)->saved(root) : 0;
	}
	return sum;
}

const char *store_place(const struct store *store)
{
	CHECK(store && store->magic == STORE_MAGIC);
	return store->place;
}
