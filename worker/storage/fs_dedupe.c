/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fs_dedupe - the same blob in several repositories of a folder is one file with several names (hard links).
 *
 *     <root>/_dedupe/blobs/<alg>/<first two of encoded>/<encoded>    one more name of a blob, to be found by its digest
 *     <root>/_dedupe/.shared                                         when all repositories were walked last
 *
 * The index is derived: nothing needs it, it may be removed at any time, and whoever finds it wrong puts it right. So nothing of it is synced.
 *
 *   an upload ends   what the index has is compared with the bytes that came; the same: it is linked, and the file that came goes. Else
 *                    the file that came becomes the blob as ever, and its name in the index is made behind that.
 *   a blob goes      if the index has its last name, that goes too: the bytes are free when no repository has them.
 *   the chore        each hour through the index: last names go (others than us may remove blobs), what is saved is added up. Each day through
 *                    the repositories: what others wrote, or what was written while this was off, gets its name in the index or becomes a
 *                    link to what has it. It may end at any step; what is done is passed over the next time, by a look each.
 *
 * Only what has more than STORE_LAZY_MAX bytes is shared: smaller ones may be manifests that are not durable yet, and save little.
 * Files are shared, so nobody ever writes into one in place: who has better bytes writes a new file and renames it over one name.
 *
 * A name is durable with its folder as for any blob. What gets its name in the index was synced before, so a link to it is a link to bytes
 * that are on the disk. A file that has as many names as the file system allows (EMLINK) is left by the index for the next one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

#include "common/check.h"
#include "common/file.h"
#include "common/log.h"
#include "worker/storage/fs_priv.h"
#include "worker/storage/pace.h"
#include "worker/storage/would.h"

#define FOLDER  "_dedupe"
#define STAMP   FOLDER "/.shared"
#define DAY_S   (24 * 60 * 60)
#define STEP    (256u * 1024)
#define PAGE    1000
#define FAN_OUT 256

/* ---- the name in the index ---- */

/* False: no blob's key. */
static bool entry_of(const struct store *store, const char *key, struct fs_path *ret)
{
	const char *blobs = NULL, *slash;
	char entry[STORE_KEY_MAX];

	for (const char *at = strstr(key, "/blobs/"); at; at = strstr(at + 1, "/blobs/"))
		blobs = at + 1;
	slash = blobs ? strchr(blobs + sizeof("blobs/") - 1, '/') : NULL;
	if (!slash || !slash[1] || !slash[2] || strchr(slash + 1, '/'))
		return false;
	(void)snprintf(entry, sizeof(entry), FOLDER "/%.*s/%.2s/%s", (int)(slash - blobs), blobs, slash + 1,
		slash + 1);
	return fs_path_of(store, entry, ret, NULL);
}

static bool is_same_inode(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

static void unlink_if(const struct store *store, const char *path, const struct stat *wanted)
{
	struct stat st;

	if (fs_at_stat(store, path, &st) && is_same_inode(&st, wanted))
		(void)fs_at_unlink(store, path);
}

/* What is rotten is nobody's to be linked to. */
static void forget_rotten(const struct store *store, const struct fs_path *entry)
{
	struct stat st;

	if (fs_at_stat(store, entry->text, &st) && fs_is_aside(&st))
		unlink_if(store, entry->text, &st);
}

/* The name goes to this file, whatever it is of now. */
void fs_dedupe_keep(struct store *store, const char *key, const struct fs_path *blob, bool replace)
{
	struct fs_path entry;

	if (!fs_dedupes(store) || !entry_of(store, key, &entry))
		return;
	if (fs_at_link(store, blob->text, entry.text))
		return;
	if (errno == ENOENT && fs_make_folders(store, entry.folder, NULL) &&
		fs_at_link(store, blob->text, entry.text))
		return;
	/* Without it the next one is not linked to this one. */
	if (errno == EEXIST && replace)
		(void)fs_link_over(store, blob, &entry);
}

/* ---- the end of an upload ---- */

/* Linked by name, which may be another file's by now. */
static bool link_it(struct store *store, const struct fs_path *entry, const struct stat *compared,
	const struct fs_path *target)
{
	struct stat now;

	if (!fs_link_over(store, entry, target))
		return false;
	errno = 0;
	return fs_at_stat(store, target->text, &now) && is_same_inode(&now, compared);
}

bool fs_dedupe_link(struct store *store, const char *key, int fd, uint64_t size, const struct fs_path *target,
	bool *ret_replace)
{
	struct fs_path entry;
	struct stat st, before;
	AUTO_FD there = -1;
	bool is_ours;

	*ret_replace = false;
	if (!fs_dedupes(store) || size <= STORE_LAZY_MAX || !entry_of(store, key, &entry))
		return false;
	forget_rotten(store, &entry);
	if (!fs_open_file(store, entry.text, &there, &st, NULL))
		return false;
	/* What lies there may be damaged; the bytes at hand are right. */
	if ((uint64_t)st.st_size != size || !file_equal(there, fd, size)) {
		*ret_replace = true;
		return false;
	}
	is_ours = fs_at_stat(store, target->text, &before) && is_same_inode(&before, &st);
	if (link_it(store, &entry, &st, target) ||
		(errno == ENOENT && fs_make_folders(store, target->folder, NULL) &&
			link_it(store, &entry, &st, target))) {
		fs_dedupe_count(store, is_ours ? 0 : (int64_t)size);
		return true;
	}
	*ret_replace = errno == EMLINK;
	return false;
}

/* ---- the end of a blob ---- */

void fs_dedupe_drop(struct store *store, const char *key, const struct stat *gone)
{
	struct fs_path entry;
	struct stat st;

	if (gone->st_size <= STORE_LAZY_MAX || !entry_of(store, key, &entry) ||
		!fs_at_stat(store, entry.text, &st) || !is_same_inode(&st, gone))
		return;
	if (st.st_nlink == 1)
		(void)fs_at_unlink(store, entry.text);
	else
		fs_dedupe_count(store, -(int64_t)st.st_size);
}

/* ---- the walks ---- */

struct walk {
	const struct would *dry; /* or NULL */
	struct store *store;
	const struct pace *pace;
	struct store_dedupe *told;
	struct buf last; /* repository */
	bool ended;
	bool ok;
	struct error *err;
};

static bool goes_on(struct walk *walk)
{
	walk->ended = walk->ended || !pace_go_on(walk->pace);
	return !walk->ended;
}

/* fn of each file in a folder of keys that may be shared; one that is gone is empty. */
typedef void walk_file_f(struct walk *walk, const char *folder, const char *name, const struct stat *st);
static void each_file(struct walk *walk, const char *folder, walk_file_f *fn)
{
	struct fs_path path;
	const struct dirent *entry;
	struct stat st;
	DIR *dir;

	if (!fs_path_of(walk->store, folder, &path, NULL))
		return;
	dir = fs_at_opendir(walk->store, path.text);
	while (dir && goes_on(walk) && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' &&
			fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode) && st.st_size > STORE_LAZY_MAX)
			fn(walk, folder, entry->d_name, &st);
	if (dir)
		(void)closedir(dir);
}

static void look_at_entry(struct walk *walk, const char *folder, const char *name, const struct stat *st)
{
	char key[STORE_KEY_MAX];
	struct fs_path path;

	if (st->st_nlink > 1 && fs_dedupes(walk->store) && !fs_is_aside(st)) {
		walk->told->files++;
		walk->told->saved += (uint64_t)(st->st_nlink - 2) * (uint64_t)st->st_size;
		return;
	}
	if (snprintf(key, sizeof(key), "%s/%s", folder, name) < (int)sizeof(key) &&
		fs_path_of(walk->store, key, &path, NULL)) {
		walk->told->removed++;
		if (walk->dry)
			would_tell(walk->dry, path.text);
		else
			unlink_if(walk->store, path.text, st);
	}
}

static void walk_index(struct walk *walk)
{
	static const char *const algorithms[] = { "sha256", "sha512" };
	char folder[64];

	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		for (unsigned n = 0; n < FAN_OUT && goes_on(walk); n++) {
			(void)snprintf(folder, sizeof(folder), FOLDER "/blobs/%s/%02x", algorithms[i], n);
			each_file(walk, folder, look_at_entry);
		}
}

static bool read_step(int fd, char *into, size_t len, uint64_t at)
{
	ssize_t n;

	for (size_t done = 0; done < len; done += (size_t)n) {
		do
			n = pread(fd, into + done, len - done, (off_t)(at + done));
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return false;
	}
	return true;
}

/* As file_equal(), for large ones beside requests. */
static bool is_equal(struct walk *walk, int a, int b, uint64_t len)
{
	AUTO_STR *bytes = xnew_array(char, 2 * (size_t)STEP);
	bool same = true;

	for (uint64_t at = 0; at < len && same; at += STEP) {
		size_t step = len - at < STEP ? (size_t)(len - at) : STEP;

		same = goes_on(walk) && read_step(a, bytes, step, at) &&
		       read_step(b, bytes + STEP, step, at) && memcmp(bytes, bytes + STEP, step) == 0;
	}
	return same;
}

/* Under the lock that orders deletions: what was deleted meanwhile stays deleted. */
static bool relink(struct walk *walk, const char *key, const struct fs_path *entry, const struct stat *kept,
	const struct fs_path *blob, const struct stat *compared)
{
	struct store *store = walk->store;
	struct stat now;
	AUTO_FD lock = -1;

	return fs_lock_repository(store, blob, &lock, NULL) && fs_at_stat(store, blob->text, &now) &&
	       is_same_inode(&now, compared) && fs_at_stat(store, entry->text, &now) &&
	       is_same_inode(&now, kept) &&
	       (fs_link_over(store, entry, blob) ||
		       (errno == EMLINK && (fs_dedupe_keep(store, key, blob, true), false)));
}

/* Two files of one digest. */
static void make_one(
	struct walk *walk, const char *key, const struct fs_path *entry, const struct fs_path *blob)
{
	struct stat kept, other;
	AUTO_FD a = -1;
	AUTO_FD b = -1;

	if (!fs_open_file(walk->store, entry->text, &a, &kept, NULL) ||
		!fs_open_file(walk->store, blob->text, &b, &other, NULL) || is_same_inode(&kept, &other))
		return;
	if (kept.st_size == other.st_size && is_equal(walk, a, b, (uint64_t)kept.st_size)) {
		if (walk->dry) {
			walk->told->linked++;
			would_tell(walk->dry, blob->text);
		} else if (relink(walk, key, entry, &kept, blob, &other)) {
			walk->told->linked++;
			fs_dedupe_count(walk->store, other.st_size);
		}
	} else if (!walk->ended && !walk->dry) {
		log_warn("store.dedupe",
			"blob=%s other=%s what=\"one digest, two contents: one of them is damaged\"",
			log_quote(str_of(blob->text)), log_quote(str_of(entry->text)));
		/* Whichever it is: the next one that comes is compared with none. */
		unlink_if(walk->store, entry->text, &kept);
	}
}

/* Others may have written it without a sync. */
static bool sync_file(const struct store *store, const struct fs_path *blob)
{
	struct stat st;
	AUTO_FD fd = -1;

	return fs_open_file(store, blob->text, &fd, &st, NULL) && fsync(fd) == 0;
}

static void share_one(struct walk *walk, const char *folder, const char *name, const struct stat *st)
{
	char key[STORE_KEY_MAX];
	struct fs_path blob, entry;
	struct stat there;

	if (fs_is_aside(st) || snprintf(key, sizeof(key), "%s/%s", folder, name) >= (int)sizeof(key) ||
		!fs_path_of(walk->store, key, &blob, NULL) || !entry_of(walk->store, key, &entry))
		return;
	if (!walk->dry)
		forget_rotten(walk->store, &entry);
	if (!fs_at_stat(walk->store, entry.text, &there)) {
		if (!walk->dry && sync_file(walk->store, &blob))
			fs_dedupe_keep(walk->store, key, &blob, false);
	} else if (!is_same_inode(&there, st)) {
		make_one(walk, key, &entry, &blob);
	}
}

static bool share_repository(void *arg, struct str name)
{
	static const char *const algorithms[] = { "sha256", "sha512" };
	struct walk *walk = arg;
	char folder[STORE_KEY_MAX];

	buf_clear(&walk->last);
	buf_add(&walk->last, name);
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]) && goes_on(walk); i++) {
		(void)snprintf(folder, sizeof(folder), "%.*s/blobs/%s", STR_ARGS(name), algorithms[i]);
		each_file(walk, folder, share_one);
	}
	return !walk->ended;
}

static bool walk_repositories(struct walk *walk)
{
	bool more = true;

	while (more && !walk->ended)
		if (!store_catalog(walk->store, buf_str(&walk->last), PAGE, share_repository, walk, &more,
			    walk->err))
			return false;
	return true;
}

static bool is_due(const struct store *store, bool *ret_stamped)
{
	struct fs_path stamp;
	struct stat st;

	*ret_stamped = fs_path_of(store, STAMP, &stamp, NULL) && fs_at_stat(store, stamp.text, &st);
	return !*ret_stamped || time(NULL) - st.st_mtim.tv_sec > DAY_S || st.st_mtim.tv_sec > time(NULL);
}

static void forget_stamp(const struct store *store)
{
	struct fs_path stamp;

	if (fs_path_of(store, STAMP, &stamp, NULL))
		(void)fs_at_unlink(store, stamp.text);
}

bool fs_dedupe(struct store *store, bool always, const struct pace *pace, const struct would *dry,
	struct store_dedupe *ret, struct error *err)
{
	struct walk walk = { .store = store,
		.dry = dry,
		.pace = pace,
		.told = ret,
		.last = buf_limit(STORE_KEY_MAX),
		.err = err };
	bool on = fs_dedupes(store), stamped, due = is_due(store, &stamped) || always, ok = true;

	if (!on && stamped && !dry)
		forget_stamp(store);
	if (on && due)
		ok = walk_repositories(&walk);
	if (ok && !walk.ended)
		walk_index(&walk);
	buf_fini(&walk.last);
	if (!ok || walk.ended || dry)
		return ok;
	fs_dedupe_set(store, ret->saved);
	return !on || !due || fs_put(store, STAMP, NULL, STR(""), err);
}
